//! Which files the process of an agent can reach, by landlock.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

/// The newest rules that are asked for; an older kernel holds those it knows.
const ASKED: ABI = ABI::V7;

/// The oldest rules that keep files what they are: before it, any file could be truncated.
const ENOUGH: i32 = 3;

/// The rules that hold signals inside.
const WITH_SIGNALS: i32 = 6;

/// What every program reads: libraries, certificates, time zones, who the users are.
const OF_THE_SYSTEM: [&str; 20] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/tls",
    "/etc/ssl",
    "/sys/devices/system/cpu",
];

/// What of the kernel's own files says something about this machine and nothing about others on it.
const OF_THE_KERNEL: [&str; 6] = [
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
];

/// Devices that are read, and those that are written to as well.
const SOURCES: [&str; 2] = ["/dev/random", "/dev/urandom"];
const SINKS: [&str; 3] = ["/dev/full", "/dev/null", "/dev/zero"];

/// What landlock holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) files: Result<(), String>,
    pub(super) signals: Result<(), String>,
}

/// Leaves the process what is named, and nothing else.
///
/// # Errors
/// A sentence, when nothing of it could be applied.
pub(super) fn restrict(readable: &[PathBuf], writable: &[PathBuf], program: &Path) -> Result<Held, String> {
    let status = rules(readable, writable, program)
        .and_then(RulesetCreated::restrict_self)
        .map_err(|error| error.to_string())?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return Err("the kernel has no landlock".to_owned());
    };
    let version = effective_abi as i32;
    let since = |needed: i32, what: &str| {
        if version >= needed {
            Ok(())
        } else {
            Err(format!("the kernel has landlock {version}, {what} needs {needed}"))
        }
    };
    Ok(Held { files: since(ENOUGH, "keeping files"), signals: since(WITH_SIGNALS, "keeping signals inside") })
}

fn rules(readable: &[PathBuf], writable: &[PathBuf], program: &Path) -> Result<RulesetCreated, RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ASKED))?
        .handle_access(AccessNet::from_all(ASKED))?
        .scope(Scope::from_all(ASKED))?
        .create()?;
    let reading = AccessFs::from_read(ASKED);
    let looking = AccessFs::ReadFile | AccessFs::ReadDir;
    // Nothing that can be written can be executed, and nothing becomes a device.
    let writing = (AccessFs::from_all(ASKED) & !AccessFs::Execute)
        & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let ruleset = add(ruleset, OF_THE_SYSTEM.map(Path::new), reading)?;
    let ruleset = add(ruleset, OF_THE_KERNEL.map(Path::new), looking)?;
    let ruleset = add(ruleset, SOURCES.map(Path::new), AccessFs::ReadFile.into())?;
    let ruleset = add(ruleset, SINKS.map(Path::new), AccessFs::ReadFile | AccessFs::WriteFile)?;
    // Of what it may read it executes the one program: where Python is the system's, what it may
    // read is all of `/usr`.
    let ruleset = add(ruleset, readable.iter().map(PathBuf::as_path), looking)?;
    let ruleset = add(ruleset, [program], reading)?;
    add(ruleset, writable.iter().map(PathBuf::as_path), writing)
}

/// Adds one rule for each path that is there.
fn add<'a>(
    ruleset: RulesetCreated,
    paths: impl IntoIterator<Item = &'a Path>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    paths.into_iter().try_fold(ruleset, |ruleset, path| {
        let (Ok(opened), Ok(metadata)) = (PathFd::new(path), fs_err::metadata(path)) else { return Ok(ruleset) };
        let access = if metadata.is_dir() { access } else { access & AccessFs::from_file(ASKED) };
        ruleset.add_rule(PathBeneath::new(opened, access))
    })
}
