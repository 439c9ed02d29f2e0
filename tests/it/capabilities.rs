//! What a package asks for, what the operator's policy makes of it, and what the agent then has.

use par_tests::{Package, RunningHost, TestHost};
use serde_json::{Value, json};

fn probe() -> Package {
    Package::asgi(include_str!("python/probe.py"))
}

async fn ask(host: &RunningHost, path: &str) -> Value {
    let reply = host.get(path).await;
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), host.log_text());
    reply.json()
}

/// The one line that says why no capabilities were granted.
async fn refusal(package: &Package, policy: Option<&str>) -> (String, String) {
    let setup = TestHost::agent(package);
    let setup = match policy {
        Some(policy) => setup.env("PAR_POLICY", policy),
        None => setup,
    };
    let host = setup.refused().await;
    let line = host.wait_for_event("Failed to grant capabilities").await;
    assert_eq!(host.events("Runtime ready").len(), 0);
    assert_eq!(host.wait_for_event("Boot failed").await.detail("exit_code"), 1);
    (line.text_of("error").to_owned(), line.text_of("hint").to_owned())
}

/// hostile 56: a package that asks for more than the policy allows does not start, and the
/// difference is in the log.
#[tokio::test]
async fn a_request_above_the_policy_refuses_to_start_and_names_the_difference() {
    let package = probe().and("sandbox:\n  outbound: [\"https://api.weather.example\"]\n");

    let (error, hint) = refusal(&package, None).await;
    assert!(
        error.contains("requests `https://api.weather.example` (`sandbox.outbound[0]`); policy allows nothing"),
        "{error}"
    );
    assert!(hint.contains("under `allow`"), "{hint}");

    let policy =
        "version: 1\nallow: {outbound: [\"https://*.weather.example\"]}\ndeny: {outbound: [api.weather.example]}\n";
    let (error, _) = refusal(&package, Some(policy)).await;
    assert!(error.contains("policy denies it in `deny.outbound[0]`"), "{error}");

    let policy = "version: 1\nallow: {outbound: [\"https://*.weather.example\"]}\n";
    let host = TestHost::agent(&package).env("PAR_POLICY", policy).start().await;
    assert_eq!(host.wait_for_event("Capabilities granted").await.detail("outbound"), 1);
}

/// Builders refuse `sandbox` in `agent.yaml` and copy `pak.yaml`: a request there counts.
#[tokio::test]
async fn a_request_in_pak_yaml_counts() {
    let package = probe().file("pak.yaml", "namespace_packages: true\nsandbox: {env: [REGION]}\n");

    let (error, _) = refusal(&package, None).await;
    assert!(error.contains("requests `REGION` (`sandbox.env[0]`)"), "{error}");

    let policy = "version: 1\nallow: {env: [REGION]}\n";
    let host = TestHost::agent(&package).env("PAR_POLICY", policy).env("REGION", "eu-1").start().await;
    assert_eq!(ask(&host, "/environment").await["REGION"], "eu-1");
}

/// hostile 46: a policy that says nothing PAR knows is refused with the word that was meant.
#[tokio::test]
async fn a_policy_with_a_mistake_is_refused_with_its_line() {
    let (error, hint) = refusal(&probe(), Some("version: 1\ngrnat: {}\n")).await;

    assert_eq!(error, "unknown key `grnat` in `PAR_POLICY` line 2");
    assert_eq!(hint, "did you mean `grant`?");
}

#[tokio::test]
async fn a_policy_is_read_from_a_file_and_a_missing_file_is_named() {
    let (error, _) = refusal(&probe(), Some("/nowhere/policy.yaml")).await;
    assert!(error.starts_with("cannot read the policy `/nowhere/policy.yaml`"), "{error}");

    let setup = TestHost::agent(&probe());
    let file = setup.directory().join("policy.yaml");
    fs_err::write(&file, "version: 1\ngrant: {env: {GREETING: hello}}\n").unwrap();
    let host = setup.env("PAR_POLICY", file).start().await;
    assert_eq!(ask(&host, "/environment").await["GREETING"], "hello");
}

/// An installation can refuse policies that only observe.
#[tokio::test]
async fn observing_can_be_refused() {
    let policy = "version: 1\nmode: observe\n";
    let host = TestHost::agent(&probe()).env("PAR_POLICY", policy).env("PAR_OBSERVE", "refuse").refused().await;
    let line = host.wait_for_event("Failed to grant capabilities").await;
    assert_eq!(line.text_of("error"), "the policy has `mode: observe`, and `PAR_OBSERVE` is `refuse`");

    let host = TestHost::agent(&probe()).env("PAR_POLICY", policy).start().await;
    host.wait_for_event("Policy observes and does not enforce").await;
}

/// What the policy sets wins over `deploy.json`, that over `agent.yaml`, that over `.env`; what
/// is let through of the operator's environment comes last. References find granted names only.
#[tokio::test]
async fn variables_have_their_precedence_and_references_find_granted_names_only() {
    let package = probe()
        .and("environment: {P: manifest, D: manifest, M: manifest, REFERENCE: \"${H}-${REGION}-${SECRET_OF_HOST:-none}\"}\n")
        .and("sandbox: {env: [P, D, M, E, H]}\n")
        .file("deploy.json", r#"{"environment": {"P": "deploy", "D": "deploy"}}"#)
        .file(".env", "P=file\nD=file\nM=file\nE=file\nREGION=forged\n");
    let policy = "version: 1
grant: {env: {P: policy, REGION: {from: AWS_REGION}}}
allow: {env: [P, D, M, E, H]}
deny: {env: [NOT_FOR_ANYBODY]}
";
    let setup =
        TestHost::agent(&package).env("PAR_POLICY", policy).env("AWS_REGION", "eu-1").env("SECRET_OF_HOST", "5ec4e7");
    let setup = ["P", "D", "M", "E", "H"].into_iter().fold(setup, |setup, name| setup.env(name, "host"));
    let host = setup.start().await;

    let seen = ask(&host, "/environment").await;

    assert_eq!(
        seen,
        json!({
            "AGENT_APP_ID": "app-1",
            "BASE_PATH": "/",
            "D": "deploy",
            "DEPLOYMENT_ID": "deployment-1",
            "E": "file",
            "H": "host",
            "HOME": "/agent",
            "M": "manifest",
            "P": "policy",
            "REFERENCE": "host-eu-1-none",
            "REGION": "eu-1",
        })
    );
}

/// hostile 53, hostile 118: a wildcard reaches no credential, and what is denied reaches nobody.
#[tokio::test]
async fn a_wildcard_grants_no_credential_and_a_denied_name_is_not_there() {
    let asking =
        |name: &str| probe().and(&format!("environment: {{APP_MODE: own, OPEN: own}}\nsandbox: {{env: [{name}]}}\n"));
    let policy = "version: 1\nallow: {env: [\"APP_*\", \"A*\"]}\ndeny: {env: [APP_MODE]}\n";
    for name in ["APP_TOKEN", "AWS_SECRET_ACCESS_KEY", "APP_MODE"] {
        let (error, _) = refusal(&asking(name), Some(policy)).await;
        assert!(error.contains(&format!("requests `{name}`")), "{error}");
    }

    let setup = TestHost::agent(&asking("APP_REGION")).env("PAR_POLICY", policy);
    let host = setup.env("APP_REGION", "eu-1").env("APP_TOKEN", "5ec4e7").start().await;
    let seen = ask(&host, "/environment").await;
    assert_eq!((&seen["APP_REGION"], &seen["OPEN"]), (&json!("eu-1"), &json!("own")));
    assert_eq!((seen.get("APP_MODE"), seen.get("APP_TOKEN")), (None, None));
}

/// hostile 119, hostile 120: the agent holds the name of a secret; the value is not in its
/// environment, and not in the log.
#[tokio::test]
async fn a_secret_is_a_placeholder_in_the_environment() {
    let package = probe().and("environment: {MAPS_KEY: forged}\n");
    let setup = TestHost::agent(&package);
    let file = setup.directory().join("maps.key");
    fs_err::write(&file, "5ec4e7-of-the-file\n").unwrap();
    let policy = format!(
        "version: 1
grant:
  secrets:
    OPENAI_API_KEY: {{hosts: [\"https://api.openai.com\"]}}
    MAPS_KEY: {{hosts: [\"https://maps.example\"], file: {}}}
",
        file.display()
    );
    let host = setup
        .env("PAR_POLICY", policy)
        .env("OPENAI_API_KEY", "5ec4e7-of-the-variable")
        .env("LOG_LEVEL", "debug")
        .start()
        .await;

    let seen = ask(&host, "/environment").await;

    assert_eq!(seen["OPENAI_API_KEY"], "par-secret://OPENAI_API_KEY");
    assert_eq!(seen["MAPS_KEY"], "par-secret://MAPS_KEY");
    assert!(!host.log_text().contains("5ec4e7"), "{}", host.log_text());
}

/// A secret that is granted and has no value is found at the start, not by a failing call.
#[tokio::test]
async fn a_secret_without_a_value_refuses_to_start() {
    let policy = "version: 1\ngrant: {secrets: {KEY_OF_NOBODY: {hosts: [\"https://a.example\"]}}}\n";

    let (error, _) = refusal(&probe(), Some(policy)).await;

    assert_eq!(
        error,
        "the secret `KEY_OF_NOBODY` has no usable value in the variable `KEY_OF_NOBODY`: it is not set, or is no text"
    );
}
