//! Every kind of request for a while, slow clients and clients that leave among them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use par_tests::{AgentClient, RunningHost};
use reqwest::Method;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{interval, sleep, timeout};

use crate::{agent, row, settles};

/// Clients at once, and slow ones.
const CLIENTS: usize = 24;
const SLOW: usize = 50;

/// Memory may move by so much between the middle of the run and its end. Unit: KiB.
const GROWTH: u64 = 16 << 10;

/// Runs it and says what grew.
pub(crate) async fn run(duration: Duration) {
    let host = agent().await;
    let actions = host.a2a().await;
    let descriptors = host.descriptors();
    let requests = AtomicUsize::new(0);
    let until = Instant::now() + duration;
    let mut memory = Vec::new();

    let clients = futures::stream::iter(0..CLIENTS).for_each_concurrent(None, |client| {
        let (host, actions, requests) = (&host, &actions, &requests);
        async move {
            let mut number = client;
            while Instant::now() < until {
                one(host, actions, number).await;
                requests.fetch_add(1, Ordering::Relaxed);
                number += 1;
            }
        }
    });
    let slow = futures::stream::iter(0..SLOW).for_each_concurrent(None, |number| slow(&host, number, until));
    let samples = async {
        let mut every = interval(Duration::from_millis(250));
        while Instant::now() < until {
            every.tick().await;
            memory.push(host.resident_kib());
        }
    };
    tokio::join!(clients, slow, samples);

    settles(|| host.descriptors() < 200, "descriptors are given back").await;
    let half = memory.len() / 2;
    let (middle, end) = (median(&memory[half / 2..half]), median(&memory[half + half / 2..]));
    let count = requests.into_inner();
    let rate = count as f64 / duration.as_secs_f64();
    row(
        "mixed traffic",
        format!("{count} requests in {} s, {rate:.0}/s, {SLOW} slow clients beside", duration.as_secs()),
    );
    row("memory in its second and in its last quarter", format!("{:.1} / {:.1} MiB", mib(middle), mib(end)));
    row("descriptors before and afterwards", format!("{descriptors} / {}", host.descriptors()));
    assert!(end < middle + GROWTH, "memory grows: from {middle} to {end} KiB");
    let gone = ["Instance trapped", "Instance taken out of service", "Instance replaced after its memory grew"];
    assert!(gone.iter().all(|event| host.events(event).is_empty()), "the instances are those of the start");
    assert_eq!(host.health().await.status, 200);
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn median(samples: &[u64]) -> u64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// One request of each kind in turn.
async fn one(host: &RunningHost, actions: &AgentClient, number: usize) {
    let (request, status) = match number % 9 {
        0 => (host.request(Method::GET, "/ping"), 200),
        1 => (host.request(Method::POST, "/echo").body("x".repeat(number % 200_000)), 200),
        2 => (host.request(Method::GET, "/nowhere"), 404),
        3 => (host.request(Method::GET, "/fail"), 500),
        4 => (host.request(Method::GET, "/health"), 200),
        5 => (host.request(Method::GET, "/events?3"), 200),
        6 => return assert_eq!(actions.act("wait", &[]).await.result, "waited"),
        7 => return assert_eq!(actions.act("nothing", &[]).await.error, "No handler found for action: nothing"),
        _ => {
            // A client that leaves before it has an answer.
            let asking = host.request(Method::GET, "/wait").send();
            let _ = timeout(Duration::from_millis(5), asking).await;
            return;
        }
    };
    let reply = host.send(request).await;
    assert_eq!(reply.status, status, "{number}: {}", reply.text());
}

/// A client that sends a head, a body or nothing, a byte at a time, until it is cut; then another one.
async fn slow(host: &RunningHost, number: usize, until: Instant) {
    let sent: &[u8] = match number % 3 {
        0 => b"GET /ping HTTP/1.1\r\nhost: agent.example\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        1 => b"POST /echo HTTP/1.1\r\nhost: agent.example\r\ncontent-length: 1000\r\n\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        _ => b"",
    };
    while Instant::now() < until {
        let mut stream = TcpStream::connect(("127.0.0.1", host.rest_port())).await.unwrap();
        for byte in sent {
            if Instant::now() >= until || stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
}
