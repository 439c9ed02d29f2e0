//! `just soak`: what many clients and slow ones cost, and whether anything grows.
//!
//! `par-soak [SECONDS]` runs mixed traffic for so long. Fails when a request fails that should not, a connection is lost, or memory or
//! descriptors grow. Prints a table in Markdown, ready for `docs/specification.md`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a terminal, which fails by panicking")]

mod mixed;

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::iter;
use par_tests::{Package, RunningHost, TestHost};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections that rest. Fewer where the machine does not let a process have the descriptors.
const IDLE: usize = 10_000;

/// Streams at once, and how many events each has.
const STREAMS: usize = 1_000;
const EVENTS: usize = 20;

/// Connections opened at a time.
const AT_ONCE: usize = 64;

/// Requests whose time is measured.
const QUESTIONS: usize = 2_000;

#[tokio::main]
async fn main() {
    let seconds = std::env::args().nth(1).map_or(60, |seconds| seconds.parse().expect("a number of seconds"));
    let descriptors = raise_limit();
    println!("| what | measured |\n|---|---|");
    idle(IDLE.min(descriptors.saturating_mul(5) / 8)).await;
    streams().await;
    mixed::run(Duration::from_secs(seconds)).await;
}

fn row(what: &str, measured: impl std::fmt::Display) {
    println!("| {what} | {measured} |");
}

/// As many descriptors as the machine allows, for this process and those it starts.
fn raise_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// An agent with `/ping`, `/events?COUNT`, `/echo`, `/fail`, `/wait`; and the action `wait`.
async fn agent() -> RunningHost {
    let package = Package::new("soak", "http_server: main:app\na2a:\n  service: service:create_service\n")
        .file("main.py", include_str!("main.py"))
        .file("service.py", include_str!("service.py"));
    TestHost::agent(&package).env("PAR_INSTANCES", "2").start().await
}

/// Percentile of what was measured, in milliseconds.
fn percentile(times: &mut [Duration], part: f64) -> f64 {
    times.sort();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index below the length")]
    let at = ((times.len() - 1) as f64 * part) as usize;
    times[at].as_secs_f64() * 1e3
}

/// A request on a connection that stays, and its whole answer.
async fn ping(stream: &mut TcpStream) {
    stream.write_all(b"GET /ping HTTP/1.1\r\nhost: agent.example\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"pong") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "a connection was lost");
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

async fn ask(host: &RunningHost) -> Vec<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", host.rest_port())).await.unwrap();
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let began = Instant::now();
        ping(&mut stream).await;
        times.push(began.elapsed());
    }
    times
}

/// Connections that were used once and rest.
async fn idle(count: usize) {
    let host = agent().await;
    let port = host.rest_port();
    let mut alone = ask(&host).await;
    let before = host.resident_kib();
    let began = Instant::now();
    let open = iter(0..count).map(|_| async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        ping(&mut stream).await;
        stream
    });
    let mut resting: Vec<TcpStream> = open.buffer_unordered(AT_ONCE).collect().await;
    let took = began.elapsed();
    let memory = host.resident_kib().saturating_sub(before);
    let mut among = ask(&host).await;

    assert_eq!(host.health().await.status, 200);
    for stream in &mut resting {
        ping(stream).await;
    }
    row("connections that rest, all alive", resting.len());
    row("opened in, with a request each", format!("{:.1} s", took.as_secs_f64()));
    row("memory of one", format!("{:.1} KiB", memory as f64 / count as f64));
    let figures = |times: &mut [Duration]| format!("{:.2} / {:.2} ms", percentile(times, 0.5), percentile(times, 0.99));
    row("p50 / p99 of a request without them", figures(&mut alone));
    row("p50 / p99 of a request among them", figures(&mut among));
    drop(resting);
    // Those of the process itself are a few dozen.
    settles(|| host.descriptors() < 200, "descriptors are given back").await;
}

/// Streams of server-sent events, all at once.
async fn streams() {
    let host = agent().await;
    let before = host.resident_kib();
    // It keeps no connection for later.
    #[expect(clippy::disallowed_methods, reason = "a client of the program's own, to loopback")]
    let client = reqwest::Client::builder();
    let client = client.no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let (begun, all_begun) = tokio::sync::watch::channel(0);
    let readers: Vec<_> = (0..STREAMS)
        .map(|_| {
            let request = client.get(host.url(&format!("/events?{EVENTS}")));
            let begun = begun.clone();
            tokio::spawn(async move {
                let mut events = request.send().await.unwrap().bytes_stream();
                let mut text = Vec::new();
                text.extend_from_slice(&events.next().await.unwrap().unwrap());
                begun.send_modify(|begun| *begun += 1);
                while let Some(piece) = events.next().await {
                    text.extend_from_slice(&piece.unwrap());
                }
                assert_eq!(text.windows(6).filter(|piece| piece == b"data: ").count(), EVENTS + 1);
            })
        })
        .collect();
    let mut all_begun = all_begun;
    all_begun.wait_for(|begun| *begun == STREAMS).await.unwrap();
    let memory = host.resident_kib().saturating_sub(before);
    let mut among = ask(&host).await;
    for reader in readers {
        reader.await.unwrap();
    }
    row("streams of events at once, all whole", STREAMS);
    row("memory of one, in the host and the guest", format!("{:.1} KiB", memory as f64 / STREAMS as f64));
    row("p50 / p99 of a request meanwhile", {
        format!("{:.2} / {:.2} ms", percentile(&mut among, 0.5), percentile(&mut among, 0.99))
    });
    settles(|| host.descriptors() < 200, "descriptors are given back").await;
}

/// Waits until something is so.
async fn settles(is_so: impl Fn() -> bool, what: &str) {
    let until = Instant::now() + par_tests::PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
