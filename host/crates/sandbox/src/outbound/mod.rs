//! Outbound HTTP: the one way out of an agent, whichever backend runs it.
//!
//! A request passes [`Outbound::begin`], which judges it before anything else
//! happens, and then runs as a task of its own ([`send`]) that whoever asked drives through an
//! [`Exchange`]. Connections are made in [`connect`] and nowhere else, and kept for the agent,
//! each for its scheme, host and port. Each exchange that was let out, each denial and each
//! secret that was asked for is on the record once.

mod body;
mod connect;
mod exchange;
mod failure;
mod headers;
mod resolve;
mod roots;
mod scrub;
mod secrets;
mod send;
#[cfg(test)]
mod tests;
mod unseen;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use par_policy::outbound::{OutboundLimits, OutboundTarget};
use par_policy::secret::SecretValues;
use par_policy::{AuditEvent, Capability, Denial, DenialCode, Grants, LimitKey, Mode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use resolve::{Resolve, SystemResolver};
pub use roots::Roots;

pub use exchange::{Answer, Exchange};
pub use failure::{Failure, Reason};
pub use unseen::{Unseen, UnseenRecord};

use crate::audit::{AuditRecord, AuditSink};
use crate::flight::Flight;
use crate::trace::{RequestName, TraceParent};
use body::SentBody;
use connect::Connector;
use roots::Tls;
use secrets::Revealed;
use send::Sending;

/// How long a connection nobody uses is kept, and how many of them for one host.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS: usize = 32;

/// Longest head of a response. Unit: bytes.
const RESPONSE_HEAD_BYTES: usize = 256 * 1024;
const RESPONSE_HEADER_LIST_BYTES: u32 = 256 * 1024;

/// What outbound requests are made with, beside the grants.
#[derive(Debug, Clone)]
pub struct OutboundSetup {
    /// How names become addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Whose certificates are trusted.
    pub roots: Roots,
    /// The values of the secrets that were granted.
    pub secrets: SecretValues,
}

impl Default for OutboundSetup {
    /// The system's resolver, the platform's authorities, and no secrets.
    fn default() -> Self {
        Self { resolver: Arc::new(SystemResolver), roots: Roots::Platform, secrets: SecretValues::default() }
    }
}

/// What an agent asks for, as it crossed the boundary.
#[derive(Debug)]
pub struct Asked {
    /// Method, URL, and the headers, with zero bytes between them.
    pub head: Vec<u8>,
    /// Its body.
    pub body: AskedBody,
    /// Who asks, as far as the guest can tell: for the record.
    pub packages: Vec<String>,
}

/// The body of a request of an agent.
#[derive(Debug)]
pub enum AskedBody {
    /// All of it.
    Complete(Bytes),
    /// It follows, by [`Exchange::push`].
    Pushed {
        /// How long it is, where that was said. Unit: bytes.
        length: Option<u64>,
    },
}

/// On whose behalf a request is made.
#[derive(Debug)]
struct Whose {
    request_id: Option<RequestName>,
    /// What it is in the trace of that request, where that is recorded.
    span: Option<TraceParent>,
    packages: Vec<String>,
}

impl Whose {
    fn of(flight: Option<&Flight>, packages: Vec<String>) -> Self {
        let request_id = flight.map(Flight::request_name);
        let span = request_id.as_ref().and_then(RequestName::recorded_span).map(TraceParent::next);
        Self { request_id, span, packages }
    }

    fn record(&self, event: AuditEvent) -> AuditRecord {
        let record = AuditRecord::at_once(event, self.request_id.clone());
        AuditRecord { span: self.span, packages: self.packages.clone(), ..record }
    }
}

/// The way out for one agent, shared by its instances.
#[derive(Debug)]
pub struct Outbound {
    grants: Grants,
    secrets: SecretValues,
    audit: Arc<dyn AuditSink>,
    connector: Connector,
    client: Client<Connector, SentBody>,
    running: Arc<Semaphore>,
    /// One permit is out for each exchange that is not on the record yet.
    unrecorded: Arc<Semaphore>,
}

/// Exchanges of one instance that may wait for their turn: with the default, 1024 may be open.
const WAITING: usize = 960;

/// More exchanges than there can be at once.
const EXCHANGES: u32 = 1 << 24;

/// How long the end of an agent waits for its last exchanges to be written down.
const LAST_RECORDS: Duration = Duration::from_secs(1);

impl Outbound {
    /// The way out for an agent with these grants.
    #[must_use]
    pub fn new(grants: &Grants, setup: OutboundSetup, audit: Arc<dyn AuditSink>) -> Self {
        let OutboundSetup { resolver, roots, secrets } = setup;
        let limits = grants.limits().outbound;
        let connector = Connector {
            rules: Arc::new(grants.outbound().clone()),
            resolver,
            tls: Arc::new(Tls::new(roots)),
            timeout: limits.connect_timeout,
        };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(RESPONSE_HEAD_BYTES)
            .http2_max_header_list_size(RESPONSE_HEADER_LIST_BYTES)
            .build(connector.clone());
        let running = usize::try_from(limits.concurrent_requests).unwrap_or(Semaphore::MAX_PERMITS);
        let running = Arc::new(Semaphore::new(running.min(Semaphore::MAX_PERMITS)));
        let unrecorded = Arc::new(Semaphore::new(EXCHANGES as usize));
        Self { grants: grants.clone(), secrets, audit, connector, client, running, unrecorded }
    }

    fn limits(&self) -> OutboundLimits {
        self.grants.limits().outbound
    }

    /// Waits until every exchange is on the record. Those of instances that have ended were abandoned, so they end.
    pub async fn recorded(&self) {
        if timeout(LAST_RECORDS, self.unrecorded.acquire_many(EXCHANGES)).await.is_err() {
            tracing::warn!("outbound requests of the agent were still open when it ended");
        }
    }

    /// Judges a request and lets it out. What is denied has happened to nobody but the record.
    #[must_use]
    pub fn begin(&self, asked: Asked, flight: Option<&Flight>) -> Exchange {
        let whose = Whose::of(flight, asked.packages);
        match self.admit(&asked.head, asked.body, flight, &whose) {
            Ok(sending) => sending.start(),
            Err(failure) => Exchange::failed(failure),
        }
    }

    fn admit(&self, head: &[u8], asked: AskedBody, flight: Option<&Flight>, whose: &Whose) -> Result<Sending, Failure> {
        let mut values = head.split(|byte| *byte == 0);
        let mut text = || std::str::from_utf8(values.next().unwrap_or_default()).unwrap_or("\u{fffd}");
        let (method, url) = (text(), text());
        let target = OutboundTarget::parse(method, url).map_err(|denial| self.deny("a request", &denial, whose))?;
        let denied = |denial: Denial| self.deny(target.to_string(), &denial, whose);

        let granted = self.judge(&target).map_err(denied)?;
        let mut headers = headers::request(values).map_err(denied)?;
        self.count(flight).map_err(denied)?;
        if let Some(request) = &whose.request_id {
            request.pass_on(whose.span.as_ref(), &mut headers);
        }
        let (body, pushes) = body::sent(asked, self.limits().request_bytes).map_err(denied)?;
        let uri: http::Uri = target.url().as_str().parse().map_err(|_| {
            denied(Denial::new(DenialCode::InvalidUrl, "the URL of the request has a character no request can hold"))
        })?;

        if body.is_empty() && ["POST", "PUT", "PATCH"].contains(&target.method().as_str()) {
            // A server may insist on the length of a body that these methods should have.
            headers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("0"));
        }
        let Revealed { events, scrubber } =
            secrets::reveal(&mut headers, &target, self.grants.secrets(), &self.secrets);
        for event in events {
            self.audit.record(whose.record(event));
        }
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::from_bytes(target.method().as_str().as_bytes())
            .map_err(|_| Failure::protocol("the method of the request is not one"))?;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(Sending {
            request,
            pushes,
            allowed: whose.record(granted),
            host: target.host().to_string(),
            target: target.to_string(),
            scrubber,
            limits: self.limits(),
            client: self.client.clone(),
            running: Arc::clone(&self.running),
            audit: Arc::clone(&self.audit),
            open: Arc::clone(&self.unrecorded).try_acquire_owned().ok(),
        })
    }

    /// The event to write down when the request has been made: a rule grants it, or the policy
    /// only observes.
    fn judge(&self, target: &OutboundTarget) -> Result<AuditEvent, Denial> {
        match self.grants.outbound().judge(target) {
            Ok(granted) => Ok(AuditEvent::allowed(Capability::Outbound, target.to_string(), granted)),
            Err(denial) if self.grants.mode() == Mode::Observe && denial.code().may_be_observed() => {
                Ok(AuditEvent::observed(Capability::Outbound, target.to_string(), &denial))
            }
            Err(denial) => Err(denial),
        }
    }

    /// Counts the request against those its call may make.
    fn count(&self, flight: Option<&Flight>) -> Result<(), Denial> {
        let most = self.limits().requests_per_request;
        match flight {
            Some(flight) if flight.count_outbound() > most => {
                let sentence = format!("one request to the agent makes at most {most} outbound requests");
                Err(Denial::new(DenialCode::OutboundRequestsExhausted, sentence))
            }
            _ => Ok(()),
        }
    }

    fn deny(&self, target: impl Into<String>, denial: &Denial, whose: &Whose) -> Failure {
        self.audit.record(whose.record(AuditEvent::denied(Capability::Outbound, target, denial)));
        Failure::denied(denial)
    }

    /// How many exchanges an instance, or a process, may have open: as many as may be made at a time, and some
    /// that wait for their turn.
    #[must_use]
    pub fn most_open(&self) -> usize {
        WAITING.saturating_add(usize::try_from(self.limits().concurrent_requests).unwrap_or(usize::MAX))
    }

    /// It has more open than that.
    #[must_use]
    pub fn too_many(&self, flight: Option<&Flight>) -> Exchange {
        let sentence = format!("an instance has at most {} outbound requests open", self.most_open());
        let denial = Denial::by_limit(DenialCode::OutboundBusy, sentence, LimitKey::OUTBOUND_CONCURRENT_REQUESTS);
        let whose = Whose::of(flight, Vec::new());
        Exchange::failed(self.deny("a request", &denial, &whose))
    }
}
