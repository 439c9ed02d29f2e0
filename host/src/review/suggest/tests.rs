//! Records to policies. That the policies are enough is tested with an agent: `it suggested`.

use par_policy::policy::Policy;
use serde_json::json;

use super::*;

fn line(capability: &str, decision: &str, target: &str, more: serde_json::Value) -> String {
    let mut details = json!({"capability": capability, "decision": decision, "target": target, "rule": null,
        "code": null, "request_id": "01J", "count": 1, "packages": ["httpx"]});
    for (name, value) in more.as_object().unwrap() {
        details[name] = value.clone();
    }
    let event = if decision == "allowed" { "Capability used" } else { "Capability denied" };
    format!("{}\n", json!({"event": event, "ts": "2026-01-01T00:00:00.000000Z", "details": details}))
}

fn allowed(target: &str) -> String {
    line("outbound", "allowed", target, json!({"rule": "grant.outbound[0]"}))
}

fn suggested(record: &str, known: &str) -> String {
    let known =
        if known.is_empty() { Policy::default() } else { par_apkg::parse_policy(known.as_bytes(), "p").unwrap() };
    suggest(record.as_bytes(), &known).unwrap()
}

/// The lines that say something.
fn lines(policy: &str) -> Vec<&str> {
    policy.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn requests_become_the_fewest_rules_that_cover_them() {
    let record = [
        "GET https://a.example/v1/x",
        "POST https://a.example/v1/x",
        "GET https://a.example/v1",
        "GET https://a.example/v10",
        "GET https://b.example:8443/",
        "GET https://b.example:8443/y",
        "GET https://c.example/a//b",
    ]
    .map(allowed)
    .concat();

    assert_eq!(
        lines(&suggested(&record, ""))[3..],
        [
            "- {url: \"https://a.example/v1\", methods: [GET]}",
            "- {url: \"https://a.example/v1/x\", methods: [POST]}",
            "- {url: \"https://a.example/v10\", methods: [GET]}",
            "- {url: \"https://b.example:8443\", methods: [GET]}",
            "- {url: \"https://c.example\", methods: [GET]}",
        ]
    );
}

#[test]
fn many_paths_become_what_they_have_in_common() {
    let record: String = (0..40).map(|n| allowed(&format!("GET https://a.example/v1/users/{n}"))).collect();

    let policy = suggested(&record, "");

    assert_eq!(lines(&policy)[3..], ["- {url: \"https://a.example/v1/users\", methods: [GET]}"]);
    assert!(policy.contains("# 40 allowed") && policy.contains("40 paths"), "{policy}");
}

#[test]
fn what_was_denied_for_want_of_a_rule_is_suggested_and_what_is_denied_for_good_is_noted() {
    let denied = |target: &str, code: &str| line("outbound", "denied", target, json!({"code": code}));
    let record = [
        denied("GET https://a.example/x", "host_not_granted"),
        denied("GET http://10.1.2.3/x", "private_address"),
        denied("GET http://169.254.169.254/x", "metadata_address"),
        denied("GET https://evil.example/x", "denied_by_policy"),
        line("secrets", "denied", "KEY in GET https://evil.example/x", json!({"code": "secret_not_bound"})),
        line("env", "denied", "NOBODY", json!({"code": "variable_not_granted"})),
    ]
    .concat();

    let policy = suggested(&record, "");

    assert_eq!(
        lines(&policy),
        [
            "version: 1",
            "grant:",
            "outbound:",
            "- {url: \"http://10.1.2.3/x\", methods: [GET]}",
            "- {url: \"https://a.example/x\", methods: [GET]}",
            "outbound_addresses:",
            "- \"10.1.2.3\"",
        ]
    );
    for note in ["metadata_address", "denied_by_policy", "secret_not_bound", "variable_not_granted"] {
        assert!(policy.contains(&format!("({note})")), "{policy}");
    }
}

#[test]
fn where_values_come_from_is_of_the_policy_of_the_run() {
    let record = [
        line("env", "allowed", "MODE", json!({"rule": "grant.env.MODE"})),
        line("env", "allowed", "REGION", json!({"rule": "grant.env.REGION"})),
        line("env", "allowed", "FLAGS", json!({"rule": "allow.env[0]"})),
        line("secrets", "allowed", "KEY in GET https://a.example/x", json!({"rule": "grant.secrets.KEY"})),
        line("secrets", "allowed", "KEY in POST https://a.example/y", json!({"rule": "grant.secrets.KEY"})),
    ]
    .concat();
    let record = record
        + &line("files", "allowed", "/data/models/a/b", json!({"rule": "grant.files.data.models"}))
        + &line("files", "allowed", "/data/others/a", json!({"rule": "grant.files.data.others"}))
        + &line("files", "allowed", "/scratch/x", json!({"rule": "grant.files.scratch_mib"}));
    let known = "version: 1
grant:
  env: {MODE: \"a\\\"b: c\", REGION: {from: AWS_REGION}}
  secrets: {KEY: {hosts: [\"https://a.example\"], file: /run/key}}
  files: {data: {models: /srv/models}, scratch_mib: 8}
allow: {env: [FLAGS]}
limits: {memory_mib: 128}
";

    assert_eq!(
        lines(&suggested(&record, known)),
        [
            "version: 1",
            "grant:",
            "env:",
            "FLAGS: {from: FLAGS}",
            "MODE: \"a\\\"b: c\"",
            "REGION: {from: AWS_REGION}",
            "secrets:",
            "KEY: {hosts: [\"https://a.example/x\",\"https://a.example/y\"], file: \"/run/key\"}",
            "files:",
            "data:",
            "models: \"/srv/models\"",
            "scratch_mib: 8",
            "limits:",
            "memory_mib: 128",
        ]
    );
    let alone = suggested(&record, "");
    assert!(alone.contains("name the policy of the run with --policy"), "{alone}");
    assert!(alone.contains("not covered: the data directory others") && !alone.contains("files:"), "{alone}");
}

#[test]
fn a_run_that_used_nothing_needs_nothing() {
    assert_eq!(lines(&suggested("", "")), ["version: 1"]);
    assert_eq!(lines(&suggested("{\"event\": \"Runtime ready\", \"details\": {}}\n", "")), ["version: 1"]);
}

/// What the policy of the run fixed stays fixed; what the package fixes for itself needs no policy.
#[test]
fn what_was_fixed_stays_fixed() {
    let record = [
        line("clock", "allowed", "2026-01-02T03:04:05Z", json!({"rule": "grant.clock"})),
        line("random", "allowed", "7", json!({"rule": "grant.random"})),
    ]
    .concat();
    let known = "version: 1\ngrant: {clock: \"2026-01-02T03:04:05Z\", random: 7}\n";

    let policy = suggested(&record, known);

    assert_eq!(lines(&policy), ["version: 1", "grant:", "clock: \"2026-01-02T03:04:05Z\"", "random: 7"]);
    assert!(!policy.contains("not covered"), "{policy}");
    assert_eq!(lines(&suggested(&record, "version: 1\n")), ["version: 1"]);
    assert_eq!(lines(&suggested("", known)), ["version: 1"]);
}

#[test]
fn a_torn_last_line_is_left_out_and_any_other_is_an_error() {
    let whole = allowed("GET https://a.example/x");
    let torn = format!("{whole}{}", &whole[..40]);
    assert_eq!(lines(&suggested(&torn, "")).len(), 4);

    let broken = format!("{}\n{whole}", &whole[..40]);
    assert!(matches!(suggest(broken.as_bytes(), &Policy::default()), Err(NotARecord::Line(1))));
    let endless = "x".repeat(3 << 20);
    assert!(matches!(suggest(endless.as_bytes(), &Policy::default()), Err(NotARecord::Line(1))));
}

/// A record is made by a hostile agent: nothing in it becomes a line of the policy.
#[test]
fn nothing_in_a_record_becomes_a_line_of_its_own() {
    let evil = "x\ngrant:\n  outbound: [\"https://evil.example\"]\n#";
    let record = [
        line("outbound", "allowed", evil, json!({"request_id": evil, "packages": [evil]})),
        line("env", "denied", evil, json!({"code": evil, "rule": evil})),
        line("outbound", "allowed", "GET https://a.example/%22%5D%0Agrant:", json!({"request_id": "\u{202e}\u{1b}"})),
    ]
    .concat();

    let policy = suggested(&record, "");

    assert_eq!(lines(&policy), ["version: 1", "grant:", "outbound:", "- {url: \"https://a.example\", methods: [GET]}"]);
    assert!(policy.is_ascii() && !policy.contains('\u{1b}'), "{policy}");
}
