//! What tests claim to hold: the doc comments above test functions, read from the sources.

use std::path::{Path, PathBuf};

use par_tests::repository;

/// One test and what its doc comment says.
pub(crate) struct Claim {
    /// As the test runner prints it.
    pub(crate) test: String,
    /// The doc comment, in one line.
    pub(crate) comment: String,
}

/// Every test of the workspace that is written in Rust.
pub(crate) fn all() -> Vec<Claim> {
    let mut files = Vec::new();
    for directory in ["tests/it", "host"] {
        sources(&repository().join(directory), &mut files);
    }
    let claims = files.iter().flat_map(|file| {
        let path = file.strip_prefix(repository()).unwrap().with_extension("");
        let path = path.to_str().unwrap();
        of_file(file, &path.strip_prefix("tests/it/").map_or(path.to_owned(), |module| format!("it {module}")))
    });
    claims.collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn of_file(path: &Path, module: &str) -> Vec<Claim> {
    let text = fs_err::read_to_string(path).unwrap();
    let (mut comment, mut found, mut is_test) = (String::new(), Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(documentation) = line.strip_prefix("///") {
            comment.push_str(documentation);
        } else if line.starts_with("#[") {
            is_test |= line.contains("test]");
        } else {
            let name = line.split_once("fn ").and_then(|(_, rest)| rest.split('(').next());
            if let Some(name) = name.filter(|_| is_test) {
                found.push(Claim { test: format!("{module}::{name}"), comment: std::mem::take(&mut comment) });
            }
            (comment, is_test) = (String::new(), false);
        }
    }
    found
}
