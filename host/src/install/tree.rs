//! The digest of installed files: equal on every machine that installed the same.

use std::collections::BTreeMap;

use par_apkg::digest::{Hasher, Sha256};

/// The digest of a tree of files, given as path and digest of each.
///
/// Bytecode is not part of it: it depends on the guest, and follows from the source.
pub(super) fn digest<'a>(files: impl IntoIterator<Item = (&'a str, Sha256)>) -> Sha256 {
    let files: BTreeMap<&str, Sha256> = files.into_iter().collect();
    let mut hasher = Hasher::default();
    hasher.update("deps tree 1\n");
    for (path, digest) in files {
        // A path has no control characters: the archive rules refuse them.
        hasher.update(format!("{} {path}\n", digest.to_hex()));
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_files_does_not_matter_and_everything_else_does() {
        let (one, two) = (Sha256::of("1"), Sha256::of("2"));
        let plain = digest([("a.py", one), ("b.py", two)]);

        assert_eq!(digest([("b.py", two), ("a.py", one)]), plain);
        for other in
            [digest([("a.py", one)]), digest([("a.py", two), ("b.py", one)]), digest([("a.py", one), ("c.py", two)])]
        {
            assert_ne!(other, plain);
        }
    }
}
