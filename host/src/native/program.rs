//! The Python this release brings for the native backend, as files an interpreter can read.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use par_apkg::digest::{Hasher, Sha256};

/// Every file with its text.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/python_files.rs"));

/// Where it lies below the cache directory, in a directory of its digest.
const PLACE: &str = "native";

/// The files on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    directory: PathBuf,
}

impl Program {
    /// Writes the files, or finds those of an earlier start. What is there is compared, not trusted.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn prepare(cache: &Path) -> io::Result<Self> {
        let place = std::path::absolute(cache)?.join(PLACE);
        let directory = place.join(digest().to_hex());
        let is_whole = FILES
            .iter()
            .all(|(name, text)| fs::read(directory.join(name)).is_ok_and(|content| content == text.as_bytes()));
        if is_whole {
            return Ok(Self { directory });
        }
        fs::create_dir_all(&place)?;
        let making = tempfile::Builder::new().prefix(".making-").tempdir_in(&place)?;
        for (name, text) in FILES {
            let path = making.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(making.path()))?;
            fs::write(path, text)?;
        }
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        match fs::rename(making.path(), &directory) {
            // Another process was faster, and writes the same.
            Err(_) if directory.exists() => {}
            other => other?,
        }
        Ok(Self { directory })
    }

    /// The directory of all of it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the interpreter is given to run.
    #[must_use]
    pub fn start(&self) -> PathBuf {
        self.directory.join("par_guest/native/__main__.py")
    }

    /// Modules that take the place of what the agent may import and need not require.
    #[must_use]
    pub fn stand_ins(&self) -> PathBuf {
        self.directory.join("stand_ins")
    }
}

/// Changes whenever a file does.
fn digest() -> Sha256 {
    let mut hasher = Hasher::default();
    for (name, text) in FILES {
        hasher.update(format!("{name} {}\n", text.len()));
        hasher.update(text);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_changed_is_written_again() {
        let cache = tempfile::tempdir().unwrap();
        let first = Program::prepare(cache.path()).unwrap();
        let text = fs::read_to_string(first.start()).unwrap();
        fs::write(first.start(), "import os\n").unwrap();

        let second = Program::prepare(cache.path()).unwrap();

        assert_eq!(first, second);
        assert_eq!(fs::read_to_string(second.start()).unwrap(), text);
        assert!(second.stand_ins().join("pixell_runtime/__init__.py").is_file());
    }
}
