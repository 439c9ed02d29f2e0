//! What the platform team copies: task definitions, manifests, policies.

use std::collections::{BTreeMap, BTreeSet};

use par_tests::{Package, TestHost, repository};
use serde_json::Value;

fn file(name: &str) -> String {
    fs_err::read_to_string(repository().join("docs/platform").join(name)).unwrap()
}

pub(crate) fn json(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap()
}

/// Each variable of the page with its default.
fn documented() -> BTreeMap<String, String> {
    let page = fs_err::read_to_string(repository().join("docs/configuration.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.map(|row| {
        let mut cells = row.split(" | ");
        let name = cells.next().unwrap().split('`').next().unwrap().to_owned();
        (name, cells.next().unwrap().to_owned())
    });
    rows.collect()
}

fn of_ecs(name: &str) -> BTreeMap<String, String> {
    let task = json(name);
    let variables = task["containerDefinitions"][0]["environment"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    variables.iter().map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
}

fn of_kubernetes() -> BTreeMap<String, String> {
    let lines = file("kubernetes.yaml");
    let pairs = lines.lines().filter_map(|line| line.trim().strip_prefix("- {name: ")?.strip_suffix("\"}"));
    let pairs = pairs.filter_map(|line| line.split_once(", value: \""));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn environments() -> [(&'static str, BTreeMap<String, String>); 3] {
    [
        ("ecs-fargate.json", of_ecs("ecs-fargate.json")),
        ("ecs-ec2.json", of_ecs("ecs-ec2.json")),
        ("kubernetes.yaml", of_kubernetes()),
    ]
}

/// R237: every variable that has a value by default is in each definition, and none PAR does not know.
#[test]
fn the_definitions_have_every_variable_and_no_other() {
    let documented = documented();
    assert!(documented.len() > 40, "the page is read");
    let has_a_default = |default: &String| default.starts_with('`') && !default.contains(' ');
    let wanted: BTreeSet<&String> = documented
        .iter()
        .filter(|(name, default)| has_a_default(default) && !name.starts_with("TEST_"))
        .map(|(name, _)| name)
        .collect();

    for (definition, variables) in environments() {
        let missing: Vec<_> = wanted.iter().filter(|name| !variables.contains_key(**name)).collect();
        assert!(missing.is_empty(), "`{definition}` lacks {missing:?}");
        let unknown: Vec<_> = variables.keys().filter(|name| !documented.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "`{definition}` sets {unknown:?}, which is no variable");
        for name in ["AGENT_APP_ID", "DEPLOYMENT_ID", "PACKAGE_URL", "PACKAGE_SHA256", "PAR_INSTANCES", "PAR_CACHE_DIR"]
        {
            assert!(variables.contains_key(name), "`{definition}` lacks {name}");
        }
    }
}

/// R237, R226, R116: an agent comes up with the environment of each definition, where what is the platform's own is filled in.
#[tokio::test]
async fn the_environment_of_each_definition_boots() {
    for (definition, variables) in environments() {
        let host = TestHost::agent(&Package::example("stdlib"));
        // What a test machine has in another place: ports, the cache, the package itself.
        let own = ["REST_PORT", "A2A_PORT", "UI_PORT", "PAR_CACHE_DIR", "PACKAGE_URL", "PACKAGE_SHA256"];
        let filled = |value: &str| {
            let value = value.replace("${POLICY}", "version: 1\n").replace("${ACCOUNT}", "123456789012");
            value.replace("${AGENT_APP_ID}", "app-1").replace("${DEPLOYMENT_ID}", "deployment-1")
        };
        // A busy machine is no reason to fail.
        let slow = ["BOOT_BUDGET_MS", "BOOT_HARD_LIMIT_MULTIPLIER"];
        let given =
            variables.iter().filter(|(name, _)| !own.contains(&name.as_str()) && !slow.contains(&name.as_str()));

        let host = given.fold(host, |host, (name, value)| host.env(name, filled(value))).start().await;

        assert_eq!(host.get("/health").await.status, 200, "{definition}");
        assert!(host.events("Configuration remark").is_empty(), "{definition}: {}", host.log_text());
    }
}

/// R207, R228: the role of the task may read objects of the bucket, and nothing else.
#[test]
fn the_policy_of_the_role_is_the_least() {
    let statement = &json("iam-policy.json")["Statement"];

    assert_eq!(statement.as_array().unwrap().len(), 1);
    assert_eq!(statement[0]["Effect"], "Allow");
    assert_eq!(statement[0]["Action"], serde_json::json!(["s3:GetObject"]));
    assert_eq!(statement[0]["Resource"], serde_json::json!(["arn:aws:s3:::pixell-agent-packages/*"]));
}

/// R205, R208, R229: the documented containers cannot write, gain or change anything, and are checked as the load
/// balancer checks them.
#[test]
fn the_definitions_are_hardened_and_checked() {
    for name in ["ecs-fargate.json", "ecs-ec2.json"] {
        let container = &json(name)["containerDefinitions"][0];
        assert_eq!(container["readonlyRootFilesystem"], true);
        assert_eq!(container["privileged"], false);
        assert_eq!(container["user"], "10001:10001");
        assert_eq!(container["linuxParameters"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
        assert_eq!(container["healthCheck"]["command"][2], "healthcheck");
        let drain: u64 = of_ecs(name)["GRACEFUL_SHUTDOWN_TIMEOUT_SEC"].parse().unwrap();
        assert!(container["stopTimeout"].as_u64().unwrap() > drain, "killed before it has drained");
    }
    let rest = &json("target-groups.json")["rest"];
    assert_eq!(rest["HealthCheckPath"], "/health");
    let numbers =
        ["HealthCheckIntervalSeconds", "HealthCheckTimeoutSeconds", "HealthyThresholdCount", "UnhealthyThresholdCount"];
    assert_eq!(numbers.map(|key| rest[key].as_u64().unwrap()), [30, 5, 2, 3]);
    let kubernetes = file("kubernetes.yaml");
    let number = |before: &str| {
        let after = kubernetes.split_once(before).unwrap().1;
        after.split(|digit: char| !digit.is_ascii_digit()).next().unwrap().parse::<u64>().unwrap()
    };
    let drain: u64 = of_kubernetes()["GRACEFUL_SHUTDOWN_TIMEOUT_SEC"].parse().unwrap();
    let waits = number("preStop: {sleep: {seconds: ");
    assert!(number("terminationGracePeriodSeconds: ") > waits + drain, "killed before it has drained");
    for line in ["readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false", "drop: [ALL]", "runAsNonRoot: true"]
    {
        assert!(kubernetes.contains(line), "{line}");
    }
}

/// R123, R124, R231: nothing PAR is given names a service registry or a target group it could join.
#[test]
fn the_container_knows_of_no_registry_and_no_target_group() {
    for (definition, variables) in environments() {
        for name in variables.keys() {
            let forbidden = ["SERVICE_DISCOVERY", "TARGET_GROUP", "CLOUD_MAP", "CLUSTER", "LISTENER"];
            assert!(!forbidden.iter().any(|word| name.contains(word)), "`{definition}` sets {name}");
        }
    }
}

/// R205, R206: the image starts the program itself, as its own user, with the three ports and no script around it.
#[test]
fn the_image_starts_the_program_itself() {
    let dockerfile = fs_err::read_to_string(repository().join("Dockerfile")).unwrap();
    for target in ["FROM common AS hardened", "FROM ${FULL_BASE} AS full"] {
        assert!(dockerfile.contains(target), "{target}");
    }
    for line in [
        "USER 10001:10001",
        "EXPOSE 8080 50051 3000",
        "STOPSIGNAL SIGTERM",
        "ENTRYPOINT [\"/usr/local/bin/par\"]",
        "CMD [\"/usr/local/bin/par\", \"healthcheck\"]",
    ] {
        assert_eq!(dockerfile.matches(line).count(), 2, "both images say `{line}`");
    }
    for base in ["BUILD_BASE", "BASE", "FULL_BASE"] {
        assert!(dockerfile.contains(&format!("ARG {base}=")), "the base `{base}` is an argument");
    }
}
