//! What is granted, capability by capability, seen from outside: by whom, by which line, and no more than was asked.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;
use std::time::Duration;

use par_policy::compare::{Area, Direction};
use par_policy::name::{DataName, DataPath, VariableName, VariablePattern};
use par_policy::outbound::OutboundRule;
use par_policy::policy::{
    FixedClock, FixedRandom, Line, Policy, PolicySecret, Requested, ScratchLimit, SecretSource, VariableSource,
};
use par_policy::secret::{SecretBinding, SecretName, SecretValue, SecretValues};
use par_policy::{
    AuditEvent, Capability, Decision, Denial, DenialCode, Grants, InstanceCount, LimitKey, Limits, MemoryLimit, Origin,
    Precedence, RuleId,
};
use zeroize::Zeroizing;

fn line<T>(rule: &str, value: T) -> Line<T> {
    Line { rule: RuleId::new(rule), value }
}

fn resolve(requested: &Requested, policy: &Policy) -> Result<Grants, Vec<String>> {
    let base = Limits::default_with(InstanceCount::one_per_core(NonZeroUsize::MIN));
    Grants::resolve(requested, policy, base)
        .map_err(|above| above.differences.iter().map(|difference| difference.asked_at.to_string()).collect())
}

fn variable(text: &str) -> VariableName {
    VariableName::parse(text).unwrap()
}

fn secret(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

fn data(text: &str) -> DataName {
    DataName::parse(text).unwrap()
}

fn bound(hosts: &[&str]) -> SecretBinding {
    SecretBinding { hosts: hosts.iter().map(|host| OutboundRule::parse(host, &[]).unwrap()).collect() }
}

fn kept(name: &str, hosts: &[&str]) -> PolicySecret {
    let source = SecretSource::File(format!("/run/{name}"));
    PolicySecret { name: secret(name), binding: bound(hosts), source }
}

#[test]
fn a_variable_is_asked_or_unasked_by_its_own_name() {
    let mut policy = Policy::default();
    policy.grant.env = vec![
        line("grant.env.A", (variable("A"), VariableSource::Value("x".to_owned()))),
        line("grant.env.B", (variable("B"), VariableSource::Value("y".to_owned()))),
    ];
    policy.allow.env = vec![line("allow.env[0]", VariablePattern::parse("C").unwrap())];
    let asked = ["A", "C"].map(|name| line("sandbox.env", variable(name)));
    let requested = Requested { env: asked.to_vec(), ..Requested::default() };

    let grants = resolve(&requested, &policy).unwrap();

    let seen: Vec<_> = grants
        .variables()
        .iter()
        .map(|variable| (variable.name.as_str(), variable.source.origin, variable.precedence))
        .collect();
    assert_eq!(
        seen,
        [
            ("A", Origin::Asked, Precedence::AbovePackage),
            ("B", Origin::Unasked, Precedence::AbovePackage),
            ("C", Origin::Asked, Precedence::BelowPackage),
        ]
    );
}

/// A package that asks for a secret for fewer hosts than the policy has gets it for those.
#[test]
fn a_secret_is_bound_to_what_was_asked_within_what_is_allowed() {
    let mut policy = Policy::default();
    policy.grant.secrets = vec![line("grant.secrets.G", kept("G", &["https://g.example"]))];
    policy.allow.secrets = vec![
        line("allow.secrets.A", kept("A", &["https://*.a.example"])),
        line("allow.secrets.B", kept("B", &["https://b.example"])),
    ];
    policy.deny.secrets = vec![line("deny.secrets[0]", secret("D"))];
    let asking = |name: &str, hosts: &[&str]| Requested {
        secrets: vec![line("sandbox.secrets", (secret(name), bound(hosts)))],
        ..Requested::default()
    };

    let grants = resolve(&asking("A", &["https://x.a.example"]), &policy).unwrap();
    let seen: Vec<_> = grants
        .secrets()
        .iter()
        .map(|(name, granted)| (name.as_str(), granted.origin, granted.rule.as_str(), granted.value.hosts.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            ("A", Origin::Asked, "allow.secrets.A", bound(&["https://x.a.example"]).hosts),
            ("G", Origin::Unasked, "grant.secrets.G", bound(&["https://g.example"]).hosts),
        ]
    );
    assert!(!grants.secrets().is_empty());
    let sources: Vec<_> = grants.secret_sources().map(|(name, source)| (name.as_str(), source.clone())).collect();
    assert!(sources.contains(&("A", SecretSource::File("/run/A".to_owned()))), "{sources:?}");

    let granted = resolve(&asking("G", &["https://g.example/v1"]), &policy).unwrap();
    assert!(granted.secrets().iter().all(|(_, granted)| granted.origin == Origin::Asked));
    for (name, hosts) in [
        ("A", &["https://a.example"][..]),
        ("A", &["https://x.a.example", "https://evil.example"]),
        ("G", &["https://evil.example"]),
        ("B", &["http://b.example"]),
        ("D", &["https://g.example"]),
        ("N", &["https://g.example"]),
    ] {
        assert_eq!(resolve(&asking(name, hosts), &policy).unwrap_err(), ["sandbox.secrets"], "{name} {hosts:?}");
    }
}

#[test]
fn a_secret_that_is_denied_is_not_granted_and_its_neighbour_is() {
    let mut policy = Policy::default();
    policy.grant.secrets = ["A", "B"].map(|name| line("grant", kept(name, &["https://a.example"]))).to_vec();
    policy.deny.secrets = vec![line("deny.secrets[0]", secret("A"))];

    let grants = resolve(&Requested::default(), &policy).unwrap();

    assert_eq!(grants.secrets().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["B"]);
}

#[test]
fn a_directory_is_granted_by_its_own_name() {
    let mut policy = Policy::default();
    let place = |name: &str| (data(name), DataPath::parse(&format!("/srv/{name}")).unwrap());
    policy.grant.data = ["one", "denied"].map(|name| line("grant", place(name))).to_vec();
    policy.allow.data = ["two", "three"].map(|name| line(&format!("allow.{name}"), place(name))).to_vec();
    policy.deny.data = vec![line("deny.files.data[0]", data("denied"))];
    let asking = |names: &[&str]| Requested {
        data: names.iter().map(|name| line("sandbox.files.data", data(name))).collect(),
        ..Requested::default()
    };

    let grants = resolve(&asking(&["three"]), &policy).unwrap();
    let seen: Vec<_> = grants
        .data()
        .iter()
        .map(|(name, granted)| (name.as_str(), granted.value.as_str(), granted.origin, granted.rule.as_str()))
        .collect();
    assert_eq!(
        seen,
        [("one", "/srv/one", Origin::Unasked, "grant"), ("three", "/srv/three", Origin::Asked, "allow.three")]
    );
    assert_eq!(resolve(&asking(&["one"]), &policy).unwrap().data()[0].1.origin, Origin::Asked);
    for name in ["denied", "nobody"] {
        assert!(resolve(&asking(&[name]), &policy).is_err(), "{name}");
    }
}

#[test]
fn scratch_clock_and_random_are_what_was_agreed() {
    let mib = |mib| ScratchLimit::from_mib(mib).unwrap();
    let mut policy = Policy::default();
    policy.allow.scratch = Some(line("allow.files.scratch_mib", mib(64)));
    let mut requested = Requested { scratch: Some(line("sandbox.files.scratch_mib", mib(64))), ..Requested::default() };
    requested.clock = Some(line("sandbox.clock", FixedClock(Duration::from_secs(7))));
    requested.random = Some(line("sandbox.random", FixedRandom(42)));

    let grants = resolve(&requested, &policy).unwrap();
    assert_eq!(grants.scratch().map(|limit| (limit.value.bytes(), limit.origin)), Some((64 << 20, Origin::Asked)));
    assert_eq!(Grants::scratch_path(), "/scratch");
    assert_eq!(grants.clock().map(|clock| clock.value), Some(FixedClock(Duration::from_secs(7))));
    assert_eq!(grants.random().map(|random| random.value), Some(FixedRandom(42)));

    requested.scratch = Some(line("sandbox.files.scratch_mib", mib(65)));
    assert_eq!(resolve(&requested, &policy).unwrap_err(), ["sandbox.files.scratch_mib"]);
}

/// What a package would ask without some of its lines: these and no others are gone.
#[test]
fn a_request_without_some_of_its_lines_has_all_others() {
    let rule = |text| OutboundRule::parse(text, &[]).unwrap();
    let mut requested = Requested {
        outbound: vec![line("o0", rule("https://a.example")), line("o1", rule("https://b.example"))],
        scratch: Some(line("scratch", ScratchLimit::from_mib(1).unwrap())),
        clock: Some(line("clock", FixedClock(Duration::ZERO))),
        ..Requested::default()
    };
    for (key, rule) in [("memory_mib", "memory"), ("instances", "instances")] {
        assert!(requested.limits.set(LimitKey::parse(key).unwrap(), line(rule, 64)));
    }

    let rest = requested.without(&["o0", "clock", "memory"].map(RuleId::new));

    assert_eq!(rest.outbound, [line("o1", rule("https://b.example"))]);
    assert_eq!((rest.scratch.is_some(), rest.clock), (true, None));
    assert_eq!(rest.limits.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["instances"]);
    assert_eq!(requested.without(&[]), requested);
}

/// Words programs match.
#[test]
fn the_words_in_records_and_files() {
    assert_eq!(Capability::Outbound.as_str(), "outbound");
    assert_eq!((Decision::Allowed.as_str(), Decision::Observed.as_str()), ("allowed", "observed"));
    assert_eq!((Origin::Asked.as_str(), Origin::Unasked.as_str()), ("asked", "unasked"));
    assert_eq!((Direction::Widened.as_str(), Area::Hosts.as_str()), ("widened", "hosts"));
    let denial = Denial::new(DenialCode::HostNotGranted, "no rule grants it");
    assert_eq!((denial.code().to_string().as_str(), denial.sentence()), ("host_not_granted", "no rule grants it"));
    let observed = AuditEvent::observed(Capability::Outbound, "GET https://a.example/", &denial);
    assert_eq!((observed.decision, observed.code), (Decision::Observed, Some(DenialCode::HostNotGranted)));
    assert!(MemoryLimit::from_mib(1).is_err_and(|error| error.expected() == "64 to 4096 MiB"));
}

/// `mode: observe` lends what no rule grants, and nothing else.
#[test]
fn only_the_want_of_a_rule_may_be_observed() {
    let lent: Vec<&str> =
        DenialCode::ALL.iter().filter(|code| code.may_be_observed()).map(|code| code.as_str()).collect();

    assert_eq!(
        lent,
        [
            "host_not_granted",
            "scheme_not_granted",
            "port_not_granted",
            "method_not_granted",
            "path_not_granted",
            "ambiguous_path",
        ]
    );
}

/// Redaction needs every value.
#[test]
fn every_value_of_a_secret_can_be_redacted() {
    let value = |text: &str| SecretValue::new(Zeroizing::new(text.to_owned()));
    let values: SecretValues = [(secret("A"), value("5ec4e7")), (secret("B"), value("5ec4e8"))].into_iter().collect();

    assert_eq!(values.values().map(SecretValue::expose).collect::<Vec<_>>(), ["5ec4e7", "5ec4e8"]);
    assert_eq!(format!("{:?}", value("5ec4e7")), "SecretValue");
}
