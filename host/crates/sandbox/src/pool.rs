//! The instances of one agent: enough of them, each replaced when it is lost.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use par_policy::{DenialCode, Grants};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout_at};

use crate::audit::{self, AuditSink};
use crate::breaker::Breaker;
use crate::call::{ActionCall, CallError, HttpCall, HttpReply};
use crate::instance::{Instance, Lost, Request, Shared};
use crate::replaced::{Reason, Replaced};
use crate::trace::RequestName;
use crate::turnstile::Turnstile;
use crate::{AgentDescription, StartError};

/// An instance that ended sooner than this after it was ready counts as a failed start.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// Pause before the second attempt to replace an instance; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Starts in a row that failed to load before the agent is given up.
const FAILED_STARTS: u32 = 5;

/// What every instance of an agent is made of, and how one of them is run.
pub trait Mold: Send + Sync + 'static {
    /// What the agent may touch.
    fn grants(&self) -> &Grants;

    /// Where limits that were reached are put on the record.
    fn audit(&self) -> &Arc<dyn AuditSink>;

    /// Counts instances that were lost.
    fn breaker(&self) -> &Breaker;

    /// Runs an instance. `ready` hears whether the agent loaded; the return is the end of it.
    fn drive(
        self: Arc<Self>,
        shared: Arc<Shared>,
        requests: mpsc::Receiver<Request>,
        ready: oneshot::Sender<Result<AgentDescription, StartError>>,
    ) -> impl Future<Output = ()> + Send;
}

/// Every instance that may be called, and what replaces the others.
pub struct Pool<M> {
    mold: Arc<M>,
    turnstile: Turnstile,
    serving: RwLock<Vec<Instance>>,
    serving_changed: Notify,
    /// How many may be called.
    count: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
    failed: watch::Sender<Option<Arc<str>>>,
    replaced: Replaced,
}

/// The instances of an agent in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instances that take requests now.
    pub ready: usize,
    /// Requests that wait for a place now.
    pub waiting: usize,
    /// Instances that trapped, ended, or ran into a deadline, since the start.
    pub lost: u64,
    /// Instances that were replaced after their last request (`requests_per_instance`), since the start.
    pub worn: u64,
    /// Instances that were replaced because their memory had grown, since the start.
    pub grown: u64,
}

impl<M: Mold> Pool<M> {
    /// Starts the first instance; the others follow in the background.
    ///
    /// # Errors
    /// [`StartError`] when the agent does not load.
    pub async fn start(mold: M) -> Result<(Arc<Self>, AgentDescription), StartError> {
        let instances = mold.grants().limits().instances.get();
        let pool = Arc::new(Self {
            turnstile: Turnstile::new(mold.grants().limits(), Arc::clone(mold.audit())),
            mold: Arc::new(mold),
            serving: RwLock::default(),
            serving_changed: Notify::new(),
            count: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
            failed: watch::Sender::new(None),
            replaced: Replaced::default(),
        });
        let (first, driver, description) = pool.launch().await?;
        tokio::spawn(Arc::clone(&pool).keep_one(Some((first, driver))));
        for _ in 1..instances {
            tokio::spawn(Arc::clone(&pool).keep_one(None));
        }
        Ok((pool, description))
    }

    /// Instances that may be called now.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How it stands.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let [lost, worn, grown] = [Reason::Lost, Reason::Worn, Reason::Grown].map(|reason| self.replaced.count(reason));
        Counts { ready: self.ready(), waiting: self.turnstile.waiting(), lost, worn, grown }
    }

    /// How many instances may be called, and when that changes.
    #[must_use]
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Returns with the reason when the agent cannot be started any more.
    pub async fn failed(&self) -> Arc<str> {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => Arc::default(),
        }
    }

    /// Serves one HTTP request.
    ///
    /// # Errors
    /// [`CallError`] when there is no response.
    pub async fn http(&self, mut call: HttpCall) -> Result<HttpReply, CallError> {
        call.deadline = self.soonest(call.deadline);
        self.admit(&call.request_id)?;
        let place = self.turnstile.enter(call.deadline, &call.request_id).await?;
        loop {
            match self.pick(call.deadline).await?.http(call, &place).await {
                Ok(reply) => return Ok(reply),
                Err(Lost::Failed(error)) => return Err(error),
                Err(Lost::Unstarted(unstarted)) => call = unstarted,
            }
        }
    }

    /// Runs one action and returns `str()` of its result.
    ///
    /// # Errors
    /// [`CallError`] when there is no result.
    pub async fn act(&self, mut call: ActionCall) -> Result<String, CallError> {
        call.deadline = self.soonest(call.deadline);
        self.admit(&call.request_id)?;
        let place = self.turnstile.enter(call.deadline, &call.request_id).await?;
        loop {
            match self.pick(call.deadline).await?.act(call, &place).await {
                Ok(result) => return Ok(result),
                Err(Lost::Failed(error)) => return Err(error),
                Err(Lost::Unstarted(unstarted)) => call = unstarted,
            }
        }
    }

    /// Refuses a call while instances trap again and again.
    fn admit(&self, request_id: &RequestName) -> Result<(), CallError> {
        let Some(left) = self.mold.breaker().refuses(Instant::now()) else { return Ok(()) };
        audit::limit(&**self.mold.audit(), DenialCode::CircuitOpen, "a request to the agent", Some(request_id));
        Err(CallError::CircuitOpen(left))
    }

    /// Lets every instance shut down; what is left at `deadline` is ended.
    pub async fn stop(&self, deadline: Instant) {
        self.stopping.send_replace(true);
        let instances = std::mem::take(&mut *self.serving.write().unwrap_or_else(PoisonError::into_inner));
        self.serving_changed.notify_waiters();
        let stopped = futures::future::join_all(instances.iter().map(Instance::stop));
        if timeout_at(deadline.into(), stopped).await.is_err() {
            for instance in &instances {
                instance.kill("the runtime stopped");
            }
            futures::future::join_all(instances.iter().map(Instance::ended)).await;
        }
    }

    /// The deadline of a call: a surface may set one sooner than the agent's own limit.
    fn soonest(&self, deadline: Instant) -> Instant {
        let own = Instant::now().checked_add(self.mold.grants().limits().request_timeout.duration());
        own.map_or(deadline, |own| own.min(deadline))
    }

    /// The instance with the fewest calls of those that take calls now, waiting for one if all are being replaced.
    async fn pick(&self, deadline: Instant) -> Result<Instance, CallError> {
        loop {
            let mut changed = std::pin::pin!(self.serving_changed.notified());
            changed.as_mut().enable();
            if let Some(instance) = self.least_busy() {
                return Ok(instance);
            }
            if *self.stopping.borrow() || self.failed.borrow().is_some() {
                return Err(CallError::Unavailable);
            }
            if timeout_at(deadline.into(), changed).await.is_err() {
                return Err(CallError::Unavailable);
            }
        }
    }

    fn least_busy(&self) -> Option<Instance> {
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        serving.iter().min_by_key(|instance| instance.load()).cloned()
    }

    /// An instance that is ready, and the task that drives it.
    async fn launch(&self) -> Result<(Instance, JoinHandle<()>, AgentDescription), StartError> {
        let (instance, shared, requests) = Instance::new(self.mold.grants().limits(), Arc::clone(self.mold.audit()));
        let (ready, outcome) = oneshot::channel();
        let driver = tokio::spawn(Arc::clone(&self.mold).drive(shared, requests, ready));
        let killed = KillOnDrop(Some(instance.clone()));
        let description = outcome.await.unwrap_or(Err(StartError::Lost))?;
        killed.keep();
        Ok((instance, driver, description))
    }

    fn publish(&self, instance: &Instance) {
        self.serving.write().unwrap_or_else(PoisonError::into_inner).push(instance.clone());
        self.count.send_replace(self.ready());
        self.serving_changed.notify_waiters();
    }

    fn withdraw(&self, instance: &Instance) {
        self.serving.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !other.is(instance));
        self.count.send_replace(self.ready());
    }

    /// Keeps one instance in service for as long as the pool lives.
    async fn keep_one(self: Arc<Self>, first: Option<(Instance, JoinHandle<()>)>) {
        let mut stopping = self.stopping.subscribe();
        let mut next = first;
        let mut gone: Option<(Reason, Instant)> = None;
        let mut failures = 0_u32;
        while !*stopping.borrow() {
            let (instance, driver) = match next.take() {
                Some(first) => first,
                None => match self.launch().await {
                    Ok((instance, driver, _)) => (instance, driver),
                    Err(error) => {
                        failures += 1;
                        tracing::error!(error = %error, failures, "Instance did not start");
                        if failures >= FAILED_STARTS {
                            self.failed.send_replace(Some(error.to_string().into()));
                            return;
                        }
                        sleep(pause(failures)).await;
                        continue;
                    }
                },
            };
            let since = Instant::now();
            self.publish(&instance);
            if let Some((reason, since)) = gone.take() {
                reason.log_replaced(self.ready(), since.elapsed());
            }
            tokio::select! {
                () = instance.ended() => {}
                () = instance.retired() => {}
                () = self.watch(&instance) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            self.withdraw(&instance);
            let reason = Reason::of(&instance);
            self.replaced.add(reason);
            reason.log_out_of_service(self.ready());
            gone = Some((reason, Instant::now()));
            // Requests it has begun are let finish, so that its end may be later than its successor's start.
            let shared = instance.into_shared();
            tokio::spawn(async move {
                let _ = driver.await;
                reason.log_ended(&shared);
            });
            if let Some(code) = reason.on_the_record() {
                audit::limit(&**self.mold.audit(), code, "an instance", None);
                continue;
            }
            failures = if since.elapsed() < SHORT_LIFE { failures + 1 } else { 0 };
            if failures > 1 {
                sleep(pause(failures)).await;
            }
        }
    }

    /// Ends an instance that did not return to its event loop for a whole request timeout,
    /// also when nobody waits for it any more.
    async fn watch(&self, instance: &Instance) {
        let longest = self.mold.grants().limits().request_timeout.duration();
        loop {
            sleep(longest).await;
            if !instance.turns(longest).await {
                instance.kill("it did not return to its event loop");
                return;
            }
        }
    }
}

impl<M: Mold> std::fmt::Debug for Pool<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pool").field("ready", &self.ready()).finish_non_exhaustive()
    }
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE)
}

/// Ends an instance whose start was given up, for example at the startup timeout.
struct KillOnDrop(Option<Instance>);

impl KillOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(instance) = &self.0 {
            instance.kill("its start was given up");
        }
    }
}
