//! One unpacked wheel: checked, and told where its files go.

use std::collections::BTreeSet;
use std::io::Read as _;

use cap_std::fs::Dir;
use par_apkg::archive::{Extracted, ExtractedFile};

use super::InstallError;
use super::classify::{Fate, Native, Origin, fate};
use super::error::WheelFault;
use super::names;
use par_apkg::requirement::ProjectName;
use par_apkg::wheel::{EntryPoints, Metadata, Record, WheelInfo, own_record_line, record_line};

/// Largest file of a `.dist-info` directory that is read; each has a lower limit of its own.
const LARGEST_METADATA: u64 = 16 << 20;

/// The wheel being checked, as error texts speak of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The agent.
    pub(super) package: &'a str,
    /// The distribution.
    pub(super) name: &'a ProjectName,
    /// Its version.
    pub(super) version: &'a str,
    /// The file name of the wheel.
    pub(super) wheel: &'a str,
    /// Where the wheel came from.
    pub(super) origin: Origin,
}

/// What becomes of the files of a wheel.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Files to move, and where to.
    pub(super) moves: Vec<Move>,
    /// Files that stay behind, with the reason.
    pub(super) left_out: Vec<(String, &'static str)>,
    /// The path of the new `RECORD`, and its text.
    pub(super) record: (String, String),
}

/// One file: from the unpacked wheel to `site-packages`.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) file: ExtractedFile,
}

/// Checks an unpacked wheel and plans its installation.
///
/// # Errors
/// [`InstallError::Wheel`] and [`InstallError::NativeCode`] for the first file that may not be installed.
pub(super) fn plan(subject: Subject<'_>, unpacked: &Dir, extracted: &Extracted) -> Result<Plan, InstallError> {
    let fault = |because| InstallError::Wheel { wheel: subject.wheel.to_owned(), because };

    let stem = dist_info_stem(subject.name, &extracted.files).ok_or_else(|| fault(WheelFault::DistInfo))?;
    let own_record = format!("{stem}.dist-info/RECORD");
    verify(subject, &stem, unpacked, extracted).map_err(fault)?;

    if let Some(path) = bytecode_only(&extracted.files) {
        return Err(fault(WheelFault::BytecodeOnly(path)));
    }
    let mut plan = Plan::default();
    let mut taken = BTreeSet::new();
    for file in &extracted.files {
        let from = file.path.as_str();
        if from == own_record {
            continue;
        }
        let to = match destination(from, &stem).map_err(fault)? {
            Place::Site(to) => to,
            Place::Nowhere(because) => {
                plan.left_out.push((from.to_owned(), because));
                continue;
            }
        };
        if Native::may_begin(file.magic)
            && let Some(native) = native(unpacked, from)?
        {
            match fate(subject.name, to, native, subject.origin) {
                Fate::Kept => {}
                Fate::LeftOut => {
                    plan.left_out.push((from.to_owned(), "native code that nothing here misses"));
                    continue;
                }
                Fate::Refused => {
                    return Err(InstallError::NativeCode {
                        package: subject.package.to_owned(),
                        distribution: format!("{}=={}", subject.name, subject.version),
                        needs: Vec::new(),
                        file: to.to_owned(),
                        native,
                    });
                }
            }
        }
        if !taken.insert(to.to_owned()) {
            return Err(fault(WheelFault::Twice(to.to_owned())));
        }
        plan.moves.push(Move { from: from.to_owned(), to: to.to_owned(), file: file.clone() });
    }

    let mut text: String =
        plan.moves.iter().map(|step| record_line(&step.to, step.file.sha256, step.file.size)).collect();
    text.push_str(&own_record_line(&own_record));
    plan.record = (own_record, text);
    Ok(plan)
}

/// A module that is there as bytecode alone. What lies in `__pycache__` is never loaded so.
fn bytecode_only(files: &[ExtractedFile]) -> Option<String> {
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let is_alone = |path: &&&str| {
        let source = path.strip_suffix(".pyc").map(|stem| format!("{stem}.py"));
        !path.contains("__pycache__/") && source.is_some_and(|source| !paths.contains(source.as_str()))
    };
    paths.iter().find(is_alone).map(|path| (*path).to_owned())
}

/// Where a file of a wheel belongs.
enum Place<'a> {
    Site(&'a str),
    Nowhere(&'static str),
}

fn destination<'a>(path: &'a str, stem: &str) -> Result<Place<'a>, WheelFault> {
    let data = path.strip_prefix(stem).and_then(|rest| rest.strip_prefix(".data/"));
    let to = match data.map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        None => path,
        Some(("purelib" | "platlib", inside)) if !inside.is_empty() => inside,
        Some(("scripts", _)) => return Ok(Place::Nowhere("a script: nothing here runs one")),
        Some(("headers" | "data", _)) => return Ok(Place::Nowhere("it belongs outside `site-packages`")),
        Some(_) => return Err(WheelFault::Data(path.to_owned())),
    };
    let (top, is_directory) = match to.split_once('/') {
        Some((top, _)) => (top, true),
        None => (to, false),
    };
    let module = top.split('.').next().unwrap_or(top);
    if !is_directory && top.to_ascii_lowercase().ends_with(".pth") {
        return Ok(Place::Nowhere("a path file: the guest runs none"));
    }
    if names::RUN_AT_START.contains(&module) {
        return Err(WheelFault::RunsAtStart(path.to_owned()));
    }
    if names::is_taken(module) && !(is_directory && top.contains('.')) {
        return Err(WheelFault::Shadows(path.to_owned()));
    }
    // Bytecode of another interpreter, or of other source than the one beside it.
    if to.ends_with(".pyc") {
        return Ok(Place::Nowhere("bytecode: the guest compiles its own"));
    }
    Ok(Place::Site(to))
}

/// `{name}-{version}` of the one `.dist-info` directory, if it is the distribution's own.
fn dist_info_stem(name: &ProjectName, files: &[ExtractedFile]) -> Option<String> {
    let stems: BTreeSet<&str> =
        files.iter().filter_map(|file| file.path.as_str().split_once('/')?.0.strip_suffix(".dist-info")).collect();
    let mut stems = stems.into_iter();
    let (stem, None) = (stems.next()?, stems.next()) else { return None };
    let (owner, _version) = stem.split_once('-')?;
    (ProjectName::parse(owner)? == *name).then(|| stem.to_owned())
}

/// Checks what the wheel says about itself: its files, its format, its distribution, its scripts.
fn verify(subject: Subject<'_>, stem: &str, unpacked: &Dir, extracted: &Extracted) -> Result<(), WheelFault> {
    let path = |name: &str| format!("{stem}.dist-info/{name}");
    let own = path("RECORD");
    let record = read(unpacked, &own)?.ok_or(WheelFault::Absent("RECORD"))?;
    Record::parse(&record)?.verify(&own, &extracted.files)?;

    WheelInfo::parse(&read(unpacked, &path("WHEEL"))?.ok_or(WheelFault::Absent("WHEEL"))?)?;
    let metadata = Metadata::parse(&read(unpacked, &path("METADATA"))?.ok_or(WheelFault::Absent("METADATA"))?)?;
    let version = stem.split_once('-').map(|(_, version)| version);
    if metadata.name != *subject.name || Some(metadata.version.as_str()) != version {
        return Err(WheelFault::Impostor { name: metadata.name.to_string(), version: metadata.version });
    }
    if let Some(scripts) = read(unpacked, &path("entry_points.txt"))? {
        EntryPoints::parse(&scripts)?;
    }
    Ok(())
}

/// A file of the wheel, if it is there.
fn read(unpacked: &Dir, path: &str) -> Result<Option<Vec<u8>>, WheelFault> {
    let file = match unpacked.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err(WheelFault::Unreadable(path.to_owned())),
    };
    let mut content = Vec::new();
    file.take(LARGEST_METADATA).read_to_end(&mut content).map_err(|_| WheelFault::Unreadable(path.to_owned()))?;
    Ok(Some(content))
}

fn native(unpacked: &Dir, path: &str) -> Result<Option<Native>, InstallError> {
    let mut head = Vec::with_capacity(Native::HEAD);
    let file = unpacked.open(path).map_err(InstallError::cache)?;
    file.take(Native::HEAD as u64).read_to_end(&mut head).map_err(InstallError::cache)?;
    Ok(Native::of(&head))
}
