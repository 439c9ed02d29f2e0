//! One example for each kind of change, and what holds for all policies.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::*;
use crate::name::{DataName, DataPath, VariableName, VariablePattern};
use crate::outbound::OutboundRule;
use crate::policy::{
    FixedClock, FixedRandom, Line, Native, Policy, PolicySecret, Requested, ScratchLimit, SecretSource, VariableSource,
};
use crate::secret::{SecretBinding, SecretName};
use crate::{InstanceCount, LimitKey, Limits, Mode};

fn base() -> Limits {
    Limits::default_with(InstanceCount::one_per_core(NonZeroUsize::MIN))
}

fn line<T>(rule: &str, value: T) -> Line<T> {
    Line { rule: RuleId::new(rule), value }
}

fn rule(text: &str) -> Line<OutboundRule> {
    line("rule", OutboundRule::parse_denying(text, &[]).unwrap())
}

fn variable(text: &str) -> VariableName {
    VariableName::parse(text).unwrap()
}

fn pattern(text: &str) -> Line<VariablePattern> {
    line("rule", VariablePattern::parse(text).unwrap())
}

fn secret(name: &str, hosts: &[&str], source: &str) -> Line<PolicySecret> {
    let hosts = hosts.iter().map(|host| OutboundRule::parse(host, &[]).unwrap()).collect();
    let name = SecretName::parse(name).unwrap();
    line("rule", PolicySecret { name, binding: SecretBinding { hosts }, source: SecretSource::File(source.to_owned()) })
}

fn directory(name: &str, path: &str) -> Line<(DataName, DataPath)> {
    line("rule", (DataName::parse(name).unwrap(), DataPath::parse(path).unwrap()))
}

fn policy(write: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::default();
    write(&mut policy);
    policy
}

fn scratch(mib: u64) -> Option<Line<ScratchLimit>> {
    Some(line("scratch", ScratchLimit::from_mib(mib).unwrap()))
}

/// The changes both ways: each must be the opposite of the other.
fn changes(old: &Policy, new: &Policy) -> Vec<(Direction, String)> {
    let list = |old, new| -> Vec<(Direction, String)> {
        policies(old, new, base()).into_iter().map(|change| (change.direction, change.sentence)).collect()
    };
    let (there, back) = (list(old, new), list(new, old));
    let directions = |list: &[(Direction, String)], flip: bool| {
        let mut directions: Vec<Direction> =
            list.iter().map(|(direction, _)| if flip { direction.opposite() } else { *direction }).collect();
        directions.sort();
        directions
    };
    assert_eq!(directions(&there, false), directions(&back, true), "{there:?} {back:?}");
    assert_eq!((list(old, old), list(new, new)), (Vec::new(), Vec::new()));
    there
}

fn widened(sentence: &str) -> Vec<(Direction, String)> {
    vec![(Direction::Widened, sentence.to_owned())]
}

#[test]
fn a_rule_that_is_covered_by_no_old_one_is_wider() {
    let old = policy(|policy| policy.grant.outbound = vec![rule("https://*.example.com/v1")]);
    let new = policy(|policy| {
        policy.grant.outbound = vec![
            rule("https://*.example.com/v1"),
            rule("https://a.example.com/v1/x"),
            rule("https://a.example.com/v2"),
        ];
    });

    assert_eq!(changes(&old, &new), widened("now grants `https://a.example.com/v2`"));
}

#[test]
fn a_rule_that_is_cut_down_is_narrower_and_one_replaced_is_both() {
    let with = |text: &str| policy(|policy| policy.allow.outbound = vec![rule(text)]);

    assert_eq!(
        changes(&with("https://a.example"), &with("https://a.example/v1")),
        [(Direction::Narrowed, "no longer allows `https://a.example`".to_owned())]
    );
    assert_eq!(
        changes(&with("https://a.example"), &with("https://b.example")),
        [
            (Direction::Widened, "now allows `https://b.example`".to_owned()),
            (Direction::Narrowed, "no longer allows `https://a.example`".to_owned()),
        ]
    );
}

/// What is granted to every package was granted to those that asked: the way back is narrower.
#[test]
fn from_allow_to_grant_is_wider() {
    let allow = policy(|policy| {
        policy.allow.outbound = vec![rule("https://a.example")];
        policy.allow.outbound_addresses = vec![line("rule", "10.1.0.0/16".parse().unwrap())];
        policy.allow.secrets = vec![secret("KEY", &["https://a.example"], "/s")];
        policy.allow.data = vec![directory("models", "/srv/models")];
        policy.allow.scratch = scratch(64);
    });
    let grant = policy(|policy| {
        policy.grant.outbound = vec![rule("https://a.example")];
        policy.grant.outbound_addresses = vec![line("rule", "10.1.0.0/16".parse().unwrap())];
        policy.grant.secrets = vec![secret("KEY", &["https://a.example"], "/s")];
        policy.grant.data = vec![directory("models", "/srv/models")];
        policy.grant.scratch = scratch(64);
    });

    let sentences: Vec<String> = changes(&allow, &grant).into_iter().map(|(_, sentence)| sentence).collect();

    assert_eq!(
        sentences,
        [
            "now grants `https://a.example`",
            "now grants `10.1.0.0/16`",
            "now grants `KEY`",
            "now grants `/srv/models` as `models`",
            "grants 64 MiB of scratch space, before 0 MiB",
        ]
    );
}

#[test]
fn a_rule_that_denies_and_goes_is_wider() {
    let old = policy(|policy| {
        policy.deny.outbound = vec![rule("a.example"), rule("*.b.example")];
        policy.deny.outbound_addresses = vec![line("rule", "10.0.0.0/8".parse().unwrap())];
        policy.deny.env = vec![pattern("APP_*"), pattern("X")];
        policy.deny.secrets = vec![line("rule", SecretName::parse("KEY").unwrap())];
        policy.deny.data = vec![line("rule", DataName::parse("models").unwrap())];
    });
    let new = policy(|policy| {
        policy.deny.outbound = vec![rule("https://a.example"), rule("*.b.example")];
        policy.deny.outbound_addresses = vec![line("rule", "10.1.0.0/16".parse().unwrap())];
        policy.deny.env = vec![pattern("APP_X"), pattern("x")];
    });

    let expected = ["`a.example`", "`10.0.0.0/8`", "`KEY`", "`models`", "`APP_*`"];
    let expected: Vec<_> =
        expected.iter().map(|what| (Direction::Widened, format!("no longer denies {what}"))).collect();
    assert_eq!(changes(&old, &new), expected);
}

#[test]
fn a_secret_that_goes_further_or_comes_from_elsewhere_is_wider() {
    let with = |hosts: &[&str], file: &str| policy(|policy| policy.grant.secrets = vec![secret("KEY", hosts, file)]);
    let old = with(&["https://a.example"], "/s");

    assert_eq!(
        changes(&old, &with(&["https://a.example", "https://b.example"], "/s")),
        widened("now lets the secret `KEY` go to `https://b.example`")
    );
    let elsewhere = policies(&old, &with(&["https://a.example/v1"], "/t"), base());
    let elsewhere: Vec<_> = elsewhere.iter().map(|change| (change.direction, change.sentence.as_str())).collect();
    assert_eq!(
        elsewhere,
        [
            (Direction::Narrowed, "no longer lets the secret `KEY` go to `https://a.example`"),
            (Direction::Widened, "takes the value of the secret `KEY` from another place"),
        ]
    );
}

#[test]
fn files_are_compared_by_name_and_place() {
    let with = |path: &str| policy(|policy| policy.grant.data = vec![directory("models", path)]);
    let one = |old: &str, new: &str| {
        let changes = policies(&with(old), &with(new), base());
        changes.iter().map(|change| change.direction).collect::<Vec<_>>()
    };

    assert_eq!(one("/srv/models", "/srv/models/small"), [Direction::Narrowed]);
    assert_eq!(one("/srv/models", "/srv/models2"), [Direction::Widened]);
    assert_eq!(one("/srv/models/small", "/srv/models"), [Direction::Widened]);
    assert_eq!(one("/srv/models", "/srv/models"), []);
}

#[test]
fn more_scratch_is_wider_wherever_it_is_given() {
    let with =
        |grant, allow| policy(|policy| (policy.grant.scratch, policy.allow.scratch) = (scratch(grant), scratch(allow)));

    assert_eq!(changes(&with(64, 64), &with(64, 128)), widened("allows 128 MiB of scratch space, before 64 MiB"));
    assert_eq!(changes(&with(32, 128), &with(64, 128)), widened("grants 64 MiB of scratch space, before 32 MiB"));
    // What is granted anyway can be asked for: the smaller number under `allow` is no ceiling.
    assert_eq!(changes(&with(64, 16), &with(64, 32)), []);
}

#[test]
fn variables_are_compared_without_their_values() {
    let with = |source| policy(|policy| policy.grant.env = vec![line("rule", (variable("A"), source))]);
    let value = |text: &str| with(VariableSource::Value(text.to_owned()));
    let host = |name: &str| with(VariableSource::Host(variable(name)));
    let one = |old: &Policy, new: &Policy| -> Vec<(Direction, String)> {
        policies(old, new, base()).into_iter().map(|change| (change.direction, change.sentence)).collect()
    };

    assert_eq!(one(&value("5ec4e7"), &value("5ec4e8")), [(Direction::Changed, "sets `A` to another value".to_owned())]);
    assert_eq!(one(&host("X"), &value("5ec4e7")), [(Direction::Changed, "sets `A` to another value".to_owned())]);
    assert_eq!(one(&host("X"), &host("Y")), widened("now takes `A` from `Y` of the operator's environment"));
    assert_eq!(changes(&Policy::default(), &value("x")), widened("now grants `A`"));

    let allow = |text: &str| policy(|policy| policy.allow.env = vec![pattern(text)]);
    assert_eq!(changes(&allow("APP_*"), &allow("A*")), widened("now allows `A*`"));
    // No wildcard grants a name under which credentials are kept.
    assert_eq!(changes(&allow("APP_*"), &allow("APP_TOKEN"))[0].0, Direction::Widened);
    assert_eq!(changes(&allow("APP_*"), &allow("APP_MODE"))[0].0, Direction::Narrowed);
}

#[test]
fn limits_native_mode_clock_and_random() {
    let mut old = policy(|policy| {
        policy.grant.clock = Some(line("grant.clock", FixedClock(Duration::from_secs(1))));
        policy.grant.random = Some(line("grant.random", FixedRandom(1)));
    });
    let mut new = policy(|policy| policy.mode = Mode::Observe);
    let memory = LimitKey::parse("memory_mib").unwrap();
    assert!(old.limits.set(memory, line("limits.memory_mib", 256)));
    new.native = Native::Distributions(["numpy".to_owned()].into());

    assert_eq!(
        changes(&old, &new),
        [
            "limits `memory_mib` to 512, before to 256",
            "no longer grants a fixed clock",
            "no longer grants a fixed seed of random numbers",
            "now allows native code outside the sandbox for `numpy`",
            "now observes only: requests no rule grants happen",
        ]
        .map(|sentence| (Direction::Widened, sentence.to_owned()))
    );
    let all = Policy { native: Native::Allow, ..new.clone() };
    assert_eq!(changes(&new, &all), widened("now allows native code outside the sandbox"));

    // A limit that is set to what holds anyway changes nothing.
    let mut same = Policy::default();
    assert!(same.limits.set(memory, line("limits.memory_mib", 512)));
    assert_eq!(changes(&Policy::default(), &same), []);

    let clock = |seconds| {
        policy(|policy| policy.grant.clock = Some(line("grant.clock", FixedClock(Duration::from_secs(seconds)))))
    };
    assert_eq!(changes(&clock(1), &clock(2)), [(Direction::Changed, "grants another fixed clock".to_owned())]);
}

#[test]
fn what_packages_ask_for_is_compared_in_the_same_way() {
    let binding = |hosts: &[&str]| SecretBinding {
        hosts: hosts.iter().map(|host| OutboundRule::parse(host, &[]).unwrap()).collect(),
    };
    let key = || SecretName::parse("KEY").unwrap();
    let mut old = Requested {
        outbound: vec![rule("https://a.example")],
        secrets: vec![line("sandbox.secrets.KEY", (key(), binding(&["https://a.example"])))],
        scratch: scratch(64),
        ..Requested::default()
    };
    let memory = LimitKey::parse("memory_mib").unwrap();
    assert!(old.limits.set(memory, line("sandbox.limits.memory_mib", 128)));
    let new = Requested {
        outbound: vec![rule("https://a.example/v1"), rule("http://a.example")],
        outbound_addresses: vec![line("rule", "10.1.2.3".parse().unwrap())],
        secrets: vec![line("sandbox.secrets.KEY", (key(), binding(&["https://a.example", "https://b.example"])))],
        env: vec![line("sandbox.env[0]", variable("REGION"))],
        data: vec![line("rule", DataName::parse("models").unwrap())],
        scratch: scratch(32),
        clock: Some(line("sandbox.clock", FixedClock(Duration::ZERO))),
        ..Requested::default()
    };

    let native = Requested { native: Some(line("sandbox.backend", ())), ..Requested::default() };
    let nothing = Requested::default();
    let list = |old, new| -> Vec<(Direction, String)> {
        requests(old, new).into_iter().map(|change| (change.direction, change.sentence)).collect()
    };
    let (wide, narrow) = (Direction::Widened, Direction::Narrowed);
    assert_eq!(
        list(&old, &new),
        [
            (wide, "now asks for `http://a.example`"),
            (narrow, "no longer asks for `https://a.example`"),
            (wide, "now asks for `10.1.2.3/32`"),
            (wide, "now asks for the secret `KEY` for `https://b.example`"),
            (wide, "now asks for `models`"),
            (narrow, "asks for 32 MiB of scratch space, before 64 MiB"),
            (wide, "now asks for `REGION`"),
            (wide, "asks for `memory_mib`: what the policy gives, before 128"),
            (narrow, "now asks for a fixed clock"),
        ]
        .map(|(direction, sentence)| (direction, sentence.to_owned()))
    );
    assert_eq!(list(&old, &old), []);
    assert!(list(&new, &old).contains(&(narrow, "no longer asks for the secret `KEY` for `https://b.example`".into())));
    assert!(list(&new, &nothing).contains(&(narrow, "no longer asks for `KEY`".into())));

    assert_eq!(list(&nothing, &native), [(wide, "now asks for `backend: native`".to_owned())]);
    assert_eq!(list(&native, &nothing), [(narrow, "no longer asks for `backend: native`".to_owned())]);
    assert_eq!(list(&native, &native), []);
}

#[test]
fn a_change_names_its_line_and_the_file_it_is_in() {
    let old = policy(|policy| policy.deny.outbound = vec![line("deny.outbound[0]", rule("a.example").value)]);
    let new = policy(|policy| policy.grant.outbound = vec![line("grant.outbound[0]", rule("https://b.example").value)]);

    let changes = policies(&old, &new, base());

    let places: Vec<_> = changes.iter().map(|change| (change.area, change.side, change.at.as_str())).collect();
    assert_eq!(places, [(Area::Hosts, Side::New, "grant.outbound[0]"), (Area::Hosts, Side::Old, "deny.outbound[0]")]);
}
