//! Archives forged from the input, true or with one lie or more: what is accepted tells the truth, and comes out as it
//! was put in. The `archive` target seldom gets past the checksums; this one always can.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Cursor;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use libfuzzer_sys::fuzz_target;
use par_apkg::archive::{Archive, ArchiveLimits};
use par_fuzz::forge::{self, Forged};
use par_fuzz::{assert_presentable, seeds};

/// Names that stand beside each other, with the number of those they collide with.
const NAMES: [(&str, u8); 9] = [
    ("agent.yaml", 0),
    ("Agent.yaml", 0),
    ("agent.yaml.", 0),
    ("src/main.py", 1),
    ("src/MAIN.PY", 1),
    ("caf\u{e9}", 2),
    ("cafe\u{301}", 2),
    ("a", 3),
    ("a..b", 4),
];

/// Names no archive may have.
const BAD_NAMES: [&str; 9] = ["../x", "/x", "a//b", "", "x\0", "C:x", "a\\b", "a/./b", "nul"];

thread_local! {
    static PLACE: RefCell<(tempfile::TempDir, Dir)> = RefCell::new({
        let directory = tempfile::tempdir().expect("a temporary directory");
        let handle = Dir::open_ambient_dir(directory.path(), ambient_authority()).expect("its handle");
        (directory, handle)
    });
}

/// The input, one decision at a time. When it ends, every decision is 0.
struct Decisions<'a>(&'a [u8]);

impl Decisions<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
}

/// An archive, and what must come out of it if it is true.
struct Story {
    bytes: Vec<u8>,
    files: Vec<(String, Vec<u8>)>,
    is_true: bool,
}

fn tell(decisions: &mut Decisions<'_>) -> Story {
    let mut is_true = true;
    let (mut entries, mut files) = (Vec::new(), Vec::new());
    let mut taken = BTreeSet::new();
    for _ in 0..=decisions.next() % 4 {
        let name = match decisions.next() {
            bad @ 200.. => {
                is_true = false;
                BAD_NAMES[usize::from(bad) % BAD_NAMES.len()]
            }
            good => {
                let (name, kind) = NAMES[usize::from(good) % NAMES.len()];
                is_true &= taken.insert(kind);
                name
            }
        };
        let size = usize::from(decisions.next()) * 16;
        let (entry, content) = if decisions.next().is_multiple_of(2) {
            let content: Vec<u8> = (0..size).map(|at| at.to_le_bytes()[0]).collect();
            let crc = forge::crc32(&content);
            let length = u32::try_from(size).expect("it is small");
            (Forged { stored: content.clone(), crc, size: length, ..Forged::file(name, "") }, content)
        } else {
            (Forged::zeros(name, u32::try_from(size).expect("it is small")), vec![0; size])
        };
        let (entry, is_honest) = spoil(entry, decisions);
        is_true &= is_honest;
        files.push((name.to_owned(), content));
        entries.push(entry);
    }
    let (bytes, is_whole) = assemble(&entries, decisions);
    Story { bytes, files, is_true: is_true && is_whole }
}

/// Changes an entry as the input has it; whether it still tells the truth.
fn spoil(entry: Forged, decisions: &mut Decisions<'_>) -> (Forged, bool) {
    let [crc, stored, size] = entry.numbers();
    let value = decisions.next();
    let wide = |size: u64| [&[1, 0, 16, 0][..], &size.to_le_bytes(), &u64::from(stored).to_le_bytes()].concat();
    let other = u32::from(value) + 1;
    match decisions.next() % 24 {
        0 => (entry.described_behind(b"PK\x07\x08"), true),
        1 => (entry.described_behind(b""), true),
        2 => (Forged { mode: 0o107_777, ..entry }, true),
        3 => (Forged { system: value, modified: [u16::from(value) << 8, 0xffff], ..entry }, true),
        4 => (Forged { local_extra: Some(wide(size.into())), ..entry }, true),
        5 => (Forged { crc: crc ^ other, ..entry }, false),
        6 => (Forged { size: size.wrapping_add(other), ..entry }, false),
        7 => (Forged { local_fields: Some([crc, stored, size ^ other]), ..entry }, false),
        8 => (Forged { local_fields: Some([crc ^ other, stored, size]), ..entry }, false),
        9 => (Forged { local_fields: Some([crc, stored ^ other, size]), ..entry }, false),
        10 => (Forged { local_name: Some(vec![value; entry.name.len() + 1]), ..entry }, false),
        11 => (Forged { behind: vec![value; usize::from(value) + 1], ..entry }, false),
        12 => (Forged { local_extra: Some(wide(u64::from(size) + u64::from(other))), ..entry }, false),
        13 => (Forged { extra: wide(size.into()), ..entry }, false),
        14 => (Forged { flags: entry.flags | 1 << [0, 5, 6, 13][usize::from(value) % 4], ..entry }, false),
        15 => (Forged { method: 9 + u16::from(value), ..entry }, false),
        16 => (Forged { mode: [0o120_777, 0o060_600, 0o010_600, 0o040_755][usize::from(value) % 4], ..entry }, false),
        17 => (Forged { flags: entry.flags | 1 << 3, ..entry }, false),
        18 => (Forged { version: 64 + u16::from(value) % 190, ..entry }, false),
        _ => (entry, true),
    }
}

/// Puts entries together as the input has it; whether the whole is one archive of all of them.
fn assemble(entries: &[Forged], decisions: &mut Decisions<'_>) -> (Vec<u8>, bool) {
    let whole = forge::archive(entries);
    let value = decisions.next();
    match decisions.next() % 16 {
        0 => (forge::unlisted(entries, usize::from(value) % entries.len()), false),
        1 => (forge::miscounted(entries), false),
        2 => ([vec![value; usize::from(value) + 1], whole].concat(), false),
        3 => ([whole, vec![value; usize::from(value) + 1]].concat(), false),
        4 => ([whole.clone(), whole].concat(), false),
        _ => (whole, true),
    }
}

fuzz_target!(init: seeds::plant(seeds::forged), |bytes: &[u8]| {
    let story = tell(&mut Decisions(bytes));
    PLACE.with_borrow(|(_, place)| {
        let outcome = Archive::open(Cursor::new(&story.bytes), "x.apkg", ArchiveLimits::PACKAGE)
            .and_then(|archive| archive.extract_to_new_dir(place, "inner"));
        match outcome {
            Ok((inner, extracted)) => {
                assert!(story.is_true, "a lie was accepted");
                assert_eq!(extracted.files.len(), story.files.len());
                for (file, (name, content)) in extracted.files.iter().zip(&story.files) {
                    assert_eq!(file.path.as_str(), name);
                    assert!(inner.read(name).expect("it was unpacked") == *content);
                }
                place.remove_dir_all("inner").expect("it can be removed");
            }
            Err(error) => {
                assert!(!story.is_true, "the truth was refused: {error}");
                assert_presentable(&error);
            }
        }
        assert_eq!(place.entries().expect("the place is there").count(), 0, "something is left");
    });
});
