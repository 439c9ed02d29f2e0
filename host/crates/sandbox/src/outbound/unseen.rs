//! Connections nobody looks into: the agent speaks TLS with the host itself.
//!
//! Only where rules grant a host whatever is said to it. Host and port are judged as those of a request, its addresses
//! as well, and the limits of one request hold for the connection. What is said there is on nobody's record.

use std::sync::Arc;
use std::time::Duration;

use par_policy::outbound::{OutboundLimits, OutboundTarget};
use par_policy::{AuditEvent, Capability, Denial, DenialCode, Granted, LimitKey};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::connect::NotConnected;
use super::failure::Failure;
use super::{Outbound, Whose};
use crate::audit::{AuditRecord, AuditSink};
use crate::flight::Flight;

/// A connection that was granted and is open.
#[derive(Debug)]
pub struct Unseen {
    /// To the host.
    pub stream: TcpStream,
    /// What is on the record when it ends, and what it is held to.
    pub record: UnseenRecord,
}

/// The one record of a connection, written when it is dropped.
#[derive(Debug)]
pub struct UnseenRecord {
    audit: Arc<dyn AuditSink>,
    record: AuditRecord,
    began: Instant,
    limits: OutboundLimits,
    _place: Option<OwnedSemaphorePermit>,
    /// Held until the record is written.
    _open: Option<OwnedSemaphorePermit>,
}

impl Outbound {
    /// Whether a connection to this host and port by TLS may be left to the agent: a rule grants all of it, no rule
    /// wants to see a path or a method, and no secret is for the host.
    #[must_use]
    pub fn leaves_unseen(&self, host: &str, port: u16) -> bool {
        target(host, port).is_some_and(|target| self.unseen(&target).is_some())
    }

    fn unseen(&self, target: &OutboundTarget) -> Option<AuditEvent> {
        let mut bound = self.grants.secrets().iter().flat_map(|(_, granted)| &granted.value.hosts);
        let rule = self.grants.outbound().judge_unseen(target).filter(|_| !bound.any(|rule| rule.reaches(target)))?;
        let Granted { origin, rule, .. } = rule;
        let place = format!("CONNECT {}://{}", target.scheme(), target.authority());
        let granted = Granted { value: (), origin: *origin, rule: rule.clone() };
        Some(AuditEvent::allowed(Capability::Outbound, place, &granted))
    }

    /// Opens such a connection. Every address of the host is judged first.
    ///
    /// # Errors
    /// [`Failure`], which is on the record where a rule or a limit is its reason.
    pub async fn open_unseen(
        &self,
        host: &str,
        port: u16,
        flight: Option<&Flight>,
        packages: Vec<String>,
    ) -> Result<Unseen, Failure> {
        let whose = Whose::of(flight, packages);
        let event = target(host, port).and_then(|target| self.unseen(&target));
        let event = event.ok_or_else(|| Failure::not_http(format!("`{host}` may not be spoken to unseen")))?;
        let denied = |denial: Denial| self.deny(event.target.clone(), &denial, &whose);
        self.count(flight).map_err(denied)?;
        let place = Arc::clone(&self.running).acquire_owned().await.ok();
        let deadline = Instant::now() + self.limits().connect_timeout;
        let stream = match self.connector.open(host, port, deadline).await {
            Ok(stream) => stream,
            Err(NotConnected::Denied(denial)) => return Err(denied(denial)),
            Err(NotConnected::Failed(failure)) => {
                self.audit.record(whose.record(event));
                return Err(failure);
            }
        };
        let record = UnseenRecord {
            audit: Arc::clone(&self.audit),
            record: whose.record(event),
            began: Instant::now(),
            limits: self.limits(),
            _place: place,
            _open: Arc::clone(&self.unrecorded).try_acquire_owned().ok(),
        };
        Ok(Unseen { stream, record })
    }
}

fn target(host: &str, port: u16) -> Option<OutboundTarget> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    OutboundTarget::parse("GET", &format!("https://{host}:{port}/")).ok()
}

impl UnseenRecord {
    /// When the connection has to be over, however much it has to say.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.began + self.limits.total_timeout
    }

    /// How long nothing may be said.
    #[must_use]
    pub const fn idle_timeout(&self) -> Duration {
        self.limits.idle_timeout
    }

    /// Bytes went to the host.
    ///
    /// # Errors
    /// [`Failure`] beyond the limit of a request.
    pub fn sent(&mut self, bytes: usize) -> Result<(), Failure> {
        self.record.sent_bytes += bytes as u64;
        if self.record.sent_bytes <= self.limits.request_bytes {
            return Ok(());
        }
        let sentence = format!("more than {} bytes were sent over one connection", self.limits.request_bytes);
        Err(self.ended(&Denial::new(DenialCode::OutboundRequestTooLarge, sentence)))
    }

    /// Bytes came from the host.
    ///
    /// # Errors
    /// [`Failure`] beyond the limit of a response.
    pub fn received(&mut self, bytes: usize) -> Result<(), Failure> {
        self.record.received_bytes += bytes as u64;
        if self.record.received_bytes <= self.limits.response_bytes {
            return Ok(());
        }
        let sentence = format!("more than {} bytes were received over one connection", self.limits.response_bytes);
        Err(self.ended(&Denial::new(DenialCode::OutboundResponseTooLarge, sentence)))
    }

    /// It took too long.
    pub fn late(&mut self) -> Failure {
        let sentence = format!("the connection was open for more than {} s", self.limits.total_timeout.as_secs_f32());
        self.ended(&Denial::by_limit(DenialCode::OutboundTimeout, sentence, LimitKey::OUTBOUND_TIMEOUT))
    }

    /// A limit makes a denial of what was allowed.
    fn ended(&mut self, denial: &Denial) -> Failure {
        self.record.event = AuditEvent::denied(Capability::Outbound, self.record.event.target.clone(), denial);
        Failure::denied(denial)
    }
}

impl Drop for UnseenRecord {
    fn drop(&mut self) {
        self.record.duration = self.began.elapsed();
        self.audit.record(self.record.clone());
    }
}
