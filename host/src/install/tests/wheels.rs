//! Builds wheels, good ones by default.

use std::io::{Cursor, Write as _};

use par_apkg::digest::Sha256;
use par_apkg::wheel::{own_record_line, record_line};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A wheel to be. [`Wheel::pure`] is acceptable; every other method spoils or extends it.
#[derive(Clone)]
pub(super) struct Wheel {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    tags: &'static str,
    files: Vec<(String, Vec<u8>)>,
    record: Record,
}

#[derive(Clone)]
enum Record {
    True,
    Without(&'static str),
    With(&'static str),
    Absent,
    Raw(&'static str),
}

impl Wheel {
    pub(super) fn pure(name: &'static str, version: &'static str) -> Self {
        let mut wheel = Self { name, version, tags: "py3-none-any", files: Vec::new(), record: Record::True };
        let info = wheel.info();
        wheel.put(&format!("{info}/METADATA"), format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"));
        wheel.put(&format!("{info}/WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n");
        wheel.put(&format!("{}/__init__.py", name.replace('-', "_")), "answer = 42\n");
        wheel
    }

    pub(super) fn tagged(mut self, tags: &'static str) -> Self {
        self.tags = tags;
        self
    }

    pub(super) fn with(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.put(path, content);
        self
    }

    /// Replaces a file of the `.dist-info` directory, or takes it away.
    pub(super) fn saying(mut self, name: &str, content: Option<&str>) -> Self {
        let path = format!("{}/{name}", self.info());
        self.files.retain(|(other, _)| *other != path);
        if let Some(content) = content {
            self.put(&path, content);
        }
        self
    }

    /// Leaves a file out of `RECORD`.
    pub(super) fn unrecorded(mut self, path: &'static str) -> Self {
        self.record = Record::Without(path);
        self
    }

    /// Adds a line to `RECORD`.
    pub(super) fn recorded(mut self, line: &'static str) -> Self {
        self.record = Record::With(line);
        self
    }

    pub(super) fn without_record(mut self) -> Self {
        self.record = Record::Absent;
        self
    }

    pub(super) fn with_record(mut self, text: &'static str) -> Self {
        self.record = Record::Raw(text);
        self
    }

    pub(super) fn file(&self) -> String {
        format!("{}-{}-{}.whl", self.name.replace('-', "_"), self.version, self.tags)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let mut lines = String::new();
        for (path, content) in &self.files {
            zip.start_file(path, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
            if !matches!(self.record, Record::Without(omitted) if omitted == path) {
                lines += &record_line(path, Sha256::of(content), content.len() as u64);
            }
        }
        let own = format!("{}/RECORD", self.info());
        lines += &own_record_line(&own);
        match self.record {
            Record::Absent => return zip.finish().unwrap().into_inner(),
            Record::Raw(text) => text.clone_into(&mut lines),
            Record::With(line) => lines += line,
            Record::True | Record::Without(_) => {}
        }
        zip.start_file(own, SimpleFileOptions::default()).unwrap();
        zip.write_all(lines.as_bytes()).unwrap();
        zip.finish().unwrap().into_inner()
    }

    fn info(&self) -> String {
        format!("{}-{}.dist-info", self.name.replace('-', "_"), self.version)
    }

    fn put(&mut self, path: &str, content: impl AsRef<[u8]>) {
        self.files.push((path.to_owned(), content.as_ref().to_vec()));
    }
}
