//! What a process holds, as the system sees it: what nobody inside is asked about.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is measured.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// What the system counts blocks in, and what a file counts beside its content. Unit: bytes.
const BLOCK: u64 = 512;
const ENTRY: u64 = 4096;

/// Memory of a process that is in use. Unit: bytes.
pub(super) fn memory(process: i32) -> Option<usize> {
    let text = fs_err::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: usize = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size())
}

/// Returns once more than `quota` bytes lie in a directory, seen within [`EVERY`].
pub(super) async fn full(directory: &Path, quota: Option<u64>) {
    let Some(quota) = quota else { return std::future::pending().await };
    loop {
        tokio::time::sleep(EVERY).await;
        let path = directory.to_owned();
        if tokio::task::spawn_blocking(move || is_above(quota, path)).await.unwrap_or(true) {
            return;
        }
    }
}

/// Whether a file, each with what the system keeps about it, is one too many. Stops there, so it has an end.
fn is_above(quota: u64, root: PathBuf) -> bool {
    let mut bytes = 0_u64;
    let mut directories = vec![root];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs_err::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = fs_err::symlink_metadata(entry.path()) else { continue };
            bytes = bytes.saturating_add(metadata.blocks() * BLOCK + ENTRY);
            if bytes > quota {
                return true;
            }
            if metadata.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        assert!(memory(std::process::id().cast_signed()).is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(memory(-1), None);
    }

    #[test]
    fn what_lies_below_counts_and_what_is_linked_does_not() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("a")).unwrap();
        fs_err::write(root.path().join("a/file"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink("/", root.path().join("link")).unwrap();
        assert!(is_above(1 << 20, root.path().to_owned()));
        assert!(!is_above(2 << 20, root.path().to_owned()));
    }
}
