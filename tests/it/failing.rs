//! What a boot that fails leaves behind: its class, its code, and the wait of the next one.

use par_tests::{Package, RunningHost, TestHost};
use serde_json::json;

const BACKING_OFF: &str = "Boot failed, backing off before exit to avoid hot-restart loop";

fn broken() -> Package {
    Package::new("probe", "http_server: main:app\n").file("main.py", "raise RuntimeError('no')\n")
}

fn good() -> Package {
    Package::asgi(include_str!("python/probe.py"))
}

/// Starts an agent with the count of failures another one left.
fn after(earlier: &RunningHost, package: &Package) -> TestHost {
    TestHost::agent(package).env("PAR_CACHE_DIR", earlier.setup().directory().join("cache"))
}

/// R108, R199, R200: hostile 182. Boots that fail one after another wait longer and longer, whatever the container
/// remembers; one that gets ready ends the row, and so each of these exits is an exit with 1.
#[tokio::test]
async fn boots_that_fail_in_a_row_wait_before_they_exit() {
    let mut first = TestHost::agent(&broken()).spawn();
    assert_eq!(first.wait_exit().await, 1);
    assert!(first.events(BACKING_OFF).is_empty(), "the first failure waits for nothing");

    let mut second = after(&first, &broken()).spawn();
    assert_eq!(second.wait_exit().await, 1);
    let waited = &second.events(BACKING_OFF)[0];
    assert_eq!((waited.detail("failure_count"), waited.detail("backoff_seconds")), (&json!(1), &json!(2)));

    let mut up = after(&first, &good()).start().await;
    assert_eq!(up.stop().await, 0);

    let mut third = after(&first, &broken()).spawn();
    assert_eq!(third.wait_exit().await, 1);
    assert!(third.events(BACKING_OFF).is_empty(), "the row is over");
}

/// R108: hostile 185. A boot that is killed on its way counts as one that failed; one that is ended by a signal does not.
#[tokio::test]
async fn a_boot_that_was_killed_counts_and_one_that_was_ended_does_not() {
    let slow = |host: TestHost| host.env("TEST_BOOT_DELAY_MS", "3600000").spawn();
    let mut ended = slow(TestHost::agent(&good()));
    ended.wait_for_event("Package loaded successfully").await;
    assert_eq!(ended.stop().await, 0);
    let mut failed = after(&ended, &broken()).spawn();
    assert_eq!(failed.wait_exit().await, 1);
    assert!(failed.events(BACKING_OFF).is_empty(), "{}", failed.log_text());

    let killed = slow(TestHost::agent(&good()));
    killed.wait_for_event("Package loaded successfully").await;
    let cache = killed.setup().directory().join("cache");
    let kept = tempfile::tempdir().unwrap();
    // The directory of a test goes with it; its count is all that is wanted.
    let boots = kept.path().join("boots");
    fs_err::create_dir(&boots).unwrap();
    killed.signal(rustix::process::Signal::KILL);
    for entry in fs_err::read_dir(cache.join("boots")).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), boots.join(entry.file_name())).unwrap();
    }
    killed.gone().await;

    let mut next = TestHost::agent(&broken()).env("PAR_CACHE_DIR", kept.path()).spawn();

    let waiting = next.wait_for_event(BACKING_OFF).await;
    assert_eq!(waiting.detail("failure_count"), &json!(1));
    assert_eq!(next.stop().await, 1);
}

/// R108: a configuration that is refused again and again waits as well, and the count outlives it.
#[tokio::test]
async fn a_refused_configuration_is_counted_too() {
    let refused = |earlier: Option<&RunningHost>| {
        let host = earlier.map_or_else(|| TestHost::agent(&good()), |earlier| after(earlier, &good()));
        host.env("REST_PORT", "0").spawn()
    };
    let mut first = refused(None);
    assert_eq!(first.wait_exit().await, 1);
    assert!(first.events(BACKING_OFF).is_empty());

    let mut second = refused(Some(&first));

    assert_eq!(second.wait_exit().await, 1);
    assert_eq!(second.events(BACKING_OFF)[0].detail("backoff_seconds"), &json!(2));
}

/// R218, R219: too little memory for what was asked ends the boot before any work; less is enough for less.
#[tokio::test]
async fn too_little_memory_is_an_exit_before_any_work() {
    // No machine has the memory of these; one instance at its smallest fits every machine that runs tests.
    let many = "version: 1\nlimits:\n  instances: 256\n  memory_mib: 4096\n";
    let mut host = TestHost::agent(&good()).env("PAR_POLICY", many).spawn();
    let line = host.wait_for_event("Memory checked").await;
    let number = |name: &str| line.detail(name).as_u64().unwrap();
    let fits = number("needed_bytes") <= number("available_bytes");
    assert_eq!(number("needed_bytes"), (64 << 20) + 255 * (12 << 20));
    assert!(number("available_bytes") <= number("limit_bytes"));
    assert!(["cgroup v2", "cgroup v1", "machine"].contains(&line.text_of("source")));

    if fits {
        host.wait_for_event("Instances may use more memory than there is").await;
        assert_eq!(host.stop().await, 0);
    } else {
        assert_eq!(host.wait_exit().await, 1);
        let failed = &host.events("Boot failed")[0];
        assert!(failed.text_of("error").starts_with("not enough memory: 256 instance(s) need"), "{}", failed.text);
        assert_eq!(failed.text_of("class"), "memory");
        assert!(failed.text_of("hint").contains("PAR_INSTANCES"));
        assert!(host.events("Loading agent package").is_empty(), "nothing was done");
    }

    let one = TestHost::agent(&good()).start().await;
    assert_eq!(one.events("Memory checked")[0].detail("needed_bytes"), &json!(64 << 20));
}

/// R220: each phase of the boot says what the process had resident.
#[tokio::test]
async fn memory_is_logged_by_phase() {
    let host = TestHost::agent(&good()).start().await;

    let phases = host.events("Boot phase completed");
    let resident: Vec<u64> = phases.iter().map(|line| line.detail("memory_bytes").as_u64().unwrap()).collect();

    assert_eq!(resident.len(), 5);
    assert!(resident.iter().all(|bytes| *bytes > 1 << 20), "{resident:?}");
    assert!(resident[3] > resident[0], "an instance takes memory: {resident:?}");
    assert!(host.ready().await.detail("memory_bytes").as_u64() >= Some(1 << 20));
}

/// R105, R109, R241: each class of failures has its own code where the operator wants it, and 1 where not; the class is in the log.
#[tokio::test]
async fn each_class_of_failures_has_its_code() {
    let busy = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let taken = busy.local_addr().unwrap().port().to_string();
    let corrupt = || {
        let host = TestHost::agent(&good());
        let path = host.directory().join("corrupt.apkg");
        fs_err::write(&path, b"PK\x03\x04 and no more").unwrap();
        host.env("AGENT_PACKAGE_PATH", path)
    };
    let no_manifest = || TestHost::agent(&Package::new("probe", "")).env("AGENT_PACKAGE_PATH", "packages");
    let hungry = "http_server: main:app\nsandbox:\n  outbound: [\"https://api.example\"]\n";
    let hungry = Package::new("probe", hungry).file("main.py", "app = None\n");
    let hosts: [(&str, i32, TestHost); 9] = [
        ("configuration", 1, TestHost::bare()),
        ("fetch", 10, TestHost::agent(&good()).env("AGENT_PACKAGE_PATH", "nowhere.apkg")),
        ("package", 11, no_manifest()),
        ("package", 11, corrupt()),
        ("capabilities", 12, TestHost::agent(&hungry)),
        ("agent", 14, TestHost::agent(&broken())),
        ("port", 15, TestHost::agent(&good()).env("REST_PORT", taken)),
        ("time", 16, TestHost::agent(&good()).env("TEST_BOOT_DELAY_MS", "3600000").env("STARTUP_TIMEOUT_SEC", "2")),
        ("machine", 18, TestHost::agent(&good()).env("PAR_GUEST_DIR", "/nonexistent")),
    ];
    for (class, code, host) in hosts {
        let mut host = host.env("PAR_EXIT_CODES", "by_class").spawn();

        assert_eq!(host.wait_exit().await, code, "{class}: {}", host.log_text());

        let line = &host.events("Boot failed")[0];
        assert_eq!((line.text_of("class"), line.detail("exit_code")), (class, &json!(code)), "{}", line.text);
    }
    let mut plain = TestHost::agent(&broken()).spawn();
    assert_eq!(plain.wait_exit().await, 1);
    assert_eq!(plain.events("Boot failed")[0].text_of("class"), "agent");
}

/// An agent that is lost for good has a code of its own as well.
#[tokio::test]
async fn what_breaks_while_serving_has_its_own_class() {
    let mut host = TestHost::agent(&good()).env("PAR_EXIT_CODES", "by_class").start().await;
    fs_err::remove_file(host.setup().package().join("main.py")).unwrap();

    assert_eq!(host.get("/leave").await.status, 502);

    assert_eq!(host.wait_exit().await, 19);
    assert_eq!(host.events("Surface failed")[0].text_of("class"), "serving");
}

/// R206: started with nothing, the program says what it is and what it needs.
#[tokio::test]
async fn started_with_nothing_it_explains_itself() {
    let mut host = TestHost::bare().unset("AGENT_APP_ID").spawn();
    assert_eq!(host.wait_exit().await, 1);
    let said = host.standard_error().await;
    assert!(
        ["AGENT_APP_ID", "PACKAGE_URL", "docker run", "par --help"].iter().all(|word| said.contains(word)),
        "{said}"
    );
    assert_eq!(host.events("Configuration validation error")[0].text_of("variable"), "AGENT_APP_ID");

    let mut half = TestHost::agent(&good()).unset("AGENT_APP_ID").spawn();
    assert_eq!(half.wait_exit().await, 1);
    assert_eq!(half.standard_error().await, "", "who set something reads the log");
}

/// R206: an image without `curl` has its health check in the program.
#[tokio::test]
async fn healthcheck_asks_the_process_beside_it() {
    let mut host = TestHost::agent(&good()).spawn();
    host.ready().await;
    let up = host.setup().command(["healthcheck"]).await;
    assert_eq!((up.code, up.errors.as_str()), (0, ""), "{}", up.output);
    assert!(up.output.contains("answers 200"));

    let port = host.rest_port();
    assert_eq!(host.stop().await, 0);
    let down = host.setup().command(["healthcheck"]).await;
    assert_eq!(down.code, 1);
    assert!(down.errors.contains(&format!("`/health` on port {port} does not answer")), "{}", down.errors);

    let slow = TestHost::agent(&good()).env("TEST_BOOT_DELAY_MS", "3600000").spawn();
    slow.wait_for_event("Package loaded successfully").await;
    let starting = slow.setup().command(["healthcheck"]).await;
    assert_eq!(starting.code, 1);
    assert!(starting.errors.contains("answers 503"), "{}", starting.errors);

    let wrong = TestHost::bare().env("REST_PORT", "0").command(["healthcheck"]).await;
    assert_eq!(wrong.code, 1);
    assert!(wrong.errors.contains("invalid `REST_PORT`"), "{}", wrong.errors);
}
