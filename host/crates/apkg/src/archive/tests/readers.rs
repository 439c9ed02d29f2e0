//! Files in which two readers could see two archives: by the directory, by streaming, from the
//! front, from the back.

use super::forge::{self, Forged};
use super::{ArchiveLimits, Refusal, refusal, unpack, unpack_within};

fn refused(bytes: Vec<u8>) -> String {
    unpack_within(bytes, ArchiveLimits::PACKAGE).unwrap_err().to_string()
}

/// The reason after `is ambiguous: `.
fn ambiguous(bytes: Vec<u8>) -> &'static str {
    match unpack_within(bytes, ArchiveLimits::PACKAGE).unwrap_err().refusal {
        Refusal::Ambiguous { because } => because,
        other => panic!("{other}"),
    }
}

const GAP: &str = "there are bytes that belong to no entry";
const OUTSIDE: &str = "there are bytes before the archive or after its directory";

/// Hostile 28: an archive in front, behind or inside another, two end records, a comment that hides one.
#[test]
fn bytes_around_the_archive_are_refused() {
    let fine = forge::archive(&[Forged::file("a", "1")]);
    let other = forge::archive(&[Forged::file("b", "2")]);
    let end = fine.len() - 22;

    assert_eq!(ambiguous([b"#!".to_vec(), fine.clone()].concat()), OUTSIDE);
    assert_eq!(ambiguous([other.clone(), fine.clone()].concat()), OUTSIDE);
    assert_eq!(ambiguous([fine.clone(), b"x".to_vec()].concat()), "there are bytes after its end record");
    let mut carrying = fine.clone();
    carrying[end + 20] = u8::try_from(other.len()).unwrap();
    carrying.extend(&other);
    assert_eq!(ambiguous(carrying), "it has two end records");

    let mut commented = fine;
    commented[end + 20] = 5;
    commented.extend(b"hello");
    assert!(unpack_within(commented, ArchiveLimits::PACKAGE).is_ok());
}

/// Hostile 31: parts of several archives, and 64-bit counts that nothing small needs.
#[test]
fn an_end_record_for_something_larger_is_refused() {
    let fine = forge::archive(&[Forged::file("a", "1")]);
    let end = fine.len() - 22;
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = fine.clone();
        changed[end + at..end + at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    const ZIP64: &str = "it is a zip64 archive, which nothing within the limits needs";

    assert_eq!(ambiguous(with(4, &[1, 0])), "it is one part of several");
    assert_eq!(ambiguous(with(8, &[2, 0])), "it is one part of several");
    assert_eq!(ambiguous(with(8, &[0xff; 4])), ZIP64);
    assert_eq!(ambiguous(with(12, &[0xff; 4])), ZIP64);
    assert_eq!(ambiguous(with(16, &[0xff; 4])), ZIP64);
    let locator = [&fine[..end], b"PK\x06\x07", &[0; 16], &fine[end..]].concat();
    assert_eq!(ambiguous(locator), ZIP64);
    assert!(unpack_within(fine, ArchiveLimits::PACKAGE).is_ok());
}

/// Hostile 25: entries that share their bytes, whole or one inside another.
#[test]
fn bytes_shared_by_entries_are_refused() {
    let kernel = Forged::zeros("a", 100_000);
    let names = vec!["a"; 2];
    assert_eq!(ambiguous(forge::overlapping(&kernel, &names)), "two of its entries share bytes");
    let names: Vec<String> = (0..50).map(|n| format!("{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(refused(forge::overlapping(&kernel, &names)).contains("its directory describes differently"));
    let quoted = forge::quoting("outer", &Forged::file("inner", "x"));
    assert_eq!(ambiguous(quoted), "two of its entries share bytes");

    assert!(unpack_within(forge::overlapping(&kernel, &["a"]), ArchiveLimits::PACKAGE).is_ok());
    assert!(unpack(&[Forged::file("outer", "PK\x03\x04inner"), Forged::file("inner", "x")]).is_ok());
}

/// Hostile 28: what only a reader would see that does not follow the directory.
#[test]
fn bytes_between_entries_are_refused() {
    let entries = [Forged::file("a", "1"), Forged::file("b", "2"), Forged::file("c", "3")];
    for hidden in 0..3 {
        assert_eq!(ambiguous(forge::unlisted(&entries, hidden)), GAP, "entry {hidden}");
    }
    let padded = Forged { behind: b"padding".to_vec(), ..Forged::file("a", "1") };
    assert_eq!(ambiguous(forge::archive(&[padded.clone(), Forged::file("b", "2")])), GAP);
    assert_eq!(ambiguous(forge::archive(&[padded])), GAP);

    assert!(unpack(&entries).is_ok());
}

/// Hostile 28: records of the directory beyond the count, which some readers read and some do not.
#[test]
fn a_directory_of_another_length_is_refused() {
    let entries = [Forged::file("a", "1"), Forged::file("b", "2")];
    let other = "its directory has another length than its end record says";

    assert_eq!(ambiguous(forge::miscounted(&entries)), other);
    let mut more = forge::archive(&entries);
    let end = more.len() - 22;
    more[end + 8] = 3;
    more[end + 10] = 3;
    assert_eq!(ambiguous(more), other);

    assert!(unpack(&entries).is_ok());
}

/// Hostile 28: what stands before an entry must be what the directory says about it.
#[test]
fn headers_that_disagree_are_refused() {
    let fine = Forged::zeros("a.py", 1000);
    let [crc, stored, size] = fine.numbers();
    let mut local_flags = forge::archive(std::slice::from_ref(&fine));
    local_flags[6] ^= 2;
    let mut local_method = forge::archive(std::slice::from_ref(&fine));
    local_method[8] = 0;
    let cases = [
        forge::archive(&[Forged { local_name: Some(b"b.py".to_vec()), ..fine.clone() }]),
        forge::archive(&[Forged { local_name: Some(b"a.py/".to_vec()), ..fine.clone() }]),
        forge::archive(&[Forged { local_fields: Some([crc ^ 1, stored, size]), ..fine.clone() }]),
        forge::archive(&[Forged { local_fields: Some([crc, stored - 1, size]), ..fine.clone() }]),
        forge::archive(&[Forged { local_fields: Some([crc, stored, size + 1]), ..fine.clone() }]),
        forge::archive(&[Forged { local_fields: Some([0; 3]), ..fine.clone() }]),
        local_flags,
    ];
    for (number, bytes) in cases.into_iter().enumerate() {
        assert_eq!(
            refused(bytes),
            "`x.apkg` has an entry its directory describes differently: `a.py` (entry 1)",
            "case {number}"
        );
    }
    assert_eq!(refused(local_method), "`x.apkg` contradicts itself: its directory and its entries differ");

    assert!(unpack(&[fine]).is_ok());
}

/// Hostile 28: checksum and sizes behind an entry, where a writer could not seek.
#[test]
fn what_is_said_behind_an_entry_must_agree_too() {
    let fine = Forged::zeros("a", 1000);
    let signature = b"PK\x07\x08";
    for accepted in [fine.clone().described_behind(signature), fine.clone().described_behind(b"")] {
        assert!(unpack(&[accepted.clone(), Forged::file("b", "")]).is_ok());
        let known = Forged { local_fields: Some(fine.numbers()), ..accepted };
        assert!(unpack(&[known]).is_ok());
    }

    let described = fine.clone().described_behind(signature);
    for at in [4, 8, 12] {
        let mut lying = described.clone();
        lying.behind[at] ^= 1;
        assert!(refusal(&[lying]).contains("its directory describes differently"));
    }
    let absent = Forged { behind: Vec::new(), ..described.clone() };
    assert!(refusal(std::slice::from_ref(&absent)).contains("its directory describes differently"));
    assert!(refusal(&[absent, Forged::file("b", "")]).contains("its directory describes differently"));
    let longer = Forged { behind: [described.behind.clone(), vec![0]].concat(), ..described };
    assert_eq!(ambiguous(forge::archive(&[longer])), GAP);
}

/// Hostile 31: 64-bit sizes beside the plain ones are accepted where they say the same.
#[test]
fn sizes_said_twice_must_be_the_same() {
    let fine = Forged::zeros("a", 1000);
    let [crc, stored, size] = fine.numbers();
    let field = |size: u32, stored: u32| {
        [&[1, 0, 16, 0][..], &u64::from(size).to_le_bytes(), &u64::from(stored).to_le_bytes()].concat()
    };
    let local = |extra: Vec<u8>| Forged { local_extra: Some(extra), ..fine.clone() };

    assert!(unpack(&[local(field(size, stored))]).is_ok());
    let only_there = Forged { local_fields: Some([crc, u32::MAX, u32::MAX]), ..local(field(size, stored)) };
    assert!(unpack(&[only_there]).is_ok());

    for extra in [
        field(size + 1, stored),
        field(size, stored + 1),
        field(size, stored)[..12].iter().copied().chain([0; 8]).collect(),
        [field(size, stored), field(0, 0)].concat(),
    ] {
        assert!(unpack(&[local(extra.clone())]).is_err(), "{extra:?}");
    }
    assert_eq!(
        refusal(&[Forged { extra: field(size, stored), ..fine }]),
        "`x.apkg` has an entry that is described in a zip64 field, which nothing within the limits needs: `a` (entry 1)"
    );
}

/// Hostile 28: fields and formats that one reader refuses and another one passes over.
#[test]
fn what_readers_part_on_is_refused() {
    let cut_off = "`x.apkg` has an entry that is described in fields that are cut off: `a` (entry 1)";
    for extra in [b"UT\xff\0".to_vec(), b"UT\x01\0\0UT\x02\0\0".to_vec(), b"\x01\0\x10\0".to_vec()] {
        assert_eq!(refusal(&[Forged { extra: extra.clone(), ..Forged::file("a", "") }]), cut_off);
        assert_eq!(refusal(&[Forged { local_extra: Some(extra), ..Forged::file("a", "") }]), cut_off);
    }
    assert_eq!(
        refusal(&[Forged { version: 64, ..Forged::file("a", "") }]),
        "`x.apkg` has an entry that is in a format of a later time: `a` (entry 1)"
    );

    for extra in [b"xx\x01\0\0".to_vec(), b"xx\0\0".to_vec(), vec![0; 3]] {
        let accepted = Forged { extra: extra.clone(), version: 63, ..Forged::file("a", "") };
        assert!(unpack(&[accepted]).is_ok(), "{extra:?}");
    }
}

/// Hostile 28: one entry under two names.
#[test]
fn an_entry_with_two_names_is_refused() {
    // The Unicode path field of Info-ZIP: version 1, checksum of the name, another name.
    let mut extra = b"\x75\x70\x09\0\x01".to_vec();
    extra.extend(forge::crc32(b"a.py").to_le_bytes());
    extra.extend(b"b.py");
    let aliased = Forged { extra, ..Forged::file("a.py", "x") };

    assert_eq!(refusal(&[aliased]), "`x.apkg` has an entry that is named twice: `b.py` (entry 1)");
    assert!(unpack(&[Forged::file("a.py", "x")]).is_ok());
}

/// Hostile 27: a directory of additional fields, which would only cost memory.
#[test]
fn a_directory_without_end_is_refused() {
    let extra = [b"xx\xff\x7f".to_vec(), vec![0; 0x7fff]].concat();
    let local_extra = Some(Vec::new());
    let entries = |count: usize| {
        let entry = |n: usize| Forged {
            extra: extra.clone(),
            local_extra: local_extra.clone(),
            ..Forged::file(&n.to_string(), "")
        };
        (0..count).map(entry).collect::<Vec<_>>()
    };

    assert!(unpack(&entries(500)).is_ok());
    assert_eq!(refusal(&entries(520)), "`x.apkg` has a directory of more than 16 MiB");
}
