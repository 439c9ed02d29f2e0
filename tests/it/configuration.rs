//! The environment variables: mistakes are reported together, defaults hold, nothing is made up.

use std::collections::BTreeMap;

use par_tests::{Package, RunningHost, TestHost};

/// The variables that were complained about, with the sentence about each.
fn mistakes(host: &RunningHost) -> BTreeMap<String, String> {
    host.events("Configuration validation error")
        .iter()
        .map(|line| (line.text_of("variable").to_owned(), line.text_of("error").to_owned()))
        .collect()
}

async fn refusal(variable: &str, value: &str) -> String {
    let mut host = TestHost::bare().env(variable, value).spawn();
    assert_eq!(host.wait_exit().await, 1, "{variable}={value}\n{}", host.log_text());
    let found = mistakes(&host);
    assert_eq!(found.keys().collect::<Vec<_>>(), [variable], "{}", host.log_text());
    found.into_values().next().unwrap()
}

/// What is said when the configuration is fine and there is no package.
async fn accepted(setup: TestHost) -> RunningHost {
    let mut host = setup.spawn();
    assert_eq!(host.wait_exit().await, 1);
    assert_eq!(mistakes(&host), BTreeMap::new());
    host.wait_for_event("No package source provided: PACKAGE_URL env var or package_path required").await;
    host
}

/// R019, R022, R023, R029, R133, R134, R143: without an identity nothing starts.
#[tokio::test]
async fn a_missing_empty_or_blank_identity_is_refused() {
    for value in [None, Some(""), Some("   "), Some("\t\n")] {
        let setup = TestHost::bare();
        let setup = match value {
            None => setup.unset("AGENT_APP_ID"),
            Some(value) => setup.env("AGENT_APP_ID", value),
        };
        let mut host = setup.spawn();

        assert_eq!(host.wait_exit().await, 1, "{value:?}");

        assert!(mistakes(&host)["AGENT_APP_ID"].contains("AGENT_APP_ID"), "{}", host.log_text());
        assert!(host.events("Listening").is_empty());
    }
}

/// R024: no other variable takes its place.
#[tokio::test]
async fn an_identity_is_never_made_up() {
    let setup = TestHost::bare().unset("AGENT_APP_ID").env("DEPLOYMENT_ID", "app-1").env("BASE_PATH", "/agents/app-1");
    let mut host = setup.env("PIXELL_APP_ID", "app-1").spawn();

    assert_eq!(host.wait_exit().await, 1);

    assert!(mistakes(&host).contains_key("AGENT_APP_ID"));
    assert!(host.lines().iter().all(|line| line.value["agentAppId"].is_null()), "{}", host.log_text());
}

/// R025, R026, R029, R030, R144: a port is a number from 1 to 65535, and never chosen by PAR.
#[tokio::test]
async fn a_port_that_is_no_port_is_refused() {
    for variable in ["REST_PORT", "A2A_PORT", "UI_PORT"] {
        for value in ["0", "65536", "-1", "http", "", "80.5", "0x50"] {
            let error = refusal(variable, value).await;
            assert!(error.contains(variable) && error.contains(&format!("`{value}`")), "{error}");
            assert!(error.contains("1 to 65535"), "{error}");
        }
    }
}

/// R144, R152: two surfaces never share a port, except a multiplexed UI.
#[tokio::test]
async fn ports_that_conflict_are_refused() {
    for (first, second, multiplexed) in
        [("REST_PORT", "A2A_PORT", "true"), ("A2A_PORT", "UI_PORT", "true"), ("REST_PORT", "UI_PORT", "false")]
    {
        let setup = TestHost::bare().env(first, "9001").env(second, "9001").env("MULTIPLEXED", multiplexed);
        let mut host = setup.spawn();
        assert_eq!(host.wait_exit().await, 1);
        let text = host.log_text();
        assert!(text.contains(first) && text.contains(second) && text.contains("9001"), "{text}");
        assert_eq!(mistakes(&host).len(), 1, "{text}");
    }
    accepted(TestHost::bare().env("REST_PORT", "9001").env("UI_PORT", "9001").env("MULTIPLEXED", "true")).await;
}

/// R018, R141, R142, R140: every mistake of every variable is told at once.
#[tokio::test]
async fn all_mistakes_are_reported_together() {
    let wrong = [
        ("AGENT_APP_ID", " "),
        ("REST_PORT", "0"),
        ("A2A_PORT", "grpc"),
        ("BASE_PATH", "/a//b"),
        ("S3_BUCKET", "No"),
        ("PACKAGE_URL", "file:///etc/passwd"),
        ("PACKAGE_SHA256", "abc"),
        ("MAX_PACKAGE_SIZE_MB", "-1"),
        ("BOOT_BUDGET_MS", "soon"),
        ("REQUEST_TIMEOUT_SEC", "0"),
        ("PAR_INSTANCES", "0"),
        ("LOG_LEVEL", "loud"),
    ];
    let setup = wrong.into_iter().fold(TestHost::bare(), |setup, (name, value)| setup.env(name, value));
    let mut host = setup.spawn();

    assert_eq!(host.wait_exit().await, 1);

    let found = mistakes(&host);
    let expected: BTreeMap<_, _> = wrong.into();
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), expected.keys().copied().collect::<Vec<_>>());
    for line in host.events("Configuration validation error") {
        assert_eq!(line.level(), "error");
        assert!(!line.text_of("expected").is_empty(), "{}", line.text);
    }
    let end = host.wait_for_event("Runtime configuration validation failed").await;
    assert_eq!(end.detail("error_count"), wrong.len());
}

/// R006, R007, R008, R009, R010, R020, R026, R117, R235: the defaults are those of the platform.
#[tokio::test]
async fn the_defaults_are_those_of_the_platform() {
    let setup = TestHost::bare().unset("REST_PORT").unset("A2A_PORT").unset("UI_PORT").unset("DEPLOYMENT_ID");
    let mut host = setup.env("BOOT_BUDGET_MS", "5000").spawn();
    host.wait_exit().await;

    let line = host.wait_for_event("Starting three-surface runtime").await;

    assert_eq!(line.detail("ports"), &serde_json::json!({"rest": 8080, "a2a": 50051, "ui": 3000}));
    assert_eq!(line.detail("multiplexed"), true);
    assert_eq!(host.events("Configuration read")[0].text_of("base_path"), "/");
    assert!(line.value["deploymentId"].is_null());
}

/// R027, R028, R150: what is no path is refused, odd paths are remarked upon.
#[tokio::test]
async fn a_base_path_that_is_no_path_is_refused() {
    for value in ["/a//b", "/a b", "/a/../b", "/ü", "/a?b", "//"] {
        assert!(refusal("BASE_PATH", value).await.contains("BASE_PATH"), "{value}");
    }
    for (value, expected) in
        [("/x/", "/x"), ("x", "/x"), ("", "/"), ("/", "/"), (" /agents/{AGENT_APP_ID}/ ", "/agents/app-1")]
    {
        let host = accepted(TestHost::bare().env("BASE_PATH", value)).await;
        assert_eq!(host.events("Configuration read")[0].text_of("base_path"), expected, "{value}");
    }
}

/// R146, R147, R148, R149, R012: where a package may come from, and what it may be.
#[tokio::test]
async fn variables_of_the_package_are_checked() {
    for (variable, values) in [
        ("PACKAGE_URL", &["http://host/x.apkg", "file:///x.apkg", "ftp://host/x", " ", "x.apkg"][..]),
        ("PACKAGE_SHA256", &["abc", &"g".repeat(64), &"0".repeat(63)][..]),
        ("MAX_PACKAGE_SIZE_MB", &["0", "-5", "many", "1.5"][..]),
        ("S3_BUCKET", &["ab", "Upper-Case", "-begins", "under_score"][..]),
    ] {
        for value in values {
            assert!(refusal(variable, value).await.contains(variable), "{variable}={value}");
        }
    }
}

/// R145: a region of another form is remarked upon and accepted.
#[tokio::test]
async fn an_odd_region_only_warns() {
    let host = accepted(TestHost::bare().env("AWS_REGION", "nowhere")).await;

    let remarks = host.events("Configuration remark");
    assert!(remarks.iter().any(|line| line.level() == "warning" && line.text.contains("AWS_REGION")));
    let host = accepted(TestHost::bare().env("AWS_REGION", "eu-west-1")).await;
    assert!(!host.log_text().contains("AWS_REGION"));
}

/// R151, R212: true and false have four spellings, in any case; the other name is known too.
#[tokio::test]
async fn multiplexed_is_read_in_every_spelling() {
    for (value, expected) in [
        ("true", true),
        ("1", true),
        ("YES", true),
        ("on", true),
        ("False", false),
        ("0", false),
        ("no", false),
        ("OFF", false),
    ] {
        let host = accepted(TestHost::bare().env("MULTIPLEXED", value)).await;
        assert_eq!(host.events("Starting three-surface runtime")[0].detail("multiplexed"), expected, "{value}");
    }
    let host = accepted(TestHost::bare().env("UI_MULTIPLEXED", "false")).await;
    assert_eq!(host.events("Starting three-surface runtime")[0].detail("multiplexed"), false);
    let host = accepted(TestHost::bare().env("MULTIPLEXED", "perhaps")).await;
    assert_eq!(host.events("Starting three-surface runtime")[0].detail("multiplexed"), true);
    assert!(host.events("Configuration remark").iter().any(|line| line.text.contains("MULTIPLEXED")));
}

/// R184, R138, R153, R116: the variables of a task definition are accepted as they are, and those of
/// earlier runtimes do not disturb.
#[tokio::test]
async fn the_variables_of_a_task_definition_are_accepted() {
    let digest = "A".repeat(64);
    let variables = [
        ("AGENT_APP_ID", "app-1"),
        ("DEPLOYMENT_ID", "deployment-1"),
        ("PACKAGE_SHA256", digest.as_str()),
        ("AWS_REGION", "us-east-2"),
        ("S3_BUCKET", "pixell-agent-packages"),
        ("BASE_PATH", "/agents/app-1"),
        ("MULTIPLEXED", "true"),
        ("MAX_PACKAGE_SIZE_MB", "100"),
        ("BOOT_BUDGET_MS", "5000"),
        ("BOOT_HARD_LIMIT_MULTIPLIER", "2.0"),
        ("GRACEFUL_SHUTDOWN_TIMEOUT_SEC", "30"),
        ("RUNTIME_MODE", "multi"),
        ("MAX_AGENTS", "10"),
        ("PAR_RUNTIME_SECRET", "hunter2"),
        ("SERVICE_DISCOVERY_NAMESPACE", "pixell.local"),
        ("RUNTIME_READY", "false"),
    ];
    let setup = variables.into_iter().fold(TestHost::bare(), |setup, (name, value)| setup.env(name, value));

    let host = accepted(setup).await;

    assert!(host.events("Configuration remark").is_empty(), "{}", host.log_text());
    assert!(!host.log_text().contains("hunter2"));
}

/// R174, R175, R176, R177, R183, R186: one agent, named by an argument or a variable; there is no control plane to ask.
#[tokio::test]
async fn only_one_package_can_be_run_and_there_is_nothing_else_to_ask() {
    for (arguments, code, said) in [
        (&["status"][..], 1, "no control plane"),
        (&["run", "a.apkg", "b.apkg"][..], 64, "unexpected argument"),
        (&["serve"][..], 64, "unrecognized subcommand"),
        (&["deploy", "a.apkg"][..], 64, "unrecognized subcommand"),
    ] {
        let mut host = TestHost::bare().args(arguments).for_people().spawn();
        assert_eq!(host.wait_exit().await, code, "{arguments:?}");
        let text = host.standard_error().await;
        assert!(text.contains(said), "{text}");
    }
}

/// R022: a package that is not there is named, whichever way it was given.
#[tokio::test]
async fn a_package_that_is_not_there_is_named() {
    let argument = TestHost::bare().args(["run", "--log-format", "json", "missing.apkg"]).refused().await;
    let variable = TestHost::bare().env("AGENT_PACKAGE_PATH", "missing.apkg").refused().await;

    for host in [argument, variable] {
        let line = host.wait_for_event("Boot failed").await;
        assert!(line.text_of("error").contains("missing.apkg"), "{}", line.text);
        assert_eq!(line.text_of("phase"), "download");
    }
}

/// R177: the argument wins over the variable.
#[tokio::test]
async fn the_argument_wins_over_the_variable() {
    let setup = TestHost::agent(&Package::example("stdlib"));
    let package = setup.package().to_owned();

    let host = setup.env("AGENT_PACKAGE_PATH", "missing.apkg").args(["run", "--log-format", "json"]).args([package]);
    let host = host.start().await;

    assert_eq!(host.get("/x").await.status, 200);
}

/// Hostile 124. R103, R099: at the most talkative level no variable that was set for somebody else is printed.
#[tokio::test]
async fn no_value_of_a_foreign_variable_is_ever_logged() {
    let setup = TestHost::agent(&Package::example("stdlib")).env("LOG_LEVEL", "debug");
    let setup = setup.env("AWS_SECRET_ACCESS_KEY", "hunter2-a").env("AWS_ACCESS_KEY_ID", "hunter2-c");
    let setup = setup.env("PAR_RUNTIME_SECRET", "hunter2-b");
    let setup = setup.env("PACKAGE_URL", "https://host.example/x.apkg?X-Amz-Signature=hunter2-d");
    let mut host = setup.start().await;
    host.get("/x?token=hunter2-e").await;

    assert_eq!(host.stop().await, 0);

    assert!(!host.log_text().contains("hunter2"), "{}", host.log_text());
    assert!(!host.events("Request processed").is_empty(), "the level was debug");
}
