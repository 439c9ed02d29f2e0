//! Agent packages from literal files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::repository;

/// The files of an agent package.
#[derive(Debug, Clone)]
pub struct Package {
    name: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl Package {
    /// A package without files, not even a manifest.
    #[must_use]
    pub fn empty(name: &str) -> Self {
        Self { name: name.to_owned(), files: BTreeMap::new() }
    }

    /// A package with the manifest `name: …`, `version: "1.0"` and the lines of `manifest`.
    #[must_use]
    pub fn new(name: &str, manifest: &str) -> Self {
        Self::empty(name).file("agent.yaml", format!("name: {name}\nversion: \"1.0\"\n{manifest}"))
    }

    /// An agent whose REST surface is the ASGI application `app` in the module text `main`.
    #[must_use]
    pub fn asgi(main: &str) -> Self {
        Self::new("probe", "http_server: main:app\n").file("main.py", main)
    }

    /// An agent whose REST surface is the function `mount(app)` in the module text `routes`.
    #[must_use]
    pub fn mount(routes: &str) -> Self {
        Self::new("probe", "rest:\n  entry: routes:mount\n").file("routes.py", routes)
    }

    /// An agent whose A2A surface is the function `create_service` in the module text `service`.
    #[must_use]
    pub fn actions(service: &str) -> Self {
        Self::new("probe", "a2a:\n  service: service:create_service\n").file("service.py", service)
    }

    /// One of the examples in `tests/agents`.
    #[must_use]
    pub fn example(name: &str) -> Self {
        let root = repository().join("tests/agents").join(name);
        let mut package = Self::empty(name);
        package.add_directory(&root, "");
        assert!(!package.files.is_empty(), "there is no example `{name}`");
        package
    }

    fn add_directory(&mut self, directory: &Path, prefix: &str) {
        for entry in fs_err::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                self.add_directory(&entry.path(), &format!("{name}/"));
            } else {
                self.files.insert(name, fs_err::read(entry.path()).unwrap());
            }
        }
    }

    /// With one more file, or another content of one.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// With more lines at the end of the manifest.
    #[must_use]
    pub fn and(mut self, lines: &str) -> Self {
        self.files.get_mut("agent.yaml").unwrap().extend_from_slice(lines.as_bytes());
        self
    }

    /// The same, asking for the native backend.
    #[must_use]
    pub fn native(self) -> Self {
        self.and("sandbox:\n  backend: native\n")
    }

    /// Without one of its files.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        assert!(self.files.remove(path).is_some(), "there is no `{path}` to leave out");
        self
    }

    /// The content of one of its files.
    #[must_use]
    pub fn content(&self, path: &str) -> &[u8] {
        &self.files[path]
    }

    /// The paths of its files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether it asks for the native backend.
    pub(crate) fn is_native(&self) -> bool {
        let manifest = self.files.get("agent.yaml").map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(manifest).contains("backend: native")
    }

    /// Whether anything is installed for it.
    pub(crate) fn is_installed(&self) -> bool {
        self.is_native()
            || self.files.contains_key("requirements.txt")
            || self.files.contains_key("pyproject.toml")
            || self.files.contains_key("pylock.toml")
    }

    /// Writes the files into a new directory in `parent`.
    #[must_use]
    pub fn write_directory(&self, parent: &Path) -> PathBuf {
        let root = parent.join(&self.name);
        fs_err::create_dir(&root).unwrap();
        for (path, content) in &self.files {
            let path = root.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        root
    }

    /// Writes an archive `{name}-1.0.apkg` in `parent`, as builders do: deflated, with entries
    /// for its directories.
    #[must_use]
    pub fn write_archive(&self, parent: &Path) -> PathBuf {
        let path = parent.join(format!("{}-1.0.apkg", self.name));
        let mut archive = zip::ZipWriter::new(fs_err::File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        let directories: std::collections::BTreeSet<_> =
            self.files.keys().flat_map(|path| path.match_indices('/').map(|(end, _)| &path[..=end])).collect();
        for directory in directories {
            archive.add_directory(directory, options).unwrap();
        }
        for (path, content) in &self.files {
            archive.start_file(path.as_str(), options).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap();
        path
    }
}
