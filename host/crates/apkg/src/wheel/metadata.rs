//! `METADATA`: which distribution the wheel holds, and what it needs.

use super::{Unusable, headers, text};
use crate::requirement::ProjectName;

const FILE: &str = "METADATA";

/// Largest `METADATA` that is read. Unit: bytes. Most of it is a description; the largest of
/// 1064 that were looked at has 160 KiB.
const LARGEST: usize = 4 << 20;

/// What `METADATA` says, as far as anything here depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// `Name`, normalized.
    pub name: ProjectName,
    /// `Version`, as written.
    pub version: String,
    /// `Requires-Python`, as written.
    pub requires_python: Option<String>,
    /// `Requires-Dist`, as written. The resolver decides what they mean; requirements of a wheel may be URLs.
    pub requires: Vec<String>,
}

impl Metadata {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Unusable`] when it is not text, or does not say once which distribution it is about.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unusable> {
        let unusable = |because| Unusable { file: FILE, because };
        let fields = headers::fields(text(FILE, bytes, LARGEST)?);
        let once = |name| headers::once(&fields, name).map_err(|headers::Twice| unusable("it has a field twice"));

        let name = once("Name")?.ok_or_else(|| unusable("it has no `Name`"))?;
        let name = ProjectName::parse(name).ok_or_else(|| unusable("its `Name` is not that of a project"))?;
        let version = once("Version")?.ok_or_else(|| unusable("it has no `Version`"))?;
        if !is_version(version) {
            return Err(unusable("its `Version` is none"));
        }
        Ok(Self {
            name,
            version: version.to_owned(),
            requires_python: once("Requires-Python")?.map(str::to_owned),
            requires: headers::every(&fields, "Requires-Dist").map(str::to_owned).collect(),
        })
    }
}

/// Whether a text has only the letters versions are made of, at a length they have.
fn is_version(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+' | b'!'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_and_its_needs_are_read() {
        let text = "Metadata-Version: 2.4\nName: Zope.Interface\nVersion: 1.0+local\nRequires-Python: >=3.9\n\
                    Requires-Dist: a>=1\nRequires-Dist: b; extra == 'x'\nSummary: x\n\nVersion: 2\n";

        let metadata = Metadata::parse(text.as_bytes()).unwrap();

        assert_eq!(metadata.name.as_str(), "zope-interface");
        assert_eq!(metadata.version, "1.0+local");
        assert_eq!(metadata.requires_python.as_deref(), Some(">=3.9"));
        assert_eq!(metadata.requires, ["a>=1", "b; extra == 'x'"]);
    }

    #[test]
    fn a_distribution_that_is_not_clear_is_refused() {
        for (text, because) in [
            (&b"Version: 1\n"[..], "it has no `Name`"),
            (b"\nName: x\nVersion: 1\n", "it has no `Name`"),
            (b"Name: x\n", "it has no `Version`"),
            (b"Name: ../x\nVersion: 1\n", "its `Name` is not that of a project"),
            (b"Name: x\nVersion: ../1\n", "its `Version` is none"),
            (b"Name: x\nVersion: \n", "its `Version` is none"),
            (b"Name: x\nname: y\nVersion: 1\n", "it has a field twice"),
            (b"Name: x\nVersion: 1\nVersion: 2\n", "it has a field twice"),
            (b"Name: \xff\nVersion: 1\n", "it is not UTF-8"),
        ] {
            assert_eq!(Metadata::parse(text).unwrap_err().because, because, "{}", String::from_utf8_lossy(text));
        }
        assert!(Metadata::parse(&vec![b'a'; LARGEST + 1]).is_err());
    }
}
