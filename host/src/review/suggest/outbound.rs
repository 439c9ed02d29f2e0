//! Requests to rules: as few and as small as cover them.

use std::collections::{BTreeMap, BTreeSet};

use par_policy::outbound::OutboundTarget;

use super::super::line::place_of;
use super::evidence::Evidence;
use super::record::Event;

/// Paths of one server that get rules of their own; with more of them one rule has what they have in
/// common, since they are then most likely made of data.
const MOST_PATHS: usize = 12;

/// Scheme, host and port, and the path below which a rule is; `""` for every path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    origin: String,
    path: String,
}

impl Place {
    pub(super) fn of(target: &OutboundTarget) -> Self {
        let whole = place_of(target);
        let origin = format!("{}://{}", target.scheme(), target.authority());
        let path = whole.strip_prefix(&origin).unwrap_or_default().to_owned();
        Self { origin, path }
    }

    fn covers(&self, other: &Self) -> bool {
        let below = |rest: &str| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/');
        self.origin == other.origin && other.path.strip_prefix(&self.path).is_some_and(below)
    }
}

/// A rule with what it rests on.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) url: String,
    pub(super) methods: Vec<String>,
    pub(super) evidence: Evidence,
    /// Paths it stands for, where they were too many.
    pub(super) paths: usize,
}

/// Requests by place and method.
#[derive(Debug, Default)]
pub(super) struct Rules(BTreeMap<(Place, String), Evidence>);

impl Rules {
    pub(super) fn add(&mut self, place: Place, method: &str, event: &Event) {
        self.0.entry((place, method.to_owned())).or_default().add(event);
    }

    /// The rules that cover them, none of which covers another.
    pub(super) fn smallest(&self) -> Vec<Rule> {
        let mut origins: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (place, _) in self.0.keys() {
            origins.entry(&place.origin).or_default().insert(&place.path);
        }
        let gathered = |place: &Place| match origins.get(place.origin.as_str()) {
            Some(paths) if paths.len() > MOST_PATHS => Place { path: common(paths), ..place.clone() },
            _ => place.clone(),
        };
        let wanted: BTreeSet<(Place, &String)> =
            self.0.keys().map(|(place, method)| (gathered(place), method)).collect();
        let mut rules: BTreeMap<Place, (BTreeSet<String>, Evidence, BTreeSet<&str>)> = BTreeMap::new();
        for ((place, method), evidence) in &self.0 {
            let own = gathered(place);
            // The widest that is wanted anyway.
            let by = wanted.iter().find(|(wide, of)| *of == method && wide.covers(&own)).map(|(wide, _)| wide.clone());
            let (methods, sum, paths) = rules.entry(by.unwrap_or(own)).or_default();
            methods.insert(method.clone());
            sum.merge(evidence);
            paths.insert(&place.path);
        }
        let rule = |(place, (methods, evidence, paths)): (Place, (BTreeSet<String>, Evidence, BTreeSet<&str>))| Rule {
            url: format!("{}{}", place.origin, place.path),
            methods: methods.into_iter().collect(),
            evidence,
            paths: paths.len(),
        };
        rules.into_iter().map(rule).collect()
    }
}

/// The segments all paths begin with; `""` where they have none in common.
fn common(paths: &BTreeSet<&str>) -> String {
    let mut paths = paths.iter().map(|path| path.split('/').collect::<Vec<_>>());
    let Some(mut shared) = paths.next() else { return String::new() };
    for path in paths {
        let same = shared.iter().zip(&path).take_while(|(one, other)| one == other).count();
        shared.truncate(same);
    }
    shared.join("/")
}
