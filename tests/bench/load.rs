//! The load: requests over kept-alive connections, from a thread on cores of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Outcome;
use crate::figures::median;
use crate::servers::pin_this_thread;

type Connection = SendRequest<Full<Bytes>>;

/// One request, asked again and again.
#[derive(Clone)]
pub(crate) struct Question {
    method: Method,
    path: &'static str,
    body: Bytes,
}

impl Question {
    pub(crate) fn get(path: &'static str) -> Self {
        Self { method: Method::GET, path, body: Bytes::new() }
    }

    pub(crate) fn post(path: &'static str, json: &'static str) -> Self {
        Self { method: Method::POST, path, body: Bytes::from_static(json.as_bytes()) }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request =
            Request::builder().method(self.method.clone()).uri(self.path).header(header::HOST, "localhost");
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(self.body.clone()))
    }
}

/// Answers that came, and the time they took together.
pub(crate) struct Count {
    pub(crate) answers: f64,
    pub(crate) seconds: f64,
}

/// Keeps `connections` busy for `time` and counts the answers. Any answer but 200 is an error.
pub(crate) fn count(
    cores: &[usize],
    address: SocketAddr,
    connections: usize,
    question: &Question,
    time: Duration,
) -> Outcome<Count> {
    on_cores(cores, async {
        let connections = try_join_all((0..connections).map(|_| connect(address))).await?;
        let start = Instant::now();
        let counts = try_join_all(connections.into_iter().map(|mut connection| async move {
            let mut count = 0_u32;
            while start.elapsed() < time {
                ask(&mut connection, question).await?;
                count += 1;
            }
            Ok::<_, Box<dyn std::error::Error>>(count)
        }))
        .await?;
        Ok(Count { answers: counts.into_iter().map(f64::from).sum(), seconds: start.elapsed().as_secs_f64() })
    })
}

/// The median time of an answer in seconds, one question after the other.
pub(crate) fn latency(core: usize, address: SocketAddr, question: &Question, questions: usize) -> Outcome<f64> {
    on_cores(&[core], async {
        let mut connection = connect(address).await?;
        let mut times = Vec::with_capacity(questions);
        for _ in 0..questions {
            let start = Instant::now();
            ask(&mut connection, question).await?;
            times.push(start.elapsed().as_secs_f64());
        }
        Ok(median(times))
    })
}

/// The status of one answer, on a connection of its own.
pub(crate) fn status(address: SocketAddr, path: &'static str) -> Outcome<StatusCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = connect(address).await?;
        Ok(connection.send_request(Question::get(path).request()?).await?.status())
    })
}

/// Runs on this thread, which is on `cores` from then on; what it starts later is not.
fn on_cores<T>(cores: &[usize], work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let _pinned = pin_this_thread(cores)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

async fn connect(address: SocketAddr) -> Outcome<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (connection, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(connection)
}

async fn ask(connection: &mut Connection, question: &Question) -> Outcome<()> {
    connection.ready().await?;
    let answer = connection.send_request(question.request()?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status == StatusCode::OK && !body.is_empty() {
        return Ok(());
    }
    Err(format!("`{} {}` was answered with {status}: {body:?}", question.method, question.path).into())
}
