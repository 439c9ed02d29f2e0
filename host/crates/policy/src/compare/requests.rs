//! What two packages ask for.

use super::list::Collected;
use super::{Area, Change, Direction, Side};
use crate::LimitKey;
use crate::outbound::{AddressRange, OutboundRule};
use crate::policy::{Line, Requested, ScratchLimit};

/// What changed from what one package asks to what another asks.
///
/// A limit a package does not ask for is the policy's, so one it no longer asks for is wider.
#[must_use]
pub fn requests(old: &Requested, new: &Requested) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut of = |area, compare: &dyn Fn(&mut Collected<'_>)| {
        compare(&mut Collected { changes: &mut changes, area, verb: "asks for" });
    };
    of(Area::Hosts, &|collected| {
        let covers = |wide: &OutboundRule, narrow: &OutboundRule| narrow.is_covered_by(wide);
        collected.rules(Direction::Widened, [&old.outbound, &new.outbound], [&[], &[]], covers);
        let ranges = [&old.outbound_addresses[..], &new.outbound_addresses];
        collected.rules(Direction::Widened, ranges, [&[], &[]], AddressRange::covers);
    });
    of(Area::Secrets, &|collected| secrets(collected, old, new));
    of(Area::Files, &|collected| {
        collected.rules(Direction::Widened, [&old.data, &new.data], [&[], &[]], PartialEq::eq);
        let mib = |line: &Option<Line<ScratchLimit>>| {
            line.as_ref().map(|line| Line { rule: line.rule.clone(), value: u64::from(line.value.mib()) })
        };
        let (before, after) = (mib(&old.scratch), mib(&new.scratch));
        collected.number([before.as_ref(), after.as_ref()], 0, |before, after| {
            format!("asks for {after} MiB of scratch space, before {before} MiB")
        });
    });
    of(Area::Env, &|collected| {
        collected.rules(Direction::Widened, [&old.env, &new.env], [&[], &[]], PartialEq::eq);
    });
    of(Area::Limits, &|collected| {
        for key in LimitKey::all() {
            let shown =
                |value: u64| if value == u64::MAX { "what the policy gives".to_owned() } else { value.to_string() };
            collected.number([old.limits.get(key), new.limits.get(key)], u64::MAX, |before, after| {
                format!("asks for `{}`: {}, before {}", key.as_str(), shown(after), shown(before))
            });
        }
    });
    of(Area::Determinism, &|collected| {
        collected.fixed([old.clock.as_ref(), new.clock.as_ref()], "clock");
        collected.fixed([old.random.as_ref(), new.random.as_ref()], "seed of random numbers");
    });
    of(Area::Native, &|collected| match (&old.native, &new.native) {
        (None, Some(line)) => collected.appeared(Direction::Widened, &line.rule, "backend: native"),
        (Some(line), None) => collected.note(
            Direction::Narrowed,
            Side::Old,
            &line.rule,
            "no longer asks for `backend: native`".to_owned(),
        ),
        _ => {}
    });
    changes
}

fn secrets(collected: &mut Collected<'_>, old: &Requested, new: &Requested) {
    for line in &new.secrets {
        let (name, binding) = &line.value;
        let Some(known) = old.secrets.iter().find(|other| other.value.0 == *name) else {
            collected.appeared(Direction::Widened, &line.rule, name);
            continue;
        };
        let beyond = |narrow: &OutboundRule, wide: &[OutboundRule]| !wide.iter().any(|wide| narrow.is_covered_by(wide));
        for host in binding.hosts.iter().filter(|host| beyond(host, &known.value.1.hosts)) {
            let sentence = format!("now asks for the secret `{name}` for `{host}`");
            collected.note(Direction::Widened, Side::New, &line.rule, sentence);
        }
        for host in known.value.1.hosts.iter().filter(|host| beyond(host, &binding.hosts)) {
            let sentence = format!("no longer asks for the secret `{name}` for `{host}`");
            collected.note(Direction::Narrowed, Side::Old, &known.rule, sentence);
        }
    }
    for line in old.secrets.iter().filter(|line| new.secrets.iter().all(|other| other.value.0 != line.value.0)) {
        collected.gone(Direction::Narrowed, &line.rule, &line.value.0);
    }
}
