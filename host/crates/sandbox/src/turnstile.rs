//! How many requests are served at a time, and how many may wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use par_policy::{AuditEvent, DenialCode, Limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use crate::audit::{AuditRecord, AuditSink};
use crate::call::CallError;
use crate::trace::RequestName;

/// A place among the requests that are served. Dropping it lets the next one in.
pub(crate) type Place = Arc<OwnedSemaphorePermit>;

/// Lets as many requests in as may be served at a time, in the order they came.
#[derive(Debug)]
pub(crate) struct Turnstile {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    audit: Arc<dyn AuditSink>,
}

impl Turnstile {
    pub(crate) fn new(limits: &Limits, audit: Arc<dyn AuditSink>) -> Self {
        let whole = |count: u32| usize::try_from(count).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(whole(limits.concurrent_requests))),
            waiting: AtomicUsize::new(0),
            most_waiting: whole(limits.queued_requests),
            audit,
        }
    }

    /// Requests that wait for a place now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// A place, now or after waiting for one.
    ///
    /// # Errors
    /// [`CallError::Overloaded`] when too many wait already, and when `deadline` passes first:
    /// the agent never saw the request.
    pub(crate) async fn enter(&self, deadline: Instant, request_id: &RequestName) -> Result<Place, CallError> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(Arc::new(place));
        }
        let overloaded = |limit| {
            let event = AuditEvent::limit(DenialCode::Overloaded, Some(limit), "a request to the agent");
            self.audit.record(AuditRecord::at_once(event, Some(request_id.clone())));
            CallError::Overloaded
        };
        let _waiting = Waiting::join(self).ok_or_else(|| overloaded("queued_requests"))?;
        match timeout_at(deadline.into(), Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Arc::new(place)),
            Ok(Err(_)) | Err(_) => Err(overloaded("concurrent_requests")),
        }
    }
}

/// One who waits, for as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(turnstile: &'a Turnstile) -> Option<Self> {
        let most = turnstile.most_waiting;
        let joined = turnstile
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| (waiting < most).then_some(waiting + 1));
        joined.ok().map(|_| Self(&turnstile.waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
