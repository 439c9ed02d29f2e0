//! Properties of names and of damaged archives, over inputs nobody thought of.

use std::io::Cursor;
use std::path::{Component, Path};

use proptest::prelude::*;

use super::super::path::folded;
use super::super::{Archive, ArchiveLimits, EntryPath};
use super::forge::{self, Forged};
use super::scratch;

/// Names made of the parts that attacks are made of.
fn tricky_name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        Just("/".to_owned()),
        Just("\\".to_owned()),
        Just("C:".to_owned()),
        Just("\0".to_owned()),
        Just("nul".to_owned()),
        "[a-zA-Z0-9._ -]{1,8}",
        "\\PC{1,4}",
        "\\p{C}",
    ];
    prop::collection::vec(part, 0..8).prop_flat_map(|parts| prop_oneof![Just(parts.join("/")), Just(parts.concat())])
}

proptest! {
    #[test]
    fn an_accepted_name_stays_inside(name in tricky_name()) {
        if let Ok(path) = EntryPath::parse(&name, &ArchiveLimits::PACKAGE) {
            prop_assert_eq!(path.as_str(), &name);
            prop_assert!(Path::new(&name).is_relative());
            prop_assert!(Path::new(&name).components().all(|part| matches!(part, Component::Normal(_))));
            prop_assert_eq!(Path::new(&name).components().count(), name.split('/').count());
            let forbidden = ['\\', '\0', '\n', '\u{1b}', '\u{202e}'];
            prop_assert!(!name.contains(forbidden));
            prop_assert!(!name.is_empty() && !name.ends_with('/'));
        }
    }

    #[test]
    fn folding_twice_changes_nothing(name in "\\PC{0,12}") {
        prop_assert_eq!(folded(&folded(&name)), folded(&name));
    }

    #[test]
    fn a_damaged_archive_is_refused_or_right_and_never_escapes(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = forge::archive(&[
            Forged::file("agent.yaml", "name: x"),
            Forged::directory("src/"),
            Forged::zeros("src/zeros", 5000),
        ]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let (outer, dir) = scratch();
        let opened = Archive::open(Cursor::new(bytes), "x.apkg", ArchiveLimits::PACKAGE);
        if let Ok((_, extracted)) = opened.and_then(|archive| archive.extract_to_new_dir(&dir, "inner")) {
            prop_assert!(extracted.total_bytes <= 5007);
        }
        for entry in fs_err::read_dir(outer.path()).unwrap() {
            prop_assert_eq!(entry.unwrap().file_name(), "inner");
        }
    }

    #[test]
    fn any_bytes_at_all_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Archive::open(Cursor::new(bytes), "x.apkg", ArchiveLimits::PACKAGE);
    }
}
