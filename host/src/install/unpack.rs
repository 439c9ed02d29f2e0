//! Verified wheels -> the files of one layer.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _};
use fs_err as fs;
use par_apkg::archive::{Archive, ArchiveLimits};
use par_apkg::digest::Sha256;
use par_apkg::requirement::ProjectName;

use super::InstallError;
use super::classify::Origin;
use super::layer::Desk;
use super::tree;
use super::wheel::{self, Plan, Subject};

/// Threads that unpack. More than this only wait for the disk.
const MOST_THREADS: usize = 8;

/// A wheel that is ready to be unpacked.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) name: ProjectName,
    pub(super) version: String,
    pub(super) wheel: String,
    pub(super) origin: Origin,
    pub(super) file: fs::File,
}

/// Everything one layer is made of.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) package: String,
    pub(super) wheels: Vec<Ready>,
    pub(super) limits: ArchiveLimits,
    pub(super) layer_bytes: u64,
    pub(super) deadline: Instant,
}

/// What happens meanwhile.
#[derive(Debug)]
pub(super) enum Event {
    /// `bytes` is what all wheels so far unpacked to.
    Unpacking {
        wheel: String,
        bytes: u64,
    },
    LeftOut {
        wheel: String,
        path: String,
        because: &'static str,
    },
}

/// The files of a layer, all in place.
#[derive(Debug)]
pub(super) struct Files {
    /// The digest of all of them.
    pub(super) tree: Sha256,
    /// What they take. Unit: bytes.
    pub(super) bytes: u64,
}

/// Unpacks every wheel into the layer of the desk. Blocks.
///
/// # Errors
/// What is wrong with the first wheel, in their order, that something is wrong with; or with two
/// wheels together, or with the disk.
pub(super) fn build(job: Job, desk: &Desk, tell: impl Fn(Event)) -> Result<Files, InstallError> {
    let Job { package, wheels, limits, layer_bytes, deadline } = job;
    let site = open(&desk.site_packages())?;
    let mut tree = Tree::new(site);
    let bench = Bench {
        package: &package,
        scratch: open(desk.scratch())?,
        limits,
        left: AtomicU64::new(layer_bytes),
        deadline,
        next: AtomicUsize::new(0),
        order: largest_first(&wheels),
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let wheels: Vec<std::sync::Mutex<Option<Ready>>> =
        wheels.into_iter().map(|ready| std::sync::Mutex::new(Some(ready))).collect();

    let (sender, unpacked) = mpsc::sync_channel(MOST_THREADS);
    std::thread::scope(|scope| {
        for _ in 0..cores.min(MOST_THREADS).min(wheels.len()) {
            let (sender, bench, wheels) = (sender.clone(), &bench, &wheels);
            scope.spawn(move || {
                while let Some((index, ready)) = bench.take(wheels) {
                    // The receiver is gone only when an earlier wheel was refused.
                    if sender.send((index, bench.unpack(index, ready))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        // In the order of the wheels, so that errors and conflicts are the same every time.
        let mut waiting = BTreeMap::new();
        let mut expected = 0;
        for (index, outcome) in unpacked {
            waiting.insert(index, outcome);
            while let Some(outcome) = waiting.remove(&expected) {
                let done = outcome?;
                tree.add(&done.wheel, &done.directory, &done.plan)?;
                tell(Event::Unpacking { wheel: done.wheel.clone(), bytes: tree.bytes });
                bench.scratch.remove_dir_all(format!("wheel-{expected}")).map_err(InstallError::cache)?;
                for (path, because) in done.plan.left_out {
                    tell(Event::LeftOut { wheel: done.wheel.clone(), path, because });
                }
                expected += 1;
            }
        }
        Ok::<(), InstallError>(())
    })?;
    Ok(tree.finish())
}

fn open(path: &std::path::Path) -> Result<Dir, InstallError> {
    Dir::open_ambient_dir(path, ambient_authority()).map_err(InstallError::cache)
}

/// What the threads share.
struct Bench<'a> {
    package: &'a str,
    scratch: Dir,
    limits: ArchiveLimits,
    /// Bytes the layer may still grow by.
    left: AtomicU64,
    deadline: Instant,
    next: AtomicUsize,
    /// In which order they are begun.
    order: Vec<usize>,
}

/// A large wheel that is begun last keeps one thread busy while the others have nothing to do.
fn largest_first(wheels: &[Ready]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..wheels.len()).collect();
    order.sort_by_cached_key(|index| {
        let size = wheels[*index].file.metadata().map_or(0, |metadata| metadata.len());
        (std::cmp::Reverse(size), *index)
    });
    order
}

/// One wheel, checked, beside the layer.
struct Unpacked {
    wheel: String,
    directory: Dir,
    plan: Plan,
}

impl Bench<'_> {
    fn take(&self, wheels: &[std::sync::Mutex<Option<Ready>>]) -> Option<(usize, Ready)> {
        let index = *self.order.get(self.next.fetch_add(1, Ordering::Relaxed))?;
        let ready = wheels.get(index)?.lock().ok()?.take()?;
        Some((index, ready))
    }

    fn unpack(&self, index: usize, ready: Ready) -> Result<Unpacked, InstallError> {
        if Instant::now() >= self.deadline {
            // The caller reports the time limit; this only ends the work nobody waits for.
            return Err(InstallError::Stopped);
        }
        let left = self.left.load(Ordering::Relaxed);
        let limits = ArchiveLimits { unpacked_bytes: self.limits.unpacked_bytes.min(left), ..self.limits };
        let archive = Archive::open(ready.file, &ready.wheel, limits)?;
        let (directory, extracted) = archive.extract_to_new_dir(&self.scratch, &format!("wheel-{index}"))?;
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(extracted.total_bytes));
        if taken.is_err() {
            return Err(InstallError::TooLarge { wheel: ready.wheel });
        }
        let subject = Subject {
            package: self.package,
            name: &ready.name,
            version: &ready.version,
            wheel: &ready.wheel,
            origin: ready.origin,
        };
        let plan = wheel::plan(subject, &directory, &extracted)?;
        Ok(Unpacked { wheel: ready.wheel, directory, plan })
    }
}

/// `site-packages` as it grows, and which wheel each file came from.
struct Tree {
    site: Dir,
    owners: BTreeMap<String, (Sha256, String)>,
    directories: HashSet<String>,
    records: BTreeMap<String, Sha256>,
    /// What is at the top, by the first part of its path.
    tops: HashSet<String>,
    bytes: u64,
}

impl Tree {
    fn new(site: Dir) -> Self {
        let (owners, records) = (BTreeMap::new(), BTreeMap::new());
        Self { site, owners, directories: HashSet::new(), records, tops: HashSet::new(), bytes: 0 }
    }

    fn add(&mut self, wheel: &str, unpacked: &Dir, plan: &Plan) -> Result<(), InstallError> {
        let whole = self.whole_directories(plan);
        for directory in &whole {
            unpacked.rename(directory, &self.site, directory).map_err(InstallError::cache)?;
        }
        self.tops.extend(plan.moves.iter().map(|step| top(&step.to).to_owned()));
        for step in &plan.moves {
            self.bytes += step.file.size;
            if whole.contains(top(&step.to)) {
                self.owners.insert(step.to.clone(), (step.file.sha256, wheel.to_owned()));
                continue;
            }
            if let Some((digest, first)) = self.owners.get(&step.to) {
                // Parts of one namespace often bring the same `__init__.py`.
                if *digest == step.file.sha256 {
                    continue;
                }
                return Err(InstallError::Conflict {
                    path: step.to.clone(),
                    first: first.clone(),
                    second: wheel.to_owned(),
                });
            }
            self.make_parent(&step.to)?;
            unpacked.rename(&step.from, &self.site, &step.to).map_err(InstallError::cache)?;
            self.owners.insert(step.to.clone(), (step.file.sha256, wheel.to_owned()));
        }
        let (path, text) = &plan.record;
        self.make_parent(path)?;
        self.records.insert(path.clone(), Sha256::of(text));
        self.site.write(path, text).map_err(InstallError::cache)
    }

    /// Directories at the top that no other wheel has, of which every file goes where it is: they
    /// are moved in one step each.
    fn whole_directories<'a>(&self, plan: &'a Plan) -> BTreeSet<&'a str> {
        let mut whole: BTreeSet<&str> = plan.moves.iter().filter_map(|step| Some(step.to.split_once('/')?.0)).collect();
        whole.retain(|directory| !self.tops.contains(*directory));
        for step in plan.moves.iter().filter(|step| step.from != step.to) {
            whole.remove(top(&step.from));
            whole.remove(top(&step.to));
        }
        for (path, _) in &plan.left_out {
            whole.remove(top(path));
        }
        whole
    }

    fn make_parent(&mut self, path: &str) -> Result<(), InstallError> {
        let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
        if self.directories.insert(parent.to_owned()) {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o755);
            self.site.create_dir_with(parent, &builder).map_err(InstallError::cache)?;
        }
        Ok(())
    }

    fn finish(self) -> Files {
        let owned = self.owners.iter().map(|(path, (digest, _))| (path.as_str(), *digest));
        let records = self.records.iter().map(|(path, digest)| (path.as_str(), *digest));
        let tree = tree::digest(owned.chain(records));
        Files { tree, bytes: self.bytes }
    }
}

/// The first part of a path.
fn top(path: &str) -> &str {
    path.split_once('/').map_or(path, |(top, _)| top)
}
