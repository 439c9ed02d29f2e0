//! Any bytes as the files a wheel describes itself by.
#![no_main]

use libfuzzer_sys::fuzz_target;
use par_apkg::wheel::{EntryPoints, Metadata, Record, SCRIPT_GROUPS, WheelInfo};
use par_fuzz::{assert_presentable, seeds};

fuzz_target!(init: seeds::plant(seeds::wheels), |bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 4 {
        0 => {
            if let Err(error) = Record::parse(bytes).and_then(|record| record.verify("x-1.dist-info/RECORD", &[])) {
                assert_presentable(&error);
            }
        }
        1 => {
            if let Err(error) = WheelInfo::parse(bytes) {
                assert_presentable(&error);
            }
        }
        2 => match Metadata::parse(bytes) {
            Ok(metadata) => assert!(!metadata.version.contains(['/', '\n', ' '])),
            Err(error) => assert_presentable(&error),
        },
        _ => match EntryPoints::parse(bytes) {
            Ok(points) => {
                for (name, _) in SCRIPT_GROUPS.iter().flat_map(|group| points.of(group)) {
                    assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']) && name != ".." && name != ".");
                }
            }
            Err(error) => assert_presentable(&error),
        },
    }
});
