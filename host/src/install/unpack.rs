//! Verified wheels -> one layer.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _};
use fs_err as fs;
use par_apkg::archive::{Archive, ArchiveLimits};
use par_apkg::digest::Sha256;
use par_apkg::requirement::ProjectName;

use super::InstallError;
use super::classify::Origin;
use super::layer::{About, DepsLayer, Desk};
use super::wheel::{self, Plan, Subject};

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
    pub(super) wheels: Vec<Ready>,
    pub(super) limits: ArchiveLimits,
    pub(super) layer_bytes: u64,
    pub(super) deadline: Instant,
}

/// What happens meanwhile.
#[derive(Debug)]
pub(super) enum Event {
    Unpacking { wheel: String },
    LeftOut { wheel: String, path: String, because: &'static str },
}

/// Unpacks every wheel in turn and gives the layer its name. Blocks.
///
/// # Errors
/// The first thing that is wrong with a wheel, with two wheels together, or with the disk.
pub(super) fn build(job: Job, desk: &Desk, about: About<'_>, tell: impl Fn(Event)) -> Result<DepsLayer, InstallError> {
    let scratch = open(desk.scratch())?;
    let mut tree = Tree { site: open(&desk.site_packages())?, owners: BTreeMap::new(), directories: HashSet::new() };
    let mut left = job.layer_bytes;

    for ready in job.wheels {
        if Instant::now() >= job.deadline {
            // The caller reports the time limit; this only ends the work nobody waits for.
            return Err(InstallError::Stopped);
        }
        tell(Event::Unpacking { wheel: ready.wheel.clone() });
        let limits = ArchiveLimits { unpacked_bytes: job.limits.unpacked_bytes.min(left), ..job.limits };
        let archive = Archive::open(ready.file, &ready.wheel, limits)?;
        let (unpacked, extracted) = archive.extract_to_new_dir(&scratch, "wheel")?;
        left = left.saturating_sub(extracted.total_bytes);
        let subject = Subject {
            package: about.package,
            name: &ready.name,
            version: &ready.version,
            wheel: &ready.wheel,
            origin: ready.origin,
        };
        let plan = wheel::plan(subject, &unpacked, &extracted)?;
        tree.add(&ready.wheel, &unpacked, &plan)?;
        drop(unpacked);
        scratch.remove_dir_all("wheel").map_err(InstallError::cache)?;
        for (path, because) in plan.left_out {
            tell(Event::LeftOut { wheel: ready.wheel.clone(), path, because });
        }
    }
    desk.finish(about)
}

fn open(path: &std::path::Path) -> Result<Dir, InstallError> {
    Dir::open_ambient_dir(path, ambient_authority()).map_err(InstallError::cache)
}

/// `site-packages` as it grows, and which wheel each file came from.
struct Tree {
    site: Dir,
    owners: BTreeMap<String, (Sha256, String)>,
    directories: HashSet<String>,
}

impl Tree {
    fn add(&mut self, wheel: &str, unpacked: &Dir, plan: &Plan) -> Result<(), InstallError> {
        for step in &plan.moves {
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
        self.site.write(path, text).map_err(InstallError::cache)
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
}
