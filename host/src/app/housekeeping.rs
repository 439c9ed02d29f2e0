//! What a running agent does not wait for: its dependencies are compiled, and the cache is trimmed.
//!
//! One thread of low priority, with a runtime of its own, so that the requests of the agent
//! come first. It may be stopped, and killed, at any time.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use par_sandbox::AuditSink;
use tokio::sync::oneshot;

use super::agent::{COMPILED, blocking};
use super::error::BootError;
use super::installing::{self, Tools};
use crate::cache::trim::{self, Companion, Kind, Shelf};
use crate::config::Config;
use crate::install::{self, DepsLayer, Venv};
use crate::native::{self, Program};

/// What is kept between starts, as far as it may go.
const SHELVES: [Shelf; 9] = [
    Shelf { place: "packages/sha256", kind: Kind::Files, companion: Some(Companion::Ending(".minisig")) },
    Shelf { place: "wheels/sha256", kind: Kind::Files, companion: Some(Companion::Place("wheels/names")) },
    Shelf { place: "deps", kind: install::LAYERS, companion: None },
    Shelf { place: "deps/index", kind: Kind::Files, companion: None },
    install::VENVS,
    Shelf { place: "venvs/index", kind: Kind::Files, companion: None },
    Shelf { place: "venvs/reasons", kind: Kind::Files, companion: None },
    Shelf { place: COMPILED, kind: Kind::Files, companion: None },
    Shelf { place: install::RESOLVER_CACHE, kind: Kind::Whole, companion: None },
];

/// How far behind the requests of the agent: a tenth of the time beside an agent that takes all it can
/// get, all of it beside one that waits. The least there is would not come to an end on a busy machine.
const NICENESS: i32 = 10;

/// Longest time an end of the process waits for this thread to put its things away. What it does
/// not put away, the next start does.
const STOP_WITHIN: Duration = Duration::from_millis(500);

/// The thread. Dropping it stops the work.
pub(super) struct Housekeeping {
    stop: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<()>,
}

impl Housekeeping {
    /// Begins, for a layer an agent runs with.
    pub(super) fn start(
        config: &Config,
        layer: Option<DepsLayer>,
        venv: Option<(Venv, Program)>,
        audit: Arc<dyn AuditSink>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        let config = config.clone();
        let work = move || {
            if let Err(error) = run(&config, layer, venv, audit, stopped) {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "Housekeeping failed; the next start does it again");
            }
            drop(end);
        };
        if let Err(error) = std::thread::Builder::new().name("housekeeping".to_owned()).spawn(work) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "Housekeeping failed; the next start does it again");
        }
        Self { stop: Some(stop), ended }
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The sender is dropped when the work is over: that is the message.
        let _ = self.ended.recv_timeout(STOP_WITHIN);
    }
}

fn run(
    config: &Config,
    layer: Option<DepsLayer>,
    venv: Option<(Venv, Program)>,
    audit: Arc<dyn AuditSink>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), BootError> {
    // Of this thread and those it starts. What forbids it costs only the courtesy.
    let _ = rustix::process::setpriority_process(None, NICENESS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BootError::System)?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            _ = stopped => Ok(()),
            outcome = work(config, layer, venv, audit) => outcome,
        }
    });
    runtime.shutdown_background();
    outcome
}

async fn work(
    config: &Config,
    layer: Option<DepsLayer>,
    venv: Option<(Venv, Program)>,
    audit: Arc<dyn AuditSink>,
) -> Result<(), BootError> {
    if let Some((venv, program)) = venv {
        let scratch = tempfile::tempdir().map_err(BootError::System)?;
        let compiled = native::compile(&venv, &program, &config.limits, config.confinement, scratch.path());
        compiled.await.map_err(BootError::System)?;
    }
    if let Some(layer) = layer {
        let tools = Tools::open(&config.cache_dir, &config.guest_dir, config.limits, audit).await?;
        tools.installer(&config.install, &|step| installing::log(&step)).settle(&layer).await?;
    }
    let (cache, most) = (config.cache_dir.clone(), config.cache_limit);
    blocking(move || trimmed(&cache, most)).await
}

fn trimmed(cache: &Path, most: u64) -> Result<(), BootError> {
    let trimmed =
        trim::trim(cache, &SHELVES, most).map_err(|source| BootError::Cache { path: cache.to_owned(), source })?;
    if trimmed.entries > 0 {
        tracing::info!(entries = trimmed.entries, bytes = trimmed.bytes, left = trimmed.left, "Cache trimmed");
    }
    Ok(())
}
