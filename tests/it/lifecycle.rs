//! From the start of the process to its exit.
//!
//! One file although it is long: the tests follow the phases in order and share their few functions.

use std::net::TcpListener;

use futures::StreamExt;
use par_tests::{Package, RunningHost, TestHost};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::fetched::leftovers;
use crate::rest::at_base;
use crate::streaming::{next, upload};

fn probe() -> Package {
    Package::asgi(include_str!("python/probe.py"))
}

/// A boot that takes longer than any test, but for its last step.
fn slow_boot(package: &Package) -> TestHost {
    at_base(package).env("TEST_BOOT_DELAY_MS", "3600000")
}

/// The line that says why the boot failed, once the process has ended with code 1.
async fn failed_boot(mut host: RunningHost) -> (par_tests::Line, RunningHost) {
    assert_eq!(host.wait_exit().await, 1, "{}", host.log_text());
    assert!(host.events("Runtime ready").is_empty());
    let line = host.wait_for_event("Boot failed").await;
    assert_eq!(line.detail("exit_code"), 1);
    (line, host)
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

/// Hostile 179. R035, R036, R181: a REST port that is taken ends the process with the reason.
#[tokio::test]
async fn a_busy_rest_port_is_an_exit_and_never_another_port() {
    let setup = TestHost::agent(&probe());
    let _busy = TcpListener::bind(("0.0.0.0", setup.port("REST_PORT"))).unwrap();
    let port = setup.port("REST_PORT").to_string();

    let (line, host) = failed_boot(setup.spawn()).await;

    assert!(line.text_of("error").contains(&port), "{}", line.text);
    assert!(!line.text_of("hint").is_empty());
    assert!(host.events("Listening").is_empty());
}

/// R035, R090: so does the port of A2A, and that of a UI of its own.
#[tokio::test]
async fn a_busy_port_of_another_surface_is_an_exit_too() {
    for variable in ["A2A_PORT", "UI_PORT"] {
        let setup = TestHost::agent(&Package::example("fastapi")).env("MULTIPLEXED", "false");
        let port = setup.port(variable);
        let _busy = TcpListener::bind(("0.0.0.0", port)).unwrap();

        let (line, _) = failed_boot(setup.spawn()).await;

        assert!(line.text_of("error").contains(&port.to_string()), "{}", line.text);
        assert_eq!(line.text_of("phase"), "serve");
    }
}

/// R076, R077, R082: what the manifest names and the package lacks ends the process with its name.
#[tokio::test]
async fn a_missing_function_module_or_folder_is_an_exit_with_its_name() {
    let rest = |entry: &str| Package::new("probe", &format!("rest:\n  entry: {entry}\n"));
    let actions = |entry: &str| Package::new("probe", &format!("a2a:\n  service: {entry}\n"));
    let routes = "def mount(app):\n    pass\n";
    for (package, named) in [
        (rest("routes:mount"), "routes"),
        (rest("routes:moutn").file("routes.py", routes), "moutn"),
        (rest("routes:mount").file("routes.py", "mount = 3\n"), "mount"),
        (actions("service:create"), "service"),
        (actions("service:create").file("service.py", ""), "create"),
        (Package::new("probe", "http_server: main:app\n"), "main"),
        (Package::new("probe", "http_server: main:app\n").file("main.py", "app = None\n"), "app"),
        (Package::new("probe", "ui:\n  path: client\n"), "client"),
        (Package::new("probe", "ui:\n  path: client\n").file("client/app.js", ""), "index.html"),
    ] {
        let (line, host) = failed_boot(TestHost::agent(&package).spawn()).await;

        assert!(line.text_of("error").contains(named), "{named}: {}", line.text);
        assert_eq!(host.events("Failed to load package").len(), 1);
    }
}

/// R077, R082: while a failed process waits before its exit, health answers 503.
#[tokio::test]
async fn health_is_503_between_a_failed_boot_and_the_exit() {
    let package = Package::new("probe", "http_server: main:app\n").file("main.py", "raise RuntimeError('no')\n");
    let mut host = TestHost::agent(&package).env("BOOT_FAILURE_COUNT", "6").spawn();
    let waiting = "Boot failed, backing off before exit to avoid hot-restart loop";
    let line = host.wait_for_event(waiting).await;

    let health = host.health().await;

    assert_eq!((line.detail("failure_count"), line.detail("backoff_seconds")), (&json!(6), &json!(60)));
    assert_eq!((health.status, health.json()["ok"].clone()), (503, json!(false)));
    assert_eq!(host.stop().await, 1, "a signal ends the wait and not the failure");
}

/// Whatever a module does when it is imported is a sentence and a traceback in the log.
#[tokio::test]
async fn a_module_that_fails_to_import_is_an_exit_with_its_traceback() {
    for (main, said) in [
        ("import nonexistent_module\n", "nonexistent_module"),
        ("raise RuntimeError('broken at import')\n", "broken at import"),
        ("def app(:\n", "SyntaxError"),
        ("import sys\nsys.exit(0)\n", "SystemExit"),
    ] {
        let package = Package::new("probe", "http_server: main:app\n").file("main.py", main);

        let (line, host) = failed_boot(TestHost::agent(&package).spawn()).await;

        assert!(line.text_of("error").contains(said), "{}", line.text);
        let failure = &host.events("Failed to load package")[0];
        assert!(failure.text_of("traceback").contains("main.py") || said == "nonexistent_module", "{}", failure.text);
    }
}

/// An import that takes the instance down, or never ends, ends the boot as well.
#[tokio::test]
async fn a_module_that_ends_or_hangs_the_instance_is_an_exit() {
    for main in ["import os\nos._exit(0)\n", "import os\nos.abort()\n", "while True:\n    pass\n"] {
        let package = Package::new("probe", "http_server: main:app\n").file("main.py", main);
        let host = TestHost::agent(&package).env("STARTUP_TIMEOUT_SEC", "5").spawn();

        let (line, _) = failed_boot(host).await;

        assert!(!line.text_of("error").is_empty());
    }
}

/// A startup hook that fails is a failed boot.
#[tokio::test]
async fn a_startup_hook_that_fails_is_an_exit() {
    let routes = "
def mount(app):
    pass

async def startup(app):
    raise RuntimeError('no database')
";
    let (line, _) = failed_boot(TestHost::agent(&Package::mount(routes)).spawn()).await;

    assert!(line.text_of("error").contains("no database"), "{}", line.text);
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

/// Waits until a port takes no connections any more.
pub(crate) async fn closed(port: u16) {
    let closing = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(par_tests::PATIENCE, closing).await.expect("the port is closed");
}

/// Hostile 178. R213, R214, R216: after TERM a request in flight goes on, in both directions, and is answered; new
/// connections are refused; the exit code is 0.
#[tokio::test]
async fn termination_lets_a_request_in_flight_finish() {
    let mut host = TestHost::agent(&Package::asgi(include_str!("python/streams.py"))).start().await;
    let (sender, body) = upload();
    sender.send("before".into()).await.unwrap();
    let mut pieces = host.request(Method::POST, "/echo").body(body).send().await.unwrap().bytes_stream();
    assert_eq!(next(&mut pieces).await, "before");

    host.terminate();
    host.wait_for_event("Waiting for in-flight requests to complete").await;
    closed(host.rest_port()).await;

    sender.send("after".into()).await.unwrap();
    assert_eq!(next(&mut pieces).await, "after");
    drop(sender);
    assert!(pieces.next().await.is_none());
    assert_eq!(host.wait_exit().await, 0);
    let events: Vec<String> = host.lines().iter().map(|line| line.event().to_owned()).collect();
    let end = ["Received shutdown signal", "Shutting down three-surface runtime", "Runtime shutdown complete"];
    let places = end.map(|event| events.iter().position(|other| other == event).expect(event));
    assert!(places.is_sorted(), "{events:?}");
}

/// R214: work an agent does after its answer is finished before its instance ends.
#[tokio::test]
async fn termination_lets_work_after_an_answer_finish() {
    let mut host = TestHost::agent(&Package::asgi(include_str!("python/afterwards.py"))).start().await;
    assert_eq!(host.get("/").await.status, 202);

    host.terminate();

    assert_eq!(host.wait_exit().await, 0);
    let worked = host.lines().iter().any(|line| line.text_of("text") == "worked afterwards");
    assert!(worked, "{}", host.log_text());
}

/// Waits until the process has read what was sent to it: the kernel holds nothing back any more.
async fn taken(connection: &tokio::net::TcpStream) {
    let hex = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
    let (ours, theirs) = (hex(connection.local_addr().unwrap()), hex(connection.peer_addr().unwrap()));
    // First they have to be there, which the acknowledgement says; only then does an empty queue say that they were read.
    let emptied = async |from: &str, to: &str, is_empty: fn(&str) -> bool| {
        loop {
            let table = fs_err::read_to_string("/proc/net/tcp").unwrap();
            let queues = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find_map(|fields| {
                (fields[1].ends_with(from) && fields[2].ends_with(to)).then(|| fields[4].to_owned())
            });
            if queues.is_some_and(|queues| is_empty(&queues)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let taking = async {
        emptied(&ours, &theirs, |queues| queues.starts_with("00000000:")).await;
        emptied(&theirs, &ours, |queues| queues.ends_with(":00000000")).await;
    };
    tokio::time::timeout(par_tests::PATIENCE, taking).await.expect("the bytes are read");
}

/// R213: who was already asking when the signal came is told 503, and to go elsewhere.
#[tokio::test]
async fn health_is_503_from_the_signal_on() {
    let mut host = at_base(&probe()).start().await;
    let held = tokio::spawn(host.request(Method::GET, "/agents/app-1/hold?name=a").send());
    host.wait_for_agent("holding a").await;
    let mut asking = tokio::net::TcpStream::connect(("127.0.0.1", host.rest_port())).await.unwrap();
    asking.write_all(b"GET /health HTTP/1.1\r\nhost: agent.example\r\n").await.unwrap();
    taken(&asking).await;

    host.terminate();
    host.wait_for_event("Marked runtime as not ready, health check will return 503").await;
    closed(host.rest_port()).await;

    asking.write_all(b"\r\n").await.unwrap();
    let mut answer = String::new();
    asking.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close") && answer.contains("\"ok\":false"), "{answer}");
    held.abort();
    assert_eq!(host.wait_exit().await, 0);
}

/// R213, R215: a watcher of the standard health service hears of the signal, and does not hold the exit.
#[tokio::test]
async fn a_watcher_of_the_health_service_hears_of_the_signal() {
    let mut host = at_base(&Package::example("fastapi")).start().await;
    let mut changes = host.a2a().await.watch_health().await;
    assert_eq!(changes.next().await.unwrap().unwrap(), ServingStatus::Serving);

    host.terminate();

    assert_eq!(changes.next().await.unwrap().unwrap(), ServingStatus::NotServing);
    assert!(changes.next().await.is_none());
    assert_eq!(host.wait_exit().await, 0);
}

/// R214, R216: what does not finish within `GRACEFUL_SHUTDOWN_TIMEOUT_SEC` is cut, and the exit is still 0.
#[tokio::test]
async fn a_request_that_never_finishes_does_not_hold_the_exit_for_ever() {
    let mut host = at_base(&probe()).env("GRACEFUL_SHUTDOWN_TIMEOUT_SEC", "1").start().await;
    let held = tokio::spawn(host.request(Method::GET, "/agents/app-1/hold?name=a").send());
    host.wait_for_agent("holding a").await;

    assert_eq!(host.stop().await, 0);

    assert!(held.await.unwrap().is_err());
    assert_eq!(host.wait_for_event("In-flight requests did not complete in time").await.detail("connections"), 1);
}

/// An action that waits for an upload to be complete.
const HOLDING: &str = "
import asyncio
import logging

released = asyncio.Event()


async def app(scope, receive, send):
    if scope['type'] != 'http':
        raise NotImplementedError(scope['type'])
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    while True:
        message = await receive()
        more = message.get('more_body', False)
        await send({'type': 'http.response.body', 'body': message['body'], 'more_body': more})
        if not more:
            break
    released.set()


async def hold(parameters):
    logging.getLogger('main').info('holding the action')
    await released.wait()
    return 'released'


def create_service():
    return {'custom_handlers': {'hold': hold}}
";

/// R215: an action in flight is answered after TERM, and its port takes no new connections.
#[tokio::test]
async fn termination_lets_an_action_in_flight_finish() {
    let manifest = "http_server: main:app\na2a:\n  service: main:create_service\n";
    let mut host = TestHost::agent(&Package::new("probe", manifest).file("main.py", HOLDING)).start().await;
    let (sender, body) = upload();
    sender.send("before".into()).await.unwrap();
    let mut pieces = host.request(Method::POST, "/").body(body).send().await.unwrap().bytes_stream();
    assert_eq!(next(&mut pieces).await, "before");
    let client = host.a2a().await;
    let held = tokio::spawn(async move { client.act("hold", &[]).await });
    host.wait_for_agent("holding the action").await;

    host.terminate();
    host.wait_for_event("Waiting for in-flight requests to complete").await;
    closed(host.setup().port("A2A_PORT")).await;

    assert!(!held.is_finished());
    drop(sender);
    assert_eq!(held.await.unwrap().result, "released");
    assert!(pieces.next().await.is_none_or(|end| end.unwrap().is_empty()));
    assert_eq!(host.wait_exit().await, 0);
}

/// R216: an idle process ends at once, after the agent's shutdown hooks, and leaves no files.
#[tokio::test]
async fn an_idle_process_ends_with_0_and_leaves_nothing_behind() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut host = TestHost::archive(&probe()).start().await;
        let temporary = host.setup().directory().join("tmp");
        assert_eq!(fs_err::read_dir(&temporary).unwrap().count(), 1, "the unpacked package");

        host.signal(signal);

        assert_eq!(host.wait_exit().await, 0, "{signal:?}");
        assert!(host.log_text().contains("stopped"), "the hooks ran");
        assert_eq!(fs_err::read_dir(&temporary).unwrap().count(), 0);
    }
}

/// Hostile 177. R216: a second signal ends it at once, with the code of the signal.
#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut host = at_base(&probe()).env("GRACEFUL_SHUTDOWN_TIMEOUT_SEC", "3600").start().await;
        let held = tokio::spawn(host.request(Method::GET, "/agents/app-1/hold?name=a").send());
        host.wait_for_agent("holding a").await;
        host.terminate();
        host.wait_for_event("Waiting for in-flight requests to complete").await;

        host.signal(signal);

        assert_eq!(host.wait_exit().await, code);
        assert!(held.await.unwrap().is_err());
    }
}

/// Hostile 176: a signal while the agent is imported, while it starts, or at the last step of the boot ends the process with 0, whatever
/// the agent does, and what was unpacked is gone.
#[tokio::test]
async fn a_signal_during_the_boot_ends_it() {
    let imports = "print('booting on', flush=True)\nwhile True:\n    pass\n";
    let starts = "
import asyncio


async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        print('booting on', flush=True)
        await asyncio.Event().wait()
";
    let agent = |main| Package::new("probe", "http_server: main:app\n").file("main.py", main);
    for (setup, last) in [
        (TestHost::archive(&agent(imports)), "booting on"),
        (TestHost::archive(&agent(starts)), "booting on"),
        (TestHost::archive(&probe()).env("TEST_BOOT_DELAY_MS", "3600000"), "Package loaded successfully"),
    ] {
        let mut host = setup.spawn();
        host.wait_for(last, |line| line.event() == last || line.text.contains("booting on")).await;

        assert_eq!(host.stop().await, 0, "{}", host.log_text());

        assert!(host.events("Runtime ready").is_empty());
        assert_eq!(leftovers(&host.setup().directory().join("tmp")), Vec::<String>::new(), "{last}");
    }
}

/// R217: a boot that is not over in time is a failure.
#[tokio::test]
async fn a_boot_that_takes_too_long_is_an_exit() {
    let host = slow_boot(&probe()).env("STARTUP_TIMEOUT_SEC", "2").spawn();

    let (line, _) = failed_boot(host).await;

    assert!(line.text_of("error").contains("STARTUP_TIMEOUT_SEC"), "{}", line.text);
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

/// R198: a boot over the hard limit is a failure.
#[tokio::test]
async fn a_boot_over_its_hard_limit_is_an_exit() {
    let setup = TestHost::agent(&probe()).env("BOOT_BUDGET_MS", "1").env("BOOT_HARD_LIMIT_MULTIPLIER", "1.5");

    let (line, host) = failed_boot(setup.spawn()).await;

    assert!(line.text_of("error").contains("hard limit"), "{}", line.text);
    assert_eq!(host.events("Boot time exceeded hard limit").len(), 1);
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
