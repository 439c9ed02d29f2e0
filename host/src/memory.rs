//! How much memory this process may use, and does.
//!
//! A container that asks for more than its control group allows is killed without a word. So the
//! limit is read before any work, and a boot that cannot end well says so.

use std::path::{Path, PathBuf};

use par_policy::Limits;

/// What the process needs to start and to serve with one instance of a small agent. Unit: bytes.
///
/// Measured with FastAPI loaded: 80 MiB are resident where there is room, 18 of them its own. The rest is the
/// code and the files of the guest, which the kernel takes back and reads again when it is short: with 67 MiB
/// available the same agent starts and answers, after 1.9 s in the place of 0.8.
const FIRST_INSTANCE: u64 = 64 << 20;

/// What each further instance needs, measured: 12 MiB. Unit: bytes.
const FURTHER_INSTANCE: u64 = 12 << 20;

/// A limit beyond every machine is none: version 1 of control groups writes it so.
const NO_LIMIT: u64 = 1 << 60;

/// What limits the memory of this process. Unit of all numbers: bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Who limits it: `cgroup v2`, `cgroup v1` or `machine`.
    pub source: &'static str,
    /// The limit.
    pub limit: u64,
    /// What can still be had below it; what the kernel would give back counts as free.
    pub available: u64,
}

/// There is too little memory to start with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "not enough memory: {instances} instance(s) need {} MiB to start, and {} MiB of {} MiB are available ({source_name})",
    .needed >> 20, .available >> 20, .limit >> 20
)]
pub struct TooLittle {
    /// Instances that were asked for.
    pub instances: usize,
    /// What they need. Unit: bytes.
    pub needed: u64,
    /// What there is. Unit: bytes.
    pub available: u64,
    /// The limit. Unit: bytes.
    pub limit: u64,
    /// Who limits it.
    pub source_name: &'static str,
}

impl Memory {
    /// Looks at the control groups of this process, of either version, and at the machine; the
    /// tightest counts. `None` where `/proc` says nothing. Blocks.
    #[must_use]
    pub fn look() -> Option<Self> {
        Self::below(Path::new("/"))
    }

    /// The same of a tree of files laid out like `/`.
    fn below(root: &Path) -> Option<Self> {
        let groups = fs_err::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let machine = machine(root);
        let found = groups.lines().filter_map(|line| Group::parse(line, root)).flat_map(|group| group.all());
        found.chain(machine).min_by_key(|memory| memory.available)
    }

    /// Whether that is enough to start with.
    ///
    /// # Errors
    /// [`TooLittle`].
    pub fn suffices(&self, limits: &Limits) -> Result<(), TooLittle> {
        let (instances, needed) = (limits.instances.get(), needed(limits));
        if needed <= self.available {
            return Ok(());
        }
        let Self { available, limit, source } = *self;
        Err(TooLittle { instances, needed, available, limit, source_name: source })
    }

    /// Whether all instances together, each at its own limit, stay below this one.
    #[must_use]
    pub fn holds_all(&self, limits: &Limits) -> bool {
        let all = limits.memory.bytes().saturating_mul(limits.instances.get());
        bytes(all).saturating_add(FIRST_INSTANCE) <= self.limit
    }
}

/// What is needed to start. Unit: bytes.
#[must_use]
pub fn needed(limits: &Limits) -> u64 {
    FIRST_INSTANCE + bytes(limits.instances.get().saturating_sub(1)) * FURTHER_INSTANCE
}

/// A number of this machine's width.
fn bytes(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What this process has resident now; 0 where `/proc` says nothing. Unit: bytes.
#[must_use]
pub fn resident() -> u64 {
    let text = fs_err::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * bytes(rustix::param::page_size())
}

/// Where a control group keeps its numbers.
struct Group {
    mount: PathBuf,
    path: PathBuf,
    files: &'static Files,
}

/// The names of the numbers in one version.
struct Files {
    source: &'static str,
    limit: &'static str,
    used: &'static str,
    reclaimable: &'static str,
}

const VERSION_2: Files =
    Files { source: "cgroup v2", limit: "memory.max", used: "memory.current", reclaimable: "inactive_file" };

const VERSION_1: Files = Files {
    source: "cgroup v1",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};

impl Group {
    /// A line of `/proc/self/cgroup`: `0::/a/b` in version 2, `7:memory:/a/b` in version 1.
    fn parse(line: &str, root: &Path) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let (mount, files) = match (id, controllers) {
            ("0", "") => ("sys/fs/cgroup", &VERSION_2),
            (_, names) if names.split(',').any(|name| name == "memory") => ("sys/fs/cgroup/memory", &VERSION_1),
            _ => return None,
        };
        Some(Self { mount: root.join(mount), path: PathBuf::from(path.trim_start_matches('/')), files })
    }

    /// The limits of the group and of those around it, as far as they can be seen. Inside a container the
    /// mounted root is often the group itself, whatever its path is called outside.
    fn all(self) -> Vec<Memory> {
        self.path.ancestors().filter_map(|path| self.at(&self.mount.join(path))).collect()
    }

    fn at(&self, directory: &Path) -> Option<Memory> {
        let read = |name: &str| fs_err::read_to_string(directory.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let limit = number(self.files.limit).filter(|limit| *limit < NO_LIMIT)?;
        let used = number(self.files.used)?;
        let reclaimable = read("memory.stat").and_then(|text| field(&text, self.files.reclaimable)).unwrap_or(0);
        let available = limit.saturating_sub(used.saturating_sub(reclaimable));
        Some(Memory { source: self.files.source, limit, available })
    }
}

/// The memory of the machine.
fn machine(root: &Path) -> Option<Memory> {
    let text = fs_err::read_to_string(root.join("proc/meminfo")).ok()?;
    let bytes = |name| field(&text, name).map(|kib| kib.saturating_mul(1024));
    Some(Memory { source: "machine", limit: bytes("MemTotal:")?, available: bytes("MemAvailable:")? })
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const MACHINE: &str = "MemTotal:       4096000 kB\nMemFree: 1 kB\nMemAvailable:   2048000 kB\n";

    /// A tree of files laid out like `/`.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files.iter().chain(&[("proc/meminfo", MACHINE)]) {
            let path = root.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        root
    }

    fn seen(files: &[(&str, &str)]) -> Memory {
        Memory::below(tree(files).path()).unwrap()
    }

    #[test]
    fn the_limit_of_a_group_of_version_2_counts_without_what_can_be_given_back() {
        let memory = seen(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "268435456\n"),
            ("sys/fs/cgroup/memory.current", "104857600\n"),
            ("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 52428800\nactive_file 7\n"),
        ]);

        assert_eq!(memory, Memory { source: "cgroup v2", limit: 256 * MIB, available: 206 * MIB });
    }

    #[test]
    fn the_limit_of_a_group_of_version_1_is_found_where_the_container_sees_it() {
        let memory = seen(&[
            ("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "33554432\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 16777216\n"),
        ]);

        assert_eq!(memory, Memory { source: "cgroup v1", limit: 128 * MIB, available: 112 * MIB });
    }

    #[test]
    fn the_tightest_of_a_group_and_those_around_it_counts() {
        let memory = seen(&[
            ("proc/self/cgroup", "0::/pods/one\n"),
            ("sys/fs/cgroup/pods/memory.max", "104857600\n"),
            ("sys/fs/cgroup/pods/memory.current", "10485760\n"),
            ("sys/fs/cgroup/pods/one/memory.max", "max\n"),
            ("sys/fs/cgroup/pods/one/memory.current", "1048576\n"),
        ]);

        assert_eq!(memory, Memory { source: "cgroup v2", limit: 100 * MIB, available: 90 * MIB });
    }

    #[test]
    fn without_a_limit_the_machine_is_the_limit() {
        let no_limit = seen(&[
            ("proc/self/cgroup", "3:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n"),
        ]);

        assert_eq!(no_limit, Memory { source: "machine", limit: 4000 * MIB, available: 2000 * MIB });
        assert_eq!(seen(&[]), no_limit);
        assert_eq!(Memory::below(tempfile::tempdir().unwrap().path()), None);
    }

    #[test]
    fn what_all_instances_need_to_start_must_be_there() {
        let memory = |available| Memory { source: "cgroup v2", limit: 512 * MIB, available };
        let limits = |instances| Limits::default_with(par_policy::InstanceCount::new(instances).unwrap());

        assert_eq!(memory(64 * MIB).suffices(&limits(1)), Ok(()));
        assert!(memory(64 * MIB - 1).suffices(&limits(1)).is_err());
        let refused = memory(64 * MIB).suffices(&limits(2)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "not enough memory: 2 instance(s) need 76 MiB to start, and 64 MiB of 512 MiB are available (cgroup v2)"
        );
        assert!(!memory(0).holds_all(&limits(1)), "512 MiB of the instance and PAR itself");
    }

    #[test]
    fn this_process_is_resident() {
        assert!(resident() > MIB);
        assert!(Memory::look().is_some());
    }
}
