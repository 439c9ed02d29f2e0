//! The task that sends one signal: batches, attempts, and what became of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::{Certificate, Client, redirect, retry};
use tokio::time::sleep;

use super::queue::Queue;
use super::resource::Resource;
use super::{Destination, Signal};
use crate::telemetry::{chain, events};

/// How often one batch is sent at most, and the pauses between, each twice the one before.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How much of an answer is read. Unit: bytes.
const MOST_ANSWER: usize = 64 << 10;

/// What is sent: spans, or log records.
pub(super) trait Sent: Sized + Send + 'static {
    /// A batch as the message of the protocol.
    fn message(batch: Vec<Self>, resource: &Resource) -> Vec<u8>;

    /// How many of the batch the collector did not want, by its answer.
    fn refused(answer: &[u8]) -> u64;
}

/// Why a batch was not taken.
enum Failed {
    /// It may be taken later, and then at the earliest.
    Passing(String, Option<Duration>),
    /// It never will be.
    Final(String),
}

/// Starts the task.
pub(super) fn start<T: Sent>(to: Destination, certificate: Option<PathBuf>, resource: &Arc<Resource>) -> Signal<T> {
    let queue = Arc::new(Queue::new());
    let sending =
        Sending { queue: Arc::clone(&queue), to, certificate, resource: Arc::clone(resource), is_down: false };
    Signal { queue, task: tokio::spawn(sending.run()) }
}

struct Sending<T> {
    queue: Arc<Queue<T>>,
    to: Destination,
    certificate: Option<PathBuf>,
    resource: Arc<Resource>,
    is_down: bool,
}

impl<T: Sent> Sending<T> {
    async fn run(mut self) {
        let mut client = None;
        while let Some(batch) = self.queue.batch().await {
            let message = Bytes::from(T::message(batch, &self.resource));
            let ready = match client.take() {
                Some(client) => Ok(client),
                // Reading the certificates of the system takes a while.
                None => {
                    let (encrypted, certificate) = (self.to.url.expose().scheme() == "https", self.certificate.clone());
                    let built = tokio::task::spawn_blocking(move || build(encrypted, certificate)).await;
                    built.unwrap_or_else(|error| Err(error.to_string()))
                }
            };
            match ready {
                Ok(ready) => {
                    self.deliver(&ready, message).await;
                    client = Some(ready);
                }
                Err(error) => self.lost(&error),
            }
        }
        self.queue.end();
    }

    /// Sends one batch, several times if it has to be.
    async fn deliver(&mut self, client: &Client, message: Bytes) {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            let error = match self.send(client, message.clone()).await {
                Ok(answer) => {
                    self.queue.delivered(T::refused(&answer));
                    if std::mem::take(&mut self.is_down) {
                        tracing::info!(url = %self.to.url, "{}", events::TELEMETRY_DELIVERED_AGAIN);
                    }
                    return;
                }
                Err(Failed::Final(error)) => {
                    self.queue.refused();
                    self.say(&error);
                    return;
                }
                Err(Failed::Passing(error, _)) if attempt == ATTEMPTS || self.queue.is_closed() => error,
                Err(Failed::Passing(error, later)) => {
                    self.say(&error);
                    let wait = later.unwrap_or(pause).min(LONGEST_PAUSE);
                    // The last attempt is made at once when the process is about to exit.
                    tokio::select! {
                        () = sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
                        () = self.queue.closing() => {}
                    }
                    pause *= 2;
                    continue;
                }
            };
            self.lost(&error);
            return;
        }
    }

    async fn send(&self, client: &Client, message: Bytes) -> Result<Vec<u8>, Failed> {
        let request = client
            .post(self.to.url.expose().clone())
            .headers(self.to.headers.expose().clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))
            .timeout(self.to.timeout)
            .body(message);
        let passing = |error: reqwest::Error| Failed::Passing(chain(&error.without_url()), None);
        let mut response = request.send().await.map_err(passing)?;
        let status = response.status();
        if status.is_success() {
            let mut answer = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(passing)? {
                if answer.len() + chunk.len() > MOST_ANSWER {
                    break;
                }
                answer.extend_from_slice(&chunk);
            }
            return Ok(answer);
        }
        let error = format!("status {}", status.as_u16());
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Failed::Passing(error, retry_after(response.headers()))),
            _ => Err(Failed::Final(error)),
        }
    }

    fn lost(&mut self, error: &str) {
        self.queue.not_delivered();
        self.say(error);
    }

    /// Said once, until something is delivered again.
    fn say(&mut self, error: &str) {
        if !std::mem::replace(&mut self.is_down, true) {
            tracing::warn!(url = %self.to.url, error, "{}", events::TELEMETRY_NOT_DELIVERED);
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// A client that follows nobody elsewhere: what is sent is for one host.
#[expect(clippy::disallowed_methods, reason = "the client of collectors, with its limits")]
fn build(encrypted: bool, certificate: Option<PathBuf>) -> Result<Client, String> {
    let mut builder = Client::builder()
        .user_agent(concat!("par/", env!("CARGO_PKG_VERSION")))
        .referer(false)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never());
    match certificate {
        _ if !encrypted => builder = builder.tls_certs_only([]),
        Some(path) => {
            let bundle = fs_err::read(path).map_err(|error| error.to_string())?;
            let certificates = Certificate::from_pem_bundle(&bundle).map_err(|error| chain(&error))?;
            builder = builder.tls_certs_only(certificates);
        }
        None => {}
    }
    builder.build().map_err(|error| chain(&error))
}
