//! Writes zip archives byte by byte, so that every field can lie.

/// One entry, honest unless told otherwise.
#[derive(Clone)]
pub struct Forged {
    pub name: Vec<u8>,
    /// The name in the local header, if it differs.
    pub local_name: Option<Vec<u8>>,
    /// Checksum and sizes in the local header, if they differ.
    pub local_fields: Option<[u32; 3]>,
    /// Additional fields of the local header, if they differ.
    pub local_extra: Option<Vec<u8>>,
    /// Bytes between the content and the next entry.
    pub behind: Vec<u8>,
    /// The bytes in the archive, after compression.
    pub stored: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    pub size: u32,
    pub mode: u32,
    /// The system the archive claims to come from; 3 is Unix.
    pub system: u8,
    pub extra: Vec<u8>,
    /// The version of the format a reader needs.
    pub version: u16,
    /// Date and time as zip files write them.
    pub modified: [u16; 2],
}

impl Forged {
    pub fn file(name: &str, content: &str) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            local_name: None,
            local_fields: None,
            local_extra: None,
            behind: Vec::new(),
            stored: content.as_bytes().to_vec(),
            method: 0,
            flags: 1 << 11,
            crc: crc32(content.as_bytes()),
            size: u32::try_from(content.len()).unwrap(),
            mode: 0o100_644,
            system: 3,
            extra: Vec::new(),
            version: 20,
            modified: [0, 0x21],
        }
    }

    pub fn directory(name: &str) -> Self {
        Self { mode: 0o040_755, ..Self::file(name, "") }
    }

    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// `count` zeros, deflated honestly.
    pub fn zeros(name: &str, count: u32) -> Self {
        use std::io::{Cursor, Read, Write};

        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file("zeros", options).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(count.into()), &mut writer).unwrap();
        writer.flush().unwrap();
        let mut archive = zip::ZipArchive::new(writer.finish().unwrap()).unwrap();
        let mut raw = archive.by_index_raw(0).unwrap();
        let mut stored = Vec::new();
        raw.read_to_end(&mut stored).unwrap();
        Self { stored, method: 8, crc: raw.crc32(), size: count, ..Self::file(name, "") }
    }

    /// Its checksum and sizes behind its content, as a writer leaves them that does not seek.
    pub fn described_behind(self, signature: &[u8]) -> Self {
        let mut behind = signature.to_vec();
        self.numbers().into_iter().for_each(|field| behind.extend(field.to_le_bytes()));
        Self { flags: self.flags | 1 << 3, local_fields: Some([0; 3]), behind, ..self }
    }

    /// Checksum, stored size, size.
    pub fn numbers(&self) -> [u32; 3] {
        [self.crc, u32::try_from(self.stored.len()).unwrap(), self.size]
    }

    fn fields(&self, numbers: [u32; 3]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [self.version, self.flags, self.method, self.modified[0], self.modified[1]] {
            bytes.extend(field.to_le_bytes());
        }
        for field in numbers {
            bytes.extend(field.to_le_bytes());
        }
        bytes
    }

    fn local(&self) -> Vec<u8> {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let extra = self.local_extra.as_ref().unwrap_or(&self.extra);
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend(self.fields(self.local_fields.unwrap_or(self.numbers())));
        for length in [name.len(), extra.len()] {
            bytes.extend(u16::try_from(length).unwrap().to_le_bytes());
        }
        for part in [name, extra, &self.stored, &self.behind] {
            bytes.extend(part);
        }
        bytes
    }

    fn central(&self, offset: u32) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02".to_vec();
        bytes.extend([20, self.system]);
        bytes.extend(self.fields(self.numbers()));
        for field in [self.name.len(), self.extra.len(), 0, 0, 0] {
            bytes.extend(u16::try_from(field).unwrap().to_le_bytes());
        }
        bytes.extend((self.mode << 16).to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend(&self.name);
        bytes.extend(&self.extra);
        bytes
    }
}

/// An archive of these entries, in this order.
pub fn archive(entries: &[Forged]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        directory.extend(entry.central(u32::try_from(bytes.len()).unwrap()));
        bytes.extend(entry.local());
    }
    finish(bytes, &directory, entries.len())
}

/// An archive whose directory lists every entry at the place of the first: overlapping.
pub fn overlapping(entry: &Forged, names: &[&str]) -> Vec<u8> {
    let directory: Vec<u8> =
        names.iter().flat_map(|name| Forged { name: name.as_bytes().to_vec(), ..entry.clone() }.central(0)).collect();
    finish(entry.local(), &directory, names.len())
}

/// An archive of two entries, the second of which is the content of the first.
pub fn quoting(name: &str, inner: &Forged) -> Vec<u8> {
    let stored = inner.local();
    let size = u32::try_from(stored.len()).unwrap();
    let outer = Forged { crc: crc32(&stored), size, stored, ..Forged::file(name, "") };
    let offset = u32::try_from(30 + name.len()).unwrap();
    let directory = [outer.central(0), inner.central(offset)].concat();
    finish(outer.local(), &directory, 2)
}

/// An archive of these entries whose directory does not list the one at `hidden`.
pub fn unlisted(entries: &[Forged], hidden: usize) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        if index != hidden {
            directory.extend(entry.central(u32::try_from(bytes.len()).unwrap()));
        }
        bytes.extend(entry.local());
    }
    finish(bytes, &directory, entries.len() - 1)
}

/// An archive whose directory holds these entries, of which its end record counts one less.
pub fn miscounted(entries: &[Forged]) -> Vec<u8> {
    let mut bytes = archive(entries);
    let end = bytes.len() - 22;
    let count = u16::try_from(entries.len() - 1).unwrap().to_le_bytes();
    for at in [8, 10] {
        bytes[end + at..end + at + 2].copy_from_slice(&count);
    }
    bytes
}

fn finish(mut bytes: Vec<u8>, directory: &[u8], entries: usize) -> Vec<u8> {
    let start = u32::try_from(bytes.len()).unwrap();
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    let entries = u16::try_from(entries).unwrap().to_le_bytes();
    bytes.extend(entries);
    bytes.extend(entries);
    bytes.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.iter().fold(!0, step)
}
