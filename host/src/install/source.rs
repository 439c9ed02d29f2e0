//! Resolving when distributions have no wheel: the operator may let them be built in the sandbox.
//!
//! The resolver only ever sees wheels, so nothing can make it build. For a distribution that has
//! none it gets placeholders, one for each source distribution; the one it chooses is built in
//! the sandbox and takes the placeholder's place, and it resolves again, now with the true
//! dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fs_err as fs;
use par_apkg::digest::{Hasher, Sha256};
use par_apkg::requirement::{DependencySource, ProjectName, Requirements};
use reqwest::Url;

use super::choose::WheelName;
use super::download::WheelStore;
use super::jobs::{Build, BuildStep, GuestJobs};
use super::layer::Desk;
use super::lock::{Lock, LockedWheel};
use super::placeholder;
use super::project::{self, SourceFile};
use super::resolve::{self, Detail, Wanted};
use super::settings::{InstallSettings, RULE_VERSION};
use super::{InstallError, Installer, Progress, Unresolvable};

/// Most source distributions one package may need built.
const MOST_BUILDS: usize = 32;

/// How often a build may ask for more before it starts: for its backend, then for what that adds.
const MOST_STEPS: usize = 4;

/// Resolves, building what has no wheel if the operator allows it.
pub(super) async fn resolve(
    package: &str,
    wanted: &[Wanted],
    installer: Installer<'_>,
    desk: &Desk,
) -> Result<Lock, InstallError> {
    let settings = installer.settings;
    let Some(jobs) = installer.jobs.filter(|_| settings.build_from_source) else {
        return resolve::resolve(package, wanted, installer.guest, settings, desk.scratch(), &[], Detail::Wheels).await;
    };
    let mut shelf = Shelf::new(installer, jobs, desk)?;
    loop {
        let extra = [shelf.placeholders.as_path(), shelf.built.as_path()];
        let (guest, scratch) = (installer.guest, desk.scratch());
        let resolved = resolve::resolve(package, wanted, guest, settings, scratch, &extra, Detail::Wheels).await;
        match resolved {
            Ok(lock) => match shelf.unbuilt(&lock) {
                None => return Ok(shelf.without_places(lock)),
                Some(source) if shelf.builds < MOST_BUILDS => shelf.build(&source).await?,
                Some(source) => {
                    let because = format!("the package needs more than {MOST_BUILDS} distributions built");
                    return Err(refused(&source, because));
                }
            },
            Err(error) => match without_wheel(&error) {
                Some(name) if shelf.offer(&name).await? => {}
                _ => return Err(error),
            },
        }
    }
}

/// The distribution an error says has no wheel.
fn without_wheel(error: &InstallError) -> Option<ProjectName> {
    let InstallError::Unresolvable { unresolvable: Unresolvable::NoWheel { which, .. }, .. } = error else {
        return None;
    };
    let end = which.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter)));
    ProjectName::parse(&which[..end.unwrap_or(which.len())])
}

fn refused(source: &SourceFile, because: impl Into<String>) -> InstallError {
    InstallError::Build { sdist: source.file.clone(), because: because.into(), output: String::new() }
}

/// Placeholders, and the wheels that took their places.
struct Shelf<'a> {
    installer: Installer<'a>,
    jobs: &'a dyn GuestJobs,
    desk: &'a Desk,
    store: WheelStore,
    placeholders: PathBuf,
    built: PathBuf,
    offered: BTreeSet<ProjectName>,
    sources: BTreeMap<(ProjectName, String), SourceFile>,
    builds: usize,
    deadline: Instant,
}

impl<'a> Shelf<'a> {
    fn new(installer: Installer<'a>, jobs: &'a dyn GuestJobs, desk: &'a Desk) -> Result<Self, InstallError> {
        let (placeholders, built) = (desk.scratch().join("placeholders"), desk.scratch().join("built"));
        for directory in [&placeholders, &built] {
            fs::create_dir(directory).map_err(InstallError::cache)?;
        }
        Ok(Self {
            installer,
            jobs,
            desk,
            store: WheelStore::open(installer.settings, desk.scratch())?,
            placeholders,
            built,
            offered: BTreeSet::new(),
            sources: BTreeMap::new(),
            builds: 0,
            deadline: Instant::now() + installer.settings.timeout,
        })
    }

    const fn settings(&self) -> &'a InstallSettings {
        self.installer.settings
    }

    /// Offers the source distributions of a project to the resolver. Says whether there are any
    /// that were not offered before.
    async fn offer(&mut self, project: &ProjectName) -> Result<bool, InstallError> {
        if !self.offered.insert(project.clone()) {
            return Ok(false);
        }
        let mut found = self.in_wheelhouse(project);
        found.extend(self.on_index(project).await?);
        for source in found {
            // What comes first wins: the wheelhouse over the index, as for wheels.
            let key = (project.clone(), source.version.clone());
            if !self.sources.contains_key(&key) {
                let path = self.placeholders.join(placeholder::file(project, &source.version));
                let wheel = placeholder::wheel(project, &source.version, metadata(project, &source).as_bytes())?;
                fs::write(path, wheel).map_err(InstallError::cache)?;
                self.sources.insert(key, source);
            }
        }
        Ok(self.sources.keys().any(|(name, _)| name == project))
    }

    fn in_wheelhouse(&self, project: &ProjectName) -> Vec<SourceFile> {
        let entries = self.settings().wheelhouse.as_ref().and_then(|directory| fs::read_dir(directory).ok());
        let files = entries.into_iter().flatten().filter_map(|entry| {
            let path = entry.ok()?.path();
            let file = path.file_name()?.to_str()?.to_owned();
            let version = project::source_version(&file, project)?;
            let digest = Sha256::of_reader(fs::File::open(&path).ok()?).ok()?;
            let url = Url::from_file_path(fs::canonicalize(&path).ok()?).ok()?;
            Some(SourceFile { file, version, url, digest, requires_python: None })
        });
        files.collect()
    }

    async fn on_index(&self, project: &ProjectName) -> Result<Vec<SourceFile>, InstallError> {
        if self.settings().index.is_none() || self.settings().offline {
            return Ok(Vec::new());
        }
        let files = self.store.index().files(project).await?;
        Ok(project::sources(files.unwrap_or_default(), project))
    }

    /// A source distribution the resolver chose by its placeholder.
    fn unbuilt(&self, lock: &Lock) -> Option<SourceFile> {
        let mut wheels = lock.distributions.iter().flat_map(|locked| &locked.wheels);
        wheels.find_map(|wheel| {
            let key = (wheel.file.distribution().clone(), wheel.file.version().to_owned());
            self.sources.get(&key).filter(|_| self.is_below(&self.placeholders, wheel)).cloned()
        })
    }

    fn is_below(&self, directory: &Path, wheel: &LockedWheel) -> bool {
        let path = wheel.url.as_ref().and_then(|url| url.to_file_path().ok());
        path.is_some_and(|path| path.starts_with(directory) && path.starts_with(self.desk.scratch()))
    }

    /// What was built is in the cache under its digest; where it was for the resolver is over.
    fn without_places(&self, mut lock: Lock) -> Lock {
        for wheel in lock.distributions.iter_mut().flat_map(|locked| &mut locked.wheels) {
            if self.is_below(&self.built, wheel) {
                wheel.url = None;
            }
        }
        lock
    }

    /// Builds a source distribution and puts its wheel in the placeholder's place.
    async fn build(&mut self, source: &SourceFile) -> Result<(), InstallError> {
        self.builds += 1;
        let project = self
            .sources
            .iter()
            .find(|(_, known)| *known == source)
            .map(|((name, _), _)| name.clone())
            .ok_or_else(|| refused(source, "it is not one that was offered"))?;
        let (name, content) = match self.built_before(source).await {
            Some(wheel) => wheel,
            None => {
                (self.installer.progress)(Progress::Building { sdist: &source.file });
                let (file, content) = self.run(source).await?;
                let name = WheelName::parse(&file).filter(|name| *name.distribution() == project);
                let name =
                    name.ok_or_else(|| refused(source, "its backend answered with the wheel of something else"))?;
                if !name.is_pure() {
                    return Err(refused(source, "the wheel has native code or is for one system only"));
                }
                if content.len() as u64 > self.settings().max_wheel_bytes {
                    return Err(refused(source, "the wheel is larger than a wheel may be"));
                }
                self.remember(source, &name, &content)?;
                (name, content)
            }
        };
        fs::write(self.built.join(name.to_string()), content).map_err(InstallError::cache)?;
        fs::remove_file(self.placeholders.join(placeholder::file(&project, &source.version)))
            .map_err(InstallError::cache)
    }

    /// Runs the build in the sandbox, installing what it asks for, wheels only.
    async fn run(&self, source: &SourceFile) -> Result<(String, Vec<u8>), InstallError> {
        let sdist = self.desk.scratch().join("sdist");
        fs::write(&sdist, self.content(source).await?).map_err(InstallError::cache)?;
        let settings = InstallSettings { build_from_source: false, ..self.settings().clone() };
        let mut installed: Vec<String> = Vec::new();
        let mut layer = None;
        for step in 0..MOST_STEPS {
            let directory = self.desk.scratch().join(format!("build-{}-{step}", self.builds));
            fs::create_dir(&directory).map_err(InstallError::cache)?;
            let build = Build {
                sdist: &sdist,
                directory: &directory,
                layer: layer.as_ref().map(super::DepsLayer::directory),
                installed: &installed,
                deadline: self.deadline,
            };
            let outcome = self.jobs.build(build).await;
            fs::remove_dir_all(&directory).map_err(InstallError::cache)?;
            let required = match outcome {
                Ok(BuildStep::Wheel { file, content }) => return Ok((file, content)),
                Ok(BuildStep::Requires(required)) => required,
                Err(error) => {
                    let (sdist, output) = (source.file.clone(), error.output);
                    return Err(InstallError::Build { sdist, because: error.because, output });
                }
            };
            let parsed = required.iter().map(|line| line.parse()).collect::<Result<Vec<_>, _>>();
            let list = parsed.map_err(|because| refused(source, format!("a requirement of its build {because}")))?;
            let requirements =
                Requirements { source: DependencySource::Pyproject, list, lock: None, notices: Vec::new() };
            let installer = Installer { settings: &settings, jobs: None, ..self.installer };
            layer = Box::pin(installer.layer(&format!("the build of {}", source.file), &requirements)).await?;
            installed = required;
        }
        Err(refused(source, "its build asks for more and more requirements"))
    }

    /// The bytes of a source distribution, verified.
    async fn content(&self, source: &SourceFile) -> Result<Vec<u8>, InstallError> {
        let largest = self.settings().max_wheel_bytes;
        let failed = |because| InstallError::Download { wheel: source.file.clone(), because };
        let content = match source.url.to_file_path() {
            Ok(path) if source.url.scheme() == "file" => fs::read(path).map_err(|error| failed(error.to_string()))?,
            _ => self.store.index().content(&source.file, &source.url, largest).await?,
        };
        let got = Sha256::of(&content);
        if got == source.digest {
            return Ok(content);
        }
        Err(InstallError::Digest { wheel: source.file.clone(), expected: source.digest, got })
    }

    /// Where it is written down what a source distribution was built to.
    fn memory(&self, source: &SourceFile) -> PathBuf {
        let mut hasher = Hasher::default();
        hasher.update(format!("built wheel, rule {RULE_VERSION}\n"));
        hasher.update(self.installer.guest.key().as_bytes());
        hasher.update(source.digest.as_bytes());
        self.settings().cache.join("wheels").join("built").join(hasher.finish().to_hex())
    }

    async fn built_before(&self, source: &SourceFile) -> Option<(WheelName, Vec<u8>)> {
        let text = fs::read_to_string(self.memory(source)).ok()?;
        let (digest, file) = text.trim().split_once(' ')?;
        let (digest, file) = (digest.parse().ok()?, WheelName::parse(file)?);
        let wheel = LockedWheel { file: file.clone(), url: None, digest };
        let mut content = Vec::new();
        let mut opened = self.store.obtain(&wheel, |_, _| {}).await.ok()?;
        std::io::Read::read_to_end(&mut opened, &mut content).ok()?;
        Some((file, content))
    }

    fn remember(&self, source: &SourceFile, name: &WheelName, content: &[u8]) -> Result<(), InstallError> {
        let digest = Sha256::of(content);
        self.store.keep(&LockedWheel { file: name.clone(), url: None, digest }, content)?;
        let memory = self.memory(source);
        if let Some(directory) = memory.parent() {
            fs::create_dir_all(directory).map_err(InstallError::cache)?;
        }
        let mut file = tempfile::NamedTempFile::new_in(self.desk.scratch()).map_err(InstallError::cache)?;
        writeln!(file, "{digest} {name}").map_err(InstallError::cache)?;
        file.persist(memory).map_err(|error| InstallError::cache(error.error))?;
        Ok(())
    }
}

/// What is known of a source distribution before it is built.
fn metadata(project: &ProjectName, source: &SourceFile) -> String {
    let is_line = |text: &&String| !text.contains(char::is_control);
    let python = source.requires_python.as_ref().filter(is_line);
    let python = python.map(|python| format!("Requires-Python: {python}\n")).unwrap_or_default();
    format!("Metadata-Version: 2.1\nName: {project}\nVersion: {}\n{python}", source.version)
}
