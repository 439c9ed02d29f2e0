//! The layout of a zip file: every byte of it belongs to exactly one entry or to the directory.
//!
//! A reader that follows the directory never sees what lies between the entries, one that
//! streams sees little else. So the directory must hold exactly the records its end record
//! counts, and the entries must lie one behind the other, from the first byte of the file to
//! the directory: nothing before, between or behind them, and no byte in two of them. Bombs
//! made of entries that share their bytes end here, too.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::Refusal;
use super::frame::Directory;

const RECORD: usize = 46;
const RECORD_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const HEADER: usize = 30;
const HEADER_SIGNATURE: [u8; 4] = *b"PK\x03\x04";
const DESCRIPTOR_SIGNATURE: [u8; 4] = *b"PK\x07\x08";

/// The sizes follow the content, because they were not known before.
const DESCRIBED_BEHIND: u16 = 1 << 3;

/// Encrypted in one of three ways, or a patch of another file.
const NOT_PLAIN: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;

/// The latest version of the format there is, 6.3. Readers part on what to do with a later one.
const LATEST_FORMAT: u16 = 63;

/// An additional field with sizes of 64 bits: a second place to say how long an entry is.
const ZIP64: u16 = 1;

/// What a record of the directory says about an entry, as far as the layout is concerned.
struct Record {
    index: usize,
    flags: u16,
    crc: u32,
    stored_bytes: u32,
    size: u32,
    name: Vec<u8>,
    offset: u32,
}

/// Checks that entries and directory fill the file.
pub(super) fn check(file: &mut (impl Read + Seek), directory: &Directory) -> Result<(), Refusal> {
    let mut records = records(file, directory)?;
    records.sort_by_key(|record| record.offset);
    let mut at = 0;
    for record in &records {
        if u64::from(record.offset) != at {
            let because = if u64::from(record.offset) < at { OVERLAP } else { GAP };
            return Err(Refusal::Ambiguous { because });
        }
        at = end_of(file, record, directory.start)?;
    }
    if at == directory.start { Ok(()) } else { Err(Refusal::Ambiguous { because: GAP }) }
}

const OVERLAP: &str = "two of its entries share bytes";
const CUT_OFF: &str = "described in fields that are cut off";
const GAP: &str = "there are bytes that belong to no entry";

fn records(file: &mut (impl Read + Seek), directory: &Directory) -> Result<Vec<Record>, Refusal> {
    let other_count = || Refusal::Ambiguous { because: "its directory has another length than its end record says" };
    file.seek(SeekFrom::Start(directory.start)).map_err(Refusal::Read)?;
    let mut directory_bytes = BufReader::new(file.take(directory.bytes));
    let mut records = Vec::with_capacity(directory.entries);
    let mut left = directory.bytes;
    for index in 0..directory.entries {
        let mut fixed = [0; RECORD];
        left = left.checked_sub(RECORD as u64).ok_or_else(other_count)?;
        directory_bytes.read_exact(&mut fixed).map_err(Refusal::Read)?;
        let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(&fixed, at));
        let variable = u64::from(name) + u64::from(extra) + u64::from(comment);
        left = left.checked_sub(variable).ok_or_else(other_count)?;
        if !fixed.starts_with(&RECORD_SIGNATURE) {
            return Err(other_count());
        }

        let name = bytes(&mut directory_bytes, name)?;
        let unsupported =
            |because| Refusal::Unsupported { name: String::from_utf8_lossy(&name).into_owned(), because }.at(index);
        match zip64_fields(&bytes(&mut directory_bytes, extra)?) {
            None => return Err(unsupported(CUT_OFF)),
            Some(wide) if wide.is_empty() => {}
            Some(_) => {
                return Err(unsupported("described in a zip64 field, which nothing within the limits needs"));
            }
        }
        bytes(&mut directory_bytes, comment)?;
        let flags = u16_at(&fixed, 8);
        if flags & NOT_PLAIN != 0 {
            return Err(unsupported("encrypted"));
        }
        if u16_at(&fixed, 6) & 0xff > LATEST_FORMAT {
            return Err(unsupported("in a format of a later time"));
        }
        if u16_at(&fixed, 34) != 0 {
            return Err(unsupported("in another part of the archive"));
        }
        records.push(Record {
            index,
            flags,
            crc: u32_at(&fixed, 16),
            stored_bytes: u32_at(&fixed, 20),
            size: u32_at(&fixed, 24),
            offset: u32_at(&fixed, 42),
            name,
        });
    }
    if left == 0 { Ok(records) } else { Err(other_count()) }
}

/// Where an entry ends: its header, its content and what may describe it behind.
fn end_of(file: &mut (impl Read + Seek), record: &Record, directory: u64) -> Result<u64, Refusal> {
    let different = || Refusal::Differs { name: String::from_utf8_lossy(&record.name).into_owned() }.at(record.index);
    let start = u64::from(record.offset);
    if start + HEADER as u64 > directory {
        return Err(different());
    }
    let mut header = [0; HEADER];
    file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut header)).map_err(Refusal::Read)?;
    let [name, extra] = [26, 28].map(|at| u16_at(&header, at));
    let content = start + HEADER as u64 + u64::from(name) + u64::from(extra);
    let end = content + u64::from(record.stored_bytes);
    if !header.starts_with(&HEADER_SIGNATURE) || end > directory || usize::from(name) != record.name.len() {
        return Err(different());
    }
    if bytes(file, name)? != record.name || u16_at(&header, 6) != record.flags {
        return Err(different());
    }
    let wide = bytes(file, extra)?;
    let wide = zip64_fields(&wide).ok_or_else(|| {
        let name = String::from_utf8_lossy(&record.name).into_owned();
        Refusal::Unsupported { name, because: CUT_OFF }.at(record.index)
    })?;
    let mut stated = [14, 18, 22].map(|at| u32_at(&header, at));
    if !wide.is_empty() {
        // Writers that do not know the size in advance make room for it to be large, and then
        // write it there as well.
        let expected = [u64::from(record.size), u64::from(record.stored_bytes)].map(u64::to_le_bytes).concat();
        if wide.iter().any(|field| *field != expected) {
            return Err(different());
        }
        for (stated, size) in stated[1..].iter_mut().zip([record.stored_bytes, record.size]) {
            *stated = if *stated == u32::MAX { size } else { *stated };
        }
    }
    let expected = [record.crc, record.stored_bytes, record.size];
    if record.flags & DESCRIBED_BEHIND == 0 {
        return if stated == expected { Ok(end) } else { Err(different()) };
    }
    // Writers leave zeros in front, or what they knew already.
    if stated.iter().zip(&expected).any(|(stated, expected)| *stated != 0 && stated != expected) {
        return Err(different());
    }
    let described = descriptor(file, end, directory)?;
    let fields = |at: usize| [0, 4, 8].map(|field| u32_at(&described, at + field));
    if described.starts_with(&DESCRIPTOR_SIGNATURE) && described.len() == 16 && fields(4) == expected {
        return Ok(end + 16);
    }
    if described.len() >= 12 && fields(0) == expected { Ok(end + 12) } else { Err(different()) }
}

/// Up to 16 bytes behind an entry.
fn descriptor(file: &mut (impl Read + Seek), end: u64, directory: u64) -> Result<Vec<u8>, Refusal> {
    file.seek(SeekFrom::Start(end)).map_err(Refusal::Read)?;
    let mut described = Vec::new();
    file.take(16.min(directory - end)).read_to_end(&mut described).map_err(Refusal::Read)?;
    Ok(described)
}

/// The contents of all fields with sizes of 64 bits; `None` when a field is longer than what is left of them.
///
/// Up to three bytes at the end, where no field fits, are what some writers align entries with.
fn zip64_fields(mut fields: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while let [kind, kind_high, length, length_high, rest @ ..] = fields {
        let (content, rest) = rest.split_at_checked(u16::from_le_bytes([*length, *length_high]).into())?;
        if u16::from_le_bytes([*kind, *kind_high]) == ZIP64 {
            found.push(content);
        }
        fields = rest;
    }
    Some(found)
}

fn bytes(file: &mut impl Read, count: u16) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![0; usize::from(count)];
    file.read_exact(&mut bytes).map_err(Refusal::Read)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
