//! `par policy diff`: what changed between two packages or two policies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use par_apkg::{Package, escaped, line_of};
use par_policy::compare::{self, Area, Change, Direction, Side};
use par_policy::policy::Policy;
use par_policy::{Limits, RuleId};
use serde::Serialize;

use super::native::NativeFile;
use super::text::Screen;
use crate::install::Lock;

/// One of two packages.
#[derive(Debug)]
pub struct PackageSide<'a> {
    /// The package, opened.
    pub package: &'a Package,
    /// Its files that are machine code.
    pub native: Vec<NativeFile>,
    /// The file `sandbox` stands in, and its text.
    pub asking: (&'static str, Vec<u8>),
    /// The name of its file or directory.
    pub name: String,
}

/// One of two policies.
#[derive(Debug)]
pub struct PolicySide {
    /// The policy.
    pub policy: Policy,
    /// Its text.
    pub text: Vec<u8>,
    /// The path as it was typed.
    pub name: String,
}

/// What changed: the JSON of `par policy diff --json`.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Always `par-policy-diff`.
    pub format: &'static str,
    /// The version of the format.
    pub version: u32,
    /// `packages` or `policies`.
    pub compares: &'static str,
    /// What the old one is called.
    pub old: String,
    /// What the new one is called.
    pub new: String,
    /// Whether the new one gives more.
    pub widened: bool,
    /// What changed; what became wider first.
    pub changes: Vec<Placed>,
}

/// One change and where it is.
#[derive(Debug, Clone, Serialize)]
pub struct Placed {
    /// What it is about.
    pub area: &'static str,
    /// `widened`, `changed` or `narrowed`.
    pub direction: &'static str,
    /// What happened, as a sentence without subject and full stop.
    pub sentence: String,
    /// `old` or `new`: in which of both the line is.
    pub side: &'static str,
    /// The file; for a package, the one inside it.
    pub file: String,
    /// Counted from 1; `null` where there is no line.
    pub line: Option<u64>,
    /// The keys that lead to the line.
    pub rule: String,
}

/// Compares two policies.
#[must_use]
pub fn policies(old: &PolicySide, new: &PolicySide, base: Limits) -> Comparison {
    let place = |change: &Change| {
        let side = if change.side == Side::Old { old } else { new };
        (side.name.clone(), line_of(&side.text, &change.at))
    };
    let changes = compare::policies(&old.policy, &new.policy, base);
    comparison("policies", [&old.name, &new.name], changes.iter().map(|change| (change, place(change))))
}

/// Compares two packages: what they ask for, require and bring along.
#[must_use]
pub fn packages(old: &PackageSide<'_>, new: &PackageSide<'_>) -> Comparison {
    let mut changes: Vec<(Change, &'static str)> = Vec::new();
    let requests = compare::requests(&old.package.requested, &new.package.requested);
    changes.extend(requests.into_iter().map(|change| (change, "")));
    dependencies(old.package, new.package, &mut changes);
    native(&old.native, &new.native, &mut changes);
    surfaces(old.package, new.package, &mut changes);
    variables(old.package, new.package, &mut changes);
    let place = |(change, file): &(Change, &'static str)| {
        let side = if change.side == Side::Old { old } else { new };
        let (asking, text) = &side.asking;
        if file.is_empty() { ((*asking).to_owned(), line_of(text, &change.at)) } else { ((*file).to_owned(), None) }
    };
    let placed = changes.iter().map(|both| (&both.0, place(both)));
    comparison("packages", [&old.name, &new.name], placed)
}

fn comparison<'c>(
    compares: &'static str,
    [old, new]: [&str; 2],
    changes: impl Iterator<Item = (&'c Change, (String, Option<u64>))>,
) -> Comparison {
    let mut changes: Vec<_> = changes.collect();
    changes.sort_by_key(|(change, _)| (change.direction, change.area));
    let widened = changes.iter().any(|(change, _)| change.direction == Direction::Widened);
    let placed = |(change, (file, line)): (&Change, (String, Option<u64>))| Placed {
        area: change.area.as_str(),
        direction: change.direction.as_str(),
        sentence: change.sentence.clone(),
        side: if change.side == Side::Old { "old" } else { "new" },
        file,
        line,
        rule: change.at.to_string(),
    };
    Comparison {
        format: "par-policy-diff",
        version: 1,
        compares,
        old: old.to_owned(),
        new: new.to_owned(),
        widened,
        changes: changes.into_iter().map(placed).collect(),
    }
}

fn change(area: Area, direction: Direction, at: &str, sentence: String) -> Change {
    let side = if direction == Direction::Narrowed { Side::Old } else { Side::New };
    Change { area, direction, at: RuleId::new(at), side, sentence }
}

/// Requirements by name; with locks, what they pin.
fn dependencies(old: &Package, new: &Package, changes: &mut Vec<(Change, &'static str)>) {
    let stated = |package: &Package| {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for requirement in &package.requirements.list {
            names.entry(requirement.name.to_string()).or_default().insert(requirement.to_string());
        }
        names
    };
    by_name(&stated(old), &stated(new), "requires", "requirements", changes);
    let pinned = |package: &Package| {
        let lock = Lock::parse(package.requirements.lock.as_ref()?).ok()?;
        let pin = |locked: crate::install::Locked| {
            let digests = locked.wheels.iter().map(|wheel| format!("{} {}", locked.version, wheel.digest.to_hex()));
            (locked.name.to_string(), digests.collect())
        };
        Some(lock.distributions.into_iter().map(pin).collect::<BTreeMap<String, BTreeSet<String>>>())
    };
    match (pinned(old), pinned(new)) {
        (Some(before), Some(after)) => by_name(&before, &after, "locks", "pylock.toml", changes),
        (Some(_), None) => {
            let sentence = "no longer pins what is installed".to_owned();
            changes.push((change(Area::Dependencies, Direction::Widened, "pylock.toml", sentence), "pylock.toml"));
        }
        (None, Some(_)) => {
            let sentence = "now pins what is installed".to_owned();
            changes.push((change(Area::Dependencies, Direction::Narrowed, "pylock.toml", sentence), "pylock.toml"));
        }
        (None, None) => {}
    }
}

fn by_name(
    old: &BTreeMap<String, BTreeSet<String>>,
    new: &BTreeMap<String, BTreeSet<String>>,
    verb: &str,
    file: &'static str,
    changes: &mut Vec<(Change, &'static str)>,
) {
    let shown = |texts: &BTreeSet<String>| {
        texts.iter().map(|text| format!("`{}`", text.split(' ').next().unwrap_or(text))).collect::<Vec<_>>().join(", ")
    };
    let mut note = |direction, name: &str, sentence| {
        changes.push((change(Area::Dependencies, direction, name, sentence), file));
    };
    for (name, texts) in new {
        match old.get(name) {
            None => note(Direction::Widened, name, format!("now {verb} `{name}`")),
            Some(before) if before == texts => {}
            Some(before) if shown(before) == shown(texts) => {
                note(Direction::Changed, name, format!("{verb} other files of `{name}` at the same version"));
            }
            Some(before) => {
                note(
                    Direction::Changed,
                    name,
                    format!("{verb} `{name}` as {}, before {}", shown(texts), shown(before)),
                );
            }
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        note(Direction::Narrowed, name, format!("no longer {verb} `{name}`"));
    }
}

fn native(old: &[NativeFile], new: &[NativeFile], changes: &mut Vec<(Change, &'static str)>) {
    let find = |list: &'_ [NativeFile], path: &str| list.iter().find(|file| file.path == path).cloned();
    for file in new {
        let (direction, sentence) = match find(old, &file.path) {
            Some(before) if before.digest == file.digest => continue,
            Some(_) => (Direction::Changed, format!("has other machine code in `{}`", file.path)),
            None => (Direction::Widened, format!("now has machine code for {} in `{}`", file.system, file.path)),
        };
        changes.push((change(Area::Native, direction, &file.path, sentence), "the package"));
    }
    for file in old.iter().filter(|file| find(new, &file.path).is_none()) {
        let sentence = format!("no longer has the machine code `{}`", file.path);
        changes.push((change(Area::Native, Direction::Narrowed, &file.path, sentence), "the package"));
    }
}

fn surfaces(old: &Package, new: &Package, changes: &mut Vec<(Change, &'static str)>) {
    let has = |package: &Package| {
        let manifest = &package.manifest;
        [("rest", manifest.rest.is_some()), ("a2a", manifest.a2a.is_some()), ("ui", manifest.ui.is_some())]
    };
    for ((name, before), (_, after)) in has(old).into_iter().zip(has(new)) {
        let sentence = match (before, after) {
            (false, true) => format!("now answers on the surface `{name}`"),
            (true, false) => format!("no longer answers on the surface `{name}`"),
            _ => continue,
        };
        changes.push((change(Area::Surfaces, Direction::Changed, name, sentence), "agent.yaml"));
    }
}

/// Variables the package sets itself: no more than it could set in its code.
fn variables(old: &Package, new: &Package, changes: &mut Vec<(Change, &'static str)>) {
    let (before, after) = (old.variable_files(), new.variable_files());
    for (name, file) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        changes.push((change(Area::Env, Direction::Changed, name, format!("now sets `{name}` itself")), file));
    }
    for (name, file) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        changes.push((change(Area::Env, Direction::Changed, name, format!("no longer sets `{name}` itself")), file));
    }
}

/// Writes a comparison for people.
#[must_use]
pub fn text(comparison: &Comparison, screen: Screen) -> String {
    let Comparison { compares, old, new, changes, .. } = comparison;
    let mut text = format!("{compares}: {} -> {}\n", escaped(old), escaped(new));
    if changes.is_empty() {
        text.push_str("nothing changed\n");
        return text;
    }
    for placed in changes {
        let style = match placed.direction {
            "widened" => console::Style::new().red().bold(),
            "narrowed" => console::Style::new().green(),
            _ => console::Style::new(),
        };
        let word = screen.paint(&format!("{:<9}", placed.direction), &style);
        let line = placed.line.map(|line| format!(" line {line}")).unwrap_or_default();
        let sentence = escaped(&placed.sentence);
        let _ = writeln!(text, "  {word} {:<13} {sentence}", placed.area);
        let _ = writeln!(
            text,
            "  {:<9} {:<13} {}, {}{line}: {}",
            "",
            "",
            placed.side,
            escaped(&placed.file),
            escaped(&placed.rule)
        );
    }
    let count = changes.iter().filter(|placed| placed.direction == "widened").count();
    let _ = match count {
        0 => writeln!(text, "nothing is wider than before"),
        1 => writeln!(text, "1 change gives more than before"),
        count => writeln!(text, "{count} changes give more than before"),
    };
    text
}
