//! The directory of what is kept between starts.
//!
//! Code that runs as the agent is kept there, so nobody else may be able to put it there. The
//! default can lie in a directory everybody writes to.

pub mod trim;

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// Who may do what with a directory PAR makes: its owner everything, everybody else nothing.
const PRIVATE: u32 = 0o700;

/// Write permission of the group and of everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A cache directory others could have prepared.
#[derive(Debug, thiserror::Error)]
#[error("it belongs to another user, or others may write to it")]
struct Untrusted;

/// Makes the directory, or checks the one that is there. Blocks.
///
/// # Errors
/// When it cannot be made, when it belongs to neither this user nor root, or when others may
/// write to it.
pub fn prepare(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        fs_err::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(PRIVATE).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs_err::symlink_metadata(directory)?;
    // A link of our own, or one root made, is the operator's choice; its target is what counts.
    let metadata =
        if metadata.is_symlink() && is_owner_trusted(metadata.uid()) { fs_err::metadata(directory)? } else { metadata };
    if metadata.is_dir() && is_owner_trusted(metadata.uid()) && metadata.mode() & WRITABLE_BY_OTHERS == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, Untrusted))
}

fn is_owner_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs_err::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_directory_is_private_and_is_accepted_again() {
        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("a/par");

        prepare(&cache).unwrap();

        assert_eq!(mode(&cache), 0o700);
        prepare(&cache).unwrap();
    }

    #[test]
    fn a_directory_others_may_write_to_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("par");
        fs_err::create_dir(&cache).unwrap();
        fs_err::set_permissions(&cache, PermissionsExt::from_mode(0o777)).unwrap();

        assert_eq!(prepare(&cache).unwrap_err().kind(), io::ErrorKind::PermissionDenied);

        fs_err::set_permissions(&cache, PermissionsExt::from_mode(0o755)).unwrap();
        prepare(&cache).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("par");
        fs_err::write(&cache, "").unwrap();

        assert!(prepare(&cache).is_err());
    }

    #[test]
    fn a_link_of_our_own_leads_to_what_is_checked() {
        let root = tempfile::tempdir().unwrap();
        let (target, cache) = (root.path().join("target"), root.path().join("par"));
        fs_err::create_dir(&target).unwrap();
        fs_err::os::unix::fs::symlink(&target, &cache).unwrap();
        fs_err::set_permissions(&target, PermissionsExt::from_mode(0o755)).unwrap();
        prepare(&cache).unwrap();

        fs_err::set_permissions(&target, PermissionsExt::from_mode(0o777)).unwrap();
        assert!(prepare(&cache).is_err());
    }
}
