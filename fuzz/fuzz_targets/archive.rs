//! Any bytes as an archive: refused, or unpacked within the limits and inside its directory.
#![no_main]

use std::cell::RefCell;
use std::io::Cursor;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use libfuzzer_sys::fuzz_target;
use par_apkg::archive::{Archive, ArchiveLimits};
use par_fuzz::{assert_presentable, seeds};

/// Small, so that both sides of every limit are near.
const LIMITS: ArchiveLimits = ArchiveLimits {
    archive_bytes: 64 << 10,
    entries: 20,
    depth: 4,
    name_bytes: 64,
    unpacked_bytes: 256 << 10,
    ratio: 200,
};

thread_local! {
    static PLACE: RefCell<(tempfile::TempDir, Dir)> = RefCell::new({
        let directory = tempfile::tempdir().expect("a temporary directory");
        let handle = Dir::open_ambient_dir(directory.path(), ambient_authority()).expect("its handle");
        (directory, handle)
    });
}

fuzz_target!(init: seeds::plant(seeds::archives), |bytes: &[u8]| {
    let archive = match Archive::open(Cursor::new(bytes), "x.apkg", LIMITS) {
        Ok(archive) => archive,
        Err(error) => return assert_presentable(&error),
    };
    assert!(bytes.len() as u64 <= LIMITS.archive_bytes);
    let entries = archive.entries().to_vec();
    assert!(entries.len() <= LIMITS.entries);

    PLACE.with_borrow(|(_, place)| {
        match archive.extract_to_new_dir(place, "inner") {
            Ok((inner, extracted)) => {
                assert!(extracted.total_bytes <= LIMITS.unpacked_bytes);
                assert_eq!(extracted.total_bytes, entries.iter().map(|entry| entry.claimed_size).sum::<u64>());
                for file in &extracted.files {
                    let metadata = inner.symlink_metadata(&file.path).expect("what was unpacked is there");
                    assert!(metadata.is_file() && metadata.len() == file.size);
                }
                place.remove_dir_all("inner").expect("it can be removed");
            }
            Err(error) => assert_presentable(&error),
        }
        assert_eq!(place.entries().expect("the place is there").count(), 0, "something is left");
    });
});
