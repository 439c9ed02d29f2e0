//! How often the boots before this one failed, kept where it outlives the container.
//!
//! A boot counts as failed from its first moment until it is ready: one that is killed on its way,
//! for its memory or by a node that goes down, leaves no other trace. What is kept is one
//! number in one small file. Without a place to keep it, every boot is the first: nobody else's
//! directory will do, where other processes of the same user count as well.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::cache;

/// Where the counts are, below the cache directory.
const PLACE: &str = "boots";

/// How long a failure counts. Longer than the longest boot with the longest wait after it, so that a
/// loop never forgets itself; short enough that yesterday's does not delay today's.
const MEMORY: Duration = Duration::from_secs(900);

/// Longest wait before a failed boot exits.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// Most failures that are counted: the wait is at its longest long before.
const MOST: u32 = 1000;

/// The count of one agent. All calls block, for a moment.
#[derive(Debug)]
pub struct Failures {
    place: Option<Place>,
    before: u32,
}

/// Where it is kept.
#[derive(Debug)]
struct Place {
    cache_dir: PathBuf,
    file: PathBuf,
}

impl Failures {
    /// The count of the agent `app_id` in a cache directory the operator chose, with what the environment
    /// says of boots that failed (`BOOT_FAILURE_COUNT`) as the least.
    #[must_use]
    pub fn of(cache_dir: Option<&Path>, app_id: Option<&str>, told: u32) -> Self {
        let digest = Sha256::digest(app_id.unwrap_or_default());
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let place = cache_dir
            .map(|cache_dir| Place { cache_dir: cache_dir.to_owned(), file: cache_dir.join(PLACE).join(name) });
        let kept = place.as_ref().map_or(0, |place| read(&place.file));
        Self { place, before: kept.max(told) }
    }

    /// How long a boot that fails now waits before the exit, so that a container that is started again
    /// and again does not spin: 2 to the power of the count in seconds, at most a minute; not at all for the first.
    #[must_use]
    pub fn back_off(&self) -> Option<Duration> {
        let seconds = 1_u64.checked_shl(self.before).unwrap_or(u64::MAX);
        (self.before > 0).then(|| Duration::from_secs(seconds).min(LONGEST_BACK_OFF))
    }

    /// Boots that failed in a row before this one.
    #[must_use]
    pub const fn before(&self) -> u32 {
        self.before
    }

    /// Counts this boot as failed, until [`Self::forget`] or [`Self::take_back`].
    ///
    /// # Errors
    /// When there is no place to keep it. The boot goes on without.
    pub fn count(&self) -> io::Result<()> {
        self.write(self.before.saturating_add(1).min(MOST))
    }

    /// This boot was ended before anybody can say how it would have gone.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn take_back(&self) -> io::Result<()> {
        if self.before == 0 { self.forget() } else { self.write(self.before) }
    }

    /// This boot got ready: the row of failures is over.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn forget(&self) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        match fs_err::remove_file(&place.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes it whole or not at all: the process may be killed at any time.
    fn write(&self, count: u32) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        cache::prepare(&place.cache_dir)?;
        let directory = place.cache_dir.join(PLACE);
        fs_err::create_dir_all(&directory)?;
        let mut draft = tempfile::NamedTempFile::new_in(&directory)?;
        writeln!(draft, "{count}")?;
        draft.persist(&place.file)?;
        Ok(())
    }
}

/// What is kept; nothing if it is old, or not what this module writes.
#[expect(clippy::disallowed_methods, reason = "the time of a file is all that outlives the process")]
fn read(file: &Path) -> u32 {
    let kept = || {
        let age = SystemTime::now().duration_since(fs_err::metadata(file).ok()?.modified().ok()?);
        // A clock that was set back makes it younger than it is, which is no reason to forget.
        let text = fs_err::read_to_string(file).ok().filter(|_| age.unwrap_or_default() <= MEMORY)?;
        text.trim().parse().ok()
    };
    kept().unwrap_or(0).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(root: &Path) -> Failures {
        Failures::of(Some(root), Some("app-1"), 0)
    }

    #[test]
    fn boots_that_fail_in_a_row_are_counted_until_one_gets_ready() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(at(root.path()).before(), 0);

        at(root.path()).count().unwrap();
        at(root.path()).count().unwrap();
        assert_eq!(at(root.path()).before(), 2);

        at(root.path()).forget().unwrap();
        assert_eq!(at(root.path()).before(), 0);
        at(root.path()).forget().unwrap();
    }

    #[test]
    fn a_failed_boot_waits_twice_as_long_each_time_up_to_a_minute() {
        let root = tempfile::tempdir().unwrap();
        let wait = |told| Failures::of(Some(root.path()), None, told).back_off().map(|wait| wait.as_secs());

        let seconds = [0, 1, 2, 5, 6, 63, 64, u32::MAX].map(wait);

        assert_eq!(seconds, [None, Some(2), Some(4), Some(32), Some(60), Some(60), Some(60), Some(60)]);
    }

    #[test]
    fn a_boot_that_was_ended_leaves_the_count_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let first = at(root.path());
        first.count().unwrap();
        first.take_back().unwrap();
        assert_eq!(at(root.path()).before(), 0);

        at(root.path()).count().unwrap();
        let second = at(root.path());
        second.count().unwrap();
        second.take_back().unwrap();
        assert_eq!(at(root.path()).before(), 1);
    }

    #[test]
    fn each_agent_has_its_own_and_the_environment_may_know_of_more() {
        let root = tempfile::tempdir().unwrap();
        at(root.path()).count().unwrap();

        assert_eq!(Failures::of(Some(root.path()), Some("app-2"), 0).before(), 0);
        assert_eq!(Failures::of(Some(root.path()), Some("app-1"), 5).before(), 5);
        assert_eq!(Failures::of(Some(root.path()), None, 0).before(), 0);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the time of a file is all that outlives the process")]
    fn a_failure_of_long_ago_and_nonsense_do_not_count() {
        let root = tempfile::tempdir().unwrap();
        let failures = at(root.path());
        failures.count().unwrap();
        let path = &failures.place.as_ref().unwrap().file;
        let file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        assert_eq!(at(root.path()).before(), 0, "an hour ago");

        for nonsense in ["", "x", "-1", "9999999999999999"] {
            fs_err::write(path, nonsense).unwrap();
            assert_eq!(at(root.path()).before(), 0, "{nonsense}");
        }
        fs_err::write(path, "4000000000").unwrap();
        assert_eq!(at(root.path()).before(), MOST);
    }

    #[test]
    fn without_a_place_to_keep_it_every_boot_is_the_first() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs_err::write(&file, "").unwrap();

        let failures = at(&file);

        assert_eq!(failures.before(), 0);
        assert!(failures.count().is_err());
        assert!(at(&root.path().join("nowhere")).forget().is_ok());
        let nowhere = Failures::of(None, Some("app-1"), 3);
        nowhere.count().unwrap();
        assert_eq!(Failures::of(None, Some("app-1"), 0).before(), 0);
        assert_eq!(nowhere.before(), 3);
    }
}
