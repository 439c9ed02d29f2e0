//! What a line of a suggested policy rests on.

use std::collections::BTreeSet;
use std::fmt;

use par_apkg::escaped;
use par_policy::Decision;

use super::record::Event;

/// Most packages that are named.
const PACKAGES: usize = 4;

/// Events, summed.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    allowed: u64,
    not_granted: u64,
    first: Option<String>,
    last: String,
    request: Option<String>,
    packages: BTreeSet<String>,
}

impl Evidence {
    pub(super) fn add(&mut self, event: &Event) {
        let count =
            if event.decision == Decision::Allowed.as_str() { &mut self.allowed } else { &mut self.not_granted };
        *count = count.saturating_add(event.count);
        self.first.get_or_insert_with(|| event.time.clone());
        self.last.clone_from(&event.time);
        self.request = self.request.take().or_else(|| event.request_id.clone());
        self.packages.extend(event.packages.iter().cloned());
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.allowed = self.allowed.saturating_add(other.allowed);
        self.not_granted = self.not_granted.saturating_add(other.not_granted);
        // Times are written alike, so their texts are in their order.
        self.first = [self.first.take(), other.first.clone()].into_iter().flatten().min();
        self.last = std::mem::take(&mut self.last).max(other.last.clone());
        self.request = self.request.take().or_else(|| other.request.clone());
        self.packages.extend(other.packages.iter().cloned());
    }
}

/// `3 allowed, 1 not; 2026-01-01T... to 2026-...; request 01J...; by httpx`
impl fmt::Display for Evidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.allowed, self.not_granted) {
            (allowed, 0) => write!(formatter, "{allowed} allowed")?,
            (0, denied) => write!(formatter, "{denied} not granted")?,
            (allowed, denied) => write!(formatter, "{allowed} allowed, {denied} not granted")?,
        }
        let first = self.first.as_deref().unwrap_or_default();
        write!(formatter, "; {}", escaped(first))?;
        if self.last != first {
            write!(formatter, " to {}", escaped(&self.last))?;
        }
        if let Some(request) = &self.request {
            write!(formatter, "; request {}", escaped(request))?;
        }
        if !self.packages.is_empty() {
            let named: Vec<String> = self.packages.iter().take(PACKAGES).map(|name| escaped(name)).collect();
            write!(formatter, "; by {}", named.join(", "))?;
        }
        Ok(())
    }
}
