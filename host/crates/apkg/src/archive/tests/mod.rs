mod bombs;
#[expect(unreachable_pub, reason = "the fuzz targets include the file as well")]
mod forge;
mod names;
mod readers;

use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use tempfile::TempDir;

use super::*;
use forge::Forged;

/// A directory of its own, and a handle to it.
fn scratch() -> (TempDir, Dir) {
    let outer = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(outer.path(), ambient_authority()).unwrap();
    (outer, dir)
}

fn unpack_within(bytes: Vec<u8>, limits: ArchiveLimits) -> Result<Extracted, ArchiveError> {
    let (outer, dir) = scratch();
    let outcome = Archive::open(Cursor::new(bytes), "x.apkg", limits)
        .and_then(|archive| archive.extract_to_new_dir(&dir, "inner"))
        .map(|(_, extracted)| extracted);
    let left: Vec<_> = fs_err::read_dir(outer.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, if outcome.is_ok() { vec!["inner"] } else { vec![] }, "what was left behind");
    outcome
}

fn unpack(entries: &[Forged]) -> Result<Extracted, ArchiveError> {
    unpack_within(forge::archive(entries), ArchiveLimits::PACKAGE)
}

fn refusal(entries: &[Forged]) -> String {
    unpack(entries).unwrap_err().to_string()
}

fn paths(extracted: &Extracted) -> Vec<&str> {
    extracted.files.iter().map(|file| file.path.as_str()).collect()
}

/// Hostile 33: modes are 0644 or 0755, whatever the archive says.
#[test]
fn an_honest_archive_is_unpacked_with_digests_and_plain_modes() {
    let (outer, dir) = scratch();
    let bytes = forge::archive(&[
        Forged::directory("src/"),
        Forged::file("src/main.py", "print(1)").mode(0o104_777),
        Forged::file("deep/er/data", "x").mode(0o100_600),
        Forged::zeros("zeros", 100_000),
        Forged::file("no-mode", "").mode(0),
    ]);

    let archive = Archive::open(Cursor::new(bytes), "x.apkg", ArchiveLimits::PACKAGE).unwrap();
    assert_eq!(archive.entries().len(), 5);
    assert_eq!(archive.entries()[3].claimed_size, 100_000);
    let extracted = archive.extract(&dir).unwrap();

    assert_eq!(paths(&extracted), ["src/main.py", "deep/er/data", "zeros", "no-mode"]);
    assert_eq!(extracted.total_bytes, 100_009);
    assert_eq!(extracted.files[0].sha256, crate::digest::Sha256::of("print(1)"));
    let mode = |path: &str| outer.path().join(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("src/main.py"), 0o755, "set-user-id and write for all are gone");
    assert_eq!(mode("deep/er/data"), 0o644);
    assert_eq!(mode("deep") & 0o022, 0);
    assert_eq!(fs_err::read(outer.path().join("zeros")).unwrap(), vec![0; 100_000]);
}

/// Hostile 21: paths that lead out, or start at the root or at a drive.
#[test]
fn an_entry_outside_the_package_is_refused_by_name_and_number() {
    let inside = Forged::file("a..b/..c/d...py", "");
    assert_eq!(paths(&unpack(std::slice::from_ref(&inside)).unwrap()), ["a..b/..c/d...py"]);

    for name in ["../../etc/cron.d/x", "..", "a/../../b", "a/../b", "/etc/passwd", "//x", "C:/x", "c:x", "a/.."] {
        assert_eq!(
            refusal(&[inside.clone(), Forged::file(name, "root")]),
            format!("`x.apkg` has an entry outside the package: `{name}` (entry 2)"),
        );
    }
}

/// Hostile 21, 30, 37: names that lead out with backslashes, that are no names, that are nested too deeply.
#[test]
fn names_no_file_should_have_are_refused() {
    let long = "x".repeat(256);
    let deep = vec!["d"; 33].join("/");
    let endless = vec!["d".repeat(200); 6].join("/");
    let abyss = vec!["d"; 500].join("/");
    let cases = [
        ("..\\x", "has a backslash: `..\\x`"),
        ("\\\\?\\C:\\x", "has a backslash: `\\\\?\\C:\\x`"),
        ("a//b", "has an empty or `.` component: `a//b`"),
        ("./a", "has an empty or `.` component: `./a`"),
        ("a/./b", "has an empty or `.` component: `a/./b`"),
        ("a\0b", "has invisible or control characters: `a\\u{0}b`"),
        ("a\nb", "has invisible or control characters: `a\\u{a}b`"),
        ("\u{1b}[2Jx", "has invisible or control characters: `\\u{1b}[2Jx`"),
        ("txt.\u{202e}yp", "has invisible or control characters: `txt.\\u{202e}yp`"),
        ("CON", "is the name of a device on some systems: `CON`"),
        ("a/nul.txt", "is the name of a device on some systems: `a/nul.txt`"),
        ("com1", "is the name of a device on some systems: `com1`"),
        (&long, &format!("is too long: `{}...`", &long[..160])),
        (&endless, &format!("is too long: `{}...`", &endless[..160])),
        (&deep, &format!("is nested too deeply: `{deep}`")),
        (&abyss, &format!("is nested too deeply: `{}...`", &abyss[..160])),
    ];
    for (name, expected) in cases {
        assert_eq!(
            refusal(&[Forged::file(name, "")]),
            format!("`x.apkg` has an entry whose name {expected} (entry 1)"),
        );
    }
    let latin = Forged { name: b"caf\xe9.py".to_vec(), ..Forged::file("", "") };
    assert_eq!(refusal(&[latin]), "`x.apkg` has an entry whose name is not UTF-8: `caf\u{fffd}.py` (entry 1)");
    assert!(unpack(&[Forged::file("", "")]).is_err());
    assert!(unpack(&[Forged::directory("/")]).is_err());

    let fine = ["console.py", "com10", "nulls/x", "café/日本.py", &deep[2..], &long[1..]];
    assert_eq!(unpack(&fine.map(|name| Forged::file(name, ""))).unwrap().files.len(), fine.len());
}

/// Hostile 22, 23: whatever is neither a file nor a directory, and what would be written through it.
#[test]
fn links_and_devices_are_refused_whatever_system_the_archive_claims() {
    let cases = [
        (0o120_777, "symbolic link"),
        (0o060_600, "device"),
        (0o020_600, "device"),
        (0o010_600, "pipe"),
        (0o140_600, "socket"),
        (0o040_755, "directory with the name of a file"),
        (0o170_000, "file of unknown type"),
    ];
    for (mode, kind) in cases {
        for system in [0, 3, 19] {
            let link = Forged { system, ..Forged::file("link", "/etc/passwd").mode(mode) };
            assert_eq!(
                refusal(&[link, Forged::file("link/x", "")]),
                format!("`x.apkg` has an entry that is a {kind}: `link` (entry 1)"),
            );
        }
    }
    assert_eq!(
        refusal(&[Forged::directory("d/").mode(0o100_644)]),
        "`x.apkg` has an entry that is a file with the name of a directory: `d/` (entry 1)"
    );
    assert!(unpack(&[Forged::file("link", "/etc/passwd")]).is_ok());
}

/// Hostile 28, 29, 34: duplicates, names that are one name somewhere, a file and a directory of one name.
#[test]
fn one_path_is_one_file() {
    let file = |name: &str| Forged::file(name, "");

    assert_eq!(refusal(&[file("agent.yaml"), file("agent.yaml")]), "`x.apkg` has two entries of one name");
    let collisions = [
        ("agent.yaml", "Agent.yaml"),
        ("caf\u{e9}", "cafe\u{301}"),
        ("straße", "STRASSE"),
        ("src/a", "SRC/b"),
        ("\u{fb01}le", "file"),
        ("main.py", "main.py. "),
        ("src ./a", "src/b"),
    ];
    for (first, second) in collisions {
        let error = unpack(&[file(first), file(second)]).unwrap_err();
        assert!(matches!(error.refusal.without_number(), Refusal::Collision { .. }), "{error}");
        assert!(error.to_string().starts_with("`x.apkg` has two entries that are one file on some systems: `"));
    }
    for entries in [[file("a"), file("a/b")], [file("a/b"), file("a")], [file("a"), Forged::directory("a/")]] {
        assert!(refusal(&entries).starts_with("`x.apkg` has a file and a directory of one name: `a`"));
    }
    assert!(unpack(&[Forged::directory("a/"), file("a/b"), file("a/c"), file("ab")]).is_ok());
}

/// Hostile 36: times are not read, so none is wrong.
#[test]
#[expect(clippy::disallowed_methods, reason = "files have the time of day")]
fn times_are_ignored() {
    for modified in [[0, 0], [0xffff, 0xffff], [0, 0x21], [0xbf7d, 0xff9f]] {
        // The field with the time of Unix: here, one second before it began.
        let extra = b"UT\x05\0\x01\xff\xff\xff\xff".to_vec();

        let (outer, dir) = scratch();
        let bytes = forge::archive(&[Forged { modified, extra, ..Forged::file("a", "") }]);
        let before = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        Archive::open(Cursor::new(bytes), "x.apkg", ArchiveLimits::PACKAGE).unwrap().extract(&dir).unwrap();

        assert!(outer.path().join("a").metadata().unwrap().modified().unwrap() > before, "{modified:?}");
    }
}

/// Hostile 32: what was unpacked before it is gone as well.
#[test]
fn a_wrong_checksum_is_refused_and_its_file_is_gone() {
    let damaged = Forged { crc: 1, ..Forged::file("main.py", "print(1)") };

    let error = unpack(&[Forged::file("first", "kept?"), damaged]).unwrap_err();

    assert_eq!(error.to_string(), "`x.apkg` has a damaged entry: `main.py` (entry 2)");
    assert!(std::error::Error::source(&error).unwrap().to_string().to_lowercase().contains("checksum"));
}

/// Hostile 31: encryption in each of its forms, and other compression.
#[test]
fn encrypted_entries_and_other_methods_are_refused() {
    let file = Forged::file("a", "content");
    for flag in [0, 5, 6, 13] {
        assert_eq!(
            refusal(&[Forged { flags: file.flags | 1 << flag, ..file.clone() }]),
            "`x.apkg` has an entry that is encrypted: `a` (entry 1)"
        );
    }
    for method in [1, 9, 12, 14, 93, 99] {
        assert_eq!(
            refusal(&[Forged { method, ..file.clone() }]),
            "`x.apkg` has an entry that is compressed in another way than deflate: `a` (entry 1)"
        );
    }
    assert_eq!(
        refusal(&[Forged { name: b"d/".to_vec(), mode: 0, ..file.clone() }]),
        "`x.apkg` has an entry that is a directory with content: `d/` (entry 1)"
    );
    assert!(unpack(&[file]).is_ok());
}

#[test]
fn what_is_no_archive_says_so() {
    let refusal = |bytes: &[u8]| unpack_within(bytes.to_vec(), ArchiveLimits::PACKAGE).unwrap_err().to_string();
    assert_eq!(refusal(b""), "`x.apkg` is not a zip archive: it has no end record");
    assert_eq!(refusal(b"<html>404</html>"), "`x.apkg` is not a zip archive: it has no end record");
    assert_eq!(refusal(b"PK\x05\x06"), "`x.apkg` is not a zip archive: its end record is cut off");
    let mut directory = forge::archive(&[Forged::file("a", "1")]);
    let at = directory.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    directory[at] = b'X';
    assert_eq!(refusal(&directory), "`x.apkg` is ambiguous: its directory has another length than its end record says");
}

#[test]
fn existing_files_are_never_written_to() {
    let (outer, dir) = scratch();
    fs_err::write(outer.path().join("a"), "mine").unwrap();
    fs_err::create_dir(outer.path().join("taken")).unwrap();
    let open = || {
        let bytes = forge::archive(&[Forged::file("a", "theirs")]);
        Archive::open(Cursor::new(bytes), "x.apkg", ArchiveLimits::PACKAGE).unwrap()
    };

    assert_eq!(open().extract(&dir).unwrap_err().to_string(), "`x.apkg` cannot be unpacked at `a`");
    assert!(matches!(open().extract_to_new_dir(&dir, "taken").unwrap_err().refusal, Refusal::Write { .. }));

    assert_eq!(fs_err::read_to_string(outer.path().join("a")).unwrap(), "mine");
    assert!(outer.path().join("taken").is_dir());
}
