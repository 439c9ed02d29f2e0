//! A control group of its own for each process of an agent, where those of PAR can be divided.
//!
//! The limits of [`super::confinement`] are for one process each. What a process starts has them as well, each time
//! anew; a control group counts all of them together, and is the one thing that holds a part of a core. Most containers
//! mount theirs read-only. Then there is none, and the reason is said.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fs_err as fs;
use par_policy::CpuShare;
use rustix::process::{Pid, getpid};

use super::confinement::ConfinedLimits;

/// What the name of a group starts with; the number of its PAR and its own follow.
const AGENT: &str = "par-agent-";

/// Where PAR itself goes in version 2, whose groups have either processes or groups below them.
const HOST: &str = "par-host-";

/// What the kernel keeps for the processes beside their own memory. Unit: bytes.
const KERNEL_BYTES: u64 = 64 << 20;

/// The period shares of a core are counted in. Unit: microseconds.
const PERIOD: u64 = 100_000;

/// How often, and after which pause, the removal of a group is tried: its processes are gone only when they are reaped.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// The controllers a group needs.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// What all processes in one group may use together.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupLimits {
    memory_bytes: u64,
    tasks: u64,
    /// Of each period, if it is a part. Unit: microseconds.
    cpu: Option<u64>,
}

impl GroupLimits {
    /// What the limits of one process are for its group; `scratch_bytes` may be in memory as well.
    pub(super) fn of(limits: &ConfinedLimits, scratch_bytes: u64, cpu: CpuShare) -> Self {
        let memory_bytes = limits.memory_bytes.saturating_add(scratch_bytes).saturating_add(KERNEL_BYTES);
        let cpu = (cpu < CpuShare::WHOLE).then(|| u64::from(cpu.percent()) * PERIOD / 100);
        Self { memory_bytes, tasks: limits.tasks, cpu }
    }

    /// Whether there is a limit that nothing else holds.
    pub(super) fn are_needed(&self) -> bool {
        self.cpu.is_some()
    }

    /// The files of the controllers and what goes into them.
    fn files(&self, controllers: &[&str], version: Version) -> Vec<(&'static str, String)> {
        let memory = self.memory_bytes.to_string();
        let all = match version {
            Version::One => vec![
                ("memory", "memory.limit_in_bytes", Some(memory)),
                ("pids", "pids.max", Some(self.tasks.to_string())),
                ("cpu", "cpu.cfs_period_us", self.cpu.map(|_| PERIOD.to_string())),
                ("cpu", "cpu.cfs_quota_us", self.cpu.map(|part| part.to_string())),
            ],
            Version::Two => vec![
                ("memory", "memory.max", Some(memory)),
                ("pids", "pids.max", Some(self.tasks.to_string())),
                ("cpu", "cpu.max", self.cpu.map(|part| format!("{part} {PERIOD}"))),
            ],
        };
        all.into_iter()
            .filter(|(controller, ..)| controllers.contains(controller))
            .filter_map(|(_, file, value)| Some((file, value?)))
            .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Why there are no control groups.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Undivided {
    /// The kernel or the container shows none.
    #[error("this process is in no control group with the controller `{0}`")]
    None(&'static str),
    /// They are there, and not for this process to change.
    #[error("its control group `{group}` cannot be divided: {because}", group = .0.display(), because = .1)]
    Refused(PathBuf, String),
}

impl Undivided {
    fn refused(group: &Path, error: &io::Error) -> Self {
        Self::Refused(group.to_owned(), error.to_string())
    }
}

/// The control groups this process is in, and may make others in.
#[derive(Debug)]
pub(super) struct ControlGroups {
    version: Version,
    /// The group of this process for each controller; one for all of them in version 2.
    places: Vec<(Vec<&'static str>, PathBuf)>,
    made: AtomicU32,
}

impl ControlGroups {
    /// Finds the groups of this process, and sees whether one can be made below them. In version 2 the process goes
    /// into one of them itself. Blocks.
    ///
    /// # Errors
    /// [`Undivided`]; nothing has changed then.
    pub(super) fn divide() -> Result<Self, Undivided> {
        Self::below(Path::new("/"))
    }

    /// The same in a tree of files laid out like `/`.
    fn below(root: &Path) -> Result<Self, Undivided> {
        let lines = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mount = root.join("sys/fs/cgroup");
        let groups = match unified(&mount, &lines) {
            Some(place) => {
                make_divisible(&place)?;
                Self { version: Version::Two, places: vec![(CONTROLLERS.into(), place)], made: AtomicU32::new(0) }
            }
            None => {
                let place = |name| Ok((vec![name], separate(&mount, &lines, name).ok_or(Undivided::None(name))?));
                let places = CONTROLLERS.into_iter().map(place).collect::<Result<Vec<_>, Undivided>>()?;
                Self { version: Version::One, places, made: AtomicU32::new(0) }
            }
        };
        for (_, place) in &groups.places {
            remove_left_over(place);
        }
        drop(groups.create(None)?);
        Ok(groups)
    }

    /// Makes a group with these limits; without any, only to see whether it can be made. Blocks.
    ///
    /// # Errors
    /// [`Undivided::Refused`]; nothing is left behind.
    pub(super) fn create(&self, limits: Option<GroupLimits>) -> Result<ControlGroup, Undivided> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{AGENT}{}-{number}", getpid().as_raw_nonzero());
        let mut group = ControlGroup { directories: Vec::new() };
        for (controllers, place) in &self.places {
            let directory = place.join(&name);
            fs::create_dir(&directory).map_err(|error| Undivided::refused(place, &error))?;
            group.directories.push(directory.clone());
            for (file, value) in limits.map(|limits| limits.files(controllers, self.version)).unwrap_or_default() {
                fs::write(directory.join(file), value).map_err(|error| Undivided::refused(place, &error))?;
            }
        }
        Ok(group)
    }
}

/// The group of version 2, if it has what is needed.
fn unified(mount: &Path, lines: &str) -> Option<PathBuf> {
    let path = lines.lines().find_map(|line| line.strip_prefix("0::"))?;
    let place = visible(mount, path);
    let controllers = fs::read_to_string(place.join("cgroup.controllers")).ok()?;
    let has = |name: &&str| controllers.split_whitespace().any(|one| one == *name);
    CONTROLLERS.iter().all(has).then_some(place)
}

/// The group of version 1 for one controller.
fn separate(mount: &Path, lines: &str, controller: &str) -> Option<PathBuf> {
    let path = lines.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|one| one == controller).then_some(path)
    })?;
    let mount = mount.join(controller);
    mount.is_dir().then(|| visible(&mount, path))
}

/// Where a group is mounted. Inside a container the mounted root often is the group itself, whatever its path is called
/// outside.
fn visible(mount: &Path, path: &str) -> PathBuf {
    let place = mount.join(path.trim_start_matches('/'));
    if place.is_dir() { place } else { mount.to_owned() }
}

/// Hands the controllers on to the groups below one of version 2, for which it may have no process itself.
fn make_divisible(place: &Path) -> Result<(), Undivided> {
    let control = place.join("cgroup.subtree_control");
    let given = fs::read_to_string(&control).unwrap_or_default();
    if CONTROLLERS.iter().all(|name| given.split_whitespace().any(|one| one == *name)) {
        return Ok(());
    }
    let all = CONTROLLERS.map(|name| format!("+{name}")).join(" ");
    let Err(error) = fs::write(&control, &all) else { return Ok(()) };
    if error.kind() != io::ErrorKind::ResourceBusy {
        return Err(Undivided::refused(place, &error));
    }
    let own = getpid().as_raw_nonzero().to_string();
    let aside = place.join(format!("{HOST}{own}"));
    let moved = fs::create_dir(&aside)
        .and_then(|()| fs::write(aside.join("cgroup.procs"), &own))
        .and_then(|()| fs::write(&control, &all));
    moved.map_err(|error| {
        // Others are in it, too.
        let _ = fs::write(place.join("cgroup.procs"), &own);
        let _ = fs::remove_dir(&aside);
        Undivided::refused(place, &error)
    })
}

/// Removes groups of a PAR that is gone. One that has processes stays: the kernel sees to that.
fn remove_left_over(place: &Path) {
    let entries = fs::read_dir(place).into_iter().flatten().filter_map(Result::ok);
    let own = format!("{AGENT}{}-", getpid().as_raw_nonzero());
    let left = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(HOST) || (name.starts_with(AGENT) && !name.starts_with(&own))
    });
    for entry in left {
        let _ = fs::remove_dir(entry.path());
    }
}

/// One group. Dropping it removes it, if it is empty.
#[derive(Debug)]
pub(super) struct ControlGroup {
    directories: Vec<PathBuf>,
}

impl ControlGroup {
    /// Puts a process into it, and with it all that it starts from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn add(&self, process: Pid) -> Result<(), Undivided> {
        self.directories.iter().try_for_each(|directory| {
            fs::write(directory.join("cgroup.procs"), process.as_raw_nonzero().to_string())
                .map_err(|error| Undivided::refused(directory, &error))
        })
    }

    /// Removes it as soon as its processes are gone. Blocks, for a second at most.
    pub(super) fn remove(mut self) {
        for _ in 0..ATTEMPTS {
            self.directories.retain(|directory| fs::remove_dir(directory).is_err());
            if self.directories.is_empty() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for directory in &self.directories {
            // One that still has processes is removed by the next PAR.
            let _ = fs::remove_dir(directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "9:name=systemd:/\n8:pids:/a\n4:memory:/a\n2:cpu,cpuacct:/a\n0::/\n";

    /// A tree of files laid out like `/`; the kernel's own files appear when they are written.
    fn tree(groups: &str, directories: &[&str], files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for directory in directories {
            fs::create_dir_all(root.path().join("sys/fs/cgroup").join(directory)).unwrap();
        }
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::write(root.path().join("proc/self/cgroup"), groups).unwrap();
        for (path, text) in files {
            fs::write(root.path().join("sys/fs/cgroup").join(path), text).unwrap();
        }
        root
    }

    const LIMITS: GroupLimits = GroupLimits { memory_bytes: 7 << 20, tasks: 8, cpu: Some(20_000) };

    fn content(group: &ControlGroup) -> Vec<(String, String)> {
        let entries = group.directories.iter().flat_map(|directory| fs::read_dir(directory).unwrap());
        let files = entries
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()));
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    }

    fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn version_1_has_a_directory_for_each_controller() {
        let root = tree(ONE, &["memory/a", "pids/a", "cpu/a"], &[]);
        let groups = ControlGroups::below(root.path()).unwrap();

        let group = groups.create(Some(LIMITS)).unwrap();
        group.add(getpid()).unwrap();

        let own = getpid().as_raw_nonzero().to_string();
        let expected = [
            ("cgroup.procs", own.as_str()),
            ("cgroup.procs", &own),
            ("cgroup.procs", &own),
            ("cpu.cfs_period_us", "100000"),
            ("cpu.cfs_quota_us", "20000"),
            ("memory.limit_in_bytes", "7340032"),
            ("pids.max", "8"),
        ];
        assert_eq!(content(&group), owned(&expected));
    }

    #[test]
    fn version_2_has_one_and_the_controllers_are_handed_on() {
        let controllers = [("a/cgroup.controllers", "cpuset cpu io memory pids\n"), ("a/cgroup.subtree_control", "\n")];
        let root = tree("0::/a\n", &["a"], &controllers);
        let groups = ControlGroups::below(root.path()).unwrap();

        let group = groups.create(Some(GroupLimits { cpu: None, ..LIMITS })).unwrap();

        assert_eq!(content(&group), owned(&[("memory.max", "7340032"), ("pids.max", "8")]));
        let control = root.path().join("sys/fs/cgroup/a/cgroup.subtree_control");
        assert_eq!(fs::read_to_string(control).unwrap(), "+memory +pids +cpu");
    }

    #[test]
    fn in_a_container_the_mounted_root_is_the_group() {
        let controllers = [("cgroup.controllers", "cpu memory pids"), ("cgroup.subtree_control", "cpu memory pids")];
        let root = tree("0::/docker/abc\n", &[""], &controllers);

        let group = ControlGroups::below(root.path()).unwrap().create(None).unwrap();

        assert_eq!(group.directories[0].parent().unwrap(), root.path().join("sys/fs/cgroup"));
    }

    #[test]
    fn without_a_controller_there_are_none_and_it_is_named() {
        let root = tree("4:memory:/a\n2:cpu:/a\n0::/\n", &["memory/a", "cpu/a"], &[]);

        assert_eq!(ControlGroups::below(root.path()).unwrap_err(), Undivided::None("pids"));
    }

    #[test]
    fn groups_of_a_par_that_is_gone_are_removed_and_those_with_files_stay() {
        let root = tree(
            ONE,
            &[
                "memory/a/par-agent-0-0",
                "memory/a/par-host-0",
                "memory/a/par-agent-0-1/x",
                "memory/a/other",
                "pids/a",
                "cpu/a",
            ],
            &[],
        );

        ControlGroups::below(root.path()).unwrap();

        let mut left: Vec<_> = fs::read_dir(root.path().join("sys/fs/cgroup/memory/a"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["other", "par-agent-0-1"]);
    }
}
