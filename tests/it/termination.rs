//! Signals: what was begun is finished, for a time, and the process ends.

use futures::StreamExt;
use par_tests::{Package, TestHost};
use reqwest::Method;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::fetched::leftovers;
use crate::lifecycle::probe;
use crate::rest::at_base;
use crate::streaming::{next, upload};

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
