//! `entry_points.txt`: objects a wheel offers to others by name, scripts among them.

use std::collections::BTreeSet;

use super::{Unusable, text};

const FILE: &str = "entry_points.txt";

/// Largest `entry_points.txt` that is read. Unit: bytes. Real ones have a few thousand.
const LARGEST: usize = 1 << 20;

/// Most entries that are read. The largest of 377 that were looked at has 68 lines.
const MOST_ENTRIES: usize = 10_000;

/// The groups installers make programs of, whose names become file names.
pub const SCRIPT_GROUPS: [&str; 2] = ["console_scripts", "gui_scripts"];

/// What `entry_points.txt` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryPoints {
    /// Group, name and object reference, each as written.
    entries: Vec<(String, String, String)>,
}

impl EntryPoints {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Unusable`] when it is not text or not in its form, and when a script has a name that is not one
    /// of a file: an installer would write it elsewhere.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unusable> {
        let unusable = |because| Unusable { file: FILE, because };
        let mut entries = Vec::new();
        let mut seen = BTreeSet::new();
        let mut group: Option<&str> = None;
        for line in text(FILE, bytes, LARGEST)?.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                group = Some(name.trim()).filter(|name| !name.is_empty());
                continue;
            }
            let group = group.ok_or_else(|| unusable("a line is in no group"))?;
            let (name, object) = line.split_once('=').ok_or_else(|| unusable("a line is not `name = object`"))?;
            let (name, object) = (name.trim(), object.trim());
            if SCRIPT_GROUPS.contains(&group) && !is_file_name(name) {
                return Err(unusable("a script has a name that is no file name"));
            }
            if entries.len() == MOST_ENTRIES {
                return Err(unusable("it has more entries than any real wheel"));
            }
            if !seen.insert((group, name)) {
                return Err(unusable("it has a name twice"));
            }
            entries.push((group.to_owned(), name.to_owned(), object.to_owned()));
        }
        Ok(Self { entries })
    }

    /// Names and object references of one group, in the order of the file.
    pub fn of<'a>(&'a self, group: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.entries
            .iter()
            .filter(move |(other, ..)| other == group)
            .map(|(_, name, object)| (name.as_str(), object.as_str()))
    }
}

/// Whether a script of this name lies in the directory of scripts, on every system.
fn is_file_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && !name.contains(['/', '\\', ':'])
        && !name.chars().any(crate::quote::is_deceptive)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hostile 62: what becomes a script stays where scripts are.
    #[test]
    fn a_script_outside_the_directory_of_scripts_is_refused() {
        for name in ["../../bin/x", "/bin/x", "a/b", "..", ".", "", "C:x", "a\\b", "x\u{202e}y", &"x".repeat(256)] {
            for group in SCRIPT_GROUPS {
                let text = format!("[{group}]\n{name} = a:b\n");
                let error = EntryPoints::parse(text.as_bytes()).unwrap_err();
                assert_eq!(error.because, "a script has a name that is no file name", "{name}");
            }
        }

        let text = "[console_scripts]\nuvicorn = uvicorn.main:main\npip3.14 = pip:main\n[other]\na/b = c\n";
        let scripts = EntryPoints::parse(text.as_bytes()).unwrap();
        assert_eq!(
            scripts.of("console_scripts").collect::<Vec<_>>(),
            [("uvicorn", "uvicorn.main:main"), ("pip3.14", "pip:main")]
        );
        assert_eq!(scripts.of("other").count(), 1);
        assert_eq!(scripts.of("console").count(), 0);
    }

    #[test]
    fn what_is_not_in_its_form_is_refused() {
        let many = (0..=MOST_ENTRIES).fold("[x]\n".to_owned(), |text, n| format!("{text}{n}=a\n"));
        for (text, because) in [
            (&b"a = b\n"[..], "a line is in no group"),
            (b"[]\na = b\n", "a line is in no group"),
            (b"[x]\na\n", "a line is not `name = object`"),
            (b"[x]\na = b\na = c\n", "it has a name twice"),
            (b"[x]\n\xff", "it is not UTF-8"),
            (many.as_bytes(), "it has more entries than any real wheel"),
        ] {
            assert_eq!(EntryPoints::parse(text).unwrap_err().because, because);
        }
        assert_eq!(EntryPoints::parse(b"# none\n; none\n\n").unwrap(), EntryPoints::default());
    }
}
