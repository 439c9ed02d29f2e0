//! What a security reviewer runs: `par grants`, `par policy test`, `par policy diff`.

use std::path::{Path, PathBuf};

use par_tests::{Package, Said, SarifSchema, par};
use serde_json::{Value, json};
use tempfile::TempDir;

const POLICY: &str = "version: 1
grant:
  outbound: [\"https://api.openai.com\"]
  secrets: {KEY: {hosts: [\"https://api.openai.com\"]}}
allow:
  outbound: [\"https://*.internal.example\"]
limits: {memory_mib: 256}
";

/// A directory with files to name on the command line.
struct Desk {
    directory: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs_err::write(self.path().join(name), text).unwrap();
        self
    }

    fn package(&self, lines: &str) -> PathBuf {
        let place = self.path().join(format!("p{}", fs_err::read_dir(self.path()).unwrap().count()));
        fs_err::create_dir(&place).unwrap();
        probe().and(lines).write_archive(&place)
    }

    async fn par(&self, arguments: &[&str]) -> Said {
        par(self.path(), &[], arguments).await
    }
}

fn probe() -> Package {
    Package::asgi("app = None\n")
}

fn asking(hosts: &str) -> String {
    format!("sandbox: {{outbound: {hosts}}}\n")
}

/// hostile 56: what is above the policy is shown and is no success; the twin is one.
#[tokio::test]
async fn grants_says_what_a_package_gets_and_exits_with_2_above_the_policy() {
    let desk = Desk::new().file("policy.yaml", POLICY);
    let within = desk.package(&asking("[\"https://a.internal.example\"]"));
    let above = desk.package(&asking("[\"https://a.internal.example\", \"https://evil.example\"]"));
    let grants = |package: PathBuf, form| {
        let desk = &desk;
        async move { desk.par(&["grants", package.to_str().unwrap(), "--policy", "policy.yaml", form]).await }
    };

    let granted = grants(within.clone(), "--json").await;
    assert_eq!((granted.code, granted.errors.as_str()), (0, ""));
    let review = granted.json();
    assert_eq!((&review["format"], &review["verdict"]), (&json!("par-grants"), &json!("granted")));
    assert_eq!(review["outbound"][0]["rule"], "allow.outbound[0]");
    assert_eq!(review["outbound"][1]["origin"], "unasked");
    assert_eq!(review["package"]["file"], "probe-1.0.apkg");
    assert_eq!(review["package"]["sha256"].as_str().map(str::len), Some(64));

    let refused = grants(above.clone(), "--json").await;
    assert_eq!(refused.code, 2);
    let differences = refused.json()["differences"].clone();
    assert_eq!(differences.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&differences[0]["code"], &differences[0]["asked_at"]),
        (&json!("above_policy"), &json!("sandbox.outbound[1]"))
    );
    for form in ["--markdown", "--html"] {
        let said = grants(above.clone(), form).await;
        assert_eq!(said.code, 2, "{form}");
        assert!(said.output.contains("evil.example") && said.output.contains("does not start"), "{}", said.output);
    }
    let table = desk.par(&["grants", above.to_str().unwrap()]).await;
    assert_eq!(table.code, 2);
    assert!(table.output.contains("policy allows nothing") && !table.output.contains('\u{1b}'), "{}", table.output);
}

/// A review opens what a start would open, and no more: the operator's limit holds for both.
#[tokio::test]
async fn a_package_that_is_too_large_for_a_start_is_too_large_for_a_review() {
    let desk = Desk::new();
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let noise: Vec<u8> = (0..1 << 18).flat_map(|_| next()).collect();
    let package = probe().file("noise.bin", noise).write_archive(desk.path());
    let package = package.to_str().unwrap();

    for arguments in [&["grants", package][..], &["policy", "diff", package, package]] {
        let said = par(desk.path(), &[("MAX_PACKAGE_SIZE_MB", "1")], arguments).await;
        assert_eq!(said.code, 1, "{}", said.output);
        assert!(said.errors.contains("is larger than 1 MiB"), "{}", said.errors);
        let said = par(desk.path(), &[("MAX_PACKAGE_SIZE_MB", "3")], arguments).await;
        assert_eq!(said.code, 0, "{}", said.errors);
    }
}

#[tokio::test]
async fn the_policy_may_come_from_the_variable_and_the_page_go_to_a_file() {
    let desk = Desk::new();
    let package = desk.package("");
    let arguments = ["grants", package.to_str().unwrap(), "--html", "--output", "review.html"];

    let said = par(desk.path(), &[("PAR_POLICY", POLICY)], arguments).await;

    assert_eq!((said.code, said.output.as_str()), (0, ""), "{}", said.errors);
    let page = fs_err::read_to_string(desk.path().join("review.html")).unwrap();
    assert!(page.contains("https://api.openai.com") && page.contains("PAR_POLICY"), "{page}");

    // A mistake of the policy is a failure, not a finding.
    let said = par(desk.path(), &[("PAR_POLICY", "version: 1\ngrnat: {}\n")], arguments).await;
    assert_eq!(said.code, 1);
    assert!(said.errors.contains("did you mean `grant`?"), "{}", said.errors);
}

#[tokio::test]
async fn a_test_of_a_policy_names_the_rule_and_exits_by_what_comes_of_it() {
    let desk = Desk::new().file("policy.yaml", POLICY);
    let test = async |what: &[&str]| {
        let said = desk.par(&[&["policy", "test", "--policy", "policy.yaml"], what].concat()).await;
        (said.code, said.output)
    };

    for (what, code, expected) in [
        (&["https://api.openai.com/v1"][..], 0, "allowed by grant.outbound[0]"),
        (&["secret", "KEY", "https://api.openai.com/v1"], 0, "allowed by grant.secrets.KEY"),
        (&["/agent/main.py"], 0, "allowed"),
        (&["https://a.internal.example"], 3, "when asked by allow.outbound[0]"),
        (&["https://evil.example/x?token=5ec4e7"], 2, "denied (host_not_granted)"),
        (&["http://api.openai.com"], 2, "denied (scheme_not_granted)"),
        (&["secret", "KEY", "https://evil.example"], 2, "denied by grant.secrets.KEY (secret_not_bound)"),
        (&["env", "AWS_SECRET_ACCESS_KEY"], 2, "denied (variable_not_granted)"),
        (&["env", "LD_PRELOAD"], 2, "steers the loader"),
        (&["/etc/passwd"], 2, "denied (not_there)"),
        (&["/agent/../etc/passwd"], 2, "denied (not_there)"),
        (&["169.254.169.254"], 2, "denied (metadata_address)"),
        (&["https://api.openai.com", "https://a.internal.example", "https://evil.example"], 2, "when asked"),
    ] {
        let (got, output) = test(what).await;
        assert_eq!(got, code, "{what:?}\n{output}");
        assert!(output.contains(expected) && !output.contains("5ec4e7"), "{what:?}\n{output}");
    }
    let package = desk.package(&asking("[\"https://a.internal.example\"]"));
    let (code, output) = test(&["--package", package.to_str().unwrap(), "https://a.internal.example"]).await;
    assert_eq!((code, output.contains("allowed by allow.outbound[0]")), (0, true), "{output}");
    assert_eq!(test(&["nonsense"]).await.0, 64);
    assert_eq!(test(&["env"]).await.0, 64);
}

/// What a denial offers as the line to add is enough: with it, the same request is allowed.
#[tokio::test]
async fn the_line_a_denial_offers_allows_exactly_that() {
    let desk = Desk::new();
    for what in [
        "https://evil.example/a/b%20c",
        "http://evil.example:8080/",
        "https://evil.example/a//b",
        "https://[2606:4700::1]/x",
    ] {
        let denied = desk.par(&["policy", "test", "--method", "POST", what]).await;
        assert_eq!(denied.code, 2, "{}", denied.output);
        let (_, line) = denied.output.split_once("the policy needs: ").unwrap_or_else(|| panic!("{}", denied.output));

        let policy = format!("version: 1\n{line}");
        let allowed = par(desk.path(), &[("PAR_POLICY", &policy)], ["policy", "test", "--method", "POST", what]).await;
        let other = par(desk.path(), &[("PAR_POLICY", &policy)], ["policy", "test", "--method", "PUT", what]).await;

        assert_eq!((allowed.code, other.code), (0, 2), "{policy}\n{}{}", allowed.output, other.output);
    }
}

#[tokio::test]
async fn a_wider_policy_is_a_finding_and_a_narrower_one_is_not() {
    let wider = POLICY.replace("256", "512").replace("https://*.internal.example", "https://*.example");
    let wider = wider.replace("*.example", "*.wide.example") + "mode: observe\nnative: allow\n";
    let desk = Desk::new().file("old.yaml", POLICY).file("new.yaml", &wider);

    let there = desk.par(&["policy", "diff", "old.yaml", "new.yaml", "--json"]).await;
    assert_eq!(there.code, 2, "{}", there.errors);
    let changes = there.json();
    let of = |direction: &str| -> Vec<(String, u64)> {
        let changes = changes["changes"].as_array().unwrap().iter();
        let of = changes.filter(|change| change["direction"] == direction);
        of.map(|change| (change["area"].as_str().unwrap().to_owned(), change["line"].as_u64().unwrap())).collect()
    };
    assert_eq!(
        of("widened"),
        [("hosts", 6), ("limits", 7), ("native", 9), ("mode", 8)].map(|(area, line)| (area.to_owned(), line))
    );
    assert_eq!(of("narrowed"), [("hosts".to_owned(), 6)]);

    let narrower = POLICY.replace("256", "128");
    let desk = desk.file("narrow.yaml", &narrower);
    let back = desk.par(&["policy", "diff", "old.yaml", "narrow.yaml"]).await;
    assert_eq!(back.code, 0, "{}", back.output);
    assert!(back.output.contains("narrowed") && back.output.contains("nothing is wider"), "{}", back.output);
    let same = desk.par(&["policy", "diff", "old.yaml", "old.yaml"]).await;
    assert_eq!((same.code, same.output.contains("nothing changed")), (0, true));
}

#[tokio::test]
async fn a_package_that_asks_for_more_or_brings_more_is_a_finding() {
    let desk = Desk::new();
    let write = |package: Package| {
        let place = desk.path().join(format!("p{}", fs_err::read_dir(desk.path()).unwrap().count()));
        fs_err::create_dir(&place).unwrap();
        package.write_archive(&place).to_str().unwrap().to_owned()
    };
    let old = probe().and(&asking("[\"https://a.example\"]")).file("requirements.txt", "httpx>=0.27\n");
    let base = write(old.clone());
    for (new, area, direction, code) in [
        (old.clone().file("requirements.txt", "httpx>=0.27\nrequests\n"), "dependencies", "widened", 2),
        (old.clone().file("requirements.txt", "httpx>=0.28\n"), "dependencies", "changed", 0),
        (old.clone().file("lib/fast.so", b"\x7fELF".to_vec()), "native", "widened", 2),
        (old.clone().and("ui: {path: ui}\n").file("ui/index.html", "x"), "surfaces", "changed", 0),
        (old.clone().file(".env", "MODE=x\n"), "env", "changed", 0),
        (old.clone().file("requirements.txt", ""), "dependencies", "narrowed", 0),
        (
            probe().and(&asking("[\"https://a.example/v1\"]")).file("requirements.txt", "httpx>=0.27\n"),
            "hosts",
            "narrowed",
            0,
        ),
        (
            probe()
                .and(&asking("[\"https://*.a.example\", \"https://a.example\"]"))
                .file("requirements.txt", "httpx>=0.27\n"),
            "hosts",
            "widened",
            2,
        ),
    ] {
        let said = desk.par(&["policy", "diff", &base, &write(new), "--json"]).await;
        let changes = said.json()["changes"].as_array().unwrap().clone();
        assert_eq!((said.code, changes.len()), (code, 1), "{changes:?}");
        assert_eq!((&changes[0]["area"], &changes[0]["direction"]), (&json!(area), &json!(direction)), "{changes:?}");
    }
    let mixed = desk.file("policy.yaml", POLICY).par(&["policy", "diff", &base, "policy.yaml"]).await;
    assert_eq!(mixed.code, 1, "{}", mixed.output);
}

/// What every reader of SARIF 2.1.0 relies on: the schema of OASIS holds, for policies and for packages.
#[tokio::test]
async fn a_difference_as_sarif_has_a_place_for_each_change() {
    let wider = POLICY.replace("256", "512");
    let desk = Desk::new().file("old.yaml", POLICY).file("a new \"policy\".yaml", &wider);

    let said = desk.par(&["policy", "diff", "old.yaml", "a new \"policy\".yaml", "--sarif"]).await;

    assert_eq!(said.code, 2);
    let sarif = said.json();
    assert_eq!((&sarif["version"], sarif["runs"].as_array().map(Vec::len)), (&json!("2.1.0"), Some(1)));
    let run = &sarif["runs"][0];
    let result = &run["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&json!("widened/limits"), &json!("error")));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20new%20%22policy%22.yaml");
    assert_eq!(place["region"]["startLine"], 7);
    let rules: Vec<&Value> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
    assert!(rules.contains(&&result["ruleId"]), "{rules:?}");

    let schema = SarifSchema::fetch();
    let (old, new) = (desk.package(""), desk.package(&asking("[\"https://evil.example\"]")));
    let packages = desk.par(&["policy", "diff", old.to_str().unwrap(), new.to_str().unwrap(), "--sarif"]).await.json();
    assert_ne!(packages["runs"][0]["results"].as_array().map(Vec::len), Some(0));
    let same = desk.par(&["policy", "diff", "old.yaml", "old.yaml", "--sarif"]).await.json();
    for report in [&sarif, &packages, &same] {
        assert_eq!(schema.violation(report), None);
    }
    // The schema refuses what is not SARIF, so that the above says something.
    for (place, wrong) in [("/version", json!("2.2")), ("/runs/0/results/0/level", json!("fatal"))] {
        let mut broken = sarif.clone();
        *broken.pointer_mut(place).unwrap() = wrong;
        assert!(schema.violation(&broken).is_some(), "{place}");
    }
}
