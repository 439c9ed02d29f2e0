//! One call in flight, as caller and guest both see it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::instance::Shared;
use crate::trace::RequestName;
use crate::turnstile::Place;

/// The facts about a call that change while it runs.
#[derive(Debug)]
pub struct Flight {
    instance: Arc<Shared>,
    request: RequestName,
    /// Held for as long as somebody listens.
    place: Mutex<Option<Place>>,
    over: AtomicBool,
    over_changed: Notify,
    reply_broken: AtomicBool,
    request_broken: AtomicBool,
    outbound_requests: AtomicU32,
}

impl Flight {
    /// A call that starts now; the instance counts it until [`Flight::end`].
    pub(crate) fn start(instance: &Arc<Shared>, request: RequestName, place: Place) -> Arc<Self> {
        instance.call_starts();
        Arc::new(Self {
            instance: Arc::clone(instance),
            request,
            place: Mutex::new(Some(place)),
            over: AtomicBool::new(false),
            over_changed: Notify::new(),
            reply_broken: AtomicBool::new(false),
            request_broken: AtomicBool::new(false),
            outbound_requests: AtomicU32::new(0),
        })
    }

    /// What the log calls this call.
    #[must_use]
    pub fn request(&self) -> &RequestName {
        &self.request
    }

    /// The same, for whoever keeps it.
    pub(crate) fn request_name(&self) -> RequestName {
        self.request.clone()
    }

    /// Counts an outbound request; says how many there have been.
    pub(crate) fn count_outbound(&self) -> u32 {
        self.outbound_requests.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Nobody listens any more.
    pub fn end(&self) {
        if !self.over.swap(true, Ordering::AcqRel) {
            self.over_changed.notify_waiters();
            self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.instance.call_ends();
        }
    }

    /// Returns when nobody listens any more.
    pub async fn ended(&self) {
        let mut changed = std::pin::pin!(self.over_changed.notified());
        changed.as_mut().enable();
        if !self.over.load(Ordering::Acquire) {
            changed.await;
        }
    }

    /// The response will never be complete.
    pub(crate) fn mark_reply_broken(&self) {
        self.reply_broken.store(true, Ordering::Release);
    }

    pub(crate) fn reply_is_broken(&self) -> bool {
        self.reply_broken.load(Ordering::Acquire)
    }

    /// The client broke off in the middle of its request.
    pub(crate) fn mark_request_broken(&self) {
        self.request_broken.store(true, Ordering::Release);
    }

    pub(crate) fn request_is_broken(&self) -> bool {
        self.request_broken.load(Ordering::Acquire)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.end();
    }
}
