//! Bytecode for a venv, when nobody waits for it: importing numpy and FastAPI without it takes seconds.
//!
//! The files are hostile, so they are compiled where the agent runs: by a process that was started through the same
//! door, and may write to the venv alone. The agent itself never writes there.

use std::io;
use std::path::Path;
use std::time::Duration;

use par_policy::Limits;
use par_policy::policy::Confinement;

use super::launch::{Launch, Launched};
use super::process::Process;
use super::program::Program;
use super::report;
use crate::install::Venv;

/// Longest time for all of it. Nobody waits for it; it must only have an end.
const LONGEST: Duration = Duration::from_secs(600);

/// Largest file of bytecode. Unit: bytes.
const LARGEST_FILE: u64 = 1 << 30;

/// How far behind the requests of the agent, as other housekeeping.
const NICENESS: i32 = 10;

/// Compiles what a venv holds, unless that was done. Says whether it did.
///
/// # Errors
/// When no process can be started, or the cache not be written to.
pub async fn compile(
    venv: &Venv,
    program: &Program,
    limits: &Limits,
    confinement: Confinement,
    scratch: &Path,
) -> io::Result<bool> {
    let Some(alone) = venv.begin_compiling()? else { return Ok(false) };
    let site_packages = venv.site_packages();
    // Sources never change here, so nobody needs to compare their times.
    let arguments = ["-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"];
    let launch = Launch {
        python: venv.bin().join("python"),
        arguments: arguments.map(Into::into).into_iter().chain([site_packages.clone().into()]).collect(),
        environment: vec![("LANG".to_owned(), "C.UTF-8".to_owned())],
        directory: scratch.to_owned(),
        readable: [venv.directory(), program.directory(), venv.python().prefix.as_path()].map(Path::to_owned).into(),
        writable: vec![site_packages],
        largest_file: LARGEST_FILE,
        limits: *limits,
        confinement,
        without: Vec::new(),
    };
    let Launched { child, report, .. } = launch.start()?;
    let process = Process::of(child)?;
    if let Some(report) = report::hear(report).await {
        report::log(&report, process.id());
    }
    process.be_nice(NICENESS);
    let in_time = tokio::time::timeout(LONGEST, process.ended()).await.is_ok();
    let status = process.end(Duration::ZERO).await;
    if in_time {
        // Files that are no Python make it end with an error; the others are compiled.
        tracing::info!(status, "{}", crate::telemetry::events::DEPENDENCIES_COMPILED);
        venv.complete_compiling(&alone)?;
    }
    Ok(in_time)
}
