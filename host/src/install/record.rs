//! `RECORD`: the list of a wheel's files with their digests.

use std::collections::BTreeMap;

use par_apkg::archive::ExtractedFile;
use par_apkg::digest::Sha256;

use super::error::WheelFault;

/// Checks that a wheel has exactly the files its `RECORD` names, with exactly that content.
///
/// `own` is the path of `RECORD` itself, which it lists without a digest; signatures beside it
/// need not be listed.
pub(super) fn verify(record: &str, own: &str, files: &[ExtractedFile]) -> Result<(), WheelFault> {
    let mut listed = BTreeMap::new();
    for row in rows(record)? {
        if listed.insert(row.path.clone(), row).is_some() {
            return Err(WheelFault::Record("it names a file twice"));
        }
    }
    let signatures = [format!("{own}.jws"), format!("{own}.p7s")];
    for file in files {
        let path = file.path.as_str();
        match listed.remove(path) {
            _ if path == own || signatures.iter().any(|signature| signature == path) => {}
            None => return Err(WheelFault::Unrecorded(path.to_owned())),
            Some(row) if row.digest.is_empty() => return Err(WheelFault::Record("it gives no digest for a file")),
            Some(row) if !row.digest.starts_with("sha256=") => {
                return Err(WheelFault::Record("it uses another digest than SHA-256"));
            }
            Some(row) => {
                let size_differs = !row.size.is_empty() && row.size != file.size.to_string();
                if row.digest != digest_field(file.sha256) || size_differs {
                    return Err(WheelFault::Altered(path.to_owned()));
                }
            }
        }
    }
    match listed.into_keys().find(|path| path != own && !signatures.contains(path)) {
        Some(path) => Err(WheelFault::Missing(path)),
        None => Ok(()),
    }
}

/// One line of a `RECORD` for a file that was installed.
pub(super) fn line(path: &str, digest: Sha256, size: u64) -> String {
    format!("{},{},{size}\n", quoted(path), digest_field(digest))
}

/// The line with which a `RECORD` names itself.
pub(super) fn own_line(path: &str) -> String {
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

#[derive(Debug)]
struct Row {
    path: String,
    digest: String,
    size: String,
}

fn rows(record: &str) -> Result<Vec<Row>, WheelFault> {
    record
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| match <[String; 3]>::try_from(fields(line)?) {
            Ok([path, digest, size]) => Ok(Row { path, digest, size }),
            Err(_) => Err(WheelFault::Record("a line has not three fields")),
        })
        .collect()
}

/// The fields of one comma-separated line, quotes removed.
fn fields(line: &str) -> Result<Vec<String>, WheelFault> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(field) = fields.last_mut() else { break };
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    if is_quoted { Err(WheelFault::Record("a quote is not closed")) } else { Ok(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_written_as_every_wheel_writes_it() {
        assert_eq!(digest_field(Sha256::of("")), "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    }

    #[test]
    fn a_path_with_commas_and_quotes_survives() {
        let path = "a,\"b\".py";
        let Ok(rows) = rows(&line(path, Sha256::of(""), 0)) else { panic!("no rows") };
        assert_eq!(rows.first().map(|row| row.path.as_str()), Some(path));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for record in ["a,b\n", "a,b,c,d\n", "\"a,b,c\n"] {
            assert!(matches!(rows(record), Err(WheelFault::Record(_))), "{record}");
        }
    }
}
