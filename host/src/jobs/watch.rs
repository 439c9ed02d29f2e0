//! How much a build has written: the sandbox bounds where, not how much.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most bytes a build may have on disk. What real backends write is a few times the source.
const MOST_BYTES: u64 = 512 << 20;

/// Most files and directories.
const MOST_ENTRIES: u64 = 50_000;

/// How often the directory is looked at. A guest writes less than a gigabyte a second.
const EVERY: Duration = Duration::from_millis(100);

/// Returns, with what to say, once the directory holds more than a build may write.
pub(super) async fn overflow(directory: &Path) -> &'static str {
    loop {
        tokio::time::sleep(EVERY).await;
        let directory = directory.to_owned();
        // A look that fails is repeated: the build moves things while it is looked at.
        let (bytes, entries) = tokio::task::spawn_blocking(move || measure(directory)).await.unwrap_or_default();
        if bytes > MOST_BYTES {
            return "it wrote more than 512 MiB";
        }
        if entries > MOST_ENTRIES {
            return "it made more than 50000 files";
        }
    }
}

/// Bytes and entries below a directory, as far as they matter: counting ends beyond the limits.
fn measure(root: PathBuf) -> (u64, u64) {
    let (mut bytes, mut entries) = (0, 0);
    let mut ahead = vec![root];
    while let Some(directory) = ahead.pop() {
        for entry in fs_err::read_dir(directory).into_iter().flatten().flatten() {
            entries += 1;
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                ahead.push(entry.path());
            } else {
                bytes += metadata.len();
            }
            if bytes > MOST_BYTES || entries > MOST_ENTRIES {
                return (bytes, entries);
            }
        }
    }
    (bytes, entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_a_directory_counts() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("a")).unwrap();
        fs_err::write(root.path().join("a/b"), "1234").unwrap();
        fs_err::write(root.path().join("c"), "56").unwrap();

        assert_eq!(measure(root.path().to_owned()), (6, 3));
    }

    #[tokio::test]
    async fn a_build_that_writes_too_much_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let file = fs_err::File::create(root.path().join("large")).unwrap();
        file.set_len(MOST_BYTES + 1).unwrap();

        assert_eq!(overflow(root.path()).await, "it wrote more than 512 MiB");
    }
}
