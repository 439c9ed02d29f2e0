//! Bodies that arrive and leave piece by piece, proven by handshakes: each side sends its next
//! piece only when it has seen the other's last one.

use bytes::Bytes;
use futures::StreamExt;
use par_tests::{Package, RunningHost, TestHost};
use reqwest::{Body, Method};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

/// The same agent in each backend.
async fn streams() -> [RunningHost; 2] {
    let package = || Package::asgi(include_str!("python/streams.py"));
    [TestHost::agent(&package()).start().await, TestHost::agent(&package().native()).start().await]
}

pub(crate) async fn next(pieces: &mut (impl futures::Stream<Item = reqwest::Result<Bytes>> + Unpin)) -> Bytes {
    timeout(par_tests::PATIENCE, pieces.next()).await.expect("a piece in time").expect("one more piece").unwrap()
}

/// A body that the test sends piece by piece.
pub(crate) fn upload() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces = ReceiverStream::new(receiver).map(Ok::<_, std::io::Error>);
    (sender, Body::wrap_stream(pieces))
}

/// Each piece is on its way back before the next one is sent.
#[tokio::test]
async fn request_and_response_bodies_stream_at_the_same_time() {
    for host in streams().await {
        let (sender, body) = upload();

        sender.send(Bytes::from_static(b"piece 0")).await.unwrap();
        let response = host.request(Method::POST, "/echo").body(body).send().await.unwrap();
        let mut pieces = response.bytes_stream();

        assert_eq!(next(&mut pieces).await, "piece 0");
        for number in 1..5 {
            let piece = Bytes::from(format!("piece {number}"));
            sender.send(piece.clone()).await.unwrap();
            assert_eq!(next(&mut pieces).await, piece);
        }
        drop(sender);
        assert!(timeout(par_tests::PATIENCE, pieces.next()).await.unwrap().is_none());
    }
}

/// The agent sends an event only when the test acknowledged the one before, which it can only
/// have read if nothing on the way collects.
#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    for host in streams().await {
        let response = host.request(Method::GET, "/paced").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = response.bytes_stream();

        for number in 0..3 {
            assert_eq!(next(&mut events).await, format!("data: {number}\n\n"));
            assert_eq!(host.get(&format!("/acknowledge?number={number}")).await.status, 200);
        }

        assert!(timeout(par_tests::PATIENCE, events.next()).await.unwrap().is_none());
    }
}

/// hostile 138: a client that leaves in the middle of an answer is an `http.disconnect` for the agent.
#[tokio::test]
async fn a_client_that_leaves_during_the_answer_is_noticed_by_the_agent() {
    for host in streams().await {
        let mut pieces = host.request(Method::GET, "/until_left").send().await.unwrap().bytes_stream();
        assert_eq!(next(&mut pieces).await, "first");

        drop(pieces);

        host.wait_for_agent("received http.disconnect").await;
    }
}

/// hostile 138: the same before the answer has begun.
#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_noticed_by_the_agent() {
    for host in streams().await {
        let asking = tokio::spawn(host.request(Method::GET, "/before_answering").send());
        host.wait_for_agent("waiting").await;

        asking.abort();

        host.wait_for_agent("received http.disconnect").await;
    }
}

/// An agent that only sends hears of it too: its next send raises, as ASGI says.
#[tokio::test]
async fn sending_to_a_client_that_left_raises() {
    for host in streams().await {
        let mut pieces = host.request(Method::GET, "/endless").send().await.unwrap().bytes_stream();
        next(&mut pieces).await;

        drop(pieces);

        host.wait_for_agent("sending ended with").await;
    }
}

/// hostile 132: half an upload is not taken for a whole one.
#[tokio::test]
async fn an_upload_that_breaks_off_is_not_taken_for_a_complete_one() {
    for host in streams().await {
        let (sender, body) = upload();
        sender.send(Bytes::from_static(b"the beginning")).await.unwrap();
        let asking = tokio::spawn(host.request(Method::POST, "/swallow").body(body).send());
        sender.reserve().await.unwrap();

        asking.abort();

        host.wait_for_agent("upload broke off").await;
    }
}

/// An answer the agent gave up is a broken one for the client, not a short one.
#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_complete_one() {
    for host in streams().await {
        let mut pieces = host.request(Method::GET, "/half").send().await.unwrap().bytes_stream();
        assert_eq!(next(&mut pieces).await, "half of it");

        host.get("/acknowledge?number=half").await;

        let end = timeout(par_tests::PATIENCE, pieces.next()).await.unwrap();
        assert!(end.expect("not the end of the answer").is_err());
        host.wait_for("the traceback", |line| line.text_of("traceback").contains("no other half")).await;
    }
}

/// Bodies far above what the instance may hold pass through it.
#[tokio::test]
async fn bodies_larger_than_the_memory_of_the_instance_pass_through() {
    let package = Package::asgi(include_str!("python/streams.py"));
    let host = TestHost::agent(&package).env("PAR_MEMORY_MIB", "128").start().await;
    let piece = Bytes::from(vec![b'z'; 1 << 20]);
    let pieces = futures::stream::iter((0..200).map(move |_| Ok::<_, std::io::Error>(piece.clone())));

    let up = host.request(Method::POST, "/swallow").body(Body::wrap_stream(pieces));
    let up = host.send(up).await;
    let down = host.get("/large").await;

    assert_eq!((up.status, up.text()), (200, "209715200"));
    assert_eq!((down.status, down.body.len()), (200, 32 << 20));
}
