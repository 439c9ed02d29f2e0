//! What is left to do for a layer when nobody waits for it: it is put on disk, and compiled, so
//! that an agent does not compile its dependencies at every start.
//!
//! An agent can use a layer before: what is written is in the memory of the system, and a missing
//! bytecode costs time alone. Bytecode appears file by file, each whole, so a process may be killed at any time;
//! the next one goes on. Should the machine fail instead, what was not on disk is not believed
//! ([`DepsLayer`]).
//!
//! Only the guest's own Python writes what it can read, so the guest compiles: see
//! [`GuestJobs`]. It says what the bytecode of a file is, and only that; where it is written is
//! decided here.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::InstallError;
use super::jobs::GuestJobs;
use super::layer::{DepsLayer, Desk};

/// What Python 3.14 calls the bytecode of its own kind.
const TAG: &str = "cpython-314";

/// How often the compiler may give out in one start of an agent. Twice at the same file costs that file.
const ATTEMPTS: usize = 16;

/// Longest time for the compiling of a layer. Nobody waits for it; it must only have an end.
const LONGEST: Duration = Duration::from_secs(1800);

/// What was done for a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Files that got bytecode.
    pub compiled: usize,
    /// Files that cannot be compiled. Who imports one hears why.
    pub refused: usize,
    /// How long it took to write everything to disk.
    pub written: Duration,
    /// How long the compiling took.
    pub spent: Duration,
}

/// Puts a layer on disk and compiles it. `None` when that was done, or is being done elsewhere.
pub(super) async fn settle(
    layer: &DepsLayer,
    jobs: Option<&dyn GuestJobs>,
    desk: &Desk,
    announce: impl FnOnce(usize),
) -> Result<Option<Settled>, InstallError> {
    let started = Instant::now();
    if !layer.is_settled() {
        let written = layer.clone();
        blocking(move || written.settle()).await?;
    }
    let written = started.elapsed();
    let Some(jobs) = jobs.filter(|_| !layer.is_compiled()) else { return Ok(None) };
    let Some(_only) = layer.compile_alone().map_err(InstallError::cache)? else { return Ok(None) };
    let started = Instant::now();
    layer.begin_bytecode(desk.scratch()).map_err(InstallError::cache)?;
    let place = Place::open(layer, desk).map_err(InstallError::cache)?;
    let files = place.without_bytecode().map_err(InstallError::cache)?;
    announce(files.len());
    let all = files.len();
    let (compiled, left) = compile(layer, jobs, place, files, started + LONGEST).await?;
    if left > 0 {
        tracing::warn!(files = left, "Some dependencies are not compiled; the next start goes on");
        return Ok(None);
    }
    let (finished, scratch) = (layer.clone(), desk.scratch().to_owned());
    blocking(move || finished.complete_bytecode(&scratch)).await?;
    Ok(Some(Settled { compiled, refused: all - compiled, written, spent: started.elapsed() }))
}

/// Compiles files of a layer; says how many have bytecode now, and how many were not come to.
async fn compile(
    layer: &DepsLayer,
    jobs: &dyn GuestJobs,
    mut place: Place,
    mut files: Vec<String>,
    deadline: Instant,
) -> Result<(usize, usize), InstallError> {
    let mut written = 0;
    let mut failed = None;
    let mut stopped_at = None;
    for _ in 0..ATTEMPTS {
        if files.is_empty() {
            break;
        }
        let mut done = 0;
        let mut keep = |index: usize, bytecode: &[u8]| {
            done = index + 1;
            if let Some(path) = files.get(index).filter(|_| !bytecode.is_empty()) {
                match place.write(path, bytecode) {
                    Ok(()) => written += 1,
                    Err(error) => drop(failed.get_or_insert(error)),
                }
            }
        };
        let outcome = jobs.compile(layer.directory(), &files, deadline, &mut keep).await;
        if let Some(error) = failed {
            return Err(InstallError::cache(error));
        }
        match outcome {
            Ok(()) => {
                files.clear();
                break;
            }
            Err(_) if Instant::now() >= deadline => return Err(InstallError::Stopped),
            Err(error) => {
                files.drain(..done.min(files.len()));
                let error: &dyn std::error::Error = &error;
                tracing::info!(error, file = files.first(), "The compiler of dependencies stopped");
                // It may have been the machine. The second time it is the file.
                if stopped_at.is_some() && stopped_at.as_ref() == files.first() {
                    files.remove(0);
                }
                stopped_at = files.first().cloned();
            }
        }
    }
    Ok((written, files.len()))
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), InstallError> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(io::Error::other).and_then(|outcome| outcome).map_err(InstallError::cache)
}

/// Where bytecode is written: first beside the layer, then under its name.
struct Place {
    site: Dir,
    scratch: Dir,
    made: BTreeSet<String>,
}

impl Place {
    fn open(layer: &DepsLayer, desk: &Desk) -> io::Result<Self> {
        let site = Dir::open_ambient_dir(layer.site_packages(), ambient_authority())?;
        let scratch = Dir::open_ambient_dir(desk.scratch(), ambient_authority())?;
        Ok(Self { site, scratch, made: BTreeSet::new() })
    }

    /// The source files that have no bytecode, sorted.
    fn without_bytecode(&self) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        let mut ahead = vec![String::new()];
        while let Some(directory) = ahead.pop() {
            let inside = if directory.is_empty() { self.site.entries()? } else { self.site.read_dir(&directory)? };
            for entry in inside {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
                if entry.file_type()?.is_dir() {
                    ahead.push(path);
                } else if path.ends_with(".py") && !self.site.exists(bytecode_of(&path).1) {
                    files.push(path);
                }
            }
        }
        files.sort();
        Ok(files)
    }

    fn write(&mut self, path: &str, bytecode: &[u8]) -> io::Result<()> {
        let (cache, target) = bytecode_of(path);
        if !self.made.contains(&cache) {
            self.site.create_dir_all(&cache)?;
            self.made.insert(cache);
        }
        self.scratch.write("bytecode", bytecode)?;
        self.scratch.rename("bytecode", &self.site, target)
    }
}

/// The directory of the bytecode of a source file, and its path.
fn bytecode_of(path: &str) -> (String, String) {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let cache = if directory.is_empty() { "__pycache__".to_owned() } else { format!("{directory}/__pycache__") };
    let stem = file.strip_suffix(".py").unwrap_or(file);
    let target = format!("{cache}/{stem}.{TAG}.pyc");
    (cache, target)
}
