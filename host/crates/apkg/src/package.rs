//! A package, opened: an archive unpacked into a private directory, or a directory in place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use par_policy::policy::Requested;
use tempfile::TempDir;

use crate::PolicyError;
use crate::archive::{Archive, ArchiveError, ArchiveLimits, Extracted};
use crate::capabilities::{self, PAK_FILE};
use crate::environment::{
    self, DEPLOY_FILE, DOTENV_FILE, DeployError, EnvironmentFiles, LARGEST_DEPLOY, LARGEST_DOTENV, Layer,
    PackageEnvironment, Value,
};
use crate::manifest::{LARGEST_MANIFEST, MANIFEST_FILE, Manifest, ManifestError};
use crate::notice::Notice;
use crate::quote::Quoted;
use crate::requirement::{
    self, DependencySource, InstallMetadata, InstallRequires, LARGEST_FILE, LARGEST_LOCK, LOCK_FILE, PYPROJECT_FILE,
    REQUIREMENTS_FILE, RequirementError, Requirements, SETUP_FILE,
};

/// A package that cannot be opened. Displays as one sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// Neither a file nor a directory of that name can be opened.
    #[error("cannot open package `{}`", Quoted(.subject))]
    Open {
        /// The name of the package file or directory.
        subject: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The archive is refused.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// There is no manifest.
    #[error("`{}` has no `{MANIFEST_FILE}` at its root", Quoted(.subject))]
    NoManifest {
        /// The name of the package file or directory.
        subject: String,
    },
    /// The manifest is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A requirement is refused.
    #[error(transparent)]
    Requirement(#[from] RequirementError),
    /// `deploy.json` is refused.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// `sandbox` of `pak.yaml` is refused.
    #[error(transparent)]
    Capabilities(#[from] PolicyError),
    /// Both the manifest and `pak.yaml` ask for capabilities: nobody could say which holds.
    #[error("both `{MANIFEST_FILE}` and `{PAK_FILE}` have `sandbox`")]
    RequestedTwice,
    /// A file of the package that is larger than any real one.
    #[error("`{file}` in `{}` is larger than {} KiB", Quoted(.subject), .limit >> 10)]
    TooLarge {
        /// The name of the package file or directory.
        subject: String,
        /// The file.
        file: &'static str,
        /// The limit. Unit: bytes.
        limit: usize,
    },
    /// A file of the package that is there and cannot be read.
    #[error("cannot read `{file}` in `{}`", Quoted(.subject))]
    Read {
        /// The name of the package file or directory.
        subject: String,
        /// The file.
        file: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

impl PackageError {
    /// A way out, as a sentence without a full stop.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest(error) => error.hint(),
            Self::Requirement(error) => error.hint().map(str::to_owned),
            Self::Capabilities(error) => error.hint().map(str::to_owned),
            Self::RequestedTwice => Some("keep one of them".to_owned()),
            Self::NoManifest { .. } => {
                Some(format!("a package has `{MANIFEST_FILE}` beside its code, not in a directory of its own"))
            }
            _ => None,
        }
    }
}

/// A package whose manifest and metadata were read and found right.
#[derive(Debug)]
pub struct Package {
    /// The root of the package. Symbolic links that leave it are not followed.
    pub root: Dir,
    /// The manifest.
    pub manifest: Manifest,
    /// Which files with install metadata there are.
    pub install_metadata: InstallMetadata,
    /// What has to be installed.
    pub requirements: Requirements,
    /// What the agent asks for, under `sandbox` of its manifest or of `pak.yaml`.
    pub requested: Requested,
    /// What was unpacked; `None` for a directory used in place.
    pub extracted: Option<Extracted>,
    environment: EnvironmentFiles,
    path: PathBuf,
    /// Removes the unpacked files when the package is dropped.
    _unpacked: Option<TempDir>,
}

impl Package {
    /// Opens a package file or a package directory.
    ///
    /// A file is unpacked into a new private directory below `scratch`, which is removed when
    /// the package is dropped. A directory is used where it is and never written to. `limits` hold
    /// for a file; what lies in a directory is there already.
    ///
    /// # Errors
    /// [`PackageError`] for the first thing that is wrong. Nothing unpacked is left behind.
    pub fn open(path: &Path, scratch: &Path, limits: ArchiveLimits) -> Result<Self, PackageError> {
        let subject = subject_of(path);
        let cannot_open = |source| PackageError::Open { subject: subject.clone(), source };
        let file = cap_std::fs::File::open_ambient(path, ambient_authority()).map_err(cannot_open)?;
        if file.metadata().map_err(cannot_open)?.is_dir() {
            let root = Dir::from_std_file(file.into_std());
            return Self::read(root, path.to_owned(), &subject, None, None);
        }
        Self::open_archive(file.into_std(), &subject, scratch, limits)
    }

    /// Unpacks and opens a package from an open file: the bytes whose digest was checked are
    /// then the bytes that are unpacked, whatever happens to the path meanwhile.
    ///
    /// `subject` is what error messages call the package.
    ///
    /// # Errors
    /// As [`Package::open`].
    pub fn open_archive(
        file: File,
        subject: &str,
        scratch: &Path,
        limits: ArchiveLimits,
    ) -> Result<Self, PackageError> {
        let cannot_open = |source| PackageError::Open { subject: subject.to_owned(), source };
        let archive = Archive::open(file, subject, limits)?;
        let unpacked = tempfile::Builder::new().prefix("package-").tempdir_in(scratch).map_err(cannot_open)?;
        let root = Dir::open_ambient_dir(unpacked.path(), ambient_authority()).map_err(cannot_open)?;
        let extracted = archive.extract(&root)?;
        let path = unpacked.path().to_owned();
        Self::read(root, path, subject, Some(extracted), Some(unpacked))
    }

    /// Where the package is on this machine.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything odd about the package but its environment, for the log.
    pub fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.manifest.notices.iter().chain(&self.requirements.notices)
    }

    /// The variables the package sets, between those of the operator: `above` wins over the
    /// package's own, `below` fills what it leaves open. References find all of them.
    #[must_use]
    pub fn environment(
        &self,
        above: &BTreeMap<String, String>,
        below: &BTreeMap<String, String>,
    ) -> PackageEnvironment {
        self.environment.resolve(above, below)
    }

    /// The variables the package sets, each with the file that decides about it.
    #[must_use]
    pub fn variable_files(&self) -> BTreeMap<String, &'static str> {
        self.environment.deciding()
    }

    fn read(
        root: Dir,
        path: PathBuf,
        subject: &str,
        extracted: Option<Extracted>,
        unpacked: Option<TempDir>,
    ) -> Result<Self, PackageError> {
        let files = Files { root: &root, subject };
        let manifest = files
            .content(MANIFEST_FILE, LARGEST_MANIFEST)?
            .ok_or_else(|| PackageError::NoManifest { subject: subject.to_owned() })?;
        let manifest = Manifest::parse(&manifest, &root)?;
        let (install_metadata, requirements) = files.requirements(&manifest)?;
        let environment = files.environment(&manifest)?;
        let requested = files.requested(&manifest)?;
        Ok(Self {
            manifest,
            install_metadata,
            requirements,
            requested,
            environment,
            extracted,
            path,
            _unpacked: unpacked,
            root,
        })
    }
}

/// What messages call a package: its own name, not where it lies on this machine.
fn subject_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned()
}

/// The files of a package that describe it.
struct Files<'a> {
    root: &'a Dir,
    subject: &'a str,
}

impl Files<'_> {
    /// The content of a file, if it is there.
    fn content(&self, file: &'static str, limit: usize) -> Result<Option<Vec<u8>>, PackageError> {
        let cannot_read = |source| PackageError::Read { subject: self.subject.to_owned(), file, source };
        let opened = match self.root.open(file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot_read(error)),
        };
        let mut content = Vec::new();
        opened.take(limit as u64 + 1).read_to_end(&mut content).map_err(cannot_read)?;
        if content.len() > limit {
            return Err(PackageError::TooLarge { subject: self.subject.to_owned(), file, limit });
        }
        Ok(Some(content))
    }

    /// `pyproject.toml` if it states requirements, else `requirements.txt`, else the manifest,
    /// else what can be seen of `setup.py`.
    fn requirements(&self, manifest: &Manifest) -> Result<(InstallMetadata, Requirements), PackageError> {
        let pyproject = self.content(PYPROJECT_FILE, LARGEST_FILE)?;
        let lines = self.content(REQUIREMENTS_FILE, LARGEST_FILE)?;
        let setup = self.content(SETUP_FILE, LARGEST_FILE)?;
        let metadata =
            InstallMetadata { pyproject: pyproject.is_some(), requirements: lines.is_some(), setup: setup.is_some() };
        let lock = self.content(LOCK_FILE, LARGEST_LOCK)?.map(|content| String::from_utf8_lossy(&content).into_owned());
        let found = |source, list| Requirements { source, list, lock: lock.clone(), notices: Vec::new() };

        let stated = pyproject.map(|content| requirement::parse_pyproject(&content)).transpose()?.flatten();
        if let Some(list) = stated {
            return Ok((metadata, found(DependencySource::Pyproject, list)));
        }
        if let Some(content) = lines {
            return Ok((metadata, found(DependencySource::RequirementsTxt, requirement::parse_lines(&content)?)));
        }
        if !manifest.dependencies.is_empty() {
            return Ok((metadata, found(DependencySource::Manifest, manifest.dependencies.clone())));
        }
        let setup = setup.map(|source| requirement::install_requires(&String::from_utf8_lossy(&source)));
        let requirements = match setup {
            Some(InstallRequires::Plain(list)) => found(DependencySource::SetupPy, list),
            Some(InstallRequires::Computed) => {
                Requirements { notices: vec![Notice::SetupNotRun], ..found(DependencySource::Nothing, Vec::new()) }
            }
            Some(InstallRequires::Absent) | None => found(DependencySource::Nothing, Vec::new()),
        };
        Ok((metadata, requirements))
    }

    /// `sandbox` of the manifest, else of `pak.yaml`: builders refuse the key in the former and
    /// copy the latter as it is.
    fn requested(&self, manifest: &Manifest) -> Result<Requested, PackageError> {
        let pak = self.content(PAK_FILE, LARGEST_MANIFEST)?;
        let pak = pak.map(|content| capabilities::parse_pak(&content)).transpose()?.flatten();
        match (&manifest.requested, pak) {
            (Some(_), Some(_)) => Err(PackageError::RequestedTwice),
            (Some(requested), None) => Ok(requested.clone()),
            (None, pak) => Ok(pak.unwrap_or_default()),
        }
    }

    fn environment(&self, manifest: &Manifest) -> Result<EnvironmentFiles, PackageError> {
        let deploy = self.content(DEPLOY_FILE, LARGEST_DEPLOY)?;
        let deploy = deploy.map(|content| environment::parse_deploy(&content)).transpose()?.unwrap_or_default();
        let own = manifest.environment.iter().map(|(name, text)| (name.clone(), Value::Template(text.clone())));
        let dotenv = self.content(DOTENV_FILE, LARGEST_DOTENV)?.unwrap_or_default();
        let (dotenv, notices) = environment::parse_dotenv(&String::from_utf8_lossy(&dotenv));

        let layers = vec![
            Layer { file: DEPLOY_FILE, trusted: false, variables: deploy.into_iter().collect() },
            Layer { file: MANIFEST_FILE, trusted: false, variables: own.collect() },
            Layer { file: DOTENV_FILE, trusted: false, variables: dotenv.into_iter().collect() },
        ];
        Ok(EnvironmentFiles { layers, notices })
    }
}
