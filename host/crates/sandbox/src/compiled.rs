//! Machine code of the guest that PAR compiled itself, where the one beside it cannot be used.
//!
//! That code is made for one version of the engine, its flags and the features of a processor. On
//! another machine, or when somebody else could have written it, PAR compiles the component
//! again and keeps the result: `<directory>/<key>.cwasm`. The key covers the component and
//! everything the engine says its code depends on, and only files are used that this user wrote
//! and nobody else can.

use std::hash::{Hash as _, Hasher};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use wasmtime::component::Component;

use crate::StartError;
use crate::component::{Owner, precompiled};
use crate::engine::Engine;

/// Beginning of the names of files that are not complete.
const INCOMING: &str = "incoming-";

/// Where compiled code is kept, and who hears that there has to be some.
#[derive(Clone)]
pub(crate) struct Compiled {
    pub(crate) directory: PathBuf,
    pub(crate) announce: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Compiled").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Compiled {
    /// The code of a component: kept from an earlier start, else compiled now. Takes seconds then,
    /// and blocks.
    pub(crate) fn of(&self, engine: &Engine, wasm: &Path) -> Result<Component, StartError> {
        let unreadable = |source| StartError::ReadGuest { path: wasm.to_owned(), source };
        #[expect(clippy::disallowed_methods, reason = "`StartError::ReadGuest` names the path")]
        let wasm = std::fs::read(wasm).map_err(unreadable)?;
        let path = self.directory.join(format!("{}.cwasm", key(engine, &wasm)));
        if let Ok(component) = precompiled(engine, &path, Owner::ThisUser) {
            touch(&path);
            return Ok(component);
        }
        (self.announce)();
        let code = engine.precompile(&wasm)?;
        self.keep(&path, &code).map_err(|source| StartError::WriteGuest { path: path.clone(), source })?;
        precompiled(engine, &path, Owner::ThisUser)
    }

    /// Writes code under its name, complete or not at all, for this user alone.
    fn keep(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        self.sweep()?;
        let mut file = self.incoming()?;
        file.write_all(code)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Compiled {
    /// A new file, locked, of mode 0600.
    fn incoming(&self) -> io::Result<NamedTempFile> {
        loop {
            let file = NamedTempFile::with_prefix_in(INCOMING, &self.directory)?;
            file.as_file().lock()?;
            // Before the lock, another process may have taken it for left over.
            if file.as_file().metadata()?.nlink() > 0 {
                return Ok(file);
            }
        }
    }

    /// Removes what processes that were killed left: files without a lock.
    fn sweep(&self) -> io::Result<()> {
        for entry in self.directory.read_dir()? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(INCOMING) || !entry.file_type()?.is_file() {
                continue;
            }
            let path = entry.path();
            let is_left = std::fs::File::options().write(true).open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if is_left {
                #[expect(clippy::disallowed_methods, reason = "the caller names the directory")]
                let removed = std::fs::remove_file(path);
                match removed {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Says that code is used now: what was not used for longest is removed first.
#[expect(clippy::disallowed_methods, reason = "files are compared by their times")]
fn touch(path: &Path) {
    // A cache that may only be read has no use for it.
    let opened = std::fs::File::options().write(true).open(path);
    let _ = opened.and_then(|file| file.set_modified(SystemTime::now()));
}

/// A name no other component, engine, configuration or processor has.
fn key(engine: &Engine, wasm: &[u8]) -> String {
    let mut digest = Digested(Sha256::new());
    engine.wasmtime().precompile_compatibility_hash().hash(&mut digest);
    digest.write(wasm);
    digest.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that is hashed, through SHA-256: the standard hashers are made for tables.
struct Digested(Sha256);

impl Hasher for Digested {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// The smallest component: it has nothing in it.
    const EMPTY: [u8; 8] = *b"\0asm\x0d\0\x01\0";

    struct Fixture {
        root: tempfile::TempDir,
        engine: Engine,
        compiled: Compiled,
        times: Arc<AtomicUsize>,
    }

    impl Fixture {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs_write(&root.path().join("agent.wasm"), &EMPTY);
            let times = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&times);
            let compiled = Compiled {
                directory: root.path().join("cache/compiled"),
                announce: Arc::new(move || {
                    counter.fetch_add(1, Ordering::Relaxed);
                }),
            };
            Self { root, engine: Engine::new().unwrap(), compiled, times }
        }

        /// Loads the component; says how often it was compiled so far.
        fn load(&self) -> usize {
            self.compiled.of(&self.engine, &self.root.path().join("agent.wasm")).unwrap();
            self.times.load(Ordering::Relaxed)
        }

        fn kept(&self) -> Vec<PathBuf> {
            let entries = self.compiled.directory.read_dir().unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a test writes where it likes")]
    fn fs_write(path: &Path, content: &[u8]) {
        std::fs::write(path, content).unwrap();
    }

    #[test]
    fn code_is_compiled_once_for_one_component() {
        let fixture = Fixture::new();

        assert_eq!(fixture.load(), 1);
        assert_eq!(fixture.load(), 1);

        let kept = fixture.kept();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let directory = fixture.compiled.directory.metadata().unwrap();
        assert_eq!(directory.permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn another_component_has_code_of_its_own() {
        let fixture = Fixture::new();
        fixture.load();
        // An empty custom section with the name `x`.
        fs_write(&fixture.root.path().join("agent.wasm"), &[&EMPTY[..], b"\0\x02\x01x"].concat());

        assert_eq!(fixture.load(), 2);
        assert_eq!(fixture.kept().len(), 2);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_another_writes_is_not() {
        let fixture = Fixture::new();
        fixture.load();
        let directory = &fixture.compiled.directory;
        fs_write(&directory.join("incoming-left"), b"half");
        let living = fixture.compiled.incoming().unwrap();
        fs_write(&fixture.root.path().join("agent.wasm"), &[&EMPTY[..], b"\0\x02\x01x"].concat());

        fixture.load();

        assert!(!directory.join("incoming-left").exists());
        assert!(living.path().exists());
        assert_eq!(fixture.kept().len(), 3);
    }

    #[test]
    fn code_that_is_used_says_so() {
        let fixture = Fixture::new();
        fixture.load();
        let path = fixture.kept().remove(0);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();

        fixture.load();

        assert!(path.metadata().unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
    }

    /// Hostile 187: code that others could have written, or that is not what was written.
    #[test]
    fn code_that_cannot_be_trusted_is_compiled_again() {
        let fixture = Fixture::new();
        fixture.load();
        let path = fixture.kept().remove(0);

        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(fixture.load(), 2);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        fs_write(&path, b"\x7fELF of another engine");
        assert_eq!(fixture.load(), 3);
        assert_eq!(fixture.load(), 3);
    }
}
