//! Clients that speak HTTP/2 to do harm, frame by frame.

use par_tests::frames::{self, Frames, flag, kind};
use par_tests::{Package, RunningHost, TestHost};

/// ENHANCE_YOUR_CALM.
const CALM: u8 = 11;

async fn probe() -> RunningHost {
    TestHost::agent(&Package::asgi(include_str!("python/probe.py"))).start().await
}

/// The instance that answers a fresh connection.
async fn identity(host: &RunningHost) -> String {
    let reply = host.get("/identity").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text().to_owned()
}

/// Odd numbers, which are the client's streams.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// hostile 134: streams opened and reset in one breath (CVE-2023-44487) end the connection, and nobody else's; a few do not.
#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once_end_the_connection() {
    let host = probe().await;
    let before = identity(&host).await;
    let mut patient = Frames::connect(host.rest_port()).await;
    let mut flood = Frames::connect(host.rest_port()).await;

    for stream in streams().take(5) {
        patient.get(stream, "/ping", &[]).await;
        patient.send(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
    }
    for stream in streams().take(20_000) {
        let open = flood.get(stream, "/wait?seconds=3600", &[]).await
            && flood.send(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
        if !open {
            break;
        }
    }

    // A reset may overtake the last word.
    assert!(flood.last_word().await.is_none_or(|code| code == CALM));
    patient.get(11, "/ping", &[]).await;
    assert!(patient.answer(11).await.is_some_and(|head| head.is_ok()));
    assert_eq!(identity(&host).await, before, "the agent is the one it was");
}

/// hostile 134: requests that are given up one by one, each after it reached the agent, end the connection as well once
/// they are many more than those that were answered.
#[tokio::test]
async fn requests_given_up_one_by_one_end_the_connection() {
    let host = probe().await;
    let before = identity(&host).await;
    let mut flood = Frames::connect(host.rest_port()).await;
    let mut given_up = 0;

    for stream in streams().take(5_000) {
        if !flood.get(stream, "/wait?seconds=3600", &[]).await || !flood.catch_up().await {
            break;
        }
        flood.send(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
        given_up += 1;
    }

    assert!((256..=1024).contains(&given_up), "{given_up}");
    assert_eq!(identity(&host).await, before, "the agent is the one it was");
    let mut patient = Frames::connect(host.rest_port()).await;
    for stream in streams().take(200) {
        patient.get(stream, "/wait?seconds=3600", &[]).await;
        assert!(patient.catch_up().await);
        patient.send(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
    }
    patient.get(401, "/ping", &[]).await;
    assert!(patient.answer(401).await.is_some_and(|head| head.is_ok()));
}

/// hostile 134: a client that makes the server reset its streams (CVE-2025-8671) is treated no better.
#[tokio::test]
async fn streams_the_server_has_to_reset_end_the_connection() {
    let host = probe().await;
    let before = identity(&host).await;
    let mut flood = Frames::connect(host.rest_port()).await;

    let mut opened = 0;
    for stream in streams().take(5_000) {
        // A window beyond its largest size is an error of the stream.
        let open = flood.get(stream, "/wait?seconds=3600", &[]).await
            && flood.send(kind::WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]).await
            && flood.catch_up().await;
        if !open {
            break;
        }
        opened += 1;
    }

    assert!(opened < 1_024, "{opened}");
    assert_eq!(identity(&host).await, before, "the agent is the one it was");
}

/// hostile 134: a head of endless continuations (RUSTSEC-2024-0332) is not collected; one of three frames is a head.
#[tokio::test]
async fn a_head_without_end_is_not_collected() {
    let host = probe().await;
    let before = host.resident_kib();
    let mut patient = Frames::connect(host.rest_port()).await;
    let mut flood = Frames::connect(host.rest_port()).await;

    let head = frames::head("GET", "/ping", &[("x-a", "1")]);
    patient.send(kind::HEADERS, flag::END_STREAM, 1, &head[..10]).await;
    patient.send(kind::CONTINUATION, 0, 1, &head[10..20]).await;
    patient.send(kind::CONTINUATION, flag::END_HEADERS, 1, &head[20..]).await;
    let mut open = flood.send(kind::HEADERS, flag::END_STREAM, 1, &head).await;
    let piece: Vec<u8> =
        (0..100).flat_map(|number| frames::field(0, &format!("x-{number}"), &"a".repeat(100))).collect();
    for _ in 0..20_000 {
        open = open && flood.send(kind::CONTINUATION, 0, 1, &piece).await;
    }

    assert!(!open, "200 MiB of a head were read");
    assert!(flood.last_word().await.is_none_or(|code| code == CALM || code == 9));
    assert!(patient.answer(1).await.is_some_and(|head| head.is_ok()));
    assert!(host.resident_kib() < before + (32 << 10), "from {before} to {} KiB", host.resident_kib());
}

/// hostile 134: a head that unpacks to more than it may have, by pointing at one large field again and again, is
/// refused; the same with two pointers is answered.
#[tokio::test]
async fn a_head_that_unpacks_to_too_much_is_refused() {
    let host = probe().await;
    let before = host.resident_kib();
    let mut client = Frames::connect(host.rest_port()).await;
    let mut first = frames::head("GET", "/ping", &[]);
    first.extend(frames::field(0x40, "x-large", &"a".repeat(4_000)));
    // 62 is the newest entry of the connection's table.
    let pointing = |times: usize| [frames::head("GET", "/ping", &[]), vec![0x80 | 62; times]].concat();

    for (stream, head) in [(1, &first), (3, &pointing(2))] {
        client.send(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, head).await;
        assert!(client.answer(stream).await.is_some_and(|head| head.is_ok()));
    }
    client.send(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 5, &pointing(16_000)).await;

    assert!(client.answer(5).await.is_none_or(|head| !head.is_ok()));
    assert!(host.resident_kib() < before + (32 << 10), "from {before} to {} KiB", host.resident_kib());
    assert_eq!(host.get("/ping").await.json(), "pong");
}

/// hostile 134: settings and pings without end, read or not, cost no memory and nobody else an answer.
#[tokio::test]
async fn settings_and_pings_without_end_cost_nobody_an_answer() {
    let host = probe().await;
    let before = host.resident_kib();
    let mut reading = Frames::connect(host.rest_port()).await;
    let (mut deaf, unread) = Frames::deaf(host.rest_port()).await;

    let shouting = tokio::spawn(async move {
        let pings = frames::bytes(kind::PING, 0, 0, &[1; 8]).repeat(1_000);
        // What is not answered, since nobody reads the answers, is not read either: this waits in the end.
        for _ in 0..4_000 {
            if !deaf.raw(&pings).await {
                return;
            }
        }
    });
    for _ in 0..5_000 {
        reading.send(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).await;
        reading.send(kind::PING, 0, 0, &[1; 8]).await;
    }
    for _ in 0..50 {
        assert_eq!(host.get("/ping").await.json(), "pong");
    }

    reading.get(1, "/ping", &[]).await;
    assert!(reading.answer(1).await.is_some_and(|head| head.is_ok()));
    assert!(host.resident_kib() < before + (32 << 10), "from {before} to {} KiB", host.resident_kib());
    shouting.abort();
    drop(unread);
}
