//! Any bytes as a file of requirements: refused in one line, or requirements by name that read the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use par_apkg::requirement::{self, Requirement};
use par_fuzz::{assert_presentable, seeds};

fuzz_target!(init: seeds::plant(seeds::requirements), |bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let requirements = match which % 3 {
        0 => requirement::parse_lines(bytes),
        1 => requirement::parse_pyproject(bytes).map(Option::unwrap_or_default),
        _ => match requirement::install_requires(&String::from_utf8_lossy(bytes)) {
            requirement::InstallRequires::Plain(list) => Ok(list),
            requirement::InstallRequires::Computed | requirement::InstallRequires::Absent => return,
        },
    };
    match requirements {
        Ok(requirements) => requirements.iter().for_each(assert_plain),
        Err(error) => assert_presentable(&error),
    }
});

/// What is handed to the resolver is one line that names a project, and no place.
fn assert_plain(requirement: &Requirement) {
    let text = requirement.to_string();
    let before_marker = text.split(" ; ").next().unwrap_or_default();
    assert!(!text.contains(['\n', '\r', '\0']) && !text.starts_with('-'), "{text:?}");
    assert!(!before_marker.contains(['/', '\\', ':', '@', ' ', '#']), "{text:?}");
    let again: Requirement = text.parse().expect("it reads again");
    assert_eq!(again.to_string(), text);
}
