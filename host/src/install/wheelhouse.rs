//! The wheelhouse: a directory of wheels that are tried before the package index.
//!
//! At a start it is only read, so that many processes may share it, mounted read-only.
//! `par wheelhouse` is what writes to it.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use par_apkg::archive::{Archive, ArchiveLimits};
use par_apkg::requirement::ProjectName;

use super::choose::WheelName;

/// Why a wheelhouse cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum WheelhouseError {
    /// It is not a directory that can be listed.
    #[error("cannot read the wheelhouse `{}`", .directory.display())]
    Unreadable {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written to.
    #[error("cannot write to the wheelhouse `{}`", .directory.display())]
    Unwritable {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was to be added is no wheel.
    #[error("`{}` is not a wheel: {because}", .file.display())]
    NotAWheel {
        /// The file.
        file: PathBuf,
        /// What is wrong, as the rest of the sentence.
        because: String,
    },
}

/// What is in a wheelhouse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wheelhouse {
    directory: PathBuf,
    wheels: Vec<Wheel>,
    ignored: Vec<String>,
}

/// One wheel of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wheel {
    /// Its file name, taken apart.
    pub name: WheelName,
    /// Size of the file, in bytes.
    pub bytes: u64,
}

/// How much is in a wheelhouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Files that are wheels by their name.
    pub wheels: usize,
    /// Distributions they are of.
    pub distributions: usize,
    /// Distributions that are there in several versions.
    pub in_several_versions: usize,
    /// Bytes of all wheels.
    pub bytes: u64,
    /// Files with another name, which nobody looks at.
    pub ignored: usize,
}

impl Wheelhouse {
    /// Lists a wheelhouse. Nothing is opened.
    ///
    /// # Errors
    /// [`WheelhouseError::Unreadable`].
    pub fn open(directory: &Path) -> Result<Self, WheelhouseError> {
        let unreadable = |source| WheelhouseError::Unreadable { directory: directory.to_owned(), source };
        let mut found = Self { directory: directory.to_owned(), ..Self::default() };
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let file = entry.file_name().to_string_lossy().into_owned();
            let metadata = fs::metadata(entry.path()).ok().filter(std::fs::Metadata::is_file);
            match (WheelName::parse(&file), metadata) {
                (Some(name), Some(metadata)) => found.wheels.push(Wheel { name, bytes: metadata.len() }),
                _ => found.ignored.push(file),
            }
        }
        found.wheels.sort_by_cached_key(|wheel| (wheel.name.distribution().clone(), wheel.name.to_string()));
        found.ignored.sort();
        Ok(found)
    }

    /// Its wheels, by distribution and file name.
    #[must_use]
    pub fn wheels(&self) -> &[Wheel] {
        &self.wheels
    }

    /// Names of what else lies there.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// How much it holds.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let mut versions: BTreeMap<&ProjectName, Vec<&str>> = BTreeMap::new();
        for wheel in &self.wheels {
            let known = versions.entry(wheel.name.distribution()).or_default();
            if !known.contains(&wheel.name.version()) {
                known.push(wheel.name.version());
            }
        }
        Statistics {
            wheels: self.wheels.len(),
            distributions: versions.len(),
            in_several_versions: versions.values().filter(|versions| versions.len() > 1).count(),
            bytes: self.wheels.iter().map(|wheel| wheel.bytes).sum(),
            ignored: self.ignored.len(),
        }
    }

    /// Adds a wheel; one of that name is replaced. Whoever reads meanwhile sees the old or the new.
    ///
    /// # Errors
    /// [`WheelhouseError`]: its bytes must be an archive the archive rules accept.
    pub fn add(directory: &Path, name: &WheelName, content: &mut fs::File) -> Result<(), WheelhouseError> {
        let unwritable = |source| WheelhouseError::Unwritable { directory: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(unwritable)?;
        let mut temporary = tempfile::NamedTempFile::new_in(directory).map_err(unwritable)?;
        io::copy(content, &mut temporary).map_err(unwritable)?;
        temporary.flush().map_err(unwritable)?;
        let written = fs::File::open(temporary.path()).map_err(unwritable)?;
        let opened = Archive::open(written, &name.to_string(), ArchiveLimits::WHEEL);
        opened.map_err(|error| WheelhouseError::NotAWheel {
            file: PathBuf::from(name.to_string()),
            because: error.to_string(),
        })?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        temporary.as_file().set_permissions(readable).map_err(unwritable)?;
        temporary.as_file().sync_all().map_err(unwritable)?;
        temporary.persist(directory.join(name.to_string())).map_err(|error| unwritable(error.error))?;
        Ok(())
    }

    /// Adds a wheel from a file.
    ///
    /// # Errors
    /// As [`Wheelhouse::add`].
    pub fn add_file(directory: &Path, path: &Path) -> Result<WheelName, WheelhouseError> {
        let refused = |because: String| WheelhouseError::NotAWheel { file: path.to_owned(), because };
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = WheelName::parse(file).ok_or_else(|| refused("its name is not that of a wheel".to_owned()))?;
        let mut content = fs::File::open(path).map_err(|error| refused(error.to_string()))?;
        Self::add(directory, &name, &mut content)?;
        Ok(name)
    }

    /// Removes every wheel, and nothing else.
    ///
    /// # Errors
    /// [`WheelhouseError::Unwritable`] for the first one that cannot be removed.
    pub fn clear(&self) -> Result<(), WheelhouseError> {
        for wheel in &self.wheels {
            fs::remove_file(self.directory.join(wheel.name.to_string()))
                .map_err(|source| WheelhouseError::Unwritable { directory: self.directory.clone(), source })?;
        }
        Ok(())
    }
}
