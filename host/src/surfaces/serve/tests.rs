use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};

use super::{Bound, Limits, Server};
use crate::backend::ReplyBody;
use crate::surfaces::testing::{Front, get, loopback, parse, says};

const SOON: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n";

fn with(limits: Limits) -> Server {
    let mut front = Front::ready();
    front.limits = limits;
    front.start(|_| futures::future::ready(Ok(says("hello"))))
}

fn short(head_ms: u64, idle_ms: u64) -> Limits {
    Limits { head_time: Duration::from_millis(head_ms), idle_time: Duration::from_millis(idle_ms), ..Limits::default() }
}

/// One whole answer with a known length, and whether the connection said it would close.
async fn read_answer(stream: &mut TcpStream) -> (StatusCode, bool) {
    let mut bytes = Vec::new();
    loop {
        bytes.push(stream.read_u8().await.unwrap());
        if bytes.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = parse(&bytes);
    let length: usize = head.header("content-length").parse().unwrap();
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    (head.status, head.header("connection") == "close")
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    // A reset is as good an end as a close.
    matches!(timeout(SOON, stream.read(&mut [0; 64])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn a_busy_port_is_an_error_that_names_it_and_never_another_port() {
    let first = Bound::bind("REST", loopback()).unwrap();

    let refused = Bound::bind("A2A", first.address()).unwrap_err();

    assert_eq!(refused.to_string(), format!("cannot listen on `{}` for A2A", first.address()));
    assert_eq!(refused.source.kind(), std::io::ErrorKind::AddrInUse);

    let address = first.address();
    drop(first);
    assert_eq!(Bound::bind("A2A", address).unwrap().address(), address);
}

/// Hostile 128.
#[tokio::test]
async fn slow_and_silent_heads_are_cut_and_a_prompt_one_is_answered() {
    let server = with(short(100, 60_000));

    for sent in [&b""[..], b"GET /hea", b"GET /health HTTP/1.1\r\nhost: a\r\nx-a: "] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(sent).await.unwrap();
        assert!(is_closed(&mut stream).await, "{sent:?}");
    }
    assert_eq!(get(server.address(), "/health").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_time_for_a_head_counts_for_each_and_not_for_the_rest_between() {
    let server = with(short(150, 60_000));
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    read_answer(&mut stream).await;

    // Resting for longer than a head may take is fine.
    assert!(timeout(Duration::from_millis(500), stream.read_u8()).await.is_err());
    stream.write_all(REQUEST).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.0, StatusCode::OK);

    // Beginning a second head and leaving it is not.
    stream.write_all(b"GET /health HT").await.unwrap();
    assert!(is_closed(&mut stream).await);
}

/// Hostile 130.
#[tokio::test]
async fn a_resting_connection_is_closed_after_the_idle_time() {
    let server = with(short(10_000, 100));
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    assert_eq!(read_answer(&mut stream).await, (StatusCode::OK, false));

    assert!(is_closed(&mut stream).await);
    assert_eq!(server.drain(Instant::now() + SOON).await.cut, 0);
}

/// Hostile 148.
#[tokio::test]
async fn a_client_that_stops_reading_is_cut_and_the_agent_feels_it() {
    let felt = Arc::new(Notify::new());
    let feels = Arc::clone(&felt);
    let mut front = Front::ready();
    front.limits = Limits { write_stall: Duration::from_millis(100), ..short(100, 60_000) };
    let server = front.start(move |_| {
        let feels = Arc::clone(&feels);
        async move {
            let (chunks, receiver) = mpsc::channel(1);
            tokio::spawn(async move {
                while chunks.send(Ok(Bytes::from(vec![b'x'; 1 << 20]))).await.is_ok() {}
                feels.notify_one();
            });
            Ok(http::Response::new(ReplyBody::Streamed(receiver.into())))
        }
    });
    let mut stream = TcpStream::connect(server.address()).await.unwrap();

    stream.write_all(b"GET /agents/app-1/x HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();

    timeout(SOON, felt.notified()).await.unwrap();
    drop(stream);
}

/// Hostile 131.
#[tokio::test]
async fn connections_over_the_cap_wait_for_a_place() {
    let server = with(Limits { connections: 1, ..Limits::default() });
    let mut first = TcpStream::connect(server.address()).await.unwrap();
    first.write_all(REQUEST).await.unwrap();
    read_answer(&mut first).await;
    let mut second = TcpStream::connect(server.address()).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    assert!(timeout(Duration::from_millis(100), second.read_u8()).await.is_err());

    drop(first);

    let (status, _) = timeout(SOON, read_answer(&mut second)).await.unwrap();
    assert_eq!(status, StatusCode::OK);
}

/// A server with one request in its agent, which ends when told to.
async fn with_one_in_flight() -> (Server, TcpStream, Arc<Notify>) {
    let (arrived, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrives, finishes) = (Arc::clone(&arrived), Arc::clone(&finish));
    let server = Front::ready().start(move |_| {
        let (arrives, finishes) = (Arc::clone(&arrives), Arc::clone(&finishes));
        async move {
            arrives.notify_one();
            finishes.notified().await;
            Ok(says("late"))
        }
    });
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /agents/app-1/x HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    arrived.notified().await;
    (server, stream, finish)
}

#[tokio::test]
async fn a_drain_refuses_the_new_closes_the_resting_and_lets_the_busy_finish() {
    let (server, mut busy, finish) = with_one_in_flight().await;
    let address = server.address();
    let mut resting = TcpStream::connect(address).await.unwrap();
    resting.write_all(REQUEST).await.unwrap();
    assert_eq!(read_answer(&mut resting).await, (StatusCode::OK, false));

    let drain = tokio::spawn(server.drain(Instant::now() + SOON));
    assert!(is_closed(&mut resting).await);
    assert!(TcpStream::connect(address).await.is_err());
    finish.notify_one();

    assert_eq!(read_answer(&mut busy).await, (StatusCode::OK, true));
    assert_eq!(drain.await.unwrap().cut, 0);
}

/// R215: requests that are on their way when the drain begins, on connections that were resting, are answered; the answer is the last.
#[tokio::test]
async fn requests_that_cross_the_drain_are_answered() {
    let server = with(Limits::default());
    let mut used = TcpStream::connect(server.address()).await.unwrap();
    used.write_all(REQUEST).await.unwrap();
    assert_eq!(read_answer(&mut used).await, (StatusCode::OK, false));
    let mut fresh = TcpStream::connect(server.address()).await.unwrap();
    // One that is answered was accepted, and so were those before it.
    assert_eq!(get(server.address(), "/health").await.status, StatusCode::OK);

    // Nothing else runs between the drain and the requests.
    let mut drain = std::pin::pin!(server.drain(Instant::now() + SOON));
    assert!(drain.as_mut().now_or_never().is_none());
    assert_eq!(used.try_write(REQUEST).unwrap(), REQUEST.len());
    assert_eq!(fresh.try_write(REQUEST).unwrap(), REQUEST.len());

    let answers = async {
        assert_eq!(read_answer(&mut used).await, (StatusCode::OK, true));
        assert_eq!(read_answer(&mut fresh).await, (StatusCode::OK, true));
        assert!(is_closed(&mut used).await && is_closed(&mut fresh).await);
    };
    let (drained, ()) = tokio::join!(drain, answers);
    assert_eq!(drained.cut, 0);
}

/// R215: whoever the kernel has let in when the drain begins is answered.
#[tokio::test]
async fn connections_nobody_accepted_yet_are_answered_before_the_port_closes() {
    let server = with(Limits::default());
    assert_eq!(get(server.address(), "/health").await.status, StatusCode::OK);
    let connect = |_| {
        // Nothing else runs meanwhile.
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        std::io::Write::write_all(&mut stream, REQUEST).unwrap();
        stream.set_nonblocking(true).unwrap();
        TcpStream::from_std(stream).unwrap()
    };
    let mut waiting: Vec<TcpStream> = (0..300).map(connect).collect();

    let drain = tokio::spawn(server.drain(Instant::now() + SOON));

    for stream in &mut waiting {
        assert_eq!(timeout(SOON, read_answer(stream)).await.unwrap(), (StatusCode::OK, true));
    }
    assert_eq!(drain.await.unwrap().cut, 0);
}

#[tokio::test]
async fn what_is_busy_at_the_drain_deadline_is_cut_and_counted() {
    let (server, mut busy, _finish) = with_one_in_flight().await;

    let drained = server.drain(Instant::now() + Duration::from_millis(50)).await;

    assert_eq!(drained.cut, 1);
    assert!(is_closed(&mut busy).await);
}

#[tokio::test]
async fn a_dropped_server_leaves_nothing_open() {
    let (server, mut busy, _finish) = with_one_in_flight().await;
    let address = server.address();

    drop(server);

    assert!(is_closed(&mut busy).await);
    timeout(SOON, async {
        while Bound::bind("REST", address).is_err() {
            tokio::task::yield_now().await
        }
    })
    .await
    .unwrap();
}

/// Hostile 132.
#[tokio::test]
async fn two_lengths_and_two_hosts_are_refused() {
    let server = with(Limits::default());

    for head in [
        "POST /agents/app-1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST /agents/app-1/x HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
        "POST /agents/app-1/x HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET /agents/app-1/x HTTP/1.1\r\nhost: a\r\nx-a : b\r\nconnection: close\r\n\r\n",
        "GET /agents/app-1/x HTTP/9.9\r\nhost: a\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        timeout(SOON, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(parse(&bytes).status, StatusCode::BAD_REQUEST, "{head}");
    }
    assert_eq!(get(server.address(), "/agents/app-1/x").await.status, StatusCode::OK);
}

/// The client goes on sending after the end of a chunked message that also has a length; the
/// rest must not become a request of its own under another reading.
#[tokio::test]
async fn a_message_with_both_framings_is_read_by_its_chunks_alone() {
    let server = Front::ready().start(|call| async move {
        let length = call.head.headers.contains_key("content-length");
        Ok(says(format!("{} length={length} {:?}", call.head.uri.path(), call.body)))
    });
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream
        .write_all(
            b"POST /agents/app-1/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\
              content-length: 60\r\nconnection: close\r\n\r\n2\r\nab\r\n0\r\n\r\n\
              GET /agents/app-1/smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
        )
        .await
        .unwrap();
    let mut bytes = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut bytes)).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("smuggled"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
}

/// Hostile 134: an answer whose client opens no window for it, so that writing never blocks, ends with the connection once
/// nothing else is on it; one that is read goes on.
#[tokio::test]
async fn an_answer_nobody_makes_room_for_ends_and_one_that_is_read_goes_on() {
    let felt = Arc::new(Notify::new());
    let feels = Arc::clone(&felt);
    let mut front = Front::ready();
    front.limits = Limits { write_stall: Duration::from_millis(200), ..short(100, 60_000) };
    let server = front.start(move |call| {
        let feels = Arc::clone(&feels);
        async move {
            let is_stalled = call.head.uri.path().ends_with("/stalled");
            let (chunks, receiver) = mpsc::channel(1);
            tokio::spawn(async move {
                while chunks.send(Ok(Bytes::from(vec![b'x'; 1 << 16]))).await.is_ok() {}
                if is_stalled {
                    feels.notify_one();
                }
            });
            Ok(http::Response::new(ReplyBody::Streamed(receiver.into())))
        }
    });
    let read = http2_answer(server.address(), "/agents/app-1/read", 1 << 20).await;
    let stalled = http2_answer(server.address(), "/agents/app-1/stalled", 0).await;

    let mut reading = read.into_body();
    let felt = timeout(SOON, async {
        tokio::select! {
            () = felt.notified() => {}
            () = async { while reading.frame().await.unwrap().is_ok() {} } => panic!("the answer that is read broke off"),
        }
    });
    felt.await.unwrap();
    assert!(reading.frame().await.unwrap().is_ok());
    drop(stalled);
}

/// The head of an answer over HTTP/2, for a client with room for so many bytes of it.
async fn http2_answer(address: std::net::SocketAddr, path: &str, window: u32) -> http::Response<hyper::body::Incoming> {
    let stream = hyper_util::rt::TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut client = hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
    let (mut sender, connection) =
        client.initial_stream_window_size(window).handshake::<_, http_body_util::Empty<Bytes>>(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("http://a.example{path}")).body(http_body_util::Empty::new()).unwrap();
    let answer = timeout(SOON, sender.send_request(request)).await.unwrap().unwrap();
    // The connection lives as long as somebody may send on it.
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(sender);
    });
    answer
}
