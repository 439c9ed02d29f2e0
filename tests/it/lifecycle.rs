//! The life of a process that comes up: the phases of its boot in order, health, the agent's hooks, the loss of the agent.

use par_tests::{Package, TestHost};
use reqwest::Method;
use serde_json::json;

use crate::rest::at_base;
use crate::streaming::upload;

/// An agent that does what a test asks of it.
pub(super) fn probe() -> Package {
    Package::asgi(include_str!("python/probe.py"))
}

/// A boot that takes longer than any test, but for its last step.
pub(super) fn slow_boot(package: &Package) -> TestHost {
    at_base(package).env("TEST_BOOT_DELAY_MS", "3600000")
}

/// R032, R036, R038, R040, R084, R210: 503 while the boot lasts, for health and for the agent.
#[tokio::test]
async fn nothing_is_ready_before_everything_is() {
    let host = slow_boot(&Package::example("fastapi")).spawn();
    host.wait_for("the last port", |line| line.event() == "Listening" && line.text_of("surface") == "a2a").await;

    let health = host.health().await;
    let agent = host.get("/agents/app-1/api/ping").await;
    let supervisor = host.get("/agents/app-1/health").await;

    let surfaces = json!({"rest": false, "a2a": false, "ui": false});
    assert_eq!((health.status, &health.json()["ok"], &health.json()["surfaces"]), (503, &json!(false), &surfaces));
    assert!(health.json()["timestamp"].is_i64());
    assert_eq!((agent.status, agent.error_code().as_str()), (503, "unavailable"));
    assert_eq!(supervisor.status, 503);
    assert!(!host.a2a().await.health().await.unwrap().ok);
    assert!(host.events("Runtime ready").is_empty());
}

/// R083, R086, R088, R089, R004, R005, R135: 200 once all surfaces are up, and not before the port of A2A is open.
#[tokio::test]
async fn health_turns_200_when_every_configured_surface_listens() {
    let host = at_base(&Package::example("fastapi")).start().await;

    let health = host.health().await;
    let supervisor = host.get("/agents/app-1/agents/app-1/health").await.json();

    assert_eq!(
        (health.status, health.json()["surfaces"].clone()),
        (200, json!({"rest": true, "a2a": true, "ui": true}))
    );
    assert_eq!((&supervisor["agentId"], &supervisor["status"]), (&json!("app-1"), &json!("healthy")));
    let order: Vec<String> = host
        .lines()
        .iter()
        .filter(|line| ["Listening", "Runtime ready"].contains(&line.event()))
        .map(|line| format!("{} {}", line.event(), line.text_of("surface")))
        .collect();
    assert_eq!(order, ["Listening rest", "Listening a2a", "Runtime ready "]);
    let changes: Vec<_> =
        host.events("Health state changed").iter().map(|line| line.text_of("to").to_owned()).collect();
    assert_eq!(changes, ["healthy"]);
}

/// R016, R101, R102, R119, R091, R092, R093, R094, R095, R096, R097, R112: the phases come in order and are timed.
#[tokio::test]
async fn the_phases_of_the_boot_are_logged_in_order_and_timed() {
    let host = TestHost::archive(&Package::example("stdlib")).start().await;

    let events: Vec<String> = host
        .lines()
        .iter()
        .map(|line| format!("{} {}", line.event(), line.text_of("phase")).trim().to_owned())
        .filter(|event| !["Listening", "Agent", "Instances may"].iter().any(|start| event.starts_with(start)))
        .collect();
    assert_eq!(
        events,
        [
            "Configuration read",
            "Starting three-surface runtime",
            "Memory checked",
            "Loading agent package",
            "Boot phase completed download",
            "Boot phase completed extract",
            "Capabilities granted",
            "Boot phase completed install",
            "Boot phase completed load",
            "Package loaded successfully",
            "Boot phase completed serve",
            "Health state changed",
            "Runtime ready",
        ]
    );
    let ready = host.ready().await;
    let total = ready.detail("boot_ms").as_f64().unwrap();
    let phases: f64 = ready.detail("phases_ms").as_object().unwrap().values().map(|ms| ms.as_f64().unwrap()).sum();
    assert!(total > 0.0 && phases <= total + 1.0, "{}", ready.text);
    assert_eq!(ready.detail("rest_port"), host.rest_port());
    assert_eq!(host.events("Package loaded successfully")[0].text_of("package_id"), "mirror@1.0");
}

/// The functions older agents leave for their runtime: `initialize` and `startup` run once the surfaces are loaded, in
/// this order, and are waited for before the first request; `shutdown` runs when the last one is answered. On either
/// backend.
#[tokio::test]
async fn the_hooks_of_older_agents_run_around_their_requests() {
    let main = "
import asyncio, logging
from fastapi import Request

def say(what):
    logging.info('now: %s', what)

def create_service():
    say('service')
    return {'x': lambda parameters: 'here'}

def mount(app):
    say('mount')

    @app.post('/api/slow')
    async def slow(request: Request):
        say('request')
        await request.body()
        say('answer')
        return app.state.place

def initialize():
    say('initialize')

async def startup(app):
    await asyncio.sleep(0.001)
    app.state.place = 'here'
    say('startup')

async def shutdown():
    await asyncio.sleep(0.001)
    say('shutdown')
";
    let manifest = "rest:\n  entry: main:mount\na2a:\n  service: main:create_service\n";
    let package = Package::new("probe", manifest).file("main.py", main);
    for package in [package.clone(), package.native()] {
        let mut host = TestHost::agent(&package).installing().start().await;
        assert_eq!(host.a2a().await.act("x", &[]).await.result, "here");
        let (sender, body) = upload();
        let slow = tokio::spawn(host.request(Method::POST, "/api/slow").body(body).send());
        host.wait_for_agent("now: request").await;

        host.terminate();
        host.wait_for_event("Waiting for in-flight requests to complete").await;
        drop(sender);

        assert_eq!(slow.await.unwrap().unwrap().text().await.unwrap(), "\"here\"");
        assert_eq!(host.wait_exit().await, 0);
        let text = host.log_text();
        let lines = text.lines().filter_map(|line| line.split("now: ").nth(1)?.split('"').next());
        let said: Vec<&str> = lines.collect();
        assert_eq!(said, ["mount", "service", "initialize", "startup", "request", "answer", "shutdown"]);
    }
}

/// R113, R114, R115, R197: a boot over its budget is a warning with the time of each phase.
#[tokio::test]
async fn a_boot_over_its_budget_warns_with_its_phases() {
    let host = TestHost::agent(&probe()).env("BOOT_BUDGET_MS", "1").start().await;
    let within = TestHost::agent(&probe()).env("BOOT_BUDGET_MS", "600000").start().await;

    let line = host.wait_for_event("Boot time exceeded budget").await;

    assert_eq!(line.level(), "warning");
    assert_eq!(line.detail("budget_ms").as_f64(), Some(1.0));
    for phase in ["download", "extract", "install", "load"] {
        assert!(line.detail("phases_ms")[phase].is_number(), "{}", line.text);
    }
    assert!(within.events("Boot time exceeded budget").is_empty());
}

/// Hostile 180. R087: an agent that cannot be started again turns health to 503 and ends the process.
#[tokio::test]
async fn an_agent_that_is_lost_for_good_ends_the_process() {
    let mut host = at_base(&probe()).start().await;
    assert_eq!(host.health().await.status, 200);
    fs_err::remove_file(host.setup().package().join("main.py")).unwrap();

    let lost = host.get("/agents/app-1/leave").await;

    assert_eq!(lost.status, 502);
    assert_eq!(host.wait_exit().await, 1);
    let line = host.wait_for_event("Surface failed").await;
    assert_eq!(line.level(), "error");
    let last = host.events("Health state changed").pop().unwrap();
    assert_eq!((last.text_of("to"), last.detail("ok")), ("failed", &json!(false)));
}

/// R187, R188, R189, R190, R191, R192, R194, R195, R196: the agent runs in the process of PAR, which starts no other.
#[tokio::test]
async fn the_agent_runs_inside_the_one_process() {
    let host = at_base(&probe()).env("PAR_INSTANCES", "2").start().await;
    assert_eq!(host.get("/agents/app-1/ping").await.status, 200);

    let threads = fs_err::read_dir(format!("/proc/{}/task", host.id())).unwrap();
    let children: String = threads
        .map(|thread| fs_err::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default())
        .collect();

    assert_eq!(children, "");
}
