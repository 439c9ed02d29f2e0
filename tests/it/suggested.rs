//! `par policy suggest` and `par run --watch`: from what an agent did to what it needs.

use std::path::Path;

use par_tests::{Line, Package, Seen, Terminal, TestHost, Upstream, par};

fn agent(one: &Upstream, other: &Upstream) -> Package {
    let servers =
        format!("environment: {{ONE: {:?}, OTHER: {:?}}}\n", one.url("127.0.0.1", ""), other.url("127.0.0.1", ""));
    Package::asgi(include_str!("python/needy.py")).and(&servers)
}

fn host(package: &Package, policy: &str) -> TestHost {
    TestHost::agent(package).env("PAR_POLICY", policy).env("API_KEY", "hunter2-value").env("MODE", "of the operator")
}

/// How many orders came with the value of the secret.
fn orders(server: &Upstream) -> usize {
    let seen = server.seen();
    let paid = |seen: &&Seen| seen.method == "POST" && seen.headers["authorization"] == "Bearer hunter2-value";
    seen.iter().filter(paid).count()
}

/// Whether the agent comes up under a policy and does its work.
async fn works(package: &Package, policy: &str, one: &Upstream) -> bool {
    let before = orders(one);
    let mut host = host(package, policy).env("BOOT_FAILURE_COUNT", "0").spawn();
    let started = host.ready_or_gone().await;
    started && host.get("/").await.status == 200 && orders(one) == before + 1
}

async fn suggest(directory: &Path, record: &Path, policy: &str) -> String {
    let said = par(directory, &[("PAR_POLICY", policy)], ["policy", "suggest", record.to_str().unwrap()]).await;
    assert_eq!((said.code, said.errors.as_str()), (0, ""), "{}", said.output);
    said.output
}

/// The record of a run under a wide policy becomes a policy under which the run succeeds, and of which no line
/// can be left out.
#[tokio::test]
async fn a_suggested_policy_is_enough_and_every_line_of_it_is_needed() {
    let (one, other) = (Upstream::http().await, Upstream::http().await);
    let package = agent(&one, &other);
    let wide = "version: 1
grant:
  outbound: [\"http://127.0.0.1:ONE\", \"http://127.0.0.1:OTHER\", \"https://api.openai.com\"]
  outbound_addresses: [127.0.0.0/8]
  env: {MODE: {from: MODE}}
  secrets: {API_KEY: {hosts: [\"http://127.0.0.1:ONE\"]}}
  files: {data: {models: MODELS, unused: MODELS}, scratch_mib: 1}
";
    let models = tempfile::tempdir().unwrap();
    fs_err::write(models.path().join("weights.txt"), "0.5").unwrap();
    let wide = wide.replace("MODELS", models.path().to_str().unwrap());
    let package = package.file("with_files", "");
    let wide = wide.replace("ONE", &one.port().to_string()).replace("OTHER", &other.port().to_string());
    let setup = host(&package, &wide);
    let record = setup.directory().join("audit.jsonl");
    let mut recorded = setup.env("PAR_AUDIT_FILE", record.clone()).start().await;
    let reply = recorded.get("/").await;
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), recorded.log_text());
    assert_eq!(recorded.stop().await, 0);

    let policy = suggest(recorded.setup().directory(), &record, &wide).await;

    let lines: Vec<&str> = policy.lines().collect();
    let said: Vec<usize> = (0..lines.len()).filter(|line| !lines[*line].trim().starts_with('#')).collect();
    assert_eq!(said.len(), 16, "{policy}");
    for evidence in ["1 allowed", "; request 01", "/echo/items/7", "[POST]"] {
        assert!(policy.contains(evidence), "{evidence}\n{policy}");
    }
    assert!(
        !policy.contains("unused")
            && !policy.contains("openai")
            && !policy.contains("page=2")
            && !policy.contains("hunter2"),
        "{policy}"
    );
    assert!(works(&package, &policy, &one).await, "the suggestion is enough\n{policy}");
    for line in said {
        let rest: Vec<&str> =
            lines.iter().enumerate().filter(|(other, _)| *other != line).map(|(_, text)| *text).collect();
        assert!(!works(&package, &rest.join("\n"), &one).await, "not needed: {}\n{policy}", lines[line]);
    }
}

/// A run that was denied things says what it wanted: a policy can be made of it step by step.
#[tokio::test]
async fn a_denied_run_suggests_what_it_wanted() {
    let (one, other) = (Upstream::http().await, Upstream::http().await);
    let package = agent(&one, &other);
    let setup = host(&package, "version: 1\ngrant: {env: {MODE: {from: MODE}}}\n");
    let record = setup.directory().join("audit.jsonl");
    let mut denied = setup.env("PAR_AUDIT_FILE", record.clone()).start().await;
    assert_eq!(denied.get("/").await.status, 500);
    assert_eq!(denied.stop().await, 0);

    let policy = suggest(denied.setup().directory(), &record, "version: 1\n").await;

    let wanted = format!("- {{url: \"{}\", methods: [GET]}}", one.url("127.0.0.1", "/echo/items/7"));
    assert!(policy.contains(&wanted) && policy.contains("1 not granted"), "{policy}");
    assert_eq!(one.connections() + other.connections(), 0);
}

/// What a person sees who watches, and that what it says to add is what was missing.
#[tokio::test]
async fn who_watches_sees_each_use_and_the_line_that_would_allow_a_denial() {
    let (one, other) = (Upstream::http().await, Upstream::http().await);
    let package = agent(&one, &other);
    let policy = format!(
        "version: 1
grant:
  outbound: [{{url: \"{}\", methods: [GET]}}]
  outbound_addresses: [127.0.0.0/8]
  env: {{MODE: {{from: MODE}}}}
  secrets: {{API_KEY: {{hosts: [\"{}\"]}}}}
",
        one.url("127.0.0.1", ""),
        one.url("127.0.0.1", "")
    );
    let setup = host(&package, &policy);
    let path = setup.package().to_owned();
    let mut watched = setup.args(["run", "--watch"]).args([path]).start().await;

    assert_eq!(watched.get("/").await.status, 500);
    assert_eq!(watched.stop().await, 0);

    let view = watched.standard_error().await;
    let line = |what: &str| view.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}\n{view}"));
    assert!(line("allowed   env       MODE").contains("by grant.env.MODE"), "{view}");
    let items = line("allowed   outbound  GET");
    assert!(items.contains("/echo/items/7") && items.contains("by grant.outbound[0], status 200"), "{view}");
    assert!(line("DENIED    outbound  POST").contains("method_not_granted"), "{view}");
    assert!(!view.contains('\u{1b}') && !view.contains("hunter2") && !view.contains("page=2"), "{view}");
    // The record is complete all the same.
    let denied = |line: &Line| line.event() == "Capability denied" && line.text_of("capability") == "outbound";
    assert_eq!(watched.lines().iter().filter(|line| denied(line)).count(), 1);

    let (_, add) = line("the policy needs: ").split_once("needs: ").unwrap();
    let rule = add.strip_prefix("grant: {outbound: [").and_then(|rest| rest.strip_suffix("]}")).unwrap();
    let wider = policy.replace("methods: [GET]}]", &format!("methods: [GET]}}, {rule}]"));
    let host = host(&package, &wider).start().await;
    assert_eq!(host.get("/").await.status, 500);
    // One step further: the other server is what is denied now.
    let denied = host.wait_for("the denial", denied).await;
    assert!(denied.text_of("target").contains(&other.port().to_string()), "{}", denied.text);
}

/// At a terminal each use is shown while the agent runs, in a line of its own, and the line to add below what was denied.
#[tokio::test]
async fn a_terminal_shows_each_use_as_it_happens() {
    let (one, other) = (Upstream::http().await, Upstream::http().await);
    let package = agent(&one, &other);
    let policy = "version: 1
grant:
  outbound: [OWN/echo/items]
  outbound_addresses: [127.0.0.0/8]
  env: {MODE: here}
  secrets: {API_KEY: {hosts: [OWN]}}
";
    let policy = policy.replace("OWN", &one.url("127.0.0.1", ""));
    let setup = host(&package, &policy);
    let path = setup.package().to_owned();
    let mut terminal = setup.args(["run", "--watch"]).args([path]).at_terminal();
    let begun = terminal.shows("the start", |text| text.contains("Ctrl-C ends it.")).await;
    assert!(begun.contains("What the agent uses and is denied follows"), "{begun:?}");

    terminal.get("/").await;
    let denied = |text: &str| text.contains("DENIED") && text.contains("the policy needs: ");
    let view = terminal.shows("the denial", denied).await;

    let line = |what: &str| {
        let plain = Terminal::plain(&view);
        let found = plain.split(['\r', '\n']).find(|line| line.contains(what)).map(|line| line.trim_end().to_owned());
        found.unwrap_or_else(|| panic!("{what}\n{view:?}"))
    };
    assert!(line("allowed   env       MODE").ends_with("by grant.env.MODE"), "{view:?}");
    assert!(line("allowed   outbound  GET").contains("/echo/items/7  by grant.outbound[0], status 200"), "{view:?}");
    assert!(line("DENIED    outbound  POST").contains("/echo/orders  path_not_granted"), "{view:?}");
    let add = line("to allow it, the policy needs: ");
    assert!(add.ends_with("/echo/orders\", methods: [POST]}]}"), "{add}");
    assert!(view.contains("\u{1b}[31m"), "a denial is red\n{view:?}");
    assert!(!view.contains("hunter2"), "{view:?}");
    assert_eq!(terminal.interrupt().await, 0);
    // The log is on the same screen, and does not say it again.
    let whole = Terminal::plain(&terminal.text());
    let times = |what: &str| whole.split(['\r', '\n']).filter(|line| line.contains(what)).count();
    assert_eq!((times("DENIED"), times("/echo/items/7"), times("Capability ")), (1, 1, 0), "{whole}");
    assert_eq!(times("Runtime shutdown complete"), 1, "{whole}");
}

/// The twin: who does not watch has the record in the log, and who keeps it in a file has it there, watching or not.
#[tokio::test]
async fn a_terminal_has_the_record_in_its_log_or_in_its_file() {
    let (one, other) = (Upstream::http().await, Upstream::http().await);
    let package = agent(&one, &other);
    let policy = "version: 1\ngrant: {env: {MODE: here}}\n";
    for (arguments, in_log) in [(&["run"][..], 1), (&["run", "--watch"], 0)] {
        let setup = host(&package, policy);
        let (path, record) = (setup.package().to_owned(), setup.directory().join("audit.jsonl"));
        let setup = if in_log == 1 { setup } else { setup.env("PAR_AUDIT_FILE", &record) };
        let mut terminal = setup.args(arguments).args([path]).at_terminal();
        terminal.shows("the start", |text| text.contains("Ctrl-C ends it.")).await;

        terminal.get("/").await;
        terminal.shows("the denial", |text| text.contains("host_not_granted")).await;
        assert_eq!(terminal.interrupt().await, 0);

        let whole = Terminal::plain(&terminal.text());
        let times = |what: &str| whole.split(['\r', '\n']).filter(|line| line.contains(what)).count();
        assert_eq!((times("Capability denied"), times("DENIED")), (in_log, 1 - in_log), "{whole}");
        if in_log == 0 {
            let kept = fs_err::read_to_string(record).unwrap();
            assert_eq!(kept.lines().filter(|line| line.contains("host_not_granted")).count(), 1, "{kept}");
        }
    }
}
