//! Files and directories that belong to a running process, and those whose process is gone.
//!
//! What a process works on it locks. A lock ends with its process, however that ended, so
//! what is not locked is left over and may be removed.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// A directory for temporary files, removed when it is dropped, or by the next start.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes a directory whose name begins with `prefix`, and removes those left over by
    /// processes that were killed. Blocks.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(prefix: &str) -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir(), prefix)
    }

    fn new_in(parent: &Path, prefix: &str) -> io::Result<Self> {
        sweep(parent, prefix)?;
        let (lock, directory) = create(|| {
            let directory = tempfile::Builder::new().prefix(prefix).tempdir_in(parent)?;
            Ok((open(directory.path())?, directory))
        })?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Makes something and locks it, again if another process took it for left over in between.
///
/// # Errors
/// Those of `make`, and when locks are not to be had.
pub fn create<T>(make: impl Fn() -> io::Result<(File, T)>) -> io::Result<(File, T)> {
    loop {
        let (file, made) = make()?;
        flock(&file, FlockOperation::LockExclusive)?;
        if file.metadata()?.nlink() > 0 {
            return Ok((file, made));
        }
    }
}

/// Removes what processes that are gone left in a directory, and says how much that was. Only
/// files and directories of this user whose names begin with `prefix` are looked at.
///
/// # Errors
/// When the directory cannot be read. What cannot be removed stays.
pub fn sweep(directory: &Path, prefix: &str) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        if is_ours && remove(&entry.path()).is_ok_and(|removed| removed) {
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove(path: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || !(metadata.is_dir() || metadata.is_file()) {
        return Ok(false);
    }
    let file = open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    if metadata.is_dir() {
        fs::remove_dir_all(path)?
    } else {
        fs::remove_file(path)?
    }
    Ok(true)
}

fn open(path: &Path) -> io::Result<File> {
    fs::File::open(path).map(fs::File::into_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_directory_goes_with_its_owner_and_those_of_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::new_in(parent.path(), "par_").unwrap();
        fs::write(living.path().join("file"), "").unwrap();

        let second = Scratch::new_in(parent.path(), "par_").unwrap();
        assert!(living.path().join("file").exists());

        drop((living, second));
        assert_eq!(names(parent.path()), Vec::<String>::new());
    }

    #[test]
    fn what_is_left_over_is_removed_and_nothing_else_is() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir_all(parent.path().join("par_left/deep")).unwrap();
        fs::write(parent.path().join("par_left/deep/file"), "").unwrap();
        fs::create_dir(parent.path().join("other")).unwrap();
        fs::os::unix::fs::symlink(parent.path().join("other"), parent.path().join("par_link")).unwrap();

        assert_eq!(sweep(parent.path(), "par_").unwrap(), 1);

        let mut left = names(parent.path());
        left.sort();
        assert_eq!(left, ["other", "par_link"]);
    }
}
