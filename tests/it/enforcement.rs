//! Files, clock, random numbers and limits, from inside an agent: what is granted works, what is not is
//! denied with its code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use par_tests::{Package, RunningHost, TestHost};
use reqwest::Method;
use rustix::fs::{Mode, OFlags, RenameFlags, renameat_with};
use serde_json::{Value, json};

/// As `errno` of the guest has them.
const ENOSPC: u32 = 51;
const EIO: u32 = 29;
const EPERM: u32 = 63;

fn agent() -> Package {
    Package::asgi(include_str!("python/execute.py"))
}

async fn execute(host: &RunningHost, code: &str) -> Value {
    let reply = host.send(host.request(Method::POST, "/").body(code.to_owned())).await;
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), host.log_text());
    reply.json()
}

async fn under(policy: &str) -> RunningHost {
    TestHost::agent(&agent()).env("PAR_POLICY", policy).env("PAR_INSTANCES", "1").start().await
}

/// The guest's C library reports whatever fails in a stream as `EIO`, and everything else as it is.
fn full(answer: &Value, way: &str) {
    assert!(
        [ENOSPC, EIO].iter().any(|errno| *answer == json!({"raised": "OSError", "errno": errno})),
        "{way}: {answer}"
    );
}

/// hostile 90, 91: a data directory can be read and not written, and is not there without a grant.
#[tokio::test]
async fn a_data_directory_is_there_when_it_is_granted_and_read_only() {
    let read = "result = open('/data/models/weights.txt').read()";
    let package = agent().and("sandbox: {files: {data: [models]}}\n");
    let setup = TestHost::agent(&package);
    let models = setup.directory().join("models");
    fs_err::create_dir(&models).unwrap();
    fs_err::write(models.join("weights.txt"), "0.5").unwrap();
    let policy = format!(
        "version: 1\nallow: {{files: {{data: {{models: {}, other: {}}}}}}}\n",
        models.display(),
        models.display()
    );
    let host = setup.env("PAR_POLICY", &policy).start().await;

    assert_eq!(execute(&host, read).await, json!({"done": "0.5"}));
    for change in [
        "open('/data/models/weights.txt', 'w')",
        "open('/data/models/new.txt', 'x')",
        "import os; os.remove('/data/models/weights.txt')",
        "import os; os.rename('/data/models/weights.txt', '/data/models/x')",
        "open('/data/other/weights.txt')",
        "open('/data/models/../../etc/passwd')",
    ] {
        let answer = execute(&host, change).await;
        assert!(answer.get("raised").is_some(), "{change}: {answer}");
    }
    assert_eq!(fs_err::read(models.join("weights.txt")).unwrap(), b"0.5");

    let unasked = TestHost::agent(&agent()).env("PAR_POLICY", &policy).start().await;
    assert_eq!(execute(&unasked, read).await["raised"], "FileNotFoundError");
}

/// hostile 97: a directory that is exchanged for a link, again and again, while the agent opens what is below it: what
/// it reads is never what the link leads to.
#[tokio::test]
async fn a_directory_that_becomes_a_link_leads_nowhere() {
    let setup = TestHost::agent(&agent());
    let (models, outside) = (setup.directory().join("models"), setup.directory().join("outside"));
    for (directory, text) in [(models.join("inside"), "inside"), (outside.clone(), "outside")] {
        fs_err::create_dir_all(&directory).unwrap();
        fs_err::write(directory.join("file.txt"), text).unwrap();
    }
    fs_err::os::unix::fs::symlink(&outside, models.join("link")).unwrap();
    fs_err::os::unix::fs::symlink("../outside", models.join("up")).unwrap();
    let limits = "limits: {request_timeout_ms: 600000}";
    let policy = format!("version: 1\ngrant: {{files: {{data: {{models: {}}}}}}}\n{limits}\n", models.display());
    let host = setup.env("PAR_POLICY", policy).start().await;
    let read = "
result = {}
for number in range(2000):
    for name in ('inside', 'link', 'up'):
        try:
            found = open(f'/data/models/{name}/file.txt').read()
        except OSError as error:
            found = type(error).__name__
        result[found] = result.get(found, 0) + 1";

    let standing = execute(&host, read).await;
    assert_eq!(standing["done"]["inside"], 2000, "{standing}");
    assert!(standing["done"].get("outside").is_none(), "{standing}");

    let ended = Arc::new(AtomicBool::new(false));
    let exchanging = {
        let (models, ended) = (models.clone(), Arc::clone(&ended));
        std::thread::spawn(move || {
            let directory = rustix::fs::open(&models, OFlags::DIRECTORY, Mode::empty()).unwrap();
            let mut times = 0_u32;
            while !ended.load(Ordering::Relaxed) {
                let to = if times.is_multiple_of(2) { "link" } else { "up" };
                renameat_with(&directory, "inside", &directory, to, RenameFlags::EXCHANGE).unwrap();
                renameat_with(&directory, "inside", &directory, to, RenameFlags::EXCHANGE).unwrap();
                times += 1;
            }
            times
        })
    };
    let moving = execute(&host, read).await;
    ended.store(true, Ordering::Relaxed);

    assert!(exchanging.join().unwrap() > 0);
    assert!(moving["done"].get("outside").is_none(), "{moving}");
}

/// hostile 54: a data directory that leads into the system is refused at the start.
#[tokio::test]
async fn a_data_directory_that_is_a_link_into_the_system_is_refused() {
    let setup = TestHost::agent(&agent());
    let link = setup.directory().join("link");
    fs_err::os::unix::fs::symlink("/etc", &link).unwrap();
    let policy = format!("version: 1\ngrant: {{files: {{data: {{models: {}}}}}}}\n", link.display());

    let host = setup.env("PAR_POLICY", policy).refused().await;

    let line = host.wait_for_event("Failed to grant capabilities").await;
    assert!(line.text_of("error").ends_with("a link leads to `/etc`"), "{}", line.text);
}

/// hostile 92, 94: without a grant there is nowhere to write; with one there is, for temporary files too.
#[tokio::test]
async fn scratch_is_there_when_it_is_granted() {
    let write = "open('/scratch/a', 'w').write('text')\nresult = open('/scratch/a').read()";
    let temporary = "import tempfile
with tempfile.TemporaryFile() as file:
    file.write(b'text')
    file.seek(0)
    result = file.read().decode()
with tempfile.TemporaryDirectory() as directory:
    open(directory + '/b', 'w').write('b')";

    let host = under("version: 1\ngrant: {files: {scratch_mib: 1}}\n").await;
    assert_eq!(execute(&host, write).await, json!({"done": "text"}));
    assert_eq!(execute(&host, temporary).await, json!({"done": "text"}));
    assert_eq!(execute(&host, "import os; result = os.listdir('/scratch')").await, json!({"done": ["a"]}));
    let links = "import os; os.symlink('/etc/passwd', '/scratch/link')";
    assert_eq!(execute(&host, links).await["errno"], EPERM);
    assert_eq!(execute(&host, "import os; os.link('/scratch/a', '/scratch/b')").await["errno"], EPERM);
    assert!(execute(&host, "open('/scratch/../etc/passwd')").await.get("raised").is_some());

    let without = TestHost::agent(&agent()).start().await;
    assert!(execute(&without, write).await.get("raised").is_some());
}

/// hostile 95: the quota holds whichever way a file grows, counts empty files, and is given back.
#[tokio::test]
async fn the_quota_of_scratch_holds() {
    let host = under("version: 1\ngrant: {files: {scratch_mib: 1}}\nlimits: {open_files: 4096}\n").await;
    let fill = "open('/scratch/{}', 'wb').write(b'x' * {})";
    let ways = [
        "open('/scratch/a', 'wb').write(b'x' * (2 << 20))",
        "
with open('/scratch/a', 'wb', buffering=0) as file:
    while True: file.write(b'x' * 1000)",
        "
while True:
    with open('/scratch/a', 'ab', buffering=0) as file: file.write(b'x' * 10000)",
        "import os; open('/scratch/a', 'x').close(); os.truncate('/scratch/a', 2 << 20)",
        "
with open('/scratch/a', 'wb', buffering=0) as file:
    file.seek(1 << 40); file.write(b'x')",
        "import os; os.pwrite(os.open('/scratch/a', os.O_WRONLY | os.O_CREAT), b'x', 2 << 20)",
        "
number = 0
while True: number += 1; open(f'/scratch/n{number}', 'x').close()",
        "
import os
number = 0
while True: number += 1; os.mkdir(f'/scratch/n{number}')",
        "
import os
kept, number = [], 0
while True:
    number += 1
    file = open(f'/scratch/k{number}', 'wb', buffering=0)
    file.write(b'x' * 1000); os.remove(f'/scratch/k{number}'); kept.append(file)",
    ];
    let clear = "
import gc, os, shutil
gc.collect()
for name in os.listdir('/scratch'):
    path = '/scratch/' + name
    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
result = os.listdir('/scratch')";

    for way in ways {
        full(&execute(&host, way).await, way);
        assert_eq!(execute(&host, clear).await, json!({"done": []}), "{way}");
        let most = fill.replacen("{}", "all", 1).replacen("{}", "((1 << 20) - 4096)", 1);
        assert_eq!(execute(&host, &most).await, json!({"done": null}), "room is given back after {way}");
        full(&execute(&host, "open('/scratch/more', 'x')").await, way);
        assert_eq!(execute(&host, clear).await, json!({"done": []}));
    }
    assert_eq!(host.wait_for_denial("scratch_full").await.text_of("rule"), "grant.files.scratch_mib");
}

/// hostile 96: what one instance writes no other sees, and nothing is left when it ends.
#[tokio::test]
async fn scratch_belongs_to_one_instance() {
    let policy = "version: 1\ngrant: {files: {scratch_mib: 1}}\nlimits: {requests_per_instance: 1, instances: 1}\n";
    let host = TestHost::agent(&agent()).env("PAR_POLICY", policy).start().await;

    assert_eq!(execute(&host, "result = open('/scratch/a', 'w').write('secret')").await, json!({"done": 6}));
    assert_eq!(execute(&host, "import os; result = os.listdir('/scratch')").await, json!({"done": []}));
    host.wait_for_event("Instance replaced after its last request").await;
}

#[tokio::test]
async fn the_clock_stands_still_and_random_numbers_repeat_where_that_is_granted() {
    let date = "import datetime; result = datetime.datetime.now(datetime.UTC).isoformat()";
    let numbers = "import os; result = os.urandom(8).hex()";
    let waits = "import time; start = time.monotonic(); time.sleep(0.01); result = time.monotonic() - start >= 0.01";
    let policy = "version: 1\ngrant: {clock: \"2026-01-02T03:04:05Z\", random: 7}\n";

    let (one, other) = (under(policy).await, under(policy).await);
    assert_eq!(execute(&one, date).await, json!({"done": "2026-01-02T03:04:05+00:00"}));
    assert_eq!(execute(&one, waits).await, json!({"done": true}));
    assert_eq!(execute(&one, numbers).await, execute(&other, numbers).await);

    let free = under("version: 1\n").await;
    assert_ne!(execute(&free, date).await, json!({"done": "2026-01-02T03:04:05+00:00"}));
    assert_ne!(execute(&free, numbers).await, execute(&free, numbers).await);
}

/// A request above the concurrency waits, one above the queue is told to come back.
#[tokio::test]
async fn requests_beyond_the_queue_are_told_to_come_back() {
    let policy = "version: 1\nlimits: {concurrent_requests: 1, queued_requests: 1, instances: 1}\n";
    let probe = Package::asgi(include_str!("python/probe.py"));
    let host = TestHost::agent(&probe).env("PAR_POLICY", policy).start().await;

    // One is served, one waits, and the others are sent away; which is which is not known.
    let mut asking: FuturesUnordered<_> = (0..5).map(|_| host.get("/wait?seconds=3600")).collect();
    for _ in 0..3 {
        let refused = asking.next().await.unwrap();
        assert_eq!((refused.status, refused.error_code().as_str()), (503, "overloaded"));
        assert!(!refused.header("retry-after").is_empty());
    }
    drop(asking);
    assert_eq!(host.wait_for_denial("overloaded").await.text_of("rule"), "limits.queued_requests");

    // PAR learns that they left when it reads from their connections.
    assert_eq!(host.get_once_served("/ping").await.json(), "pong");
}

/// The limits of the policy hold, and a package may ask for less.
#[tokio::test]
async fn a_package_may_ask_for_less_than_the_policy_gives() {
    let allocate = |mib: u32| format!("result = len(b'x' * ({mib} << 20))");
    let package = agent().and("sandbox: {limits: {memory_mib: 96, request_timeout_ms: 2000}}\n");
    let policy = "version: 1\nlimits: {memory_mib: 256, instances: 1}\n";

    let less = TestHost::agent(&package).env("PAR_POLICY", policy).start().await;
    assert_eq!(execute(&less, &allocate(128)).await["raised"], "MemoryError");
    let late = less.send(less.request(Method::POST, "/").body("while True: pass")).await;
    assert_eq!((late.status, late.error_code().as_str()), (504, "call_timeout"));

    let more = under(policy).await;
    assert_eq!(execute(&more, &allocate(128)).await, json!({"done": 128 << 20}));
}

/// hostile 84: the rate of the policy holds for the agent's log, and what is left out is counted.
#[tokio::test]
async fn the_log_has_the_rate_of_the_policy() {
    let mut host = under("version: 1\nlimits: {log_lines_per_second: 5}\n").await;

    execute(&host, "for number in range(1000): print('line', number)").await;
    host.stop().await;

    let dropped = host.wait_for_event("Agent log lines dropped").await;
    assert!(dropped.detail("dropped").as_u64() > Some(500), "{}", dropped.text);
    assert!(host.events("Agent output").len() < 500);
}

/// hostile 89: an agent with a part of a core goes on, slowly, and its neighbours in time.
#[tokio::test]
async fn an_agent_with_a_part_of_a_core_answers() {
    let host = under("version: 1\nlimits: {cpu_percent: 20}\n").await;

    assert_eq!(execute(&host, "result = sum(range(3_000_000))").await, json!({"done": 4_499_998_500_000_u64}));
}
