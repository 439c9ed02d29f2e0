//! Writes zip archives byte by byte, so that every field can lie.

/// One entry, honest unless told otherwise.
#[derive(Clone)]
pub(super) struct Forged {
    pub(super) name: Vec<u8>,
    /// The name in the local header, if it differs.
    pub(super) local_name: Option<Vec<u8>>,
    /// The bytes in the archive, after compression.
    pub(super) stored: Vec<u8>,
    pub(super) method: u16,
    pub(super) flags: u16,
    pub(super) crc: u32,
    pub(super) size: u32,
    pub(super) mode: u32,
    /// The system the archive claims to come from; 3 is Unix.
    pub(super) system: u8,
    pub(super) extra: Vec<u8>,
}

impl Forged {
    pub(super) fn file(name: &str, content: &str) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            local_name: None,
            stored: content.as_bytes().to_vec(),
            method: 0,
            flags: 1 << 11,
            crc: crc32(content.as_bytes()),
            size: u32::try_from(content.len()).unwrap(),
            mode: 0o100_644,
            system: 3,
            extra: Vec::new(),
        }
    }

    pub(super) fn directory(name: &str) -> Self {
        Self { mode: 0o040_755, ..Self::file(name, "") }
    }

    pub(super) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// `count` zeros, deflated honestly.
    pub(super) fn zeros(name: &str, count: u32) -> Self {
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

    fn fields(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [20, self.flags, self.method, 0, 0x21] {
            bytes.extend(field.to_le_bytes());
        }
        for field in [self.crc, u32::try_from(self.stored.len()).unwrap(), self.size] {
            bytes.extend(field.to_le_bytes());
        }
        bytes
    }

    fn local(&self) -> Vec<u8> {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend(self.fields());
        for length in [name.len(), self.extra.len()] {
            bytes.extend(u16::try_from(length).unwrap().to_le_bytes());
        }
        bytes.extend(name);
        bytes.extend(&self.extra);
        bytes.extend(&self.stored);
        bytes
    }

    fn central(&self, offset: u32) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02".to_vec();
        bytes.extend([20, self.system]);
        bytes.extend(self.fields());
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
pub(super) fn archive(entries: &[Forged]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        directory.extend(entry.central(u32::try_from(bytes.len()).unwrap()));
        bytes.extend(entry.local());
    }
    finish(bytes, &directory, entries.len())
}

/// An archive whose directory lists every entry at the place of the first: overlapping.
pub(super) fn overlapping(entry: &Forged, names: &[&str]) -> Vec<u8> {
    let directory: Vec<u8> =
        names.iter().flat_map(|name| Forged { name: name.as_bytes().to_vec(), ..entry.clone() }.central(0)).collect();
    finish(entry.local(), &directory, names.len())
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

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.iter().fold(!0, step)
}
