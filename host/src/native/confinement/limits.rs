//! What the system holds a confined process to, whatever it does.

use std::io;
use std::os::unix::fs::MetadataExt;

use par_policy::Limits;
use rustix::process::{Resource, Rlimit, geteuid, nice, setrlimit};
use serde::{Deserialize, Serialize};

/// Threads and processes of one agent's process, itself included. Numerical libraries start as many threads as there
/// are cores, some of them twice.
const TASKS: u64 = 256;

/// Address space beside the memory: libraries, and what allocators reserve and never touch.
const RESERVED_BYTES: u64 = 16 << 30;

/// Memory of the interpreter and of the stacks of its threads, beside what the limit counts.
const INTERPRETER_BYTES: u64 = 256 << 20;

/// Descriptors the runner itself needs.
const OWN_FILES: u64 = 64;

/// Largest file without a scratch directory: none can be written anyway.
const NO_FILE: u64 = 1 << 20;

/// How much the process stands back behind the host when both want a core.
const NICE: i32 = 1;

/// Limits as the system knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfinedLimits {
    /// Private memory of each process. Unit: bytes.
    pub memory_bytes: u64,
    /// Threads and processes of the agent.
    pub tasks: u64,
    /// Descriptors of each process.
    pub open_files: u64,
    /// Largest file it may write. Unit: bytes.
    pub file_bytes: u64,
    /// Processor time of each process, if it is limited. Unit: seconds.
    #[serde(default)]
    pub cpu_seconds: Option<u64>,
}

impl ConfinedLimits {
    /// What the limits of the grants are to the system; `scratch_bytes` is what may be kept in the scratch directory.
    #[must_use]
    pub fn of(limits: &Limits, scratch_bytes: Option<u64>) -> Self {
        Self {
            memory_bytes: limits.memory.bytes() as u64 + INTERPRETER_BYTES,
            tasks: TASKS,
            open_files: u64::from(limits.open_files) + OWN_FILES,
            file_bytes: scratch_bytes.unwrap_or(NO_FILE),
            cpu_seconds: None,
        }
    }

    /// Sets them for this process and all it starts.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn apply(&self) -> io::Result<()> {
        let tasks = tasks_of_this_user().unwrap_or(0).saturating_add(self.tasks);
        let limits = [
            (Resource::Core, 0),
            (Resource::Data, self.memory_bytes),
            (Resource::As, self.memory_bytes.saturating_add(RESERVED_BYTES)),
            (Resource::Nproc, tasks),
            (Resource::Nofile, self.open_files),
            (Resource::Fsize, self.file_bytes),
            (Resource::Memlock, 0),
            (Resource::Msgqueue, 0),
            (Resource::Rtprio, 0),
            (Resource::Sigpending, 1024),
        ];
        for (resource, most) in limits {
            set(resource, most)?;
        }
        if let Some(seconds) = self.cpu_seconds {
            set(Resource::Cpu, seconds)?;
        }
        nice(NICE)?;
        Ok(())
    }
}

/// A limit nobody can raise again, and never above the one there is.
fn set(resource: Resource, most: u64) -> io::Result<()> {
    let most = rustix::process::getrlimit(resource).maximum.map_or(most, |known| known.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// The system counts the tasks of a user, not those of a process: those that are there have to be added. None are of
/// somebody who runs nothing yet.
fn tasks_of_this_user() -> Option<u64> {
    let user = geteuid();
    if user.is_root() {
        return None;
    }
    let processes = fs_err::read_dir("/proc").ok()?.filter_map(Result::ok).filter(|entry| {
        let is_process = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        is_process && entry.metadata().is_ok_and(|metadata| is_of(&entry.path(), metadata.uid(), user.as_raw()))
    });
    let tasks = processes.map(|entry| fs_err::read_dir(entry.path().join("task")).map_or(1, Iterator::count) as u64);
    Some(tasks.sum())
}

/// The directory of a process nobody may look into belongs to root, whoever it runs as.
fn is_of(process: &std::path::Path, owner: u32, user: u32) -> bool {
    owner == user
        || fs_err::read_to_string(process.join("status")).is_ok_and(|status| {
            status.lines().any(|line| {
                line.strip_prefix("Uid:").and_then(|ids| ids.split_whitespace().next()) == Some(&user.to_string())
            })
        })
}
