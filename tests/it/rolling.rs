//! Instances are replaced behind a load balancer while clients go on, and none of them notices.

use std::sync::Arc;

use futures::StreamExt;
use par_tests::{AgentClient, LoadBalancer, Package, RunningHost, TestHost};
use reqwest::{Client, Method};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::streaming::next;

/// `/events` sends so many events, a little apart; the last one says so.
const AGENT: &str = "
import asyncio


async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        await send({'type': 'lifespan.startup.complete'})
        await receive()
        await send({'type': 'lifespan.shutdown.complete'})
        return
    body = b''
    while True:
        message = await receive()
        body += message.get('body', b'')
        if not message.get('more_body', False):
            break
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    if scope['path'] == '/events':
        for number in range(int(scope['query_string'])):
            await send({'type': 'http.response.body', 'body': b'data: %d\\n\\n' % number, 'more_body': True})
            await asyncio.sleep(0.02)
        body = b'data: end\\n\\n'
    await send({'type': 'http.response.body', 'body': body or b'pong'})
";

const ACTIONS: &str = "
import asyncio


async def wait(parameters):
    await asyncio.sleep(0.02)
    return 'waited'


def create_service():
    return {'custom_handlers': {'wait': wait}}
";

async fn instance() -> RunningHost {
    let package = Package::new("probe", "http_server: main:app\na2a:\n  service: service:create_service\n")
        .file("main.py", AGENT)
        .file("service.py", ACTIONS);
    let host = TestHost::agent(&package).env("GRACEFUL_SHUTDOWN_TIMEOUT_SEC", "60").env("REQUEST_TIMEOUT_SEC", "60");
    host.start().await
}

/// A client that makes a connection for each request, as a load balancer sees many clients.
fn client() -> Client {
    #[expect(clippy::disallowed_methods, reason = "a test is a client")]
    let client = Client::builder();
    client.no_proxy().pool_max_idle_per_host(0).timeout(par_tests::PATIENCE).build().unwrap()
}

/// The kinds of requests that are made all the time, and how many clients make each.
const KINDS: usize = 5;
const CLIENTS: usize = 2;

/// What clients do while instances are replaced.
struct Load {
    begun: Arc<watch::Sender<[usize; KINDS]>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<(), String>>,
    calls: Arc<RwLock<()>>,
}

impl Load {
    /// Clients of each kind that ask again and again.
    fn start(balancer: &LoadBalancer) -> Self {
        let begun = Arc::new(watch::Sender::new([0; KINDS]));
        let calls = Arc::<RwLock<()>>::default();
        let (stop, stopped) = watch::channel(false);
        let (rest, a2a) = (balancer.rest_port(), balancer.a2a_port());
        let mut tasks = JoinSet::new();
        for kind in (0..KINDS * CLIENTS).map(|client| client % KINDS) {
            let (begun, calls, stopped) = (Arc::clone(&begun), Arc::clone(&calls), stopped.clone());
            tasks.spawn(async move {
                while !*stopped.borrow() {
                    let call = if kind >= 3 { Some(calls.read().await) } else { None };
                    begun.send_modify(|begun| begun[kind] += 1);
                    one(kind, rest, a2a).await.map_err(|error| format!("request of kind {kind}: {error}"))?;
                    drop(call);
                }
                Ok(())
            });
        }
        Self { begun, stop, tasks, calls }
    }

    /// Returns when clients of every kind have gone on for a while.
    async fn moves_on(&mut self, balancer: &LoadBalancer) {
        let at = *self.begun.borrow();
        let mut begun = self.begun.subscribe();
        let all_moved = begun.wait_for(|begun| begun.iter().zip(at).all(|(begun, at)| *begun >= at + 4 * CLIENTS));
        tokio::select! {
            failed = self.tasks.join_next() => panic!("{failed:?}\nnginx says:\n{}", balancer.errors()),
            moved = tokio::time::timeout(par_tests::PATIENCE, all_moved) => drop(moved.expect("clients go on")),
        }
    }

    /// Lets every client end its last request.
    async fn ends(mut self, balancer: &LoadBalancer) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap().unwrap_or_else(|error| panic!("{error}\nnginx says:\n{}", balancer.errors()));
        }
    }
}

/// One request; the error says why it failed. Nothing is tried twice.
async fn one(kind: usize, rest: u16, a2a: u16) -> Result<(), String> {
    let url = |path: &str| format!("http://127.0.0.1:{rest}{path}");
    let said = |error: reqwest::Error| format!("{error:?}");
    let ask = async |request: reqwest::RequestBuilder, expected: &str| {
        let answer = request.send().await.map_err(said)?;
        let status = answer.status();
        let text = answer.text().await.map_err(said)?;
        if status == 200 && text.ends_with(expected) { Ok(()) } else { Err(format!("{status} {text}")) }
    };
    match kind {
        0 => ask(client().get(url("/ping")), "pong").await,
        // One that nginx does not repeat.
        1 => ask(client().request(Method::POST, url("/echo")).body("x".repeat(100_000)), &"x".repeat(100_000)).await,
        2 => ask(client().get(url("/events?10")), "data: end\n\n").await,
        3 => {
            let result = AgentClient::connect(a2a).await.act("wait", &[]).await;
            if result.result == "waited" { Ok(()) } else { Err(format!("{result:?}")) }
        }
        _ => {
            // A stream of gRPC; a client that has what it wants gives it up.
            let mut changes = AgentClient::connect(a2a).await.watch_health().await;
            match changes.next().await {
                // An instance that drains says so, and is one that answers.
                Some(Ok(ServingStatus::Serving | ServingStatus::NotServing)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        }
    }
}

/// Hostile 178. R215, R240: instances are replaced one after the other behind nginx as it is recommended, and no request fails: REST, uploads,
/// server-sent events, gRPC, streams of gRPC. nginx does not know which instance is about to go: TERM comes in the middle of the
/// load. Streams that are under way then are whole.
#[tokio::test]
async fn instances_are_replaced_and_no_request_fails() {
    let (mut old, mut staying) = (instance().await, instance().await);
    let mut balancer = LoadBalancer::before(&[&old, &staying]).await;
    let mut load = Load::start(&balancer);

    for _ in 0..2 {
        load.moves_on(&balancer).await;
        let mut streams = Vec::new();
        // nginx takes turns, so that both instances have some.
        for _ in 0..4 {
            let through = format!("http://127.0.0.1:{}/events?100", balancer.rest_port());
            let mut events = client().get(through).send().await.unwrap().bytes_stream();
            assert!(next(&mut events).await.starts_with(b"data: 0\n\n"));
            streams.push(events);
        }
        let mut watcher = old.a2a().await.watch_health().await;
        assert_eq!(watcher.next().await.unwrap().unwrap(), ServingStatus::Serving);

        old.terminate();
        load.moves_on(&balancer).await;

        // What had begun ends as it should, and who watches the instance is told.
        for mut events in streams {
            let mut rest = Vec::new();
            while let Some(piece) = events.next().await {
                rest.extend_from_slice(&piece.unwrap());
            }
            assert!(rest.ends_with(b"data: 99\n\ndata: end\n\n"), "{}", String::from_utf8_lossy(&rest));
        }
        assert_eq!(watcher.next().await.unwrap().unwrap(), ServingStatus::NotServing);
        assert!(watcher.next().await.is_none());
        assert_eq!(old.wait_exit().await, 0);
        assert!(old.events("In-flight requests did not complete in time").is_empty());
        load.moves_on(&balancer).await;

        let fresh = instance().await;
        // A client of gRPC other than this one asks again on its own when nginx, which takes a new configuration, ends a connection
        // it has just accepted. That is nginx's part: no call is under way meanwhile.
        let between_calls = Arc::clone(&load.calls).write_owned().await;
        balancer.names(&[&staying, &fresh]).await;
        drop(between_calls);
        old = std::mem::replace(&mut staying, fresh);
    }
    load.moves_on(&balancer).await;
    load.ends(&balancer).await;

    assert_eq!(old.stop().await, 0);
    assert_eq!(staying.stop().await, 0);
}
