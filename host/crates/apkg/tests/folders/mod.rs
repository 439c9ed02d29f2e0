//! Cases that are folders: an input, and beside it what must come of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The name of the file what came of a case belongs in, `ok.txt` or `error.txt`, and its content.
pub(crate) type Outcome = (&'static str, String);

/// Every folder of `tests/cases/<kind>`.
pub(crate) fn cases(kind: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/cases").join(kind);
    let mut cases: Vec<_> =
        fs_err::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

/// Holds what comes of each case against what is written beside it.
pub(crate) fn hold(kind: &str, outcome: impl Fn(&Path) -> Outcome) {
    let mut wrong = String::new();
    for case in cases(kind) {
        let (file, text) = outcome(&case);
        let expected = fs_err::read_to_string(case.join(file)).unwrap_or_default();
        if expected != text {
            writeln!(wrong, "{}: expected in {file}:\n{expected}\ngot:\n{text}", case.display()).unwrap();
        }
        let other = if file == "ok.txt" { "error.txt" } else { "ok.txt" };
        if case.join(other).exists() {
            writeln!(wrong, "{}: {other} is for an outcome that did not happen", case.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Writes what came of the cases that have nothing beside them yet.
pub(crate) fn write_missing(kind: &str, outcome: impl Fn(&Path) -> Outcome) {
    for case in cases(kind) {
        let (file, text) = outcome(&case);
        if !case.join("ok.txt").exists() && !case.join("error.txt").exists() {
            fs_err::write(case.join(file), text).unwrap();
        }
    }
}
