//! Machine code in a package, found by its first bytes.

use std::io::{self, Read as _, Seek as _};

use cap_std::fs::Dir;
use par_apkg::archive::ArchiveLimits;
use par_apkg::digest::Sha256;

use crate::install::classify::Native;

/// A file that is machine code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeFile {
    /// Below the root of the package.
    pub path: String,
    /// For which system it is.
    pub system: &'static str,
    /// Digest of its content.
    pub digest: String,
}

/// Finds every file of a package that is machine code, sorted by path. Links are not followed.
///
/// # Errors
/// When a directory or file cannot be read, and for a directory larger than any package.
pub fn native_files(root: &Dir) -> io::Result<Vec<NativeFile>> {
    let mut search = Search { found: Vec::new(), left: ArchiveLimits::PACKAGE.entries };
    search.directory(root, "", ArchiveLimits::PACKAGE.depth)?;
    search.found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(search.found)
}

struct Search {
    found: Vec<NativeFile>,
    left: usize,
}

impl Search {
    fn directory(&mut self, directory: &Dir, prefix: &str, depth: usize) -> io::Result<()> {
        let too_large = || io::Error::other("the directory has more files or levels than any package");
        let depth = depth.checked_sub(1).ok_or_else(too_large)?;
        for entry in directory.entries()? {
            self.left = self.left.checked_sub(1).ok_or_else(too_large)?;
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.directory(&entry.open_dir()?, &format!("{path}/"), depth)?;
            } else if kind.is_file() {
                let mut file = entry.open()?;
                let mut head = Vec::with_capacity(Native::HEAD);
                (&mut file).take(Native::HEAD as u64).read_to_end(&mut head)?;
                if let Some(native) = Native::of(&head) {
                    file.rewind()?;
                    let digest = Sha256::of_reader(file)?.to_hex();
                    self.found.push(NativeFile { path, system: native.system(), digest });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_code_is_found_by_its_content_and_links_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &[u8]| {
            let path = place.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        };
        write("a/b/readme.txt", b"\x7fELF and more");
        write("plain.so", b"# not at all");
        write("c.py", b"print()");
        fs_err::os::unix::fs::symlink("/", place.path().join("root")).unwrap();
        let root = Dir::open_ambient_dir(place.path(), cap_std::ambient_authority()).unwrap();

        let found = native_files(&root).unwrap();

        assert_eq!(
            found.iter().map(|file| (file.path.as_str(), file.system)).collect::<Vec<_>>(),
            [("a/b/readme.txt", "Linux")]
        );
    }
}
