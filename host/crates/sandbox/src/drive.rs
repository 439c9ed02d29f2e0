//! The task that runs one instance from instantiation to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use par_policy::{DenialCode, Grants};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::Accessor;

use crate::audit::{self, AuditSink};
use crate::bindings::exports::pixell::agent::lifecycle as world;
use crate::bindings::{Agent, AgentPre};
use crate::breaker::Breaker;
use crate::engine::Engine;
use crate::instance::{Job, Lost, Request, Shared, hand_back};
use crate::memory::Memory;
use crate::outbound::Outbound;
use crate::pool::Mold;
use crate::share::Share;
use crate::store::{Mount, State, build_store};
use crate::{AgentDescription, StartError, convert, describe};

/// Everything an instance is made of; every instance of an agent is made of the same.
pub(crate) struct SandboxMold {
    pub(crate) engine: Engine,
    pub(crate) component: AgentPre<State>,
    pub(crate) grants: Grants,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) spec: world::AgentSpec,
    /// Where directories to write to are made.
    pub(crate) scratch: PathBuf,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) breaker: Breaker,
    /// An empty directory: what the agent finds where it has nothing.
    pub(crate) nothing: TempDir,
}

impl Mold for SandboxMold {
    fn grants(&self) -> &Grants {
        &self.grants
    }

    fn audit(&self) -> &Arc<dyn AuditSink> {
        &self.audit
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn drive(
        self: Arc<Self>,
        shared: Arc<Shared>,
        requests: mpsc::Receiver<Request>,
        ready: oneshot::Sender<Result<AgentDescription, StartError>>,
    ) -> impl Future<Output = ()> + Send {
        drive(self, shared, requests, ready)
    }
}

/// Runs an instance. `ready` hears whether the agent loaded; the return is the end of it.
async fn drive(
    mold: Arc<SandboxMold>,
    shared: Arc<Shared>,
    mut requests: mpsc::Receiver<Request>,
    ready: oneshot::Sender<Result<AgentDescription, StartError>>,
) {
    let scratch = match scratch(&mold) {
        Ok(scratch) => scratch,
        Err(error) => {
            shared.lost("it did not start");
            let _ = ready.send(Err(error));
            return;
        }
    };
    let place = scratch.as_ref().map(TempDir::path);
    let store = build_store(&mold, place, Arc::clone(shared.memory()));
    let mut store = match store {
        Ok(store) => store,
        Err(error) => {
            shared.lost("it did not start");
            let _ = ready.send(Err(error));
            return;
        }
    };
    let agent = match mold.component.instantiate_async(&mut store).await {
        Ok(agent) => agent,
        Err(error) => {
            shared.lost("it did not start");
            let _ = ready.send(Err(StartError::engine(error)));
            return;
        }
    };
    let spec = mold.spec.clone();
    let queue = &mut requests;
    let life = store.run_concurrent(async |accessor| {
        shared.turning(live(accessor, &agent, spec, queue, ready, shared.memory())).await
    });
    let ended = tokio::select! {
        ended = shared.watched(Share::new(life, mold.grants.limits().cpu)) => ended.and_then(|ended| ended),
        () = shared.killed() => Ok(()),
    };
    if let Err(trap) = ended {
        let cause = format!("{trap:#}");
        tracing::error!(cause, "Instance trapped");
        audit::limit(&*mold.audit, DenialCode::InstanceTrapped, "an instance", None);
        if let Some(pause) = mold.breaker.trapped(Instant::now()) {
            let seconds = pause.as_secs();
            tracing::error!(seconds, "Instances trap again and again, requests are refused for a while");
        }
        shared.lost(&cause);
    }
    shared.lost("it ended");
    store.data_mut().host.break_all();
    drop(store);
    hand_back(requests);
    // What the agent left there may be much.
    tokio::task::spawn_blocking(move || drop(scratch));
}

/// The directory this instance may write to, empty; nobody else sees it.
fn scratch(mold: &SandboxMold) -> Result<Option<TempDir>, StartError> {
    if mold.grants.scratch().is_none() {
        return Ok(None);
    }
    let made = tempfile::Builder::new().prefix("scratch-").tempdir_in(&mold.scratch);
    made.map(Some).map_err(|source| StartError::Mount { path: mold.scratch.clone(), source: source.into() })
}

async fn live(
    accessor: &Accessor<State>,
    agent: &Agent,
    spec: world::AgentSpec,
    requests: &mut mpsc::Receiver<Request>,
    ready: oneshot::Sender<Result<AgentDescription, StartError>>,
    memory: &Memory,
) -> wasmtime::Result<()> {
    let lifecycle = agent.pixell_agent_lifecycle();
    let description = match lifecycle.call_load(accessor, spec).await? {
        Ok(description) => description,
        Err(failure) => {
            let _ = ready.send(Err(convert::start_error(failure)));
            return Ok(());
        }
    };
    let mut home = std::pin::pin!(lifecycle.call_run(accessor));
    // The home goes first: what `start` waits for is the home's to report.
    let started = tokio::select! {
        biased;
        ended = &mut home => return ended,
        started = lifecycle.call_start(accessor) => started?,
    };
    let outcome = started.map(|()| describe(description)).map_err(convert::start_error);
    let failed = outcome.is_err();
    memory.is_ready();
    if ready.send(outcome).is_err() || failed {
        return Ok(());
    }

    let mut running = FuturesUnordered::new();
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            Some(outcome) = running.next() => outcome?,
            request = requests.recv(), if !stopping => match request {
                Some(Request::Stop) | None => {
                    stopping = true;
                    running.push(serve(accessor, agent, Request::Stop));
                }
                Some(Request::Ping(pong)) => {
                    let _ = pong.send(());
                }
                Some(request) => running.push(serve(accessor, agent, request)),
            },
            ended = &mut home => return ended,
        }
    }
}

async fn serve(accessor: &Accessor<State>, agent: &Agent, request: Request) -> wasmtime::Result<()> {
    match request {
        Request::Http(job) => http(accessor, agent, *job).await,
        Request::Action(job) => action(accessor, agent, *job).await,
        Request::Ping(_) => Ok(()),
        Request::Stop => {
            if let Err(failure) = agent.pixell_agent_lifecycle().call_stop(accessor).await? {
                tracing::warn!(text = failure.message, traceback = failure.traceback, "Agent shutdown failed");
            }
            Ok(())
        }
    }
}

async fn http(
    accessor: &Accessor<State>,
    agent: &Agent,
    job: Job<crate::call::HttpCall, crate::call::HttpReply>,
) -> wasmtime::Result<()> {
    let Job { call, flight, reply } = job;
    let id = next_id();
    let request = accessor.with(|mut store| {
        store.get().host.begin(id, Arc::clone(&flight));
        convert::request(store, id, call, &flight)
    })?;
    let outcome = agent.pixell_agent_http().call_handle(accessor, request).await?;
    let answer = match outcome {
        Ok(response) => accessor.with(|store| convert::reply(store, response, &flight)),
        Err(failure) => Err(convert::call_error(failure)),
    };
    let streamed = answer.as_ref().is_ok_and(|reply| matches!(reply.body(), crate::call::ReplyBody::Streamed(_)));
    if reply.send(answer.map_err(Lost::Failed)).is_ok() && streamed {
        flight.ended().await;
    }
    accessor.with(|mut store| store.get().host.end(id));
    Ok(())
}

async fn action(
    accessor: &Accessor<State>,
    agent: &Agent,
    job: Job<crate::call::ActionCall, String>,
) -> wasmtime::Result<()> {
    let Job { call, flight, reply } = job;
    let id = next_id();
    accessor.with(|mut store| store.get().host.begin(id, flight));
    let request = convert::action(id, call);
    let outcome = agent.pixell_agent_actions().call_invoke(accessor, request).await?;
    let _ = reply.send(outcome.map_err(|failure| Lost::Failed(convert::call_error(failure))));
    accessor.with(|mut store| store.get().host.end(id));
    Ok(())
}

/// Numbers the calls of the process. The guest's own tokens are separate.
fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
