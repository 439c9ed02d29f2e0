//! The frame of a zip file: its end record, checked before anything else is parsed.
//!
//! A zip file is found from its end, and readers differ in how hard they look: which of two
//! end records counts, whether bytes before or after the archive matter, whose count of
//! entries is believed. Each difference hides one archive from one reader (the class of
//! CVE-2025-54368). Files that leave room for a choice are refused here, and the count of entries is known
//! before memory is spent on them.

use std::io::{Read, Seek, SeekFrom};

use super::{ArchiveLimits, Refusal};

const END_RECORD: usize = 22;
const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const ZIP64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
const LONGEST_COMMENT: usize = 65_535;

/// Largest directory that is read. Unit: bytes.
///
/// A record has some hundred bytes: the most entries there may be need 3 MiB. Directories of nothing
/// but comments and additional fields would only cost memory.
const LARGEST_DIRECTORY: u32 = 16 << 20;

/// Where the directory of an archive is, as its end record says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory {
    /// Its first byte.
    pub(super) start: u64,
    /// Its length. Unit: bytes.
    pub(super) bytes: u64,
    /// How many records it has.
    pub(super) entries: usize,
    /// The length of the whole file. Unit: bytes.
    pub(super) archive_bytes: u64,
}

/// Checks that the file is exactly one archive, within the limits, and says where its directory is.
pub(super) fn check(file: &mut (impl Read + Seek), limits: &ArchiveLimits) -> Result<Directory, Refusal> {
    let size = file.seek(SeekFrom::End(0)).map_err(Refusal::Read)?;
    if size > limits.archive_bytes {
        return Err(Refusal::ArchiveBytes { limit: limits.archive_bytes });
    }
    let tail = read_tail(file, size)?;
    let end = end_record(&tail)?;
    let end_offset = size - (tail.len() - end) as u64;

    let field = |at: usize| u16::from_le_bytes([tail[end + at], tail[end + at + 1]]);
    let wide = |at: usize| u32::from(field(at)) | u32::from(field(at + 2)) << 16;
    let (disk, directory_disk) = (field(4), field(6));
    let (entries_here, entries) = (field(8), field(10));
    let (directory_bytes, directory_offset) = (wide(12), wide(16));

    if disk != 0 || directory_disk != 0 || entries_here != entries {
        return Err(Refusal::Ambiguous { because: "it is one part of several" });
    }
    let zip64 = entries == u16::MAX || directory_bytes == u32::MAX || directory_offset == u32::MAX;
    if zip64 || ends_with_zip64_locator(&tail[..end]) {
        return Err(Refusal::Ambiguous { because: "it is a zip64 archive, which nothing within the limits needs" });
    }
    if usize::from(entries) > limits.entries {
        return Err(Refusal::Entries { limit: limits.entries });
    }
    if directory_bytes > LARGEST_DIRECTORY {
        return Err(Refusal::DirectoryBytes { limit: LARGEST_DIRECTORY });
    }
    if u64::from(directory_offset) + u64::from(directory_bytes) != end_offset {
        return Err(Refusal::Ambiguous { because: "there are bytes before the archive or after its directory" });
    }
    Ok(Directory {
        start: directory_offset.into(),
        bytes: directory_bytes.into(),
        entries: entries.into(),
        archive_bytes: size,
    })
}

fn read_tail(file: &mut (impl Read + Seek), size: u64) -> Result<Vec<u8>, Refusal> {
    let longest = (END_RECORD + LONGEST_COMMENT) as u64;
    let start = size.saturating_sub(longest);
    file.seek(SeekFrom::Start(start)).map_err(Refusal::Read)?;
    let mut tail = Vec::new();
    file.take(longest).read_to_end(&mut tail).map_err(Refusal::Read)?;
    Ok(tail)
}

/// Where in the tail the end record starts.
fn end_record(tail: &[u8]) -> Result<usize, Refusal> {
    let mut candidates = tail.windows(4).enumerate().filter(|(_, bytes)| *bytes == END_SIGNATURE).map(|(at, _)| at);
    let Some(end) = candidates.next_back() else {
        return Err(Refusal::NotAnArchive { because: "it has no end record" });
    };
    let Some(comment) = tail.get(end + 20..END_RECORD + end) else {
        return Err(Refusal::NotAnArchive { because: "its end record is cut off" });
    };
    let comment = usize::from(u16::from_le_bytes([comment[0], comment[1]]));
    // An earlier record that a comment of its own would carry to the end of the file is the
    // one other readers take. File data that merely contains the four bytes is no trap.
    let reaches_end = |at: usize| {
        tail.get(at + 20..at + END_RECORD).is_some_and(|length| {
            at + END_RECORD + usize::from(u16::from_le_bytes([length[0], length[1]])) == tail.len()
        })
    };
    if end + END_RECORD + comment != tail.len() {
        return Err(Refusal::Ambiguous { because: "there are bytes after its end record" });
    }
    if candidates.any(reaches_end) {
        return Err(Refusal::Ambiguous { because: "it has two end records" });
    }
    Ok(end)
}

/// Whether a zip64 locator, which is 20 bytes long, ends where these bytes end.
fn ends_with_zip64_locator(bytes: &[u8]) -> bool {
    bytes.len().checked_sub(20).is_some_and(|start| bytes[start..].starts_with(&ZIP64_LOCATOR))
}
