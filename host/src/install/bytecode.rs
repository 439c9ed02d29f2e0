//! Bytecode for a layer, so that an agent does not compile its dependencies at every start.
//!
//! Only the guest's own Python writes what it can read, so the guest compiles: see
//! [`GuestJobs`]. It says what the bytecode of a file is, and only that; where it is written is
//! decided here.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Instant;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::InstallError;
use super::jobs::GuestJobs;

/// What Python 3.14 calls the bytecode of its own kind.
const TAG: &str = "cpython-314";

/// How often the compiler may give out. Each time costs the one file it stopped at.
const ATTEMPTS: usize = 8;

/// Compiles the Python files at `paths` of an unfinished layer.
///
/// A file that cannot be compiled stays without bytecode, and is compiled, or refused, by the
/// agent that imports it.
pub(super) async fn add(
    jobs: &dyn GuestJobs,
    layer: &Path,
    site_packages: &Path,
    paths: Vec<String>,
    deadline: Instant,
) -> Result<(), InstallError> {
    let site = Dir::open_ambient_dir(site_packages, ambient_authority()).map_err(InstallError::cache)?;
    let mut files: Vec<String> = paths.into_iter().filter(|path| path.ends_with(".py")).collect();
    let mut made = BTreeSet::new();
    let mut failed = None;
    for _ in 0..ATTEMPTS {
        if files.is_empty() {
            break;
        }
        let mut done = 0;
        let mut keep = |index: usize, bytecode: &[u8]| {
            done = index + 1;
            if let Some(path) = files.get(index).filter(|_| !bytecode.is_empty())
                && let Err(error) = write(&site, path, bytecode, &mut made)
            {
                failed.get_or_insert(error);
            }
        };
        let outcome = jobs.compile(layer, &files, deadline, &mut keep).await;
        if let Some(error) = failed {
            return Err(InstallError::cache(error));
        }
        match outcome {
            Ok(()) => break,
            Err(_) if Instant::now() >= deadline => return Err(InstallError::Stopped),
            // The file after the last answer is the one it did not survive.
            Err(_) => drop(files.drain(..(done + 1).min(files.len()))),
        }
    }
    Ok(())
}

fn write(site: &Dir, path: &str, bytecode: &[u8], made: &mut BTreeSet<String>) -> io::Result<()> {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let cache = if directory.is_empty() { "__pycache__".to_owned() } else { format!("{directory}/__pycache__") };
    let stem = file.strip_suffix(".py").unwrap_or(file);
    let target = format!("{cache}/{stem}.{TAG}.pyc");
    if made.insert(cache.clone()) {
        site.create_dir_all(&cache)?;
    }
    site.write(target, bytecode)
}
