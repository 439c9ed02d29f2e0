//! The task of one exchange: sends the request, hands on the response, and says at its end what
//! happened.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError};
use par_policy::outbound::OutboundLimits;
use par_policy::{AuditEvent, Capability, Denial, DenialCode, LimitKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::body::{Progress, Pushes, SentBody};
use super::connect::{Connector, NotConnected};
use super::exchange::{Answer, Exchange};
use super::failure::Failure;
use super::headers;
use super::scrub::Scrubber;
use crate::audit::{AuditRecord, AuditSink};

/// Chunks of a response the host holds for a slow guest; then the server waits.
const CHUNKS_IN_FLIGHT: usize = 4;

/// A body of a known size up to this travels with its head, if it comes in time. Unit: bytes.
const WHOLE_BYTES: u64 = 64 * 1024;

/// How long a head waits for the rest of such a body: about as long as crossing into the guest
/// once more would take.
const WHOLE_PATIENCE: Duration = Duration::from_millis(1);

/// A request that was let out, and all it takes to send it.
pub(super) struct Sending {
    pub(super) request: Request<SentBody>,
    pub(super) pushes: Option<Pushes>,
    /// What goes on the record when it has been made.
    pub(super) allowed: AuditRecord,
    pub(super) host: String,
    pub(super) target: String,
    pub(super) scrubber: Scrubber,
    pub(super) limits: OutboundLimits,
    pub(super) client: Client<Connector, SentBody>,
    pub(super) running: Arc<Semaphore>,
    pub(super) audit: Arc<dyn AuditSink>,
    /// Its place among those that are not on the record yet.
    pub(super) open: Option<OwnedSemaphorePermit>,
}

/// Why an exchange ended before its response did.
enum Ended {
    /// A rule or a limit ended it: on the record as a denial.
    Denied(Denial),
    Failed(Failure),
}

impl Ended {
    fn failure(&self) -> Failure {
        match self {
            Self::Denied(denial) => Failure::denied(denial),
            Self::Failed(failure) => failure.clone(),
        }
    }
}

impl Sending {
    /// Starts the task.
    pub(super) fn start(self) -> Exchange {
        let (answer_sender, answer) = oneshot::channel();
        let (chunk_sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let Self { request, pushes, allowed, host, target, scrubber, limits, client, running, audit, open } = self;
        let mut record = Record {
            audit,
            target,
            progress: Arc::clone(&request.body().progress),
            began: Instant::now(),
            record: Some(allowed),
        };
        let task = tokio::spawn(async move {
            // Given back when the exchange is on the record, however it ends.
            let _open = open;
            let deadline = Instant::now() + limits.total_timeout;
            let mut answer = Some(answer_sender);
            let mut run = Run { limits, deadline, host, scrubber, record: &mut record };
            let outcome = timeout_at(deadline, run.run(client, request, &running, &mut answer, &chunk_sender)).await;
            let Err(ended) = outcome.unwrap_or_else(|_| Err(late_at_all(limits))) else { return };
            record.end(&ended);
            drop(record);
            match answer {
                Some(answer) => drop(answer.send(Err(ended.failure()))),
                None => drop(chunk_sender.send(Err(ended.failure())).await),
            }
        });
        Exchange::new(answer, chunks, pushes, task.abort_handle())
    }
}

struct Run<'a> {
    limits: OutboundLimits,
    deadline: Instant,
    host: String,
    scrubber: Scrubber,
    record: &'a mut Record,
}

type AnswerSender = oneshot::Sender<Result<Answer, Failure>>;
type ChunkSender = mpsc::Sender<Result<Bytes, Failure>>;

impl Run<'_> {
    async fn run(
        &mut self,
        client: Client<Connector, SentBody>,
        request: Request<SentBody>,
        running: &Semaphore,
        answer: &mut Option<AnswerSender>,
        chunks: &ChunkSender,
    ) -> Result<(), Ended> {
        let Ok(_place) = running.acquire().await else { return Err(Ended::Failed(Failure::cancelled())) };
        let response = self.head(client, request).await?;
        let (head, mut body) = response.into_parts();
        self.record.status(head.status.as_u16());
        let length = body.size_hint().exact();
        if length.is_some_and(|length| length > self.limits.response_bytes) {
            return Err(Ended::Denied(self.too_large()));
        }
        let mut held = BytesMut::new();
        let complete = match length {
            Some(length) if length <= WHOLE_BYTES => self.whole(&mut body, &mut held).await?,
            _ => false,
        };
        let headers = headers::response(&head.headers, &mut self.scrubber);
        self.record.reflected(&mut self.scrubber);
        let held = held.freeze();
        let (whole, first) = if complete { (Some(held), Bytes::new()) } else { (None, held) };
        if complete {
            self.record.write();
        }
        let Some(answer) = answer.take() else { return Ok(()) };
        if answer.send(Ok(Answer { status: head.status, headers, body: whole })).is_err() || complete {
            return Ok(());
        }
        if !first.is_empty() && chunks.send(Ok(first)).await.is_err() {
            return Ok(());
        }
        while let Some(chunk) = self.chunk(&mut body).await? {
            if chunks.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
        }
        self.record.write();
        let _ = chunks.send(Ok(Bytes::new())).await;
        Ok(())
    }

    /// Waits for the head of the response, as long as something moves.
    async fn head(
        &mut self,
        client: Client<Connector, SentBody>,
        request: Request<SentBody>,
    ) -> Result<Response<Incoming>, Ended> {
        let progress = Arc::clone(&request.body().progress);
        let mut answered = pin!(client.request(request));
        loop {
            let idle = Instant::now() + self.limits.idle_timeout;
            tokio::select! {
                biased;
                response = &mut answered => return response.map_err(|error| self.not_answered(&error)),
                () = progress.moved.notified() => {}
                () = sleep_until(idle) => return Err(silent(self.limits)),
            }
        }
    }

    /// Collects a small body while it comes at once; true when that was all of it.
    async fn whole(&mut self, body: &mut Incoming, held: &mut BytesMut) -> Result<bool, Ended> {
        let patience = Instant::now() + WHOLE_PATIENCE;
        loop {
            let chunk = match self.chunk(body).now_or_never() {
                Some(chunk) => chunk?,
                None => match timeout_at(patience, self.chunk(body)).await {
                    Ok(chunk) => chunk?,
                    Err(_) => return Ok(false),
                },
            };
            match chunk {
                Some(chunk) => held.extend_from_slice(&chunk),
                None => return Ok(true),
            }
        }
    }

    /// The next bytes of the body without the values of secrets, `None` at its end.
    async fn chunk(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Ended> {
        loop {
            let chunk = match self.received(body).await? {
                Some(chunk) => self.scrubber.pass(chunk),
                None => return Ok(Some(self.scrubber.end()).filter(|rest| !rest.is_empty())),
            };
            self.record.reflected(&mut self.scrubber);
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }

    /// The next bytes of the body, `None` at its end.
    async fn received(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Ended> {
        loop {
            let idle = Instant::now() + self.limits.idle_timeout;
            let late = |_| if self.deadline < idle { late_at_all(self.limits) } else { silent(self.limits) };
            let frame = timeout_at(idle.min(self.deadline), body.frame()).await;
            let Some(frame) = frame.map_err(late)? else { return Ok(None) };
            let frame = frame.map_err(|error| {
                tracing::debug!(host = self.host, %error, "Outbound response broke off");
                Ended::Failed(Failure::protocol("the response ended before it was complete"))
            })?;
            // Trailers are of no interest to any client.
            let Ok(chunk) = frame.into_data() else { continue };
            if self.record.received(chunk.len()) > self.limits.response_bytes {
                return Err(Ended::Denied(self.too_large()));
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }

    fn too_large(&self) -> Denial {
        let sentence = format!("the response of `{}` is larger than {} bytes", self.host, self.limits.response_bytes);
        Denial::new(DenialCode::OutboundResponseTooLarge, sentence)
    }

    /// Why there is no response: what the connector said, or that HTTP was not spoken.
    fn not_answered(&self, error: &ClientError) -> Ended {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(cause) = source {
            match cause.downcast_ref() {
                Some(NotConnected::Denied(denial)) => return Ended::Denied(denial.clone()),
                Some(NotConnected::Failed(failure)) => return Ended::Failed(failure.clone()),
                None => source = cause.source(),
            }
        }
        tracing::debug!(host = self.host, error = ?error, "Outbound request not answered");
        Ended::Failed(Failure::protocol(format!("`{}` did not answer with HTTP", self.host)))
    }
}

/// Nothing arrived for too long.
fn silent(limits: OutboundLimits) -> Ended {
    late(limits.idle_timeout, LimitKey::OUTBOUND_IDLE_TIMEOUT)
}

/// The whole took too long.
fn late_at_all(limits: OutboundLimits) -> Ended {
    late(limits.total_timeout, LimitKey::OUTBOUND_TIMEOUT)
}

fn late(limit: Duration, key: LimitKey) -> Ended {
    let sentence = format!("the response did not come within {} s", limit.as_secs_f32());
    Ended::Denied(Denial::by_limit(DenialCode::OutboundTimeout, sentence, key))
}

/// Writes the one record of an exchange when it ends, however it does: by its last byte, by a
/// failure, abandoned, or lost with its instance.
struct Record {
    audit: Arc<dyn AuditSink>,
    target: String,
    progress: Arc<Progress>,
    began: Instant,
    record: Option<AuditRecord>,
}

impl Record {
    fn status(&mut self, status: u16) {
        if let Some(record) = &mut self.record {
            record.status = Some(status);
        }
    }

    fn received(&mut self, bytes: usize) -> u64 {
        self.record.as_mut().map_or(0, |record| {
            record.received_bytes += bytes as u64;
            record.received_bytes
        })
    }

    /// Secrets the response held are on the record.
    fn reflected(&mut self, scrubber: &mut Scrubber) {
        let Some(record) = &self.record else { return };
        for name in scrubber.newly_found() {
            let denial = Denial::new(DenialCode::SecretReflected, "the response holds the secret");
            let event = AuditEvent::denied(Capability::Secrets, format!("{name} in {}", self.target), &denial);
            let AuditRecord { request_id, packages, .. } = record.clone();
            self.audit.record(AuditRecord { packages, ..AuditRecord::at_once(event, request_id) });
        }
    }

    /// A limit or an address makes a denial of what was allowed.
    fn end(&mut self, ended: &Ended) {
        if let (Ended::Denied(denial), Some(record)) = (ended, &mut self.record) {
            record.event = AuditEvent::denied(Capability::Outbound, self.target.as_str(), denial);
        }
    }

    /// Writes it down, once: before the guest learns that the exchange is over, so that what it does next
    /// is recorded next.
    fn write(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.sent_bytes = self.progress.sent();
            record.duration = self.began.elapsed();
            self.audit.record(record);
        }
    }
}

impl Drop for Record {
    /// An exchange that was abandoned is on the record too.
    fn drop(&mut self) {
        self.write();
    }
}
