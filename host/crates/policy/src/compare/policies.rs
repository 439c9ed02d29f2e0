//! Two policies.

use std::collections::BTreeSet;

use super::list::Collected;
use super::{Area, Change, Direction, Side};
use crate::name::{DataName, DataPath, VariableName, VariablePattern};
use crate::outbound::{AddressRange, OutboundRule};
use crate::policy::{Confinement, Line, Native, Policy, PolicySecret, ScratchLimit, VariableSource};
use crate::{LimitKey, Limits, Mode, RuleId};

const GRANTS: &str = "grants";
const ALLOWS: &str = "allows";
const DENIES: &str = "denies";

/// What changed from one policy to another. `base` are the limits where a policy sets none.
///
/// A rule that moves from `allow` to `grant` is wider, for then it holds unasked; one that moves back is
/// narrower.
#[must_use]
pub fn policies(old: &Policy, new: &Policy, base: Limits) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut all = Comparison { old, new, changes: &mut changes };
    all.outbound();
    all.addresses();
    all.secrets();
    all.files();
    all.variables();
    all.limits(base);
    all.rest();
    changes
}

struct Comparison<'a> {
    old: &'a Policy,
    new: &'a Policy,
    changes: &'a mut Vec<Change>,
}

impl Comparison<'_> {
    fn of(&mut self, area: Area, verb: &'static str) -> Collected<'_> {
        Collected { changes: self.changes, area, verb }
    }

    fn outbound(&mut self) {
        let (old, new) = (self.old, self.new);
        let covers = |wide: &OutboundRule, narrow: &OutboundRule| narrow.is_covered_by(wide);
        let lists = [&old.grant.outbound[..], &new.grant.outbound];
        self.of(Area::Hosts, GRANTS).rules(Direction::Widened, lists, [&[], &[]], covers);
        let allowed = [&old.allow.outbound[..], &new.allow.outbound];
        self.of(Area::Hosts, ALLOWS).rules(Direction::Widened, allowed, lists, covers);
        let denied = [&old.deny.outbound[..], &new.deny.outbound];
        self.of(Area::Hosts, DENIES).rules(Direction::Narrowed, denied, [&[], &[]], covers);
    }

    fn addresses(&mut self) {
        let (old, new) = (self.old, self.new);
        let lists = [&old.grant.outbound_addresses[..], &new.grant.outbound_addresses];
        self.of(Area::Hosts, GRANTS).rules(Direction::Widened, lists, [&[], &[]], AddressRange::covers);
        let allowed = [&old.allow.outbound_addresses[..], &new.allow.outbound_addresses];
        self.of(Area::Hosts, ALLOWS).rules(Direction::Widened, allowed, lists, AddressRange::covers);
        let denied = [&old.deny.outbound_addresses[..], &new.deny.outbound_addresses];
        self.of(Area::Hosts, DENIES).rules(Direction::Narrowed, denied, [&[], &[]], AddressRange::covers);
    }

    fn secrets(&mut self) {
        let (old, new) = (self.old, self.new);
        let granted = [&old.grant.secrets[..], &new.grant.secrets];
        secrets(&mut self.of(Area::Secrets, GRANTS), granted, [&[], &[]]);
        let allowed = [&old.allow.secrets[..], &new.allow.secrets];
        secrets(&mut self.of(Area::Secrets, ALLOWS), allowed, granted);
        let denied = [&old.deny.secrets[..], &new.deny.secrets];
        self.of(Area::Secrets, DENIES).rules(Direction::Narrowed, denied, [&[], &[]], PartialEq::eq);
    }

    fn files(&mut self) {
        let (old, new) = (self.old, self.new);
        let granted = [&old.grant.data[..], &new.grant.data];
        directories(&mut self.of(Area::Files, GRANTS), granted, [&[], &[]]);
        directories(&mut self.of(Area::Files, ALLOWS), [&old.allow.data, &new.allow.data], granted);
        let denied = [&old.deny.data[..], &new.deny.data];
        self.of(Area::Files, DENIES).rules(Direction::Narrowed, denied, [&[], &[]], PartialEq::eq);

        let granted = [mib(old.grant.scratch.as_ref()), mib(new.grant.scratch.as_ref())];
        scratch(&mut self.of(Area::Files, GRANTS), [granted[0].as_ref(), granted[1].as_ref()]);
        let most = |grant: &Option<Line<u64>>, allow: Option<&Line<ScratchLimit>>| {
            [grant.clone(), mib(allow)].into_iter().flatten().max_by_key(|line| line.value)
        };
        let allowed = [most(&granted[0], old.allow.scratch.as_ref()), most(&granted[1], new.allow.scratch.as_ref())];
        if allowed != granted {
            scratch(&mut self.of(Area::Files, ALLOWS), [allowed[0].as_ref(), allowed[1].as_ref()]);
        }
    }

    fn variables(&mut self) {
        let (old, new) = (self.old, self.new);
        given(&mut self.of(Area::Env, GRANTS), [&old.grant.env, &new.grant.env]);
        let allowed = [&old.allow.env[..], &new.allow.env];
        self.of(Area::Env, ALLOWS).rules(Direction::Widened, allowed, [&[], &[]], VariablePattern::grants_all_of);
        let denied = [&old.deny.env[..], &new.deny.env];
        self.of(Area::Env, DENIES).rules(Direction::Narrowed, denied, [&[], &[]], VariablePattern::denies_all_of);
    }

    fn limits(&mut self, base: Limits) {
        let (old, new) = (self.old, self.new);
        for key in LimitKey::all() {
            let lines = [old.limits.get(key), new.limits.get(key)];
            let sentence = |before, after| format!("limits `{}` to {after}, before to {before}", key.as_str());
            self.of(Area::Limits, GRANTS).number(lines, key.value_in(&base), sentence);
        }
    }

    fn rest(&mut self) {
        let (old, new) = (self.old, self.new);
        self.of(Area::Determinism, GRANTS).fixed([old.grant.clock.as_ref(), new.grant.clock.as_ref()], "clock");
        let random = [old.grant.random.as_ref(), new.grant.random.as_ref()];
        self.of(Area::Determinism, GRANTS).fixed(random, "seed of random numbers");
        native(&mut self.of(Area::Native, ALLOWS), &old.native, &new.native);
        match (old.confinement, new.confinement) {
            (Confinement::Available, Confinement::Strict) => {
                let sentence = "now refuses native agents that cannot be confined completely".to_owned();
                self.of(Area::Native, ALLOWS).note(
                    Direction::Narrowed,
                    Side::New,
                    &RuleId::new("confinement"),
                    sentence,
                );
            }
            (Confinement::Strict, Confinement::Available) => {
                let sentence = "now runs native agents with what confinement there is".to_owned();
                self.of(Area::Native, ALLOWS).note(
                    Direction::Widened,
                    Side::New,
                    &RuleId::new("confinement"),
                    sentence,
                );
            }
            (Confinement::Available, Confinement::Available) | (Confinement::Strict, Confinement::Strict) => {}
        }
        let direction = match (old.mode, new.mode) {
            (Mode::Enforce, Mode::Observe) => Direction::Widened,
            (Mode::Observe, Mode::Enforce) => Direction::Narrowed,
            (Mode::Enforce, Mode::Enforce) | (Mode::Observe, Mode::Observe) => return,
        };
        let sentence = match new.mode {
            Mode::Enforce => "now enforces what it says",
            Mode::Observe => "now observes only: requests no rule grants happen",
        };
        self.of(Area::Mode, GRANTS).note(direction, Side::New, &RuleId::new("mode"), sentence.to_owned());
    }
}

fn mib(line: Option<&Line<ScratchLimit>>) -> Option<Line<u64>> {
    line.map(|line| Line { rule: line.rule.clone(), value: u64::from(line.value.mib()) })
}

fn scratch(collected: &mut Collected<'_>, lines: [Option<&Line<u64>>; 2]) {
    let verb = collected.verb;
    collected.number(lines, 0, |before, after| format!("{verb} {after} MiB of scratch space, before {before} MiB"));
}

/// Secrets by name: hosts they are for, and where their values are. `before` and `after` are rules that give
/// them as well.
fn secrets(
    collected: &mut Collected<'_>,
    [old, new]: [&[Line<PolicySecret>]; 2],
    [before, after]: [&[Line<PolicySecret>]; 2],
) {
    let find = |lists: [&'_ [Line<PolicySecret>]; 2], line: &Line<PolicySecret>| {
        lists.into_iter().flatten().find(|other| other.value.name == line.value.name).cloned()
    };
    for line in new {
        let name = &line.value.name;
        let Some(known) = find([old, before], line) else {
            collected.appeared(Direction::Widened, &line.rule, name);
            continue;
        };
        for host in beyond(&line.value, &known.value) {
            let sentence = format!("now lets the secret `{name}` go to `{host}`");
            collected.note(Direction::Widened, Side::New, &line.rule, sentence);
        }
        for host in beyond(&known.value, &line.value) {
            let sentence = format!("no longer lets the secret `{name}` go to `{host}`");
            collected.note(Direction::Narrowed, Side::Old, &known.rule, sentence);
        }
        if known.value.source != line.value.source {
            let sentence = format!("takes the value of the secret `{name}` from another place");
            collected.note(Direction::Widened, Side::New, &line.rule, sentence);
        }
    }
    for line in old.iter().filter(|line| find([new, after], line).is_none()) {
        collected.gone(Direction::Narrowed, &line.rule, &line.value.name);
    }
}

/// The hosts of one secret the other does not go to.
fn beyond<'a>(secret: &'a PolicySecret, other: &PolicySecret) -> Vec<&'a OutboundRule> {
    let covered = |host: &OutboundRule| other.binding.hosts.iter().any(|wide| host.is_covered_by(wide));
    secret.binding.hosts.iter().filter(|host| !covered(host)).collect()
}

type Directory = Line<(DataName, DataPath)>;

fn directories(collected: &mut Collected<'_>, [old, new]: [&[Directory]; 2], [before, after]: [&[Directory]; 2]) {
    let find = |lists: [&'_ [Directory]; 2], line: &Directory| {
        lists.into_iter().flatten().find(|other| other.value.0 == line.value.0).cloned()
    };
    for line in new {
        let (name, path) = &line.value;
        match find([old, before], line).map(|known| known.value.1) {
            None => collected.appeared(Direction::Widened, &line.rule, format_args!("{path}` as `{name}")),
            Some(known) if known == *path => {}
            Some(known) => {
                let direction = if path.is_below(&known) { Direction::Narrowed } else { Direction::Widened };
                let sentence = format!("shows `{path}` as `{name}`, before `{known}`");
                collected.note(direction, Side::New, &line.rule, sentence);
            }
        }
    }
    for line in old.iter().filter(|line| find([new, after], line).is_none()) {
        collected.gone(Direction::Narrowed, &line.rule, format_args!("{}` as `{}", line.value.1, line.value.0));
    }
}

type Given = Line<(VariableName, VariableSource)>;

/// Variables the policy sets. Their values are not repeated.
fn given(collected: &mut Collected<'_>, [old, new]: [&[Given]; 2]) {
    let find = |list: &[Given], line: &Given| list.iter().find(|other| other.value.0 == line.value.0).cloned();
    for line in new {
        let (name, source) = &line.value;
        let Some(known) = find(old, line) else {
            collected.appeared(Direction::Widened, &line.rule, name);
            continue;
        };
        if known.value.1 == *source {
            continue;
        }
        let (direction, sentence) = match source {
            VariableSource::Value(_) => (Direction::Changed, format!("sets `{name}` to another value")),
            VariableSource::Host(from) => {
                (Direction::Widened, format!("now takes `{name}` from `{from}` of the operator's environment"))
            }
        };
        collected.note(direction, Side::New, &line.rule, sentence);
    }
    for line in old.iter().filter(|line| find(new, line).is_none()) {
        collected.gone(Direction::Narrowed, &line.rule, &line.value.0);
    }
}

fn native(collected: &mut Collected<'_>, old: &Native, new: &Native) {
    let within = |narrow: &Native, wide: &Native| match (narrow, wide) {
        (Native::Refuse, _) | (_, Native::Allow) => true,
        (Native::Distributions(narrow), Native::Distributions(wide)) => narrow.is_subset(wide),
        (Native::Allow | Native::Distributions(_), _) => false,
    };
    if old == new {
        return;
    }
    let direction = if within(new, old) { Direction::Narrowed } else { Direction::Widened };
    let sentence = match new {
        Native::Refuse => "no longer allows native code outside the sandbox".to_owned(),
        Native::Allow => "now allows native code outside the sandbox".to_owned(),
        Native::Distributions(names) => {
            let names: BTreeSet<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let names: Vec<String> = names.into_iter().collect();
            format!("now allows native code outside the sandbox for {}", names.join(", "))
        }
    };
    collected.note(direction, Side::New, &RuleId::new("native"), sentence);
}
