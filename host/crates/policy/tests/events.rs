//! What a use and a denial say: which decision, by which line, for whose sake, with which code.

use std::num::NonZeroUsize;

use par_policy::name::VariableName;
use par_policy::policy::{Confinement, FixedClock, Line, Policy, Requested};
use par_policy::{
    AuditEvent, Capability, Decision, Denial, DenialCode, Granted, Grants, InstanceCount, LimitKey, Limits, Origin,
    RuleId,
};

/// An event as a tuple, in the order in which it is read.
type Said<'a> = (Capability, Decision, &'a str, Option<&'a str>, Option<Origin>, Option<DenialCode>);

fn said(event: &AuditEvent) -> Said<'_> {
    let rule = event.rule.as_ref().map(RuleId::as_str);
    (event.capability, event.decision, &event.target, rule, event.origin, event.code)
}

fn clock() -> AuditEvent {
    let granted = Granted { value: (), origin: Origin::Unasked, rule: RuleId::new("grant.clock") };
    AuditEvent::allowed(Capability::Clock, "2026-01-01T00:00:00Z", &granted)
}

#[test]
fn what_is_fixed_and_what_cannot_be_are_two_decisions_about_one_thing() {
    let time = "2026-01-01T00:00:00Z";
    let rule = Some("grant.clock");

    assert_eq!(said(&clock()), (Capability::Clock, Decision::Allowed, time, rule, Some(Origin::Unasked), None));
    let not_fixed = clock().not_fixed();
    let code = Some(DenialCode::NotConfined);
    assert_eq!(said(&not_fixed), (Capability::Clock, Decision::Denied, time, rule, None, code));
}

#[test]
fn a_part_that_does_not_confine_is_a_denial_only_where_all_of_it_is_wanted() {
    let (native, rule, unasked) = (Capability::Native, Some("confinement"), Some(Origin::Unasked));

    let confined = AuditEvent::confined("session, limits");
    assert_eq!(said(&confined), (native, Decision::Allowed, "confined: session, limits", rule, unasked, None));
    let target = "not confined: files: no landlock";
    let available = AuditEvent::not_confined("files", "no landlock", Confinement::Available);
    assert_eq!(said(&available), (native, Decision::Allowed, target, rule, unasked, None));
    let strict = AuditEvent::not_confined("files", "no landlock", Confinement::Strict);
    let code = Some(DenialCode::NotConfined);
    assert_eq!(said(&strict), (native, Decision::Denied, target, rule, None, code));
    let outside = AuditEvent::outside_sandbox("it needs numpy", Origin::Asked);
    assert_eq!(
        said(&outside),
        (native, Decision::Allowed, "it needs numpy", Some("native"), Some(Origin::Asked), None)
    );
}

#[test]
fn what_was_observed_is_a_denial_that_did_not_happen() {
    let denial = Denial::new(DenialCode::HostNotGranted, "no");

    let event = AuditEvent::observed(Capability::Outbound, "GET https://a.example", &denial);

    let code = Some(DenialCode::HostNotGranted);
    assert_eq!(said(&event), (Capability::Outbound, Decision::Observed, "GET https://a.example", None, None, code));
}

/// Every code of a limit names the key that sets it, and no other code names one.
#[test]
fn a_limit_that_was_reached_names_its_key() {
    let limited = [
        (DenialCode::MemoryExhausted, "memory_mib"),
        (DenialCode::CallTimeout, "request_timeout_ms"),
        (DenialCode::LogLinesDropped, "log_lines_per_second"),
        (DenialCode::InstanceWorn, "requests_per_instance"),
        (DenialCode::InstanceGrown, "memory_growth_mib"),
        (DenialCode::OpenFilesExhausted, "open_files"),
        (DenialCode::OutboundRequestsExhausted, "outbound_requests_per_request"),
        (DenialCode::OutboundRequestTooLarge, "outbound_request_mib"),
        (DenialCode::OutboundResponseTooLarge, "outbound_response_mib"),
    ];

    for code in DenialCode::ALL {
        let key = limited.iter().find(|(limited, _)| limited == code).map(|(_, key)| *key);
        assert_eq!(code.limit(), key, "{code}");
        let rule = key.map(|key| format!("limits.{key}"));
        let event = AuditEvent::limit(*code, None, "x");
        assert_eq!(said(&event), (Capability::Limits, Decision::Denied, "x", rule.as_deref(), None, Some(*code)));
        assert_eq!(event.rule.as_ref().and_then(RuleId::limit), key);
        // A denial of another kind has the same line, unless it names one itself.
        let denied = AuditEvent::denied(Capability::Files, "x", &Denial::new(*code, "no"));
        assert_eq!(denied.rule, event.rule, "{code}");
    }
    for (_, key) in limited {
        assert!(LimitKey::parse(key).is_some(), "{key} is a key of the policy");
    }
    let own = AuditEvent::limit(DenialCode::Overloaded, Some("queued_requests"), "x");
    assert_eq!(own.rule, Some(RuleId::new("limits.queued_requests")));
    assert_eq!(RuleId::new("grant.outbound[0]").limit(), None);
    let denial = Denial::by_limit(DenialCode::OutboundTimeout, "no", LimitKey::OUTBOUND_IDLE_TIMEOUT);
    assert_eq!(denial.rule().and_then(RuleId::limit), Some("outbound_idle_timeout_ms"));
}

/// hostile 56: a request above the policy is a denial that names the line in the way.
#[test]
fn a_request_above_the_policy_is_a_denial() {
    let line = |rule: &str, seconds| Line {
        rule: RuleId::new(rule),
        value: FixedClock(std::time::Duration::from_secs(seconds)),
    };
    let mut policy = Policy::default();
    policy.grant.clock = Some(line("grant.clock", 1));
    let name = VariableName::parse("REGION").unwrap();
    let requested = Requested {
        clock: Some(line("sandbox.clock", 2)),
        env: vec![Line { rule: RuleId::new("sandbox.env[0]"), value: name }],
        ..Requested::default()
    };
    let base = Limits::default_with(InstanceCount::one_per_core(NonZeroUsize::MIN));

    let above = Grants::resolve(&requested, &policy, base).unwrap_err();

    let events: Vec<_> = above.differences.iter().map(AuditEvent::above_policy).collect();
    let code = Some(DenialCode::AbovePolicy);
    assert_eq!(
        events.iter().map(said).collect::<Vec<_>>(),
        [
            (Capability::Env, Decision::Denied, "REGION", None, None, code),
            (Capability::Clock, Decision::Denied, "a fixed clock", Some("grant.clock"), None, code),
        ]
    );
}

#[test]
fn every_word_stands_for_one_thing() {
    let capabilities = [
        (Capability::Outbound, "outbound"),
        (Capability::Secrets, "secrets"),
        (Capability::Env, "env"),
        (Capability::Files, "files"),
        (Capability::Clock, "clock"),
        (Capability::Random, "random"),
        (Capability::Limits, "limits"),
        (Capability::Native, "native"),
    ];
    for (capability, word) in capabilities {
        assert_eq!(capability.as_str(), word);
    }
    let decisions = [Decision::Allowed, Decision::Denied, Decision::Observed].map(Decision::as_str);
    assert_eq!(decisions, ["allowed", "denied", "observed"]);
}

/// What holds where nobody says anything: the defaults of the documentation.
#[test]
fn the_defaults_are_those_of_the_documentation() {
    let limits = Limits::default_with(InstanceCount::one_per_core(NonZeroUsize::MIN));
    for (key, value) in [
        ("memory_mib", 512),
        ("request_timeout_ms", 30_000),
        ("cpu_percent", 100),
        ("concurrent_requests", 1024),
        ("queued_requests", 4096),
        ("requests_per_instance", u64::MAX),
        ("memory_growth_mib", 4096),
        ("open_files", 256),
        ("log_lines_per_second", 1000),
        ("outbound_requests_per_request", 100),
        ("outbound_concurrent_requests", 64),
        ("outbound_request_mib", 64),
        ("outbound_response_mib", 64),
        ("outbound_connect_timeout_ms", 10_000),
        ("outbound_idle_timeout_ms", 60_000),
        ("outbound_timeout_ms", 300_000),
    ] {
        assert_eq!(LimitKey::parse(key).unwrap().value_in(&limits), value, "{key}");
    }
}
