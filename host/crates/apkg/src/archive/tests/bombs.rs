//! Archives that are small and become large: by ratio, by number, by what they claim.

use std::io::Cursor;

use super::super::{Archive, ArchiveLimits, RATIO_FREE_BYTES, Refusal};
use super::forge::{self, Forged};
use super::{paths, unpack, unpack_within};

/// Hostile 24: a size that is a lie, small or large.
#[test]
fn what_comes_out_is_counted_and_not_what_is_claimed() {
    let limits = ArchiveLimits { unpacked_bytes: 1 << 20, ..ArchiveLimits::PACKAGE };
    let honest = Forged::zeros("src/data.bin", 2 << 20);
    assert_eq!(
        unpack_within(forge::archive(std::slice::from_ref(&honest)), limits).unwrap_err().to_string(),
        "`x.apkg` unpacks to more than 1 MiB, stopped at `src/data.bin`"
    );

    for claim in [0, 1, 1 << 20] {
        let liar = Forged { size: claim, ..honest.clone() };
        assert_eq!(
            unpack_within(forge::archive(&[liar]), limits).unwrap_err().to_string(),
            "`x.apkg` has a damaged entry: `src/data.bin` (entry 1)"
        );
    }
    let boaster = Forged { size: 3 << 20, ..honest.clone() };
    assert!(matches!(unpack(&[boaster]).unwrap_err().refusal.without_number(), Refusal::Damaged { .. }));

    assert_eq!(unpack(&[honest]).unwrap().total_bytes, 2 << 20);
}

/// Hostile 24: a bomb in parts.
#[test]
fn many_entries_are_counted_together() {
    let limits = ArchiveLimits { unpacked_bytes: 1 << 20, ..ArchiveLimits::PACKAGE };
    let halves = [Forged::zeros("a", 600_000), Forged::zeros("b", 600_000)];

    let error = unpack_within(forge::archive(&halves), limits).unwrap_err();
    assert_eq!(error.to_string(), "`x.apkg` unpacks to more than 1 MiB, stopped at `b`");
    assert!(unpack_within(forge::archive(&halves[..1]), limits).is_ok());
}

/// Hostile 24: a bomb within the limit on what comes out.
#[test]
fn a_bomb_is_stopped_by_its_ratio() {
    let size = u32::try_from(RATIO_FREE_BYTES).unwrap();

    let error = unpack(&[Forged::zeros("bomb", size + (1 << 20))]).unwrap_err();
    assert_eq!(error.to_string(), "`x.apkg` unpacks to more than 200 times its size, stopped at `bomb`");
    assert!(unpack(&[Forged::zeros("small", size)]).is_ok());
}

/// Hostile 27: a million entries, and as many directories as there can be, within the limits of packages.
#[test]
fn more_entries_than_any_package_has_are_refused() {
    let most = ArchiveLimits::PACKAGE.entries;
    let files = |count: usize| (0..count).map(|n| Forged::file(&n.to_string(), "")).collect::<Vec<_>>();
    let nested = |count: usize| (0..count).map(|n| Forged::directory(&format!("{n}/d/"))).collect::<Vec<_>>();
    let entries =
        |entries: &[Forged]| Archive::open(Cursor::new(forge::archive(entries)), "x.apkg", ArchiveLimits::PACKAGE);

    assert_eq!(entries(&files(most)).unwrap().entries().len(), most);
    assert_eq!(entries(&nested(most / 2)).unwrap().entries().len(), most / 2);
    for refused in [entries(&files(most + 1)), entries(&nested(most / 2 + 1)), entries(&files(65_534))] {
        assert!(refused.unwrap_err().to_string().starts_with("`x.apkg` has more than 20000 entries"));
    }
}

/// Hostile 26: an archive in an archive is a file like any other.
#[test]
fn an_archive_inside_the_archive_stays_packed() {
    let inner = forge::archive(&[Forged::zeros("bomb", 1 << 20)]);
    let crc = forge::crc32(&inner);
    let size = u32::try_from(inner.len()).unwrap();
    let outer = Forged { stored: inner, crc, size, ..Forged::file("inner.zip", "") };

    let extracted = unpack(&[outer]).unwrap();

    assert_eq!((paths(&extracted), extracted.total_bytes), (vec!["inner.zip"], size.into()));
}

/// Hostile 27: entries, and the directories they need.
#[test]
fn entries_are_counted_before_they_are_read_and_so_are_directories() {
    let limits = ArchiveLimits { entries: 3, ..ArchiveLimits::PACKAGE };
    let files = |count: usize| (0..count).map(|n| Forged::file(&n.to_string(), "")).collect::<Vec<_>>();

    assert!(unpack_within(forge::archive(&files(3)), limits).is_ok());
    for entries in [files(4), vec![Forged::file("a/b/c/d", "")]] {
        let error = unpack_within(forge::archive(&entries), limits).unwrap_err();
        assert!(matches!(error.refusal.without_number(), Refusal::Entries { limit: 3 }), "{error}");
    }
}

#[test]
fn the_archive_itself_has_a_limit() {
    let bytes = forge::archive(&[Forged::file("a", "content")]);
    let limits = ArchiveLimits { archive_bytes: bytes.len() as u64, ..ArchiveLimits::PACKAGE };

    assert!(unpack_within(bytes.clone(), limits).is_ok());
    let less = ArchiveLimits { archive_bytes: limits.archive_bytes - 1, ..limits };
    assert!(matches!(unpack_within(bytes, less).unwrap_err().refusal, Refusal::ArchiveBytes { .. }));
}
