//! One instance of the agent: a store, the task that drives it, and the way in.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use par_policy::{AuditEvent, DenialCode, Limits};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::audit::{AuditRecord, AuditSink};
use crate::call::{ActionCall, CallError, HttpCall, HttpReply};
use crate::flight::Flight;
use crate::memory::Memory;
use crate::trace::RequestName;
use crate::turnstile::Place;

/// Calls an instance holds that its guest has not seen yet.
const QUEUE: usize = 1024;

/// How long an instance with an overdue call may take to show that it still turns.
///
/// A guest that waits answers in microseconds; one that computes answers at the latest when
/// it next returns to its event loop. One that has only a part of a core gets as much longer.
const PROBE_GRACE: Duration = Duration::from_millis(50);

/// A call on its way to the guest, and the way back.
#[derive(Debug)]
pub struct Job<C, R> {
    /// What is asked.
    pub call: C,
    /// What changes while it runs.
    pub flight: Arc<Flight>,
    /// The way back.
    pub reply: oneshot::Sender<Result<R, Lost<C>>>,
}

/// What an instance can be asked.
#[derive(Debug)]
pub enum Request {
    /// An HTTP request.
    Http(Box<Job<HttpCall, HttpReply>>),
    /// An action.
    Action(Box<Job<ActionCall, String>>),
    /// A sign that the agent returns to its event loop.
    Ping(oneshot::Sender<()>),
    /// To shut down, and end by itself.
    Stop,
}

/// Why a call has no reply.
#[derive(Debug)]
pub enum Lost<C> {
    /// The guest never saw it: another instance may take it.
    Unstarted(C),
    /// There will be none.
    Failed(CallError),
}

/// What the way in and the driving task both know.
#[derive(Debug)]
pub struct Shared {
    live: AtomicUsize,
    calls_left: AtomicU64,
    worn: AtomicBool,
    /// How long the instance may take to show that it still turns.
    grace: Duration,
    /// Whether it was at its event loop since it was last given time, and whether it was not.
    turned: AtomicBool,
    computing: AtomicBool,
    retired: AtomicBool,
    retire_changed: Notify,
    kill: Notify,
    cause: watch::Sender<Option<Arc<str>>>,
    memory: Arc<Memory>,
    audit: Arc<dyn AuditSink>,
}

impl Shared {
    /// What the instance holds.
    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    pub(crate) fn call_starts(&self) {
        self.live.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn call_ends(&self) {
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 && self.is_retired() {
            self.kill("it was replaced");
        }
    }

    /// Runs the whole life of an instance, and notes when time passes in which its guest computes and takes no calls.
    pub(crate) async fn watched<F: Future>(&self, life: F) -> F::Output {
        let mut life = std::pin::pin!(life);
        poll_fn(|context| {
            self.turned.store(false, Ordering::Relaxed);
            let polled = life.as_mut().poll(context);
            self.computing.store(!self.turned.load(Ordering::Relaxed), Ordering::Relaxed);
            polled
        })
        .await
    }

    /// Runs the part of a life that takes calls: it gets its turn whenever the guest is at its event loop.
    pub(crate) async fn turning<F: Future>(&self, takes_calls: F) -> F::Output {
        let mut takes_calls = std::pin::pin!(takes_calls);
        poll_fn(|context| {
            self.turned.store(true, Ordering::Relaxed);
            takes_calls.as_mut().poll(context)
        })
        .await
    }

    /// Whether it gets no new calls any more.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// From here on what it holds more counts as growth.
    pub fn is_ready(&self) {
        self.memory.is_ready();
    }

    /// What it holds, where that is measured from outside. Unit: bytes.
    pub fn holds(&self, bytes: usize) {
        self.memory.holds(bytes);
        if self.memory.has_grown() && !self.is_retired() {
            self.retire();
        }
    }

    /// Takes it out of service. It ends with its last caller.
    fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.retire_changed.notify_one();
        if self.live.load(Ordering::Acquire) == 0 {
            self.kill("it was replaced");
        }
    }

    /// Ends the instance now, whatever its guest does.
    pub(crate) fn kill(&self, cause: &str) {
        self.lost(cause);
        self.kill.notify_one();
    }

    /// Records why the instance ended; the first cause stays.
    pub fn lost(&self, cause: &str) {
        self.cause.send_if_modified(|known| known.is_none() && known.replace(cause.into()).is_none());
    }

    /// Returns when somebody wants the instance ended at once.
    pub async fn killed(&self) {
        self.kill.notified().await;
    }

    /// Why it ended, if it did.
    pub(crate) fn known_cause(&self) -> String {
        self.cause.borrow().as_deref().unwrap_or_default().to_owned()
    }

    async fn cause(&self) -> Arc<str> {
        let mut cause = self.cause.subscribe();
        match cause.wait_for(Option::is_some).await {
            Ok(cause) => cause.clone().unwrap_or_default(),
            Err(_) => Arc::default(),
        }
    }
}

/// The way into one instance.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

impl Instance {
    /// A way in, and the end that the driving task takes.
    pub(crate) fn new(limits: &Limits, audit: Arc<dyn AuditSink>) -> (Self, Arc<Shared>, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            live: AtomicUsize::new(0),
            calls_left: AtomicU64::new(limits.requests_per_instance),
            worn: AtomicBool::new(false),
            grace: PROBE_GRACE * 100 / u32::from(limits.cpu.percent()),
            turned: AtomicBool::new(false),
            computing: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            retire_changed: Notify::new(),
            kill: Notify::new(),
            cause: watch::Sender::new(None),
            memory: Arc::new(Memory::new(usize::try_from(limits.memory_growth).unwrap_or(usize::MAX))),
            audit,
        });
        (Self { shared: Arc::clone(&shared), requests }, shared, receiver)
    }

    /// Calls that have a caller.
    pub(crate) fn live(&self) -> usize {
        self.shared.live.load(Ordering::Acquire)
    }

    /// How unwelcome another call is: one that computes takes none for now, and then the number of calls counts.
    pub(crate) fn load(&self) -> (bool, usize) {
        (self.shared.computing.load(Ordering::Relaxed), self.live())
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) async fn http(&self, call: HttpCall, place: &Place) -> Result<HttpReply, Lost<HttpCall>> {
        let (deadline, request_id) = (call.deadline, call.request_id.clone());
        self.send(call, deadline, request_id, place, |job| Request::Http(Box::new(job))).await
    }

    pub(crate) async fn act(&self, call: ActionCall, place: &Place) -> Result<String, Lost<ActionCall>> {
        let (deadline, request_id) = (call.deadline, call.request_id.clone());
        self.send(call, deadline, request_id, place, |job| Request::Action(Box::new(job))).await
    }

    async fn send<C, R>(
        &self,
        call: C,
        deadline: std::time::Instant,
        request_id: RequestName,
        place: &Place,
        request: impl FnOnce(Job<C, R>) -> Request,
    ) -> Result<R, Lost<C>>
    where
        Request: Into<Option<Job<C, R>>>,
    {
        let began = Instant::now();
        let flight = Flight::start(&self.shared, request_id.clone(), Arc::clone(place));
        let (reply, answer) = oneshot::channel();
        let gone = CallerGone { flight: Some(Arc::clone(&flight)) };
        match self.requests.try_send(request(Job { call, flight, reply })) {
            Ok(()) => self.wear(),
            Err(mpsc::error::TrySendError::Full(_)) => {
                let event = AuditEvent::limit(DenialCode::Overloaded, None, "a request to the agent");
                self.shared.audit.record(AuditRecord::at_once(event, Some(request_id)));
                return Err(Lost::Failed(CallError::Overloaded));
            }
            Err(mpsc::error::TrySendError::Closed(request)) => {
                let unstarted: Option<Job<C, R>> = request.into();
                return Err(unstarted.map_or(Lost::Failed(CallError::Unavailable), |job| Lost::Unstarted(job.call)));
            }
        }
        match timeout_at(Instant::from_std(deadline), answer).await {
            Ok(Ok(reply)) => {
                gone.disarm();
                if self.has_grown() && !self.shared.is_retired() {
                    self.retire();
                }
                reply
            }
            Ok(Err(_)) => Err(Lost::Failed(CallError::InstanceLost(self.shared.cause().await))),
            Err(_) => {
                self.overdue();
                let event = AuditEvent::limit(DenialCode::CallTimeout, None, "a request to the agent");
                let record = AuditRecord::at_once(event, Some(request_id));
                self.shared.audit.record(AuditRecord { duration: began.elapsed(), ..record });
                Err(Lost::Failed(CallError::TimedOut))
            }
        }
    }

    /// Counts a call; the last one an instance may serve takes it out of service.
    fn wear(&self) {
        if self.shared.calls_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.worn.store(true, Ordering::Release);
            self.retire();
        }
    }

    /// Whether the instance was replaced because it served as many calls as it may.
    pub(crate) fn is_worn(&self) -> bool {
        self.shared.worn.load(Ordering::Acquire)
    }

    /// Whether it holds so much more than at its start that a fresh one is better.
    pub(crate) fn has_grown(&self) -> bool {
        self.shared.memory.has_grown()
    }

    /// Takes the instance out of service. It ends with its last caller.
    pub(crate) fn retire(&self) {
        self.shared.retire();
    }

    /// Returns when the instance was taken out of service.
    pub(crate) async fn retired(&self) {
        self.shared.retire_changed.notified().await;
    }

    /// A call passed its deadline: the instance is replaced, and ended at once if it does not
    /// even turn any more. Calls of other callers on an instance that turns are let finish.
    fn overdue(&self) {
        self.retire();
        let instance = self.clone();
        tokio::spawn(async move {
            if !instance.turns(instance.shared.grace).await {
                instance.shared.kill("a call ran past its deadline without yielding");
            }
        });
    }

    /// Whether the guest returns to its event loop within `grace`.
    pub(crate) async fn turns(&self, grace: Duration) -> bool {
        let (pong, answer) = oneshot::channel();
        let probe = async {
            self.requests.send(Request::Ping(pong)).await.ok()?;
            answer.await.ok()
        };
        matches!(timeout(grace, probe).await, Ok(Some(())))
    }

    /// Lets the agent shut down and end by itself.
    pub(crate) async fn stop(&self) {
        let _ = self.requests.send(Request::Stop).await;
        self.requests.closed().await;
    }

    pub(crate) fn kill(&self, cause: &str) {
        self.shared.kill(cause);
    }

    /// What is left of it when this way in is given up: an instance to which there is no way stops.
    pub(crate) fn into_shared(self) -> Arc<Shared> {
        self.shared
    }

    /// Returns when the driving task is gone.
    pub(crate) async fn ended(&self) {
        self.requests.closed().await;
    }
}

/// Tells the guest when the caller stops waiting, for whatever reason.
struct CallerGone {
    flight: Option<Arc<Flight>>,
}

impl CallerGone {
    fn disarm(mut self) {
        self.flight = None;
    }
}

impl Drop for CallerGone {
    fn drop(&mut self) {
        if let Some(flight) = &self.flight {
            flight.end();
        }
    }
}

/// Gives calls the guest never saw back to their callers.
pub fn hand_back(mut requests: mpsc::Receiver<Request>) {
    fn unstarted<C, R>(job: Job<C, R>) {
        let _ = job.reply.send(Err(Lost::Unstarted(job.call)));
    }
    requests.close();
    while let Ok(request) = requests.try_recv() {
        match request {
            Request::Http(job) => unstarted(*job),
            Request::Action(job) => unstarted(*job),
            Request::Ping(_) | Request::Stop => {}
        }
    }
}

impl From<Request> for Option<Job<HttpCall, HttpReply>> {
    fn from(request: Request) -> Self {
        if let Request::Http(job) = request { Some(*job) } else { None }
    }
}

impl From<Request> for Option<Job<ActionCall, String>> {
    fn from(request: Request) -> Self {
        if let Request::Action(job) = request { Some(*job) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt as _;

    use super::*;
    use crate::audit::NoAudit;

    #[test]
    fn one_that_computes_is_less_welcome_than_one_with_many_calls() {
        let limits = Limits::default_with(par_policy::InstanceCount::new(2).unwrap());
        let [computing, waiting] = [(); 2].map(|()| Instance::new(&limits, Arc::new(NoAudit)).0);
        for _ in 0..100 {
            waiting.shared.call_starts();
        }
        assert!(computing.load() < waiting.load(), "before anything has run");

        assert!(computing.shared.watched(pending::<()>()).now_or_never().is_none());
        assert!(waiting.shared.watched(waiting.shared.turning(pending::<()>())).now_or_never().is_none());
        assert!(waiting.load() < computing.load());

        assert!(computing.shared.watched(computing.shared.turning(pending::<()>())).now_or_never().is_none());
        assert!(computing.load() < waiting.load(), "it takes calls again");
    }
}
