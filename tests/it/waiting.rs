//! Clients in the guest that wait for an answer: whom they block, how long, and what ends them.

use par_tests::Upstream;

use crate::outbound::{agent, raised, run};

/// A synchronous client that waits for an answer blocks its own instance; other instances answer meanwhile.
#[tokio::test]
async fn a_synchronous_client_blocks_its_own_instance_only() {
    let upstream = Upstream::http().await;
    let host = agent()
        .grant(&upstream.url("api.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .instances(2)
        .request_timeout(par_tests::PATIENCE * 2)
        .start()
        .await;
    while host.sandbox().ready_instances() < 2 {
        tokio::task::yield_now().await;
    }
    let url = upstream.url("api.example", "/steps");
    let code = format!("import urllib.request\nreturn len(urllib.request.urlopen({url:?}).read(1))");
    let mut blocked = Box::pin(run(&host, &code));

    tokio::select! {
        biased;
        answer = &mut blocked => panic!("nothing was sent: {answer}"),
        () = async {
            upstream.arrived(1).await;
            for _ in 0..20 {
                assert_eq!(run(&host, "return 1").await["done"], 1);
            }
        } => {}
    }
    upstream.step();

    assert_eq!(blocked.await["done"], 1);
}

/// One that waits for ever is ended with its call, and its instance is replaced.
#[tokio::test]
async fn a_synchronous_client_that_waits_for_ever_ends_with_its_call() {
    let upstream = Upstream::http().await;
    let host = agent()
        .grant(&upstream.url("api.example", ""))
        .resolve("api.example", &["127.0.0.1"])
        .request_timeout(std::time::Duration::from_secs(3))
        .start()
        .await;
    let code = format!("import urllib.request\nurllib.request.urlopen({:?})", upstream.url("api.example", "/forever"));

    let blocked = host.call("/", code.into()).await;

    assert!(matches!(blocked, Err(par_sandbox::call::CallError::TimedOut)));
    upstream.dropped().await;
    let mut lines = host.lines(2).await;
    lines.sort();
    assert_eq!(lines[0], "limits denied a request to the agent call_timeout");
    assert!(lines[1].starts_with("outbound allowed"), "{lines:#?}");
}

/// A task that is cancelled gives its request up, before and after the head of the response.
#[tokio::test]
async fn a_cancelled_task_gives_its_request_up() {
    let upstream = Upstream::http().await;
    let host = agent().grant(&upstream.url("api.example", "")).resolve("api.example", &["127.0.0.1"]).start().await;
    let port = upstream.port();

    for path in ["/forever", "/steps", "/endless"] {
        let answer = run(
            &host,
            &format!(
                "
import asyncio
reader, writer = await asyncio.open_connection('api.example', {port})
writer.write(b'GET {path} HTTP/1.1\\r\\n\\r\\n')
try:
    await asyncio.wait_for(reader.readuntil(b'no such bytes'), 0.05)
except (TimeoutError, asyncio.LimitOverrunError):
    writer.close()
    return 'gave up'
"
            ),
        )
        .await;
        assert_eq!(answer["done"], "gave up", "{path}: {answer}");
        upstream.dropped().await;
    }
    assert_eq!(run(&host, "return 1").await["done"], 1);
}

/// A response that breaks off is an error, and not a short response.
#[tokio::test]
async fn a_response_that_breaks_off_is_an_error() {
    let upstream = Upstream::http().await;
    let host = agent().grant(&upstream.url("api.example", "")).resolve("api.example", &["127.0.0.1"]).start().await;

    let answer = run(
        &host,
        &format!(
            "
import urllib.request
with urllib.request.urlopen({:?}, timeout=20) as response:
    return response.read().decode()
",
            upstream.url("api.example", "/cut")
        ),
    )
    .await;

    assert!(raised(&answer).1.contains("before it was complete"), "{answer}");
}
