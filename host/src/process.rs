//! What the process asks of the system for itself, before it does anything else.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// No core file of this process, nor of what it starts; and no other process of the same user may
/// read its memory or its environment.
///
/// # Errors
/// What the system says.
pub fn keep_memory_private() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // A core that is piped to a program ignores the limit.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Lets the process open as many files as it may be allowed to: connections and files of agents
/// both count.
///
/// # Errors
/// What the system says.
pub fn open_as_many_files_as_allowed() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
