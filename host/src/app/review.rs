//! `par grants` and `par policy`: reads what the reviewer names, writes what the review says.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use par_apkg::{Package, escaped};
use par_policy::policy::{Policy, Requested};

use super::error::BootError;
use super::locking::write;
use super::opening;
use crate::cli::{GrantsArguments, GrantsForm, PolicyCommand};
use crate::config::{Environment, PolicySource, Reviewing};
use crate::exit::Exit;
use crate::grants::{self, GrantError, PolicyText};
use crate::review::difference::{self, PackageSide, PolicySide};
use crate::review::judge::{Answer, Judge, Outcome, Question};
use crate::review::native::native_files;
use crate::review::sarif::sarif;
use crate::review::suggest;
use crate::review::{self, Screen, Subject, Verdict};

/// What a command has to say, and what it exits with.
pub(super) struct Said {
    pub(super) text: String,
    pub(super) exit: Exit,
}

/// A package that was opened for a review. Dropping it removes what was unpacked.
struct Opened {
    package: Package,
    name: String,
    sha256: Option<String>,
    _scratch: tempfile::TempDir,
}

/// `par grants`.
pub(super) fn grants(arguments: &GrantsArguments) -> Result<Said, BootError> {
    let reviewing = reviewing()?;
    let (policy, text, source) = policy(arguments.policy.as_deref(), &reviewing)?;
    let opened = open(&arguments.package, &reviewing)?;
    let native = native(&opened.package)?;
    let review = review::review(&Subject {
        package: &opened.package,
        file: opened.name,
        sha256: opened.sha256,
        native_files: native.into_iter().map(|file| file.path).collect(),
        policy: &policy,
        policy_source: source,
        policy_text: &text,
        limits: reviewing.limits,
    });
    let exit = match review.verdict {
        Verdict::Granted => Exit::Done,
        Verdict::AbovePolicy => Exit::Findings,
    };
    let text = match arguments.form {
        GrantsForm { json: true, .. } => json(&review)?,
        GrantsForm { markdown: true, .. } => review::markdown(&review),
        GrantsForm { html: true, .. } => review::html(&review),
        _ if arguments.output.is_some() => review::text(&review, Screen::FILE),
        _ => review::text(&review, Screen::of_standard_output()),
    };
    let Some(output) = arguments.output.as_deref() else { return Ok(Said { text, exit }) };
    write(output, &text).map_err(|source| BootError::Write { path: output.to_owned(), source })?;
    Ok(Said { text: String::new(), exit })
}

/// `par policy`.
pub(super) fn run(command: &PolicyCommand) -> Result<Said, BootError> {
    match command {
        PolicyCommand::Test { what, policy, package, method } => {
            test(what, policy.as_deref(), package.as_deref(), method)
        }
        PolicyCommand::Suggest { record, policy } => suggest(record, policy.as_deref()),
        PolicyCommand::Diff { old, new, json, sarif } => diff(old, new, *json, *sarif),
    }
}

fn test(what: &[String], policy: Option<&Path>, package: Option<&Path>, method: &str) -> Result<Said, BootError> {
    let questions = Question::parse(what, method)?;
    let reviewing = reviewing()?;
    let (policy, ..) = self::policy(policy, &reviewing)?;
    let opened = package.map(|package| open(package, &reviewing)).transpose()?;
    let requested = opened.as_ref().map_or_else(Requested::default, |opened| opened.package.requested.clone());
    let judge = Judge::new(&requested, &policy, reviewing.limits).map_err(|differences| {
        let agent = opened.as_ref().map_or_else(String::new, |opened| opened.package.manifest.name.to_string());
        GrantError::AbovePolicy { agent, differences }
    })?;
    let screen = Screen::of_standard_output();
    let (mut text, mut worst) = (String::new(), Outcome::Allowed);
    for question in &questions {
        let answer = judge.answer(question);
        worst = worst.max(answer.outcome);
        write_answer(&mut text, &answer, screen);
    }
    let exit = match worst {
        Outcome::Allowed => Exit::Done,
        Outcome::WhenAsked => Exit::WhenAsked,
        Outcome::Denied => Exit::Findings,
    };
    Ok(Said { text, exit })
}

fn write_answer(text: &mut String, answer: &Answer, screen: Screen) {
    let style = match answer.outcome {
        Outcome::Allowed => console::Style::new().green(),
        Outcome::WhenAsked => console::Style::new().yellow(),
        Outcome::Denied => console::Style::new().red().bold(),
    };
    let by = answer.rule.as_ref().map(|rule| format!(" by {}", escaped(rule.as_str()))).unwrap_or_default();
    let code = answer.code.map(|code| format!(" ({code})")).unwrap_or_default();
    let word = screen.paint(answer.outcome.as_str(), &style);
    let _ = writeln!(text, "{}: {word}{by}{code}\n  {}", escaped(&answer.question), escaped(&answer.because));
    if let Some(line) = &answer.add {
        let _ = writeln!(text, "  to allow it, the policy needs: {}", escaped(line));
    }
}

fn suggest(record: &Path, policy: Option<&Path>) -> Result<Said, BootError> {
    let (known, ..) = self::policy(policy, &reviewing()?)?;
    let text = if record == Path::new("-") {
        suggest::suggest(std::io::stdin().lock(), &known)?
    } else {
        let file = fs_err::File::open(record).map_err(BootError::System)?;
        suggest::suggest(std::io::BufReader::new(file), &known)?
    };
    Ok(Said { text, exit: Exit::Done })
}

fn diff(old: &Path, new: &Path, as_json: bool, as_sarif: bool) -> Result<Said, BootError> {
    let reviewing = reviewing()?;
    let comparison = match (is_package(old)?, is_package(new)?) {
        (true, true) => {
            let (old, new) = (open(old, &reviewing)?, open(new, &reviewing)?);
            difference::packages(&side(&old)?, &side(&new)?)
        }
        (false, false) => difference::policies(&policy_side(old)?, &policy_side(new)?, reviewing.limits),
        _ => return Err(BootError::NotComparable),
    };
    let text = if as_json {
        json(&comparison)?
    } else if as_sarif {
        json(&sarif(&comparison))?
    } else {
        difference::text(&comparison, Screen::of_standard_output())
    };
    Ok(Said { text, exit: if comparison.widened { Exit::Findings } else { Exit::Done } })
}

fn json(value: &impl serde::Serialize) -> Result<String, BootError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| BootError::System(error.into()))?;
    Ok(review::ascii(&text) + "\n")
}

fn reviewing() -> Result<Reviewing, BootError> {
    Reviewing::parse(&Environment::of_process()).map_err(BootError::Configuration)
}

/// The policy that was typed, else the one of `PAR_POLICY`, else none; with its text and its name.
fn policy(typed: Option<&Path>, reviewing: &Reviewing) -> Result<(Policy, Vec<u8>, Option<String>), BootError> {
    let typed = typed.map(|path| PolicySource::File(path.to_owned()));
    let source = typed.or_else(|| reviewing.policy.clone());
    let Some(source) = source else { return Ok((Policy::default(), Vec::new(), None)) };
    let PolicyText { text, name } = grants::policy_text(&source)?;
    let policy = par_apkg::parse_policy(&text, &name).map_err(GrantError::from)?;
    Ok((policy, text, Some(name)))
}

fn policy_side(path: &Path) -> Result<PolicySide, BootError> {
    let PolicyText { text, name } = grants::policy_text(&PolicySource::File(path.to_owned()))?;
    Ok(PolicySide { policy: par_apkg::parse_policy(&text, &name).map_err(GrantError::from)?, text, name })
}

fn open(path: &Path, reviewing: &Reviewing) -> Result<Opened, BootError> {
    let scratch = tempfile::tempdir().map_err(BootError::System)?;
    let (package, name, sha256) = opening::open_with_digest(path, &reviewing.fetch, scratch.path())?;
    Ok(Opened { package, name, sha256: sha256.map(|digest| digest.to_hex()), _scratch: scratch })
}

fn native(package: &Package) -> Result<Vec<review::native::NativeFile>, BootError> {
    native_files(&package.root).map_err(BootError::System)
}

fn side(opened: &Opened) -> Result<PackageSide<'_>, BootError> {
    let asking = if opened.package.manifest.requested.is_some() { "agent.yaml" } else { "pak.yaml" };
    let text = match opened.package.root.read(asking) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(BootError::System(error)),
    };
    Ok(PackageSide {
        package: &opened.package,
        native: native(&opened.package)?,
        asking: (asking, text),
        name: opened.name.clone(),
    })
}

/// A directory, an archive and a URL are packages; everything else is read as a policy.
fn is_package(path: &Path) -> Result<bool, BootError> {
    if path.is_dir() || opening::is_url(path) {
        return Ok(true);
    }
    let mut head = Vec::new();
    let cannot_read = |source| GrantError::ReadPolicy { path: PathBuf::from(path), source };
    let file = fs_err::File::open(path).map_err(cannot_read)?;
    file.take(2).read_to_end(&mut head).map_err(cannot_read)?;
    Ok(head == b"PK")
}
