//! `RECORD`: the list of a wheel's files with their digests.

use std::collections::BTreeMap;

use crate::archive::ExtractedFile;
use crate::digest::Sha256;
use crate::quote::Quoted;

/// Largest `RECORD` that is read. Unit: bytes. The one of the largest wheel seen, with 9000 files, has 1 MiB.
const LARGEST: usize = 8 << 20;

/// Most files that are read of one. A wheel has at most 20 000 entries.
const MOST_FILES: usize = 20_000;

/// What `RECORD` says: every file of the wheel, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    rows: BTreeMap<String, Row>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    digest: String,
    size: String,
}

/// Why a wheel and its `RECORD` do not belong together. Displays as one sentence without the name of
/// the wheel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// It is not in its form.
    #[error("has an unusable `RECORD`: {0}")]
    Unusable(&'static str),
    /// It names a file that the wheel does not have.
    #[error("does not have `{}`, which its `RECORD` names", Quoted(.0))]
    Missing(String),
    /// The wheel has a file that it does not name.
    #[error("has `{}`, which its `RECORD` does not name", Quoted(.0))]
    Unrecorded(String),
    /// A file is not what it says.
    #[error("has `{}`, which is not what its `RECORD` says", Quoted(.0))]
    Altered(String),
}

impl Record {
    /// Reads the file.
    ///
    /// # Errors
    /// [`RecordFault::Unusable`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordFault> {
        if bytes.len() > LARGEST {
            return Err(RecordFault::Unusable("it is larger than 8 MiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RecordFault::Unusable("it is not UTF-8"))?;
        let mut rows = BTreeMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let [path, digest, size] = <[String; 3]>::try_from(fields(line)?)
                .map_err(|_| RecordFault::Unusable("a line has not three fields"))?;
            if rows.len() == MOST_FILES {
                return Err(RecordFault::Unusable("it names more files than a wheel may have"));
            }
            if rows.insert(path, Row { digest, size }).is_some() {
                return Err(RecordFault::Unusable("it names a file twice"));
            }
        }
        Ok(Self { rows })
    }

    /// Checks that a wheel has exactly the files its `RECORD` names, with exactly that content.
    ///
    /// `own` is the path of `RECORD` itself, which it lists without a digest; signatures beside it
    /// need not be listed.
    ///
    /// # Errors
    /// The first file that is not as it should be.
    pub fn verify(&self, own: &str, files: &[ExtractedFile]) -> Result<(), RecordFault> {
        let mut listed: BTreeMap<&str, &Row> = self.rows.iter().map(|(path, row)| (path.as_str(), row)).collect();
        let signatures = [format!("{own}.jws"), format!("{own}.p7s")];
        let is_exempt = |path: &str| path == own || signatures.iter().any(|signature| signature == path);
        for file in files {
            let path = file.path.as_str();
            match listed.remove(path) {
                _ if is_exempt(path) => {}
                None => return Err(RecordFault::Unrecorded(path.to_owned())),
                Some(row) if row.digest.is_empty() => {
                    return Err(RecordFault::Unusable("it gives no digest for a file"));
                }
                Some(row) if !row.digest.starts_with("sha256=") => {
                    return Err(RecordFault::Unusable("it uses another digest than SHA-256"));
                }
                Some(row) => {
                    let size_differs = !row.size.is_empty() && row.size != file.size.to_string();
                    if row.digest != digest_field(file.sha256) || size_differs {
                        return Err(RecordFault::Altered(path.to_owned()));
                    }
                }
            }
        }
        match listed.into_keys().find(|path| !is_exempt(path)) {
            Some(path) => Err(RecordFault::Missing(path.to_owned())),
            None => Ok(()),
        }
    }
}

/// One line of a `RECORD`, for a file that was installed.
#[must_use]
pub fn record_line(path: &str, digest: Sha256, size: u64) -> String {
    format!("{},{},{size}\n", quoted(path), digest_field(digest))
}

/// The line with which a `RECORD` names itself.
#[must_use]
pub fn own_record_line(path: &str) -> String {
    format!("{},,\n", quoted(path))
}

fn quoted(path: &str) -> String {
    if path.contains([',', '"']) { format!("\"{}\"", path.replace('"', "\"\"")) } else { path.to_owned() }
}

/// `sha256=` and the digest in unpadded URL-safe base64.
fn digest_field(digest: Sha256) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut field = String::from("sha256=");
    for three in digest.as_bytes().chunks(3) {
        let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for letter in 0..=three.len() {
            field.push(char::from(LETTERS[bits >> (18 - 6 * letter) & 63]));
        }
    }
    field
}

/// The fields of one comma-separated line, quotes removed. At most four: one more than there may be.
fn fields(line: &str) -> Result<Vec<String>, RecordFault> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let count = fields.len();
        let Some(field) = fields.last_mut() else { break };
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted && count == 4 => break,
            ',' if !is_quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    if is_quoted { Err(RecordFault::Unusable("a quote is not closed")) } else { Ok(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveLimits, EntryPath, MAGIC};

    const OWN: &str = "x-1.dist-info/RECORD";

    fn file(path: &str, content: &str) -> ExtractedFile {
        ExtractedFile {
            path: EntryPath::parse(path, &ArchiveLimits::WHEEL).unwrap(),
            size: content.len() as u64,
            sha256: Sha256::of(content),
            executable: false,
            magic: [0; MAGIC],
        }
    }

    fn verify(record: &str, files: &[ExtractedFile]) -> Result<(), RecordFault> {
        Record::parse(record.as_bytes())?.verify(OWN, files)
    }

    #[test]
    fn a_digest_is_written_as_every_wheel_writes_it() {
        assert_eq!(digest_field(Sha256::of("")), "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    }

    #[test]
    fn a_path_with_commas_and_quotes_survives() {
        let path = "a,\"b\".py";
        let record = Record::parse(record_line(path, Sha256::of(""), 0).as_bytes()).unwrap();
        assert_eq!(record.rows.keys().collect::<Vec<_>>(), [path]);
    }

    /// Hostile 63: every file is listed, with its digest, and nothing else is.
    #[test]
    fn a_wheel_has_exactly_what_its_record_says() {
        let files = [file("x.py", "1"), file(OWN, ""), file("x-1.dist-info/RECORD.jws", "")];
        let row = record_line("x.py", Sha256::of("1"), 1);
        let own = own_record_line(OWN);
        let digest = digest_field(Sha256::of("1"));

        assert_eq!(verify(&format!("{row}{own}"), &files), Ok(()));
        assert_eq!(verify(&row, &files), Ok(()), "it need not list itself");
        assert_eq!(verify(&format!("x.py,{digest},\n"), &files), Ok(()), "the size may be left out");

        let altered = Err(RecordFault::Altered("x.py".into()));
        assert_eq!(verify(&record_line("x.py", Sha256::of("2"), 1), &files), altered);
        assert_eq!(verify(&record_line("x.py", Sha256::of("1"), 2), &files), altered);
        assert_eq!(verify(&own, &files), Err(RecordFault::Unrecorded("x.py".into())));
        let more = format!("{row}{}", record_line("y.py", Sha256::of(""), 0));
        assert_eq!(verify(&more, &files), Err(RecordFault::Missing("y.py".into())));
        for record in ["x.py,,\n", "x.py,md5=abc,1\n", &format!("{row}{row}")] {
            assert!(matches!(verify(record, &files), Err(RecordFault::Unusable(_))), "{record}");
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        let many = ",".repeat(100_000);
        for record in ["a,b\n", "a,b,c,d\n", "\"a,b,c\n", &many] {
            assert!(matches!(Record::parse(record.as_bytes()), Err(RecordFault::Unusable(_))), "{record}");
        }
        assert!(Record::parse(b"\xff").is_err());
        assert!(Record::parse(&vec![b'\n'; LARGEST + 1]).is_err());
        assert!(Record::parse(&vec![b'\n'; LARGEST]).is_ok());
        let rows = |count: usize| (0..count).map(|n| format!("{n},,\n")).collect::<String>();
        assert!(Record::parse(rows(MOST_FILES).as_bytes()).is_ok());
        assert!(Record::parse(rows(MOST_FILES + 1).as_bytes()).is_err());
    }
}
