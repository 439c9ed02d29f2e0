//! Who a confined process is: never root where that can be helped, and without capabilities in any case.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The user and the group that own nothing.
const NOBODY: u32 = 65534;

/// The highest capability there may be.
const CAPABILITIES: u32 = 64;

/// What anybody may do with a directory to get through it.
const SEARCH: u32 = 0o001;
const READ: u32 = 0o004;

/// No capability can be gained any more: not by a program that has them, nor by one that sets the user.
///
/// # Errors
/// What the system says.
pub(super) fn bound() -> io::Result<()> {
    set_no_new_privs(true)?;
    for capability in (0..CAPABILITIES).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        match remove_capability_from_bounding_set(capability) {
            // Beyond the last one; or without the right to, and then there is none to lose.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives up the capabilities the process has.
///
/// # Errors
/// What the system says.
pub(super) fn without_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    clear_ambient_capability_set()?;
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// Turns root into nobody, who owns what is writable and can read the rest.
///
/// # Errors
/// A sentence, when nobody could not read what the process needs: then it stays root, and only landlock
/// protects the files of root from it.
pub(super) fn become_nobody<'a>(
    readable: impl Iterator<Item = &'a Path>,
    writable: &'a [PathBuf],
) -> Result<(), String> {
    let writable_parents = writable.iter().filter_map(|path| path.parent());
    if let Some(closed) = readable.chain(writable_parents).find_map(closed_to_nobody) {
        return Err(format!("the process stays root, because `{}` is closed to other users", closed.display()));
    }
    let text = |error: io::Error| error.to_string();
    for directory in writable {
        std::os::unix::fs::chown(directory, Some(NOBODY), Some(NOBODY)).map_err(text)?;
    }
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(group, group, group))
        .and_then(|()| set_thread_res_uid(user, user, user))
        .map_err(|error| text(error.into()))
}

/// The first part of a path that somebody who owns nothing cannot pass.
fn closed_to_nobody(path: &Path) -> Option<PathBuf> {
    let real = fs_err::canonicalize(path).ok()?;
    let needed = |part: &Path, is_whole: bool| {
        let metadata = fs_err::metadata(part).ok()?;
        let bits = match (is_whole, metadata.is_dir()) {
            (true, true) => READ | SEARCH,
            (true, false) => READ,
            (false, _) => SEARCH,
        };
        (metadata.mode() & bits != bits).then(|| part.to_owned())
    };
    real.ancestors().enumerate().find_map(|(above, part)| needed(part, above == 0))
}
