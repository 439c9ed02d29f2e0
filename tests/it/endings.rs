//! Native processes that hang, end, or will not end: who was waiting gets a typed error, nothing is left behind, and
//! whoever comes next gets an answer.

use std::path::{Path, PathBuf};

use par_tests::{Package, RunningHost, TestHost};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::native::{gone, healthy};

fn setup() -> TestHost {
    TestHost::agent(&Package::asgi(include_str!("python/native.py")).native())
}

/// A file in the package by which the test tells the agent how to start the next time.
fn told(host: &RunningHost, name: &str) -> PathBuf {
    let path = host.setup().package().join(name);
    fs_err::write(&path, "").unwrap();
    path
}

/// Waits until nothing is left of a process, not even its number.
async fn reaped(pid: &Value) {
    let path = format!("/proc/{pid}");
    timeout(par_tests::PATIENCE, async {
        while Path::new(&path).exists() {
            tokio::task::yield_now().await
        }
    })
    .await
    .expect("the process is reaped");
}

/// Whether a request is answered by another process while one is busy.
async fn are_two(host: &RunningHost) -> bool {
    let (busy, other) = tokio::join!(host.get("/wait?seconds=0.2"), host.get("/process"));
    busy.json() != other.json()["pid"]
}

/// hostile 169: a process that takes all processors gets its 504 at the deadline and ends with all it started; health
/// and another process answer meanwhile.
#[tokio::test]
async fn a_process_that_takes_all_processors_ends_at_the_deadline_while_others_answer() {
    let host = setup().env("REQUEST_TIMEOUT_SEC", "5").env("PAR_INSTANCES", "2").start().await;
    timeout(par_tests::PATIENCE, async { while !are_two(&host).await {} }).await.expect("two processes serve");
    let spinning = host.send(host.request(reqwest::Method::GET, "/spin"));
    let meanwhile = async {
        let line =
            host.wait_for("the process that spins", |line| line.text_of("text").starts_with("spinning in ")).await;
        let pid: u32 = line.text_of("text").trim_start_matches("spinning in ").parse().unwrap();
        (pid, host.health().await.status, host.get("/process").await)
    };

    let (spun, (pid, health, other)) = tokio::join!(spinning, meanwhile);

    assert_eq!((spun.status, spun.error_code().as_str(), health, other.status), (504, "call_timeout", 200, 200));
    assert_ne!(other.json()["pid"], json!(pid));
    gone(&json!(pid)).await;
    host.wait_for_denial("call_timeout").await;
    assert_eq!(host.get("/process").await.status, 200);
}

/// hostile 172: a process that ends with 0 while it serves is lost like any other: its request fails with a typed error, health says
/// that none is left, and turns again when there is one.
#[tokio::test]
async fn health_is_503_while_no_process_is_left_whatever_its_status_was() {
    let host = setup().start().await;
    let slow = told(&host, "slow");

    let lost = host.get("/leave?code=0").await;

    assert_eq!((lost.status, lost.error_code().as_str()), (502, "instance_lost"));
    healthy(&host, 503).await;
    fs_err::remove_file(slow).unwrap();
    healthy(&host, 200).await;
    assert_eq!(host.get("/process").await.status, 200);
}

/// An agent whose processes do not start any more ends the whole runtime, after a few attempts with growing pauses.
#[tokio::test]
async fn an_agent_whose_processes_start_no_more_ends_the_runtime() {
    let mut host = setup().start().await;
    told(&host, "broken");

    assert_eq!(host.get("/leave").await.status, 502);

    assert_ne!(host.wait_exit().await, 0);
    // That the first one ended soon after its start counts as well, if it was so soon.
    assert!((4..=5).contains(&host.events("Instance did not start").len()));
}

/// hostile 171: whoever ignores TERM is killed, process and children.
#[tokio::test]
async fn who_ignores_the_signal_to_end_is_killed() {
    let mut host = setup().env("GRACEFUL_SHUTDOWN_TIMEOUT_SEC", "1").start().await;
    let process = host.get("/process").await.json();
    let child = host.get("/deaf").await.json();
    let waiting = tokio::spawn(host.request(reqwest::Method::GET, "/wait?seconds=3600").send());
    host.wait_for_agent("waiting").await;

    assert_eq!(host.stop().await, 0);

    gone(&process["pid"]).await;
    gone(&child).await;
    assert!(waiting.await.unwrap().is_err());
}

/// A request in flight when TERM comes is finished, and then the process ends.
#[tokio::test]
async fn a_request_in_flight_is_finished_before_the_process_ends() {
    let mut host = setup().start().await;
    let waiting = tokio::spawn(host.request(reqwest::Method::GET, "/wait?seconds=1").send());
    host.wait_for_agent("waiting").await;

    assert_eq!(host.stop().await, 0);

    assert_eq!(waiting.await.unwrap().unwrap().status().as_u16(), 200);
}

/// hostile 158, 173: who forks twice to be nobody's child is PAR's, ends with the group it cannot leave, and is
/// reaped: also when PAR is not the first process of the machine.
#[tokio::test]
async fn orphans_are_adopted_ended_and_reaped() {
    let mut host = setup().start().await;
    let process = host.get("/process").await.json();
    let [first, second] = [host.get("/orphan").await.json(), host.get("/orphan").await.json()];
    for orphan in [&first, &second] {
        let status = fs_err::read_to_string(format!("/proc/{orphan}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
        assert_eq!(parent, host.id().to_string());
    }

    let number = i32::try_from(first.as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(number).unwrap(), Signal::KILL).unwrap();
    reaped(&first).await;
    assert_eq!(host.get("/leave").await.status, 502);
    reaped(&second).await;
    reaped(&process["pid"]).await;

    assert_eq!(host.get("/process").await.status, 200);
    assert_eq!(host.stop().await, 0);
}

/// hostile 170: output far beyond what a pipe holds is read, so that who writes it is not held up; the log keeps to
/// its rate.
#[tokio::test]
async fn output_without_end_holds_nobody_up() {
    let policy = "version: 1\nnative: allow\nlimits: {log_lines_per_second: 1}\n";
    let mut host = setup().env("PAR_POLICY", policy).start().await;

    assert_eq!(host.get("/flood").await.json(), "written");

    assert_eq!(host.get("/process").await.status, 200);
    assert_eq!(host.stop().await, 0);
    assert!((1..1000).contains(&host.events("Agent output").len()));
}

/// hostile 168: a process whose files exceed the quota together is ended, which is on the record; the next one has an
/// empty scratch directory.
#[tokio::test]
async fn files_beyond_the_quota_end_the_process() {
    let policy = "version: 1\nnative: allow\ngrant: {files: {scratch_mib: 4}}\n";
    let host = setup().env("PAR_POLICY", policy).start().await;

    let filled = host.get("/fill").await;

    host.wait_for_denial("scratch_full").await;
    if filled.status == 200 {
        gone(&filled.json()).await;
    }
    assert_eq!(host.get("/kept").await.json(), json!([]));
}
