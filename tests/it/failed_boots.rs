//! Boots that fail: each ends the process with code 1 and a line that says why.

use std::net::TcpListener;

use par_tests::{Line, Package, RunningHost, TestHost};
use serde_json::json;

use crate::lifecycle::{probe, slow_boot};

/// The line that says why the boot failed, once the process has ended with code 1.
async fn failed_boot(mut host: RunningHost) -> (Line, RunningHost) {
    assert_eq!(host.wait_exit().await, 1, "{}", host.log_text());
    assert!(host.events("Runtime ready").is_empty());
    let line = host.wait_for_event("Boot failed").await;
    assert_eq!(line.detail("exit_code"), 1);
    (line, host)
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

/// R217: a boot that is not over in time is a failure.
#[tokio::test]
async fn a_boot_that_takes_too_long_is_an_exit() {
    let host = slow_boot(&probe()).env("STARTUP_TIMEOUT_SEC", "2").spawn();

    let (line, _) = failed_boot(host).await;

    assert!(line.text_of("error").contains("STARTUP_TIMEOUT_SEC"), "{}", line.text);
}

/// R198: a boot over the hard limit is a failure.
#[tokio::test]
async fn a_boot_over_its_hard_limit_is_an_exit() {
    let setup = TestHost::agent(&probe()).env("BOOT_BUDGET_MS", "1").env("BOOT_HARD_LIMIT_MULTIPLIER", "1.5");

    let (line, host) = failed_boot(setup.spawn()).await;

    assert!(line.text_of("error").contains("hard limit"), "{}", line.text);
    assert_eq!(host.events("Boot time exceeded hard limit").len(), 1);
}
