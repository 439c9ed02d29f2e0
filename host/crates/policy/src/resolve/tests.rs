//! Resolution: examples for each capability, and what holds for all requests and policies.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::name::VariableName;
use crate::outbound::OutboundTarget;
use crate::policy::{FixedClock, FixedRandom, SecretSource};
use crate::{InstanceCount, LimitKey};

fn base() -> Limits {
    Limits::default_with(InstanceCount::one_per_core(NonZeroUsize::MIN))
}

fn lines<T>(list: &str, values: impl IntoIterator<Item = T>) -> Vec<Line<T>> {
    let line = |(index, value)| Line { rule: RuleId::new(format!("{list}[{index}]")), value };
    values.into_iter().enumerate().map(line).collect()
}

fn rules(list: &str, texts: &[&str]) -> Vec<Line<OutboundRule>> {
    lines(list, texts.iter().map(|text| OutboundRule::parse_denying(text, &[]).unwrap()))
}

fn one<T>(rule: &str, value: T) -> Option<Line<T>> {
    Some(Line { rule: RuleId::new(rule), value })
}

fn differences(requested: &Requested, policy: &Policy) -> Vec<(DenialCode, String)> {
    let above = Grants::resolve(requested, policy, base()).unwrap_err();
    above.differences.iter().map(|difference| (difference.code, difference.to_string())).collect()
}

#[test]
fn without_request_and_policy_there_is_nothing() {
    let grants = Grants::resolve(&Requested::default(), &Policy::default(), base()).unwrap();

    assert_eq!(grants.outbound(), &Outbound::default());
    assert!(grants.secrets().is_empty() && grants.variables().is_empty() && grants.data().is_empty());
    assert_eq!((grants.scratch(), grants.clock(), grants.random()), (None, None, None));
    assert_eq!(*grants.limits(), base());
}

#[test]
fn a_request_is_granted_by_the_rule_that_covers_it_and_a_grant_without_request_is_marked() {
    let requested = Requested {
        outbound: rules("sandbox.outbound", &["https://a.internal.example/v1", "https://api.openai.com"]),
        ..Requested::default()
    };
    let mut policy = Policy::default();
    policy.grant.outbound = rules("grant.outbound", &["https://api.openai.com", "https://b.example"]);
    policy.allow.outbound = rules("allow.outbound", &["https://*.internal.example"]);

    let grants = Grants::resolve(&requested, &policy, base()).unwrap();

    let granted: Vec<_> = grants
        .outbound()
        .rules()
        .iter()
        .map(|granted| (granted.value.to_string(), granted.origin, granted.rule.to_string()))
        .collect();
    assert_eq!(
        granted,
        [
            ("https://a.internal.example/v1".to_owned(), Origin::Asked, "allow.outbound[0]".to_owned()),
            ("https://api.openai.com".to_owned(), Origin::Asked, "grant.outbound[0]".to_owned()),
            ("https://b.example".to_owned(), Origin::Unasked, "grant.outbound[1]".to_owned()),
        ]
    );
}

#[test]
fn everything_above_the_policy_is_named_at_once() {
    let name = |text| VariableName::parse(text).unwrap();
    let secret = |text| SecretName::parse(text).unwrap();
    let binding = |host: &str| SecretBinding { hosts: vec![OutboundRule::parse(host, &[]).unwrap()] };
    let mut limits = LimitSettings::default();
    let memory = LimitKey::parse("memory_mib").unwrap();
    assert!(limits.set(memory, Line { rule: RuleId::new("sandbox.limits.memory_mib"), value: 1024 }));
    let requested = Requested {
        outbound: rules("sandbox.outbound", &["https://api.example", "https://evil.example/x"]),
        outbound_addresses: lines("sandbox.outbound_addresses", ["10.0.0.0/8".parse().unwrap()]),
        env: lines("sandbox.env", [name("REGION"), name("APP_TOKEN")]),
        secrets: lines(
            "sandbox.secrets",
            [(secret("A"), binding("https://other.example")), (secret("B"), binding("https://a.example"))],
        ),
        data: lines("sandbox.files.data", [DataName::parse("models").unwrap()]),
        scratch: one("sandbox.files.scratch_mib", ScratchLimit::from_mib(64).unwrap()),
        clock: one("sandbox.clock", FixedClock(std::time::Duration::from_secs(1))),
        random: one("sandbox.random", FixedRandom(1)),
        native: None,
        limits,
    };
    let mut policy = Policy::default();
    policy.deny.outbound = rules("deny.outbound", &["y.example", "evil.example"]);
    policy.allow.outbound = rules("allow.outbound", &["https://b.example"]);
    policy.allow.outbound_addresses = lines("allow.outbound_addresses", ["10.1.0.0/16".parse().unwrap()]);
    policy.allow.env = lines("allow.env", [VariablePattern::parse("APP_*").unwrap()]);
    policy.allow.secrets = lines(
        "allow.secrets",
        [PolicySecret {
            name: secret("A"),
            binding: binding("https://a.example"),
            source: SecretSource::Environment("A".to_owned()),
        }],
    );
    policy.allow.scratch = one("allow.files.scratch_mib", ScratchLimit::from_mib(32).unwrap());
    policy.grant.random = one("grant.random", FixedRandom(2));

    let expected = [
        (
            DenialCode::AbovePolicy,
            "requests `https://api.example` (`sandbox.outbound[0]`); policy allows `https://b.example`",
        ),
        (
            DenialCode::AskedForDenied,
            "requests `https://evil.example/x` (`sandbox.outbound[1]`); policy denies it in `deny.outbound[1]`",
        ),
        (
            DenialCode::AbovePolicy,
            "requests `10.0.0.0/8` (`sandbox.outbound_addresses[0]`); policy allows `10.1.0.0/16`",
        ),
        (DenialCode::AbovePolicy, "requests `REGION` (`sandbox.env[0]`); policy allows `APP_*`"),
        (DenialCode::AbovePolicy, "requests `APP_TOKEN` (`sandbox.env[1]`); policy allows `APP_*`"),
        (
            DenialCode::AbovePolicy,
            "requests `A` for `https://other.example` (`sandbox.secrets[0]`); policy allows `https://a.example`",
        ),
        (DenialCode::AbovePolicy, "requests `B` (`sandbox.secrets[1]`); policy allows `A`"),
        (DenialCode::AbovePolicy, "requests `models` (`sandbox.files.data[0]`); policy allows nothing"),
        (
            DenialCode::AbovePolicy,
            "requests 64 MiB of scratch space (`sandbox.files.scratch_mib`); policy allows 32 MiB",
        ),
        (
            DenialCode::AbovePolicy,
            "requests a fixed random (`sandbox.random`); policy fixes it to another value in `grant.random`",
        ),
        (DenialCode::AbovePolicy, "requests `memory_mib: 1024` (`sandbox.limits.memory_mib`); policy allows `512`"),
    ];
    let expected: Vec<_> = expected.map(|(code, text)| (code, text.to_owned())).into();
    assert_eq!(differences(&requested, &policy), expected);
}

#[test]
fn the_environment_has_placeholders_and_nothing_that_is_denied() {
    let mut policy = Policy::default();
    policy.grant.secrets = lines(
        "grant.secrets",
        [PolicySecret {
            name: SecretName::parse("KEY").unwrap(),
            binding: SecretBinding { hosts: vec![OutboundRule::parse("https://a.example", &[]).unwrap()] },
            source: SecretSource::Environment("KEY".to_owned()),
        }],
    );
    policy.grant.scratch = one("grant.files.scratch_mib", ScratchLimit::from_mib(1).unwrap());
    policy.deny.env = lines("deny.env", [VariablePattern::parse("PROXY_*").unwrap()]);
    let grants = Grants::resolve(&Requested::default(), &policy, base()).unwrap();

    let variables = [("A", "1"), ("KEY", "forged"), ("proxy_url", "http://x")];
    let grants = grants.with_environment(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

    let seen: Vec<_> = grants.environment().iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(seen, ["A=1", "KEY=par-secret://KEY", "TMPDIR=/scratch"]);
    assert_eq!(grants.denied_variable("Proxy_Url").map(RuleId::as_str), Some("deny.env[0]"));
}

#[test]
fn a_limit_is_the_policy_s_unless_less_is_asked() {
    let key = LimitKey::parse("memory_mib").unwrap();
    let set = |value| {
        let mut settings = LimitSettings::default();
        assert!(settings.set(key, Line { rule: RuleId::new("limits.memory_mib"), value }));
        settings
    };
    let resolved = |asked: Option<u64>, policy: Option<u64>| {
        let requested = Requested { limits: asked.map(set).unwrap_or_default(), ..Requested::default() };
        let policy = Policy { limits: policy.map(set).unwrap_or_default(), ..Policy::default() };
        Grants::resolve(&requested, &policy, base()).map(|grants| key.value_in(grants.limits())).ok()
    };

    assert_eq!(resolved(None, None), Some(512));
    assert_eq!(resolved(None, Some(1024)), Some(1024));
    assert_eq!(resolved(Some(256), Some(1024)), Some(256));
    assert_eq!(resolved(Some(1024), Some(1024)), Some(1024));
    assert_eq!(resolved(Some(1025), Some(1024)), None);
    assert_eq!(resolved(Some(513), None), None);
}

/// Rules that overlap in every way there is.
const RULES: [&str; 12] = [
    "https://a.x.example",
    "https://b.x.example",
    "https://*.x.example",
    "https://*.a.x.example",
    "http://a.x.example",
    "https://a.x.example:8443",
    "https://a.x.example/v1",
    "https://a.x.example/v1/sub",
    "https://*.x.example/v1",
    "https://x.example",
    "https://10.0.0.1",
    "https://y.example",
];

const BARE: [&str; 3] = ["a.x.example", "*.a.x.example", "x.example"];

const TARGETS: [&str; 12] = [
    "https://a.x.example/",
    "https://b.x.example/v1",
    "https://c.a.x.example/v1/sub/x",
    "http://a.x.example/",
    "https://a.x.example:8443/v1",
    "https://a.x.example/v1",
    "https://a.x.example/v10",
    "https://a.x.example/v1/sub/x",
    "https://a.x.example/v1%2fsub",
    "https://x.example/",
    "https://10.0.0.1/",
    "https://y.example/",
];

fn targets() -> impl Iterator<Item = OutboundTarget> {
    TARGETS.iter().flat_map(|url| ["GET", "POST"].map(|method| OutboundTarget::parse(method, url).unwrap()))
}

fn list(name: &'static str, texts: &'static [&'static str]) -> impl Strategy<Value = Vec<Line<OutboundRule>>> {
    let methods = prop_oneof![Just(&[][..]), Just(&["GET"][..]), Just(&["GET", "POST"][..])];
    let rule = (prop::sample::select(texts), methods);
    prop::collection::vec(rule, 0..4).prop_map(move |chosen| {
        lines(name, chosen.iter().map(|(text, methods)| OutboundRule::parse_denying(text, methods).unwrap()))
    })
}

prop_compose! {
    fn cases()(
        requested in list("sandbox.outbound", &RULES),
        grant in list("grant.outbound", &RULES),
        allow in list("allow.outbound", &RULES),
        deny in prop_oneof![list("deny.outbound", &RULES), list("deny.outbound", &BARE), Just(Vec::new())],
    ) -> (Requested, Policy) {
        let mut policy = Policy::default();
        (policy.grant.outbound, policy.allow.outbound, policy.deny.outbound) = (grant, allow, deny);
        (Requested { outbound: requested, ..Requested::default() }, policy)
    }
}

fn allowed(grants: &Grants) -> Vec<String> {
    targets().filter(|target| grants.outbound().judge(target).is_ok()).map(|target| target.to_string()).collect()
}

/// A request every policy here grants, so that most cases resolve.
fn grantable((requested, policy): (Requested, Policy)) -> (Requested, Policy) {
    let granted = Grants::resolve(&requested, &policy, base());
    let refused: Vec<RuleId> = granted
        .err()
        .map(|above| above.differences.into_iter().map(|difference| difference.asked_at).collect())
        .unwrap_or_default();
    let outbound = requested.outbound.into_iter().filter(|line| !refused.contains(&line.rule)).collect();
    (Requested { outbound, ..requested }, policy)
}

proptest! {
    /// No request leaves that no rule of the operator's is about, or that one under `deny` is about.
    #[test]
    fn nothing_is_granted_that_the_policy_does_not_name((requested, policy) in cases().prop_map(grantable)) {
        let grants = Grants::resolve(&requested, &policy, base()).unwrap();
        for target in targets() {
            let named = policy.grant.outbound.iter().chain(&policy.allow.outbound).any(|line| line.value.is_for(&target));
            let denied = policy.deny.outbound.iter().any(|line| line.value.is_for(&target));
            if grants.outbound().judge(&target).is_ok() {
                prop_assert!(named && !denied, "{target}");
            }
        }
    }

    /// What is asked and resolves is granted, but for what is denied.
    #[test]
    fn what_resolves_is_granted((requested, policy) in cases().prop_map(grantable)) {
        let grants = Grants::resolve(&requested, &policy, base()).unwrap();
        for target in targets() {
            let asked = requested.outbound.iter().chain(&policy.grant.outbound).any(|line| line.value.is_for(&target));
            match grants.outbound().judge(&target) {
                Ok(_) => prop_assert!(asked, "{target}"),
                Err(denial) => prop_assert!(!asked || denial.code() == DenialCode::DeniedByPolicy, "{target}"),
            }
        }
    }

    /// A request no rule covers is refused, however many are covered.
    #[test]
    fn a_request_above_the_policy_is_refused((requested, policy) in cases()) {
        let covered = |asked: &OutboundRule, list: &[Line<OutboundRule>]| list.iter().any(|line| asked.is_covered_by(&line.value));
        let expected = requested.outbound.iter().all(|asked| {
            (covered(&asked.value, &policy.grant.outbound) || covered(&asked.value, &policy.allow.outbound))
                && !covered(&asked.value, &policy.deny.outbound)
        });
        prop_assert_eq!(Grants::resolve(&requested, &policy, base()).is_ok(), expected);
    }

    /// More policy never grants less.
    #[test]
    fn a_wider_policy_grants_no_less(
        (requested, policy) in cases().prop_map(grantable),
        more_grant in list("grant.more", &RULES),
        more_allow in list("allow.more", &RULES),
    ) {
        let before = allowed(&Grants::resolve(&requested, &policy, base()).unwrap());
        let mut wider = policy;
        wider.grant.outbound.extend(more_grant);
        wider.allow.outbound.extend(more_allow);
        let after = allowed(&Grants::resolve(&requested, &wider, base()).unwrap());
        prop_assert!(before.iter().all(|target| after.contains(target)), "{before:?} {after:?}");
    }

    /// More under `deny`, or fewer requests, never grants more.
    #[test]
    fn a_narrower_policy_grants_no_more(
        (requested, policy) in cases().prop_map(grantable),
        more_deny in list("deny.more", &BARE),
        kept in subsequence(vec![0, 1, 2, 3], 0..=4),
    ) {
        let before = allowed(&Grants::resolve(&requested, &policy, base()).unwrap());
        let fewer: Vec<_> =
            requested.outbound.iter().enumerate().filter(|(index, _)| kept.contains(index)).map(|(_, line)| line.clone()).collect();
        let fewer = Requested { outbound: fewer, ..Requested::default() };
        let mut narrower = policy.clone();
        narrower.deny.outbound.extend(more_deny);
        for (requested, policy) in [(&fewer, &policy), (&requested, &narrower), (&fewer, &narrower)] {
            if let Ok(grants) = Grants::resolve(requested, policy, base()) {
                let after = allowed(&grants);
                prop_assert!(after.iter().all(|target| before.contains(target)), "{before:?} {after:?}");
            }
        }
    }

    /// Asking for what was granted changes nothing but who asked.
    #[test]
    fn asking_for_what_is_granted_grants_the_same((requested, policy) in cases().prop_map(grantable)) {
        let once = Grants::resolve(&requested, &policy, base()).unwrap();
        let asked = once.outbound().rules().iter().filter(|granted| granted.origin == Origin::Asked);
        let again = Requested {
            outbound: lines("sandbox.outbound", asked.map(|granted| granted.value.clone())),
            ..Requested::default()
        };
        let twice = Grants::resolve(&again, &policy, base()).unwrap();
        prop_assert_eq!(once, twice);
    }

    /// A rule covers another exactly where it is about every target of the other.
    #[test]
    fn covering_agrees_with_judging(
        wide in list("wide", &RULES),
        narrow in list("narrow", &RULES),
    ) {
        for (wide, narrow) in wide.iter().zip(&narrow) {
            if narrow.value.is_covered_by(&wide.value) {
                for target in targets() {
                    prop_assert!(!narrow.value.is_for(&target) || wide.value.is_for(&target), "{target}");
                }
            }
        }
    }

    /// Whatever the text, parsing ends, and what it yields displays as what parses to it again.
    #[test]
    fn parsing_is_total_and_canonical(text in "\\PC{0,40}", host in "[a-z0-9.*\\[\\]:%-]{0,24}", path in "[/a-z0-9.%;-]{0,16}") {
        for text in [text, format!("https://{host}{path}")] {
            if let Ok(rule) = OutboundRule::parse(&text, &[]) {
                prop_assert_eq!(OutboundRule::parse(&rule.to_string(), &[]), Ok(rule));
            }
            if let Ok(target) = OutboundTarget::parse("GET", &text) {
                let again = OutboundTarget::parse("GET", target.url().as_str());
                prop_assert_eq!(again.as_ref(), Ok(&target));
            }
        }
    }
}
