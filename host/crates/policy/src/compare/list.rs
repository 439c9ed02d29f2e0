//! Lists of lines, and single ones.

use std::fmt::Display;

use super::{Area, Change, Direction, Side};
use crate::RuleId;
use crate::policy::Line;

/// What is collected, and for which area.
pub(super) struct Collected<'a> {
    pub(super) changes: &'a mut Vec<Change>,
    pub(super) area: Area,
    /// What the file does with a line: `grants`, `asks for`.
    pub(super) verb: &'static str,
}

impl Collected<'_> {
    /// Notes a change.
    pub(super) fn note(&mut self, direction: Direction, side: Side, at: &RuleId, sentence: String) {
        self.changes.push(Change { area: self.area, direction, at: at.clone(), side, sentence });
    }

    /// A line that is there now and was not.
    pub(super) fn appeared(&mut self, direction: Direction, at: &RuleId, what: impl Display) {
        let sentence = format!("now {} `{what}`", self.verb);
        self.note(direction, Side::New, at, sentence);
    }

    /// A line that was there and is not.
    pub(super) fn gone(&mut self, direction: Direction, at: &RuleId, what: impl Display) {
        let sentence = format!("no longer {} `{what}`", self.verb);
        self.note(direction, Side::Old, at, sentence);
    }

    /// Rules, of which one can cover another. `more` is what a further rule means. `before` and `after` are
    /// what else a rule may be covered by.
    pub(super) fn rules<T: Display>(
        &mut self,
        more: Direction,
        [old, new]: [&[Line<T>]; 2],
        [before, after]: [&[Line<T>]; 2],
        covers: impl Fn(&T, &T) -> bool,
    ) {
        let covered = |line: &Line<T>, by: [&[Line<T>]; 2]| {
            by.into_iter().flatten().any(|other| covers(&other.value, &line.value))
        };
        for line in new.iter().filter(|line| !covered(line, [old, before])) {
            self.appeared(more, &line.rule, &line.value);
        }
        for line in old.iter().filter(|line| !covered(line, [new, after])) {
            self.gone(more.opposite(), &line.rule, &line.value);
        }
    }

    /// A number of which more is wider. Without a line, `none` holds.
    pub(super) fn number(
        &mut self,
        [old, new]: [Option<&Line<u64>>; 2],
        none: u64,
        sentence: impl FnOnce(u64, u64) -> String,
    ) {
        let value = |line: Option<&Line<u64>>| line.map_or(none, |line| line.value);
        let (before, after) = (value(old), value(new));
        let direction = if after > before { Direction::Widened } else { Direction::Narrowed };
        let place = new.map(|line| (Side::New, &line.rule)).or_else(|| old.map(|line| (Side::Old, &line.rule)));
        if let Some((side, at)) = place.filter(|_| before != after) {
            self.note(direction, side, at, sentence(before, after));
        }
    }

    /// A value that takes something away from the agent when it is there: a clock that stands.
    pub(super) fn fixed<T: PartialEq>(&mut self, [old, new]: [Option<&Line<T>>; 2], what: &str) {
        let verb = self.verb;
        match (old, new) {
            (None, None) => {}
            (None, Some(line)) => {
                self.note(Direction::Narrowed, Side::New, &line.rule, format!("now {verb} a fixed {what}"));
            }
            (Some(line), None) => {
                self.note(Direction::Widened, Side::Old, &line.rule, format!("no longer {verb} a fixed {what}"));
            }
            (Some(old), Some(new)) if old.value != new.value => {
                self.note(Direction::Changed, Side::New, &new.rule, format!("{verb} another fixed {what}"));
            }
            (Some(_), Some(_)) => {}
        }
    }
}
