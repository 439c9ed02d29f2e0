//! Unpacking: through a directory handle, counted on the bytes that really come out.

use std::io::{Read, Seek, Write};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};

use super::{Archive, ArchiveError, Entry, EntryKind, EntryPath, RATIO_FREE_BYTES, Refusal};
use crate::digest::{Hasher, Sha256};

/// What an archive left in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Every file, in the order of the archive.
    pub files: Vec<ExtractedFile>,
    /// Bytes of all files together.
    pub total_bytes: u64,
}

/// One file that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractedFile {
    /// Where, below the directory of the caller.
    pub path: EntryPath,
    /// Its real size. Unit: bytes.
    pub size: u64,
    /// The digest of its content, computed while it was written.
    pub sha256: Sha256,
    /// Whether it was given mode 0755 instead of 0644.
    pub executable: bool,
    /// Its first bytes, with zeros where there are none: enough to tell most files from native code
    /// without opening them again.
    pub magic: [u8; MAGIC],
}

/// How many of the first bytes of a file [`ExtractedFile::magic`] has.
pub const MAGIC: usize = 4;

impl<R: Read + Seek> Archive<R> {
    /// Unpacks everything into an empty directory of the caller's.
    ///
    /// Existing files are never written to. After an error the directory holds a part of the
    /// archive and is the caller's to remove; [`Archive::extract_to_new_dir`] does that.
    ///
    /// # Errors
    /// [`ArchiveError`] for an entry whose content is not what the archive says, for the
    /// limits on what comes out, and for what the file system refuses.
    pub fn extract(mut self, into: &Dir) -> Result<Extracted, ArchiveError> {
        self.unpack(into).map_err(|refusal| refusal.of(&self.subject))
    }

    /// Creates the directory `name` below `parent`, unpacks everything into it, and removes
    /// it again if that fails.
    ///
    /// # Errors
    /// As [`Archive::extract`], and when `name` exists already.
    pub fn extract_to_new_dir(self, parent: &Dir, name: &str) -> Result<(Dir, Extracted), ArchiveError> {
        let subject = self.subject.clone();
        let cannot_write = |source| Refusal::Write { path: name.to_owned(), source }.of(&subject);
        parent.create_dir(name).map_err(cannot_write)?;
        let outcome = parent
            .open_dir(name)
            .map_err(cannot_write)
            .and_then(|into| self.extract(&into).map(|extracted| (into, extracted)));
        if outcome.is_err() {
            // The refusal is the news; that cleaning up failed too would hide it.
            let _ = parent.remove_dir_all(name);
        }
        outcome
    }

    fn unpack(&mut self, into: &Dir) -> Result<Extracted, Refusal> {
        let mut extracted = Extracted::default();
        let mut buffer = vec![0; 64 * 1024];
        for index in 0..self.entries.len() {
            let entry = self.entries[index].clone();
            match entry.kind {
                EntryKind::Directory => create_directories(into, entry.path.as_str())?,
                EntryKind::File => {
                    let file = self.unpack_file(into, index, &entry, extracted.total_bytes, &mut buffer)?;
                    extracted.total_bytes += file.size;
                    extracted.files.push(file);
                }
            }
        }
        Ok(extracted)
    }

    fn unpack_file(
        &mut self,
        into: &Dir,
        index: usize,
        entry: &Entry,
        before: u64,
        buffer: &mut [u8],
    ) -> Result<ExtractedFile, Refusal> {
        let path = entry.path.as_str();
        let damaged = |source| Refusal::Damaged { path: path.to_owned(), source }.at(index);
        let cannot_write = |source| Refusal::Write { path: path.to_owned(), source };

        let mut content = self.zip.by_index(index).map_err(|source| damaged(source.into()))?;
        let mut file = create_file(into, entry).map_err(cannot_write)?;
        let mut hasher = Hasher::default();
        let mut size = 0_u64;
        let mut magic = [0; MAGIC];
        loop {
            let count = content.read(buffer).map_err(damaged)?;
            if count == 0 {
                break;
            }
            // Readers may give one byte at a time.
            let at = usize::try_from(size).unwrap_or(MAGIC).min(MAGIC);
            let more = count.min(MAGIC - at);
            magic[at..at + more].copy_from_slice(&buffer[..more]);
            size += count as u64;
            let total = before + size;
            if total > self.limits.unpacked_bytes {
                return Err(Refusal::UnpackedBytes { limit: self.limits.unpacked_bytes, path: path.to_owned() });
            }
            if total > RATIO_FREE_BYTES && total / self.size.max(1) > self.limits.ratio {
                return Err(Refusal::Ratio { limit: self.limits.ratio, path: path.to_owned() });
            }
            hasher.update(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(cannot_write)?;
        }
        if size != entry.claimed_size {
            return Err(damaged(std::io::Error::other(format!("expected {} bytes, got {size}", entry.claimed_size))));
        }
        let (path, executable) = (entry.path.clone(), entry.executable);
        Ok(ExtractedFile { path, size, sha256: hasher.finish(), executable, magic })
    }
}

/// Creates a file that does not exist yet, readable by all and writable by the owner.
fn create_file(into: &Dir, entry: &Entry) -> std::io::Result<cap_std::fs::File> {
    let mode = if entry.executable { 0o755 } else { 0o644 };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let file = match into.open_with(&entry.path, &options) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some((parent, _)) = entry.path.as_str().rsplit_once('/') {
                create_all(into, parent)?;
            }
            into.open_with(&entry.path, &options)?
        }
        other => other?,
    };
    // The umask may have taken bits away; what an agent can read must not depend on it.
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

fn create_directories(into: &Dir, path: &str) -> Result<(), Refusal> {
    create_all(into, path).map_err(|source| Refusal::Write { path: path.to_owned(), source })
}

fn create_all(into: &Dir, path: &str) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o755);
    into.create_dir_with(path, &builder)
}
