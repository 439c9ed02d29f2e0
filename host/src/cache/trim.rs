//! How much is kept between starts: what was not used for longest goes first.
//!
//! Use is the time of modification of one file, set when it is used: times of access are off on many
//! systems. What a process works with it has locked, shared, and that stays. Of files the lock is a
//! courtesy: an open file outlives its name. A directory in use must not go.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

/// The file of a directory whose time says when the directory was used.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Files; each is an entry.
    Files,
    /// Directories; each is an entry, with this file in it, and is removed by way of a name
    /// that begins with this prefix, which is what leftovers are called there.
    Directories {
        /// Its time is the time of the directory.
        marker: &'static str,
        /// How a directory is called while it is removed.
        going: &'static str,
    },
    /// One directory that goes as a whole, because its parts rely on each other. Its own time is the time of its
    /// use: see [`lease`].
    Whole,
}

/// One place below the cache directory whose entries may go.
#[derive(Debug, Clone, Copy)]
pub struct Shelf {
    /// Where, below the cache directory.
    pub place: &'static str,
    /// What lies there. Only names of 64 hexadecimal digits, with an ending or without, are looked at.
    pub kind: Kind,
    /// What goes with an entry: `<name><ending>` beside it, or a file of its name in another place.
    pub companion: Option<Companion>,
}

/// What goes with an entry.
#[derive(Debug, Clone, Copy)]
pub enum Companion {
    /// The file beside it whose name ends so.
    Ending(&'static str),
    /// The file of the same name in this place below the cache directory.
    Place(&'static str),
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries.
    pub entries: usize,
    /// Bytes they took.
    pub bytes: u64,
    /// Bytes that are left.
    pub left: u64,
}

/// Says that a file, or the entry it is the marker of, is used now.
#[expect(clippy::disallowed_methods, reason = "files are compared by their times")]
pub fn touch(file: &File) {
    // A cache somebody else wrote can be used and not changed; then its times are theirs.
    let _ = file.set_modified(SystemTime::now());
}

/// Marks something as in use for as long as the file stays open.
///
/// # Errors
/// When it is being removed.
pub fn hold(file: &File) -> io::Result<()> {
    Ok(flock(file, FlockOperation::NonBlockingLockShared)?)
}

/// Makes a directory that may go as a whole, says that it is used now, and keeps it while the result lives. Blocks.
///
/// # Errors
/// When it cannot be made.
pub fn lease(directory: &Path) -> io::Result<File> {
    loop {
        fs::create_dir_all(directory)?;
        let held = match fs::File::open(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?.into_parts().0,
        };
        flock(&held, FlockOperation::LockShared)?;
        // It may have been removed, and even made again, before it was held.
        let is_there = |there: std::fs::Metadata| {
            held.metadata().is_ok_and(|held| (held.dev(), held.ino()) == (there.dev(), there.ino()))
        };
        if fs::metadata(directory).is_ok_and(is_there) {
            touch(&held);
            return Ok(held);
        }
    }
}

/// Removes entries until no more than `most` bytes are left, or nothing that may go. Blocks.
///
/// Two processes do not do this at once: the second has nothing to do.
///
/// # Errors
/// When the cache directory cannot be written to. An entry that cannot be removed stays.
pub fn trim(cache: &Path, shelves: &[Shelf], most: u64) -> io::Result<Trimmed> {
    let gate = fs::File::create(cache.join(".trimming"))?;
    if flock(gate.file(), FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(Trimmed::default());
    }
    for shelf in shelves.iter().filter(|shelf| matches!(shelf.kind, Kind::Whole)) {
        // Whoever was killed while removing it left it so.
        match fs::remove_dir_all(away(&cache.join(shelf.place), GOING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut entries: Vec<Entry> = shelves.iter().flat_map(|shelf| list(cache, *shelf)).collect();
    entries.sort_by_key(|entry| entry.used);
    let mut trimmed = Trimmed { left: entries.iter().map(|entry| entry.bytes).sum(), ..Trimmed::default() };
    for entry in entries {
        if trimmed.left <= most {
            break;
        }
        match entry.remove(cache) {
            Ok(true) => {
                trimmed.entries += 1;
                trimmed.bytes += entry.bytes;
                trimmed.left -= entry.bytes;
            }
            Ok(false) => {}
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "A part of the cache cannot be removed");
            }
        }
    }
    Ok(trimmed)
}

/// How a directory is called while it is removed as a whole.
const GOING: &str = ".going-";

/// What a file takes at least. Unit: bytes.
const BLOCK: u64 = 4096;

fn away(path: &Path, going: &str) -> PathBuf {
    path.with_file_name(format!("{going}{}", path.file_name().unwrap_or_default().to_string_lossy()))
}

struct Entry {
    shelf: Shelf,
    path: PathBuf,
    used: SystemTime,
    bytes: u64,
}

fn list(cache: &Path, shelf: Shelf) -> Vec<Entry> {
    if matches!(shelf.kind, Kind::Whole) {
        let path = cache.join(shelf.place);
        let used = fs::symlink_metadata(&path).ok().filter(std::fs::Metadata::is_dir).and_then(|it| it.modified().ok());
        return used.map(|used| Entry { shelf, used, bytes: size_of(&path), path }).into_iter().collect();
    }
    let names = fs::read_dir(cache.join(shelf.place)).into_iter().flatten().flatten();
    let entry = |path: PathBuf| {
        let metadata = fs::symlink_metadata(&path).ok()?;
        let (used, bytes) = match shelf.kind {
            Kind::Files if metadata.is_file() => (metadata.modified().ok()?, metadata.len().next_multiple_of(BLOCK)),
            Kind::Directories { marker, .. } if metadata.is_dir() => {
                let used = fs::symlink_metadata(path.join(marker)).and_then(|marker| marker.modified());
                (used.unwrap_or(SystemTime::UNIX_EPOCH), size_of(&path))
            }
            _ => return None,
        };
        Some(Entry { shelf, path, used, bytes })
    };
    names
        .filter(|name| is_entry(&name.file_name().to_string_lossy(), shelf))
        .filter_map(|name| entry(name.path()))
        .collect()
}

fn is_entry(name: &str, shelf: Shelf) -> bool {
    let is_companion = matches!(shelf.companion, Some(Companion::Ending(ending)) if name.ends_with(ending));
    let stem = name.split('.').next().unwrap_or_default();
    !is_companion && stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Bytes on disk, as far as they can be counted.
fn size_of(directory: &Path) -> u64 {
    let mut bytes = 0;
    let mut ahead = vec![directory.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                ahead.push(entry.path());
            }
        }
    }
    bytes
}

impl Entry {
    /// Removes it, unless somebody uses it.
    fn remove(&self, cache: &Path) -> io::Result<bool> {
        let file = fs::File::open(&self.path)?;
        if flock(file.file(), FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
        match self.shelf.kind {
            Kind::Files => fs::remove_file(&self.path)?,
            Kind::Directories { going, .. } => {
                // In one step: who looks for it finds all of it or nothing. Whoever is killed
                // meanwhile leaves what the next installation sweeps.
                let away = away(&self.path, going);
                fs::rename(&self.path, &away)?;
                fs::remove_dir_all(away)?;
            }
            Kind::Whole => {
                let away = away(&self.path, GOING);
                fs::rename(&self.path, &away)?;
                fs::remove_dir_all(away)?;
            }
        }
        let companion = self.shelf.companion.zip(self.path.file_name()).map(|(companion, name)| match companion {
            Companion::Ending(ending) => self.path.with_file_name(format!("{}{ending}", name.to_string_lossy())),
            Companion::Place(place) => cache.join(place).join(name),
        });
        match companion.map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FILES: Shelf = Shelf { place: "files", kind: Kind::Files, companion: Some(Companion::Ending(".minisig")) };
    const LAYERS: Shelf =
        Shelf { place: "layers", kind: Kind::Directories { marker: "marker", going: ".going-" }, companion: None };

    fn name(letter: char) -> String {
        letter.to_string().repeat(64)
    }

    /// A file or the marker of a directory, used so many hours ago.
    #[expect(clippy::disallowed_methods, reason = "files are compared by their times")]
    fn put(path: &Path, bytes: usize, hours: u64) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![0; bytes]).unwrap();
        let file = fs::File::open(path).unwrap();
        file.file().set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    }

    fn left(cache: &Path, place: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(cache.join(place))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_with_what_belongs_to_it() {
        let cache = tempfile::tempdir().unwrap();
        for (letter, hours) in [('a', 1), ('b', 3), ('c', 2)] {
            put(&cache.path().join("files").join(name(letter)), 4000, hours);
            put(&cache.path().join("files").join(format!("{}.minisig", name(letter))), 10, hours);
        }

        let trimmed = trim(cache.path(), &[FILES], 4096).unwrap();

        assert_eq!(trimmed, Trimmed { entries: 2, bytes: 8192, left: 4096 });
        assert_eq!(left(cache.path(), "files"), [name('a'), format!("{}.minisig", name('a'))]);
        assert_eq!(trim(cache.path(), &[FILES], 4096).unwrap().entries, 0);
    }

    #[test]
    fn what_is_used_moves_to_the_end_of_the_row() {
        let cache = tempfile::tempdir().unwrap();
        put(&cache.path().join("files").join(name('a')), 1000, 9);
        put(&cache.path().join("files").join(name('b')), 1000, 1);
        touch(fs::File::open(cache.path().join("files").join(name('a'))).unwrap().file());

        trim(cache.path(), &[FILES], 5000).unwrap();

        assert_eq!(left(cache.path(), "files"), [name('a')]);
    }

    #[test]
    fn what_is_in_use_stays_and_everything_else_is_left_alone() {
        let cache = tempfile::tempdir().unwrap();
        for letter in ['a', 'b'] {
            put(&cache.path().join("layers").join(name(letter)).join("marker"), 5000, 9);
        }
        put(&cache.path().join("layers/index"), 5000, 9);
        let used = fs::File::open(cache.path().join("layers").join(name('a'))).unwrap();
        hold(used.file()).unwrap();

        let trimmed = trim(cache.path(), &[LAYERS, FILES], 0).unwrap();

        assert_eq!(trimmed.entries, 1);
        assert_eq!(left(cache.path(), "layers"), [name('a'), "index".to_owned()]);
        drop(used);
        assert_eq!(trim(cache.path(), &[LAYERS], 0).unwrap().entries, 1);
        assert_eq!(left(cache.path(), "layers"), ["index"]);
    }

    #[test]
    fn what_goes_as_a_whole_goes_when_nobody_holds_it_and_so_does_what_a_killed_process_left_of_it() {
        const WHOLE: Shelf = Shelf { place: "resolver", kind: Kind::Whole, companion: None };
        let cache = tempfile::tempdir().unwrap();
        let directory = cache.path().join("resolver");
        let used = lease(&directory).unwrap();
        put(&directory.join("deep/file"), 5000, 9);
        put(&cache.path().join(".going-resolver/file"), 5000, 9);

        assert_eq!(trim(cache.path(), &[WHOLE], 0).unwrap().entries, 0);
        assert!(directory.join("deep/file").exists());
        assert!(!cache.path().join(".going-resolver").exists());

        drop(used);
        assert_eq!(trim(cache.path(), &[WHOLE], 1 << 20).unwrap().entries, 0);
        assert_eq!(trim(cache.path(), &[WHOLE], 0).unwrap().entries, 1);
        assert_eq!(left(cache.path(), ""), [".trimming"]);
        drop(lease(&directory).unwrap());
        assert!(directory.is_dir());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "files are compared by their times")]
    fn what_goes_as_a_whole_is_as_old_as_its_last_use() {
        const WHOLE: Shelf = Shelf { place: "resolver", kind: Kind::Whole, companion: None };
        let cache = tempfile::tempdir().unwrap();
        put(&cache.path().join("resolver/file"), 5000, 9);
        let directory = fs::File::open(cache.path().join("resolver")).unwrap();
        directory.file().set_modified(SystemTime::now() - Duration::from_secs(9 * 3600)).unwrap();
        put(&cache.path().join("files").join(name('a')), 1000, 5);

        drop(lease(&cache.path().join("resolver")).unwrap());
        trim(cache.path(), &[WHOLE, FILES], 1 << 16).unwrap();
        assert_eq!(left(cache.path(), "files").len(), 1);
        trim(cache.path(), &[WHOLE, FILES], 10000).unwrap();

        assert_eq!(left(cache.path(), "files").len(), 0);
        assert!(cache.path().join("resolver/file").exists());
    }

    #[test]
    fn one_process_at_a_time() {
        let cache = tempfile::tempdir().unwrap();
        put(&cache.path().join("files").join(name('a')), 1000, 1);
        let other = fs::File::create(cache.path().join(".trimming")).unwrap();
        flock(other.file(), FlockOperation::LockExclusive).unwrap();

        assert_eq!(trim(cache.path(), &[FILES], 0).unwrap(), Trimmed::default());
        assert_eq!(left(cache.path(), "files"), [name('a')]);
    }
}
