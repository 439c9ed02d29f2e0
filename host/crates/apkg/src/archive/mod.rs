//! The one reader of zip archives: agent packages and wheels go through the same rules.
//!
//! Everything that can be refused from the directory of the archive is refused in
//! [`Archive::open`], before a byte is unpacked. [`Archive::extract`] then counts what really
//! comes out, because sizes in an archive are claims.

mod extract;
mod frame;
mod layout;
mod limits;
mod listing;
mod path;
mod refusal;
#[cfg(test)]
mod tests;

use std::io::{Read, Seek};

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

pub use extract::{Extracted, ExtractedFile, MAGIC};
pub use limits::{ArchiveLimits, RATIO_FREE_BYTES};
pub use listing::{Entry, EntryKind};
pub use path::EntryPath;
pub use refusal::{ArchiveError, Refusal};

/// An archive whose directory was read and found acceptable. Nothing is unpacked yet.
#[derive(Debug)]
pub struct Archive<R> {
    zip: ZipArchive<R>,
    entries: Vec<Entry>,
    size: u64,
    subject: String,
    limits: ArchiveLimits,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory of an archive and applies every rule that needs no unpacking.
    ///
    /// `subject` is what error messages call the archive: a file name, not a path of the host.
    ///
    /// # Errors
    /// [`ArchiveError`] for the first thing that is refused.
    pub fn open(mut file: R, subject: &str, limits: ArchiveLimits) -> Result<Self, ArchiveError> {
        let refused = |refusal: Refusal| refusal.of(subject);
        let directory = frame::check(&mut file, &limits).map_err(refused)?;
        layout::check(&mut file, &directory).map_err(refused)?;
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(config, file).map_err(|source| refused(Refusal::Directory { source }))?;
        if zip.has_duplicate_names() {
            return Err(refused(Refusal::Duplicate));
        }
        let entries = listing::read(&zip, &limits).map_err(refused)?;
        listing::refuse_second_names(&mut zip).map_err(refused)?;
        zip.validate_header_consistency().map_err(|source| refused(Refusal::Inconsistent { source }))?;
        Ok(Self { zip, entries, size: directory.archive_bytes, subject: subject.to_owned(), limits })
    }

    /// What the archive holds, in its own order. Sizes are what the archive claims.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What error messages call the archive.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}
