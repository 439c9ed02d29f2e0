//! How much an instance keeps in its scratch directory.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use par_policy::AuditEvent;

use crate::audit::{AuditRecord, AuditSink};

/// What a file or directory takes besides its content. Unit: bytes.
///
/// The block and the inode of an empty file: without it, a million empty files would be free.
const ENTRY: u64 = 4096;

/// Tells files apart: a hash of device and inode.
pub(super) type Key = (u64, u64);

/// Counts the content of one scratch directory.
///
/// The count is exact and never too low: every file was created through here, has one name
/// (hard links are refused), and grows only after it was asked for. A file that was removed
/// counts until the last who has it open lets go.
#[derive(Debug, Clone)]
pub(crate) struct Quota(Arc<Mutex<Counted>>);

#[derive(Debug)]
struct Counted {
    most: u64,
    used: u64,
    files: HashMap<Key, File>,
    /// What goes on the record each time there is no room, and where to.
    full: AuditEvent,
    audit: Arc<dyn AuditSink>,
}

#[derive(Debug, Default)]
struct File {
    size: u64,
    open: usize,
    removed: bool,
}

/// No room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl From<Full> for io::Error {
    fn from(_: Full) -> Self {
        rustix::io::Errno::NOSPC.into()
    }
}

impl Quota {
    /// Room for `most` bytes, entries included. `full` goes on the record whenever there is none.
    pub(crate) fn new(most: u64, full: AuditEvent, audit: Arc<dyn AuditSink>) -> Self {
        Self(Arc::new(Mutex::new(Counted { most, used: 0, files: HashMap::new(), full, audit })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Counted) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes room for one more file or directory.
    pub(super) fn add_entry(&self) -> Result<(), Full> {
        self.with(|counted| counted.take(ENTRY))
    }

    /// An entry is gone, or was not made after all.
    pub(super) fn drop_entry(&self) {
        self.with(|counted| counted.used = counted.used.saturating_sub(ENTRY));
    }

    /// A file was opened.
    pub(super) fn open(&self, key: Key) -> OpenFile {
        self.with(|counted| counted.files.entry(key).or_default().open += 1);
        OpenFile { quota: self.clone(), key }
    }

    /// A name of a file was removed or replaced: there is no other.
    pub(super) fn removed(&self, key: Key) {
        self.with(|counted| {
            let file = counted.files.entry(key).or_default();
            file.removed = true;
            counted.settle(key);
        });
        self.drop_entry();
    }

    #[cfg(test)]
    fn used(&self) -> u64 {
        self.with(|counted| counted.used)
    }
}

impl Counted {
    fn take(&mut self, bytes: u64) -> Result<(), Full> {
        match self.used.checked_add(bytes).filter(|used| *used <= self.most) {
            Some(used) => {
                self.used = used;
                Ok(())
            }
            None => {
                self.audit.record(AuditRecord::at_once(self.full.clone(), None));
                Err(Full)
            }
        }
    }

    /// Forgets a file nobody can reach any more.
    fn settle(&mut self, key: Key) {
        if self.files.get(&key).is_some_and(|file| file.removed && file.open == 0)
            && let Some(file) = self.files.remove(&key)
        {
            self.used = self.used.saturating_sub(file.size);
        }
    }
}

/// A file somebody has open. It counts until the last of these is dropped.
#[derive(Debug)]
pub(super) struct OpenFile {
    quota: Quota,
    key: Key,
}

impl OpenFile {
    /// Makes room for the file to reach to `end`.
    pub(super) fn reach(&self, end: u64) -> Result<(), Full> {
        self.quota.with(|counted| {
            let size = counted.files.get(&self.key).map_or(0, |file| file.size);
            counted.take(end.saturating_sub(size))?;
            counted.files.entry(self.key).or_default().size = size.max(end);
            Ok(())
        })
    }

    /// Makes room at the end of the file.
    pub(super) fn append(&self, bytes: u64) -> Result<(), Full> {
        let size = self.quota.with(|counted| counted.files.get(&self.key).map_or(0, |file| file.size));
        self.reach(size.saturating_add(bytes))
    }

    /// The file was cut to `size`.
    pub(super) fn cut(&self, size: u64) {
        self.quota.with(|counted| {
            let file = counted.files.entry(self.key).or_default();
            let freed = file.size.saturating_sub(size);
            file.size = file.size.min(size);
            counted.used = counted.used.saturating_sub(freed);
        });
    }
}

impl Clone for OpenFile {
    fn clone(&self) -> Self {
        self.quota.open(self.key)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.quota.with(|counted| {
            if let Some(file) = counted.files.get_mut(&self.key) {
                file.open -= 1;
            }
            counted.settle(self.key);
        });
    }
}

#[cfg(test)]
mod tests {
    use par_policy::{Capability, Denial, DenialCode};

    use super::*;
    use crate::audit::NoAudit;

    fn quota(most: u64) -> Quota {
        let full = AuditEvent::denied(Capability::Files, "/scratch", &Denial::new(DenialCode::ScratchFull, "full"));
        Quota::new(most, full, Arc::new(NoAudit))
    }

    const A: Key = (1, 1);
    const B: Key = (2, 2);

    #[test]
    fn a_file_counts_what_it_reaches_and_never_twice() {
        let quota = quota(ENTRY + 100);
        quota.add_entry().unwrap();
        let file = quota.open(A);

        assert_eq!(file.reach(60), Ok(()));
        assert_eq!(file.reach(40), Ok(()));
        assert_eq!(file.append(40), Ok(()));
        assert_eq!((file.append(1), file.reach(101), file.reach(u64::MAX)), (Err(Full), Err(Full), Err(Full)));
        assert_eq!(quota.used(), ENTRY + 100);

        file.cut(10);
        assert_eq!((file.append(90), file.append(1)), (Ok(()), Err(Full)));
    }

    /// hostile 95: a file without a name takes room as long as somebody has it open.
    #[test]
    fn a_removed_file_counts_until_the_last_lets_go() {
        let quota = quota(2 * ENTRY + 100);
        quota.add_entry().unwrap();
        let file = quota.open(A);
        file.reach(100).unwrap();
        let stream = file.clone();

        quota.removed(A);
        drop(file);
        quota.add_entry().unwrap();
        let other = quota.open(B);
        assert_eq!(other.reach(1 + ENTRY), Err(Full));

        drop(stream);
        assert_eq!(other.reach(1 + ENTRY), Ok(()));
        assert_eq!(quota.used(), 2 * ENTRY + 1);
    }

    #[test]
    fn entries_take_room_and_give_it_back() {
        let quota = quota(2 * ENTRY);
        assert_eq!((quota.add_entry(), quota.add_entry(), quota.add_entry()), (Ok(()), Ok(()), Err(Full)));

        quota.removed(A);

        assert_eq!((quota.add_entry(), quota.add_entry()), (Ok(()), Err(Full)));
    }
}
