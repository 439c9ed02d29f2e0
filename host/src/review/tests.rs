//! One package in every form, and packages that try to be more than text.

use std::num::NonZeroUsize;
use std::path::Path;

use par_apkg::Package;
use par_apkg::archive::ArchiveLimits;
use par_policy::policy::Policy;
use par_policy::{InstanceCount, Limits};

use super::*;

const POLICY: &str = r#"version: 1
grant:
  outbound: ["https://api.openai.com", {url: "https://files.example.com", methods: [GET, HEAD]}]
  outbound_addresses: ["10.1.2.0/24"]
  env: {LOG_LEVEL: 5ec4e7, REGION: {from: AWS_REGION}}
  secrets: {OPENAI_API_KEY: {hosts: ["https://api.openai.com"]}, MAPS_KEY: {hosts: ["https://m.example"], file: /s/m}}
  files: {data: {models: /srv/models}}
  clock: "2026-01-01T00:00:00Z"
allow:
  outbound: ["https://*.internal.example"]
  env: [FLAGS]
  files: {scratch_mib: 256}
deny: {outbound: [secret.internal.example], env: [HIDDEN]}
limits: {memory_mib: 256}
"#;

const ASKS: &str = "sandbox:
  outbound: [\"https://a.internal.example/v1\"]
  env: [FLAGS]
  files: {scratch_mib: 64}
  limits: {memory_mib: 128}
";

fn limits() -> Limits {
    Limits::default_with(InstanceCount::one_per_core(NonZeroUsize::MIN))
}

/// The review of a package with these further lines in its manifest.
fn reviewed(lines: &str, policy: &str) -> Review {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs_err::write(place.path().join(name), text).unwrap();
    write("agent.yaml", &format!("name: weather\nversion: \"1.0\"\nhttp_server: main:app\n{lines}"));
    write("main.py", "app = None\n");
    write("requirements.txt", "httpx>=0.27\n");
    of(place.path(), policy)
}

fn of(place: &Path, policy_text: &str) -> Review {
    let package = Package::open(place, place, ArchiveLimits::PACKAGE).unwrap();
    let policy = if policy_text.is_empty() {
        Policy::default()
    } else {
        par_apkg::parse_policy(policy_text.as_bytes(), "p").unwrap()
    };
    review(&Subject {
        package: &package,
        file: "weather-1.0.apkg".to_owned(),
        sha256: Some("ab".repeat(32)),
        native_files: vec!["lib/fast.so".to_owned()],
        policy: &policy,
        policy_source: (!policy_text.is_empty()).then(|| "policy.yaml".to_owned()),
        policy_text: policy_text.as_bytes(),
        limits: limits(),
    })
}

fn forms(review: &Review) -> [(&'static str, String); 3] {
    [("text", text(review, Screen::FILE)), ("markdown", markdown(review)), ("html", html(review))]
}

#[test]
fn every_question_of_a_reviewer_has_its_answer_in_every_form() {
    let review = reviewed(&format!("environment: {{OWN: x, HIDDEN: y}}\n{ASKS}"), POLICY);

    assert_eq!(review.verdict, Verdict::Granted);
    for (form, page) in forms(&review) {
        for answer in [
            "weather 1.0",
            "weather-1.0.apkg",
            "policy.yaml",
            "enforce",
            "a.internal.example/v1",
            "allow.outbound[0]",
            "sandbox.outbound[0]",
            "api.openai.com",
            "unasked",
            "GET, HEAD",
            "10.1.2.0/24",
            "OPENAI_API_KEY",
            "m.example",
            "/s/m",
            "/data/models",
            "/srv/models",
            "/scratch",
            "64 MiB",
            "/agent",
            "LOG_LEVEL",
            "AWS_REGION",
            "FLAGS",
            "OWN",
            "agent.yaml",
            "HIDDEN",
            "memory_mib",
            "128",
            "sandbox.limits.memory_mib",
            "request_timeout_ms",
            "30000",
            "default",
            "sandbox: WebAssembly",
            "refuse",
            "stands at 2026-01-01T00:00:00Z",
            "httpx>=0.27",
            "lib/fast.so",
            "secret.internal.example",
        ] {
            let page = page.replace("&gt;", ">").replace(['\n', ' '], "");
            let page = page.replace("<li>", "").replace('\\', "");
            assert!(page.contains(&answer.replace(' ', "")), "the {form} lacks {answer}:\n{page}");
        }
        assert!(!page.contains("5ec4e7"), "the {form} shows a value:\n{page}");
    }
}

#[test]
fn the_json_has_what_decides_about_each_thing() {
    let review = reviewed(&format!("environment: {{OWN: x, HIDDEN: y, REGION: mine}}\n{ASKS}"), POLICY);
    let json = serde_json::to_value(&review).unwrap();

    assert_eq!((json["format"].as_str(), json["version"].as_u64()), (Some("par-grants"), Some(1)));
    assert_eq!(json["verdict"], "granted");
    let asked = &json["outbound"][0];
    assert_eq!(asked["url"], "https://a.internal.example/v1");
    assert_eq!(asked["methods"], serde_json::Value::Null);
    assert_eq!(
        (&asked["granted"], &asked["origin"], &asked["rule"], &asked["line"], &asked["asked_at"]),
        (&true.into(), &"asked".into(), &"allow.outbound[0]".into(), &10.into(), &"sandbox.outbound[0]".into())
    );
    let variables = json["environment"].as_array().unwrap();
    let variable = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap().clone();
    assert_eq!(variable("REGION")["from"], "AWS_REGION of the operator's environment");
    assert_eq!(variable("OWN")["from"], "agent.yaml of the package");
    assert_eq!(
        (variable("HIDDEN")["granted"].clone(), variable("OWN")["granted"].clone()),
        (false.into(), true.into())
    );
    assert!(!json.to_string().contains("5ec4e7"));
}

/// A package above the policy: what it does not get is named, with what it would get otherwise.
#[test]
fn what_is_above_the_policy_is_shown_with_the_rest() {
    let lines = "sandbox:
  outbound: [\"https://a.internal.example\", \"https://evil.example\", \"https://secret.internal.example\"]
  env: [FLAGS, OTHER]
  secrets: {MAPS_KEY: {hosts: [\"https://evil.example\"]}}
  files: {data: [models, others], scratch_mib: 512}
  limits: {memory_mib: 512}
";
    let review = reviewed(lines, POLICY);

    assert_eq!(review.verdict, Verdict::AbovePolicy);
    let refused: Vec<_> = review.differences.iter().map(|difference| difference.asked_at.as_str()).collect();
    assert_eq!(
        refused,
        [
            "sandbox.outbound[1]",
            "sandbox.outbound[2]",
            "sandbox.env[1]",
            "sandbox.secrets.MAPS_KEY",
            "sandbox.files.data[1]",
            "sandbox.files.scratch_mib",
            "sandbox.limits.memory_mib",
        ]
    );
    let outbound: Vec<_> = review.outbound.iter().map(|grant| (grant.url.as_str(), grant.decided.granted)).collect();
    assert_eq!(
        outbound[..3],
        [
            ("https://evil.example", false),
            ("https://secret.internal.example", false),
            ("https://a.internal.example", true)
        ]
    );
    let memory = review.limits.iter().find(|limit| limit.key == "memory_mib").unwrap();
    assert_eq!((memory.value, memory.decided_by.as_str()), (256, "limits.memory_mib"));
    for (form, page) in forms(&review) {
        assert!(page.contains("PAR does not start this agent") && page.contains("NO"), "{form}");
    }
    // The allowed twin.
    assert!(!text(&reviewed("", POLICY), Screen::FILE).contains("NO"));
}

#[test]
fn without_a_policy_there_is_nothing_but_what_every_agent_has() {
    let review = reviewed("", "");

    assert_eq!((review.policy.source.as_deref(), review.policy.sha256.as_deref()), (None, None));
    assert!(review.outbound.is_empty() && review.secrets.is_empty());
    assert!(review.files.iter().all(|file| file.access == "read"), "{:?}", review.files);
    let page = text(&review, Screen::FILE);
    assert!(page.contains("It can make no request to anybody."), "{page}");
}

#[test]
fn a_policy_that_only_observes_is_a_warning() {
    for (form, page) in forms(&reviewed("", "version: 1\nmode: observe\n")) {
        assert!(page.to_lowercase().contains("warning"), "{form}");
        assert!(page.contains("are on the record"), "{form}");
    }
}

/// What a package could say to become markup, steer a terminal or read as something else.
const HOSTILE: &str = "</td><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)> \
                       [click](https://evil.example) | ` ``` ![](https://evil.example/y) <!-- & &lt; **bold** \
                       https://evil.example/z";

fn hostile_review() -> Review {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs_err::write(place.path().join(name), text).unwrap();
    // YAML decodes the escapes: they reach the review as control characters.
    let text =
        serde_json::Value::from(format!("{HOSTILE} \u{1b}[31m\u{1b}]0;x\u{7}\r\n\u{9b}2J \u{202e}txt.exe\u{200b}"));
    let manifest = format!(
        "name: weather\nversion: \"1.0\"\nhttp_server: main:app\ndescription: {text}\nauthor: {text}\nlicense: {text}\n\
         sandbox: {{outbound: [\"https://a.example/%E2%80%AE%3Cscript%3E%60%7C\"]}}\n"
    );
    write("agent.yaml", &super::ascii(&manifest));
    write("main.py", "app = None\n");
    let package = Package::open(place.path(), place.path(), ArchiveLimits::PACKAGE).unwrap();
    review(&Subject {
        package: &package,
        file: format!("{HOSTILE}\u{1b}[2J.apkg"),
        sha256: None,
        native_files: vec![format!("{HOSTILE}\u{7}.so")],
        policy: &Policy::default(),
        policy_source: Some(format!("{HOSTILE}\u{1b}[2J.yaml")),
        policy_text: b"",
        limits: limits(),
    })
}

fn deceives(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
}

#[test]
fn nothing_a_package_says_steers_a_terminal_or_hides() {
    let review = hostile_review();
    assert!(review.package.description.contains('\u{202e}') && review.package.description.contains('\u{1b}'));

    for (form, page) in forms(&review) {
        assert!(page.contains("\\u{1b}") && page.contains("\\u{202e}"), "{form}:\n{page}");
        assert!(!page.chars().any(deceives), "{form}");
    }
    let json = ascii(&serde_json::to_string_pretty(&review).unwrap());
    assert!(json.is_ascii() && !json.chars().any(deceives));
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["package"]["description"], review.package.description.as_str());
}

#[test]
fn nothing_a_package_says_becomes_html() {
    let page = html(&hostile_review());

    for markup in ["<script", "<img", "<!--", "https://evil.example/x onerror=alert(2)>"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;script&gt;"), "{page}");
    let links: Vec<&str> =
        page.match_indices("href=\"").map(|(at, mark)| &page[at + mark.len()..at + mark.len() + 1]).collect();
    assert!(links.iter().all(|link| *link == "#") && links.len() > 10, "{links:?}");
    assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"), "{page}");
}

/// In code, which is the only place where foreign text stands, nothing is markup but a backtick, and in a table
/// a bar.
#[test]
fn nothing_a_package_says_becomes_markdown() {
    let page = markdown(&hostile_review());

    let hostile: Vec<&str> = page.lines().filter(|line| line.contains("evil.example")).collect();
    assert!(hostile.len() >= 5, "{page}");
    for line in hostile {
        let cells = line.replace("\\|", "").matches('|').count();
        // Two, three, five or six columns: no bar of a package makes one more.
        assert!([3, 4, 6, 7].contains(&cells), "{cells} {line}");
        let outside: String = line.split('`').step_by(2).collect();
        assert_eq!(line.matches('`').count() % 2, 0, "{line}");
        assert!(!outside.contains("evil.example") && !outside.contains("<script"), "{outside}");
    }
}

#[test]
fn a_sentence_is_cut_at_its_backticks() {
    use super::page::pieces;

    assert_eq!(pieces("a `b` c"), [(false, "a "), (true, "b"), (false, " c")]);
    assert_eq!(pieces("`b`"), [(true, "b")]);
    assert_eq!(pieces("a `b` c`d"), [(false, "a "), (true, "b"), (false, " c`d")]);
    assert_eq!(pieces(""), []);
}

#[test]
fn tables_are_as_wide_as_the_screen() {
    let review = reviewed(ASKS, POLICY);
    for width in [60, 80, 120, 200] {
        let page = text(&review, Screen { width, colours: false });
        let widest = page.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(width), "{widest} at {width}\n{page}");
        assert!(!page.contains('\u{1b}'));
    }
    assert!(text(&review, Screen { width: 80, colours: true }).contains("\u{1b}[1m"));
}
