//! Which directory a descriptor belongs to, and what of it goes on the record.
//!
//! The package, its dependencies and Python are the agent's own: only attempts to change them
//! are recorded. Of what was granted every file that is opened is. Everywhere else there is an
//! empty directory, so that the host hears of what was looked for in vain.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use par_policy::{AuditEvent, Capability, Denial, DenialCode, Granted};

use crate::audit::{self, AuditRecord, AuditSink};

/// What a directory is to the agent.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    path: String,
    kind: Kind,
    writable: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Own,
    /// With the event of a use, but for its target.
    Granted(AuditEvent),
    Nothing,
}

impl Root {
    /// A directory every agent has.
    pub(crate) fn own(path: &str, writable: bool) -> Self {
        Self { path: path.to_owned(), kind: Kind::Own, writable }
    }

    /// A directory a rule grants.
    pub(crate) fn granted<T>(path: &str, granted: &Granted<T>, writable: bool) -> Self {
        let event = AuditEvent::allowed(Capability::Files, path, granted);
        Self { path: path.to_owned(), kind: Kind::Granted(event), writable }
    }

    /// The rest.
    pub(crate) fn nothing() -> Self {
        Self { path: "/".to_owned(), kind: Kind::Nothing, writable: false }
    }
}

/// A path below a root.
#[derive(Debug, Clone)]
pub(super) struct Place {
    root: usize,
    path: String,
}

/// The places of the directories one instance has open, and how many files that are.
#[derive(Debug)]
pub(crate) struct Places {
    roots: Vec<Root>,
    directories: HashMap<u32, Place>,
    open: HashSet<u32>,
    most_open: usize,
    audit: Arc<dyn AuditSink>,
}

impl Places {
    pub(crate) fn new(roots: Vec<Root>, most_open: u32, audit: Arc<dyn AuditSink>) -> Self {
        let most_open = usize::try_from(most_open).unwrap_or(usize::MAX);
        Self { roots, directories: HashMap::new(), open: HashSet::new(), most_open, audit }
    }

    /// A directory the guest was given.
    pub(super) fn given(&mut self, descriptor: u32, path: &str) {
        if let Some(root) = self.roots.iter().position(|root| root.path == path) {
            self.directories.insert(descriptor, Place { root, path: path.to_owned() });
        }
    }

    /// Where `path` below a directory is.
    pub(super) fn below(&self, directory: u32, path: &str) -> Option<Place> {
        let Place { root, path: parent } = self.directories.get(&directory)?;
        let path = format!("{}/{path}", parent.trim_end_matches('/'));
        Some(Place { root: *root, path })
    }

    /// Whether one more file may be opened; on the record if not.
    pub(super) fn has_room(&self) -> bool {
        let room = self.open.len() < self.most_open;
        if !room {
            audit::limit(&*self.audit, DenialCode::OpenFilesExhausted, "an instance", None);
        }
        room
    }

    /// Something was opened; a directory is remembered, for what is opened below it.
    pub(super) fn opened(&mut self, descriptor: u32, place: Option<Place>, is_directory: bool) {
        self.open.insert(descriptor);
        let Some(place) = place else { return };
        if let Kind::Granted(event) = &self.roots[place.root].kind {
            let event = AuditEvent { target: place.path.clone(), ..event.clone() };
            self.audit.record(AuditRecord::at_once(event, None));
        }
        if is_directory {
            self.directories.insert(descriptor, place);
        }
    }

    /// Something failed; on the record where the agent was not allowed to do it. `changes` says
    /// whether it would have changed anything.
    pub(super) fn failed(&self, place: Option<&Place>, changes: bool) {
        let Some(Place { root, path }) = place else { return };
        let root = &self.roots[*root];
        let denial = match &root.kind {
            // The interpreter's own, not the agent's: showing the source of code that has no file,
            // and keeping bytecode.
            Kind::Nothing if path.ends_with('>') && path.contains("/<") => return,
            Kind::Own if path.contains("/__pycache__") => return,
            Kind::Nothing => Denial::new(DenialCode::FileNotGranted, "no rule grants the path"),
            Kind::Granted(event) if changes && !root.writable => {
                let sentence = "the directory is read-only";
                match event.rule.clone() {
                    Some(rule) => Denial::by_rule(DenialCode::ReadOnly, sentence, rule),
                    None => Denial::new(DenialCode::ReadOnly, sentence),
                }
            }
            Kind::Own if changes && !root.writable => Denial::new(DenialCode::ReadOnly, "the directory is read-only"),
            Kind::Own | Kind::Granted(_) => return,
        };
        self.audit.record(AuditRecord::at_once(AuditEvent::denied(Capability::Files, path.as_str(), &denial), None));
    }

    /// Whether what is opened there may be a directory that has to be remembered.
    pub(super) fn remembers(&self, place: Option<&Place>, asked_for_directory: bool) -> bool {
        place.is_some_and(|place| asked_for_directory || matches!(self.roots[place.root].kind, Kind::Granted(_)))
    }

    /// A descriptor is gone.
    pub(super) fn closed(&mut self, descriptor: u32) {
        self.open.remove(&descriptor);
        self.directories.remove(&descriptor);
    }
}
