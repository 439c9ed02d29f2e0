//! `par policy suggest`: from a recorded run to the smallest policy that would have allowed it.

mod evidence;
mod outbound;
mod record;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::io::BufRead;

use par_apkg::PolicyError;
use par_policy::name::{DataName, VariableName};
use par_policy::outbound::{Outbound, OutboundTarget};
use par_policy::policy::Policy;
use par_policy::secret::SecretName;
use par_policy::{Decision, DenialCode, Grants};

use super::line::{literal, may_be_named, place_of};
use evidence::Evidence;
use outbound::{Place, Rules};
use record::Event;

/// A file that is no record. Displays as one sentence.
#[derive(Debug, thiserror::Error)]
pub enum NotARecord {
    /// It cannot be read.
    #[error("the record cannot be read")]
    Read(#[source] std::io::Error),
    /// A line is no line of a record or of the log.
    #[error("line {0} of the record is no line of a record")]
    Line(u64),
    /// What was suggested is not what a policy may say: a mistake of ours.
    #[error("the suggestion is no policy")]
    Suggestion(#[source] PolicyError),
}

/// Reads a record, or a log with records in it, and says which policy would have been enough. `known` is the
/// policy of the recorded run, for what a record does not say: where values come from.
///
/// # Errors
/// [`NotARecord`].
pub fn suggest(record: impl BufRead, known: &Policy) -> Result<String, NotARecord> {
    let mut found = Found::default();
    record::read(record, |event| found.take(&event))?;
    let text = write::policy(&found, known);
    par_apkg::parse_policy(text.as_bytes(), "the suggestion").map_err(NotARecord::Suggestion)?;
    Ok(text)
}

/// What a run did, by what a policy needs for it.
#[derive(Debug, Default)]
struct Found {
    /// Everything together.
    all: Evidence,
    rules: Rules,
    /// Addresses that are not public and stood in the place of a name.
    addresses: BTreeMap<String, Evidence>,
    /// Whether hosts were reached by name: the record does not say which addresses they had.
    by_name: bool,
    /// By name, then by place.
    secrets: BTreeMap<String, BTreeMap<String, Evidence>>,
    /// By name, with the rule that gave it.
    variables: BTreeMap<String, (Evidence, String)>,
    /// Data directories that were read, by name.
    data: BTreeMap<String, Evidence>,
    /// What was opened in the scratch directory.
    scratch: Option<Evidence>,
    /// A clock that stood, and random numbers that repeated.
    clock: Option<Evidence>,
    random: Option<Evidence>,
    /// What no policy should or could allow.
    notes: BTreeMap<String, Evidence>,
}

impl Found {
    fn take(&mut self, event: &Event) {
        self.all.add(event);
        if event.target == "(others)" {
            return self
                .note("events of many kinds, summed because there were too many: the policy is not complete", event);
        }
        match event.capability.as_str() {
            "outbound" => self.outbound(event),
            "secrets" => self.secret(event),
            "env" if event.decision == Decision::Allowed.as_str() && VariableName::parse(&event.target).is_ok() => {
                let rule = event.rule.clone().unwrap_or_default();
                let known = self.variables.entry(event.target.clone()).or_insert_with(|| (Evidence::default(), rule));
                known.0.add(event);
            }
            "files" if event.decision == Decision::Allowed.as_str() => self.file(event),
            "clock" if event.decision == Decision::Allowed.as_str() => self.clock.get_or_insert_default().add(event),
            "random" if event.decision == Decision::Allowed.as_str() => self.random.get_or_insert_default().add(event),
            _ => self.refused(event),
        }
    }

    fn file(&mut self, event: &Event) {
        let below = |top: &str| event.target.strip_prefix(top);
        let data = below("/data/").and_then(|rest| DataName::parse(rest.split('/').next().unwrap_or_default()));
        if let Some(name) = data {
            self.data.entry(name.as_str().to_owned()).or_default().add(event);
        } else if below(Grants::scratch_path()).is_some() {
            self.scratch.get_or_insert_default().add(event);
        }
    }

    fn outbound(&mut self, event: &Event) {
        let target = event.target.split_once(' ').and_then(|(method, url)| OutboundTarget::parse(method, url).ok());
        let Some(target) = target else { return self.refused(event) };
        let code = event.code.as_deref().and_then(code);
        let address = literal(&target);
        let wanted = match code {
            None => event.decision == Decision::Allowed.as_str(),
            Some(code) => code.may_be_observed() || (may_be_named(code) && address.is_some()),
        };
        if !wanted {
            return self.refused(event);
        }
        self.by_name |= address.is_none();
        if let Some(address) = address.filter(|address| Outbound::default().judge_address(*address).is_err()) {
            self.addresses.entry(address.to_string()).or_default().add(event);
        }
        self.rules.add(Place::of(&target), target.method().as_str(), event);
    }

    fn secret(&mut self, event: &Event) {
        let about = event.target.split_once(" in ").and_then(|(name, target)| {
            let (method, url) = target.split_once(' ')?;
            Some((SecretName::parse(name)?, place_of(&OutboundTarget::parse(method, url).ok()?)))
        });
        match about.filter(|_| event.decision == Decision::Allowed.as_str()) {
            // Whoever got a placeholder that was not theirs must not get the value by a suggestion.
            None => self.refused(event),
            Some((name, place)) => {
                self.secrets.entry(name.as_str().to_owned()).or_default().entry(place).or_default().add(event);
            }
        }
    }

    fn refused(&mut self, event: &Event) {
        let code = event.code.as_deref().unwrap_or("no code");
        let rule = event.rule.as_deref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        let what = if event.decision == Decision::Allowed.as_str() { "allowed" } else { "denied" };
        self.note(&format!("{} {}: {what} ({code}){rule}", event.capability, event.target), event);
    }

    fn note(&mut self, what: &str, event: &Event) {
        self.notes.entry(what.to_owned()).or_default().add(event);
    }
}

fn code(text: &str) -> Option<DenialCode> {
    DenialCode::ALL.iter().copied().find(|code| code.as_str() == text)
}
