//! The directory of an archive, turned into entries that may be unpacked.

use std::collections::HashMap;

use zip::{CompressionMethod, ExtraField, ZipArchive};

use super::path::folded;
use super::{ArchiveLimits, EntryPath, Refusal};

/// One entry of an archive that passed every check a directory allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is unpacked to, below the directory the caller names.
    pub path: EntryPath,
    /// What it is.
    pub kind: EntryKind,
    /// The unpacked size the archive claims. Unit: bytes.
    pub claimed_size: u64,
    /// Whether any execute bit is set. All other mode bits are ignored.
    pub executable: bool,
}

/// What an entry is. Nothing else is ever unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

const TYPE_MASK: u32 = 0o170_000;

pub(super) fn read<R>(zip: &ZipArchive<R>, limits: &ArchiveLimits) -> Result<Vec<Entry>, Refusal>
where
    R: std::io::Read + std::io::Seek,
{
    let mut tree = Tree::default();
    let mut entries = Vec::with_capacity(zip.len());
    let mut claimed = 0_u64;
    for index in 0..zip.len() {
        let raw = zip.by_index_data(index).map_err(|source| Refusal::Directory { source })?;
        let entry = check(&raw, limits).map_err(|refusal| refusal.at(index))?;
        tree.insert(&entry, limits).map_err(|refusal| refusal.at(index))?;
        claimed = claimed.saturating_add(entry.claimed_size);
        if claimed > limits.unpacked_bytes {
            return Err(Refusal::UnpackedBytes { limit: limits.unpacked_bytes, path: entry.path.to_string() });
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Refuses entries that carry their name a second time, in the field by which one archiver
/// adds a Unicode name: readers differ in which of the two they use.
pub(super) fn refuse_second_names<R>(zip: &mut ZipArchive<R>) -> Result<(), Refusal>
where
    R: std::io::Read + std::io::Seek,
{
    for index in 0..zip.len() {
        let raw = zip.by_index_raw(index).map_err(|source| Refusal::Directory { source })?;
        if raw.extra_data_fields().any(|field| matches!(field, ExtraField::UnicodePath(_))) {
            let name = String::from_utf8_lossy(raw.name_raw()).into_owned();
            return Err(Refusal::Unsupported { name, because: "named twice" }.at(index));
        }
    }
    Ok(())
}

fn check(raw: &zip::read::ZipFileEntry<'_>, limits: &ArchiveLimits) -> Result<Entry, Refusal> {
    let name = name_of(raw)?;
    let (stem, named_directory) = match name.strip_suffix('/') {
        Some(stem) if !stem.is_empty() => (stem, true),
        _ => (name, false),
    };
    let path = EntryPath::parse(stem, limits)?;

    // The upper half is the Unix mode whatever system the archive claims to come from: a
    // reader that only looks for archives "made on Unix" would miss a link made elsewhere.
    let mode = raw.external_attributes() >> 16;
    let kind = match (mode & TYPE_MASK, named_directory) {
        (0 | 0o100_000, false) => EntryKind::File,
        (0 | 0o040_000, true) => EntryKind::Directory,
        (other, _) => {
            return Err(Refusal::NotAFile { name: name.to_owned(), kind: describe(other) });
        }
    };

    let unsupported = |because| Refusal::Unsupported { name: name.to_owned(), because };
    if raw.encrypted() {
        return Err(unsupported("encrypted"));
    }
    if !matches!(raw.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(unsupported("compressed in another way than deflate"));
    }
    if raw.compression() == CompressionMethod::Stored && raw.size() != raw.compressed_size() {
        return Err(unsupported("stored with two different sizes"));
    }
    if kind == EntryKind::Directory && raw.size() != 0 {
        return Err(unsupported("a directory with content"));
    }
    Ok(Entry { path, kind, claimed_size: raw.size(), executable: mode & 0o111 != 0 })
}

/// The name of an entry, if every reader agrees on it.
fn name_of<'a>(raw: &'a zip::read::ZipFileEntry<'_>) -> Result<&'a str, Refusal> {
    let bytes = raw.name_raw();
    let refused = |because| Refusal::Name { name: String::from_utf8_lossy(bytes).into_owned(), because };
    let name = std::str::from_utf8(bytes).map_err(|_| refused("is not UTF-8"))?;
    Ok(name)
}

fn describe(file_type: u32) -> &'static str {
    match file_type {
        0o120_000 => "symbolic link",
        0o060_000 | 0o020_000 => "device",
        0o010_000 => "pipe",
        0o140_000 => "socket",
        0o100_000 => "file with the name of a directory",
        0o040_000 => "directory with the name of a file",
        _ => "file of unknown type",
    }
}

/// Every path an archive creates, the directories no entry names included.
#[derive(Debug, Default)]
struct Tree {
    /// From the folded path to the path as first written and what it is.
    seen: HashMap<String, (String, EntryKind)>,
}

impl Tree {
    fn insert(&mut self, entry: &Entry, limits: &ArchiveLimits) -> Result<(), Refusal> {
        let own = entry.path.as_str();
        for prefix in entry.path.prefixes() {
            let kind = if prefix == own { entry.kind } else { EntryKind::Directory };
            let seen = self.seen.entry(folded(prefix)).or_insert_with(|| (prefix.to_owned(), kind));
            if seen.0 != prefix {
                return Err(Refusal::Collision { first: seen.0.clone(), second: prefix.to_owned() });
            }
            if seen.1 != kind {
                return Err(Refusal::FileAndDirectory { path: prefix.to_owned() });
            }
        }
        if self.seen.len() > limits.entries {
            return Err(Refusal::Entries { limit: limits.entries });
        }
        Ok(())
    }
}
