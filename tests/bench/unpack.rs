//! Reading and unpacking a package, beside `unzip` writing the same files.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use par_apkg::archive::{Archive, ArchiveLimits};

use crate::Outcome;
use crate::figures::{self, Figures, median};

/// Sizes of the package file. Unit: MiB.
const SIZES: [usize; 3] = [1, 20, 100];

/// Measures every size in turns with `unzip`, so that the state of the disk meets both.
pub(crate) fn measure(rounds: usize, figures: &mut Figures) -> Outcome<()> {
    let place = tempfile::tempdir()?;
    for size in SIZES {
        figures::say(&format!("unpacking {size} MiB"));
        let package = place.path().join(format!("{size}.apkg"));
        write_package(&package, size << 20)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // The first round of each only warms the caches.
        for round in 0..=rounds {
            let (own, other) = (par(&package, place.path())?, unzip(&package, place.path())?);
            if round > 0 {
                ours.push(own);
                theirs.extend(other);
            }
        }
        let ours = median(ours);
        figures.add(&format!("unpack.par.{size}"), &format!("reading and unpacking {size} MiB"), ours * 1e3, "ms");
        if theirs.is_empty() {
            figures::say("there is no `unzip` to compare with");
            continue;
        }
        let theirs = median(theirs);
        figures.add(&format!("unpack.unzip.{size}"), &format!("`unzip` of {size} MiB"), theirs * 1e3, "ms");
        figures.add(&format!("unpack.ratio.{size}"), &format!("unpacking {size} MiB, `unzip` = 1"), ours / theirs, "×");
    }
    Ok(())
}

fn par(package: &Path, place: &Path) -> Outcome<f64> {
    let into = tempfile::tempdir_in(place)?;
    let handle = cap_std::fs::Dir::open_ambient_dir(into.path(), cap_std::ambient_authority())?;
    let started = Instant::now();
    let file = fs_err::File::open(package)?;
    Archive::open(file, "bench.apkg", ArchiveLimits::PACKAGE)?.extract(&handle)?;
    Ok(started.elapsed().as_secs_f64())
}

/// `None` where there is no such program.
#[expect(clippy::disallowed_methods, reason = "the program that is measured against")]
fn unzip(package: &Path, place: &Path) -> Outcome<Option<f64>> {
    let into = tempfile::tempdir_in(place)?;
    let started = Instant::now();
    let status =
        Command::new("unzip").args(["-q", "-o"]).arg(package).arg("-d").arg(into.path()).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(Some(started.elapsed().as_secs_f64())),
        Ok(status) => Err(format!("`unzip` ended with {status}").into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot run `unzip`: {error}").into()),
    }
}

/// A package of about so many bytes: three quarters that hardly compress, as pictures and models, one
/// quarter source code, in files of 64 KiB.
fn write_package(path: &Path, bytes: usize) -> Outcome<()> {
    const FILE: usize = 64 << 10;
    let mut archive = zip::ZipWriter::new(fs_err::File::create(path)?);
    let options = zip::write::SimpleFileOptions::default();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut written = 0;
    let mut number = 0;
    while written < bytes {
        archive.start_file(format!("data/{number:05}.bin"), options)?;
        let content: Vec<u8> = (0..FILE / 8).flat_map(|_| noise()).collect();
        archive.write_all(&content)?;
        archive.start_file(format!("src/module_{number:05}.py"), options)?;
        let line = |row: usize| format!("def function_{row}(value):\n    return value * {number} + {row}\n\n");
        archive.write_all((0..FILE / 48).map(line).collect::<String>().as_bytes())?;
        written += FILE + FILE / 8;
        number += 1;
    }
    archive.finish()?;
    Ok(())
}
