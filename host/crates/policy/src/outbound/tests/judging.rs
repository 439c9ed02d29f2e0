//! Requests against rules: what is granted, and what a denial says.

use super::{judged, outbound, target};
use crate::outbound::{AddressRange, Outbound, OutboundRule, OutboundTarget};
use crate::{DenialCode, Granted, Origin, RuleId};

#[test]
fn nothing_is_granted_by_nothing() {
    assert_eq!(judged(&Outbound::default(), "https://api.example.com/"), Err(DenialCode::HostNotGranted));
}

/// hostile 114: a rule grants its scheme and its port and no other.
#[test]
fn a_rule_grants_what_it_names_and_says_what_it_lacks() {
    let granting = outbound(&["https://api.example.com", "https://files.example.com:8443/public"], &[], &[]);

    for (url, expected) in [
        ("https://api.example.com/anything?x=1", Ok("grant.outbound[0]")),
        ("https://files.example.com:8443/public", Ok("grant.outbound[1]")),
        ("https://files.example.com:8443/public/a", Ok("grant.outbound[1]")),
        ("http://api.example.com/", Err(DenialCode::SchemeNotGranted)),
        ("http://api.example.com:443/", Err(DenialCode::SchemeNotGranted)),
        ("https://api.example.com:8443/", Err(DenialCode::PortNotGranted)),
        ("https://files.example.com:8443/", Err(DenialCode::PathNotGranted)),
        ("https://files.example.com:8443/publicity", Err(DenialCode::PathNotGranted)),
        ("https://files.example.com:8443/public/../secret", Err(DenialCode::PathNotGranted)),
        ("https://files.example.com:8443/public/%2e%2e/secret", Err(DenialCode::PathNotGranted)),
        ("https://files.example.com:8443/public/..%2fsecret", Err(DenialCode::AmbiguousPath)),
        ("https://example.com/", Err(DenialCode::HostNotGranted)),
        ("https://api.example.com.evil.example/", Err(DenialCode::HostNotGranted)),
        ("https://evilapi.example.com/", Err(DenialCode::HostNotGranted)),
    ] {
        assert_eq!(judged(&granting, url), expected.map(str::to_owned), "{url}");
    }
}

#[test]
fn a_denial_is_a_sentence() {
    let granting = outbound(&["https://api.example.com/v1"], &["evil.example"], &[]);
    let sentence = |url| granting.judge(&target(url)).unwrap_err().to_string();

    assert_eq!(sentence("https://other.example/?token=5ec4e7"), "no rule grants the host `other.example`");
    assert_eq!(
        sentence("http://api.example.com/v1"),
        "the rule `https://api.example.com/v1` does not grant the scheme `http` of `api.example.com`"
    );
    assert_eq!(
        sentence("https://api.example.com/v2?token=5ec4e7"),
        "the rule `https://api.example.com/v1` does not grant the path `/v2` of `api.example.com`"
    );
    assert_eq!(sentence("https://evil.example/"), "`GET https://evil.example/` is denied by the rule `evil.example`");
}

#[test]
fn a_wildcard_is_every_name_below_and_not_the_name_itself() {
    let granting = outbound(&["https://*.example.com"], &[], &[]);

    for url in ["https://a.example.com/", "https://a.b.c.example.com/"] {
        assert!(judged(&granting, url).is_ok(), "{url}");
    }
    for url in
        ["https://example.com/", "https://notexample.com/", "https://a.example.com.evil.example/", "https://1.2.3.4/"]
    {
        assert_eq!(judged(&granting, url), Err(DenialCode::HostNotGranted), "{url}");
    }
}

#[test]
fn methods_are_granted_by_name() {
    let rule = OutboundRule::parse("https://a.example", &["GET", "HEAD"]).unwrap();
    let rule = Granted { value: rule, origin: Origin::Asked, rule: RuleId::new("allow.outbound[0]") };
    let granting = Outbound::new(vec![rule], Vec::new(), Vec::new(), Vec::new());
    let judge = |method| granting.judge(&OutboundTarget::parse(method, "https://a.example/").unwrap()).map(|_| ());

    assert_eq!(judge("get"), Ok(()));
    assert_eq!(judge("POST").map_err(|denial| denial.code()), Err(DenialCode::MethodNotGranted));
}

#[test]
fn deny_beats_allow() {
    let rules = outbound(
        &["https://*.example.com", "http://*.example.com:8080"],
        &["secret.example.com", "*.private.example.com", "https://api.example.com/admin"],
        &[],
    );

    for url in [
        "https://secret.example.com/",
        "http://secret.example.com:8080/x",
        "https://a.private.example.com/",
        "https://api.example.com/admin",
        "https://api.example.com/admin/users",
        "https://api.example.com/%61dmin",
        "https://api.example.com//admin",
        "https://api.example.com/x%2f..%2fadmin",
    ] {
        let denial = rules.judge(&target(url)).expect_err(url);
        assert_eq!(denial.code(), DenialCode::DeniedByPolicy, "{url}");
        assert!(denial.rule().is_some_and(|rule| rule.as_str().starts_with("deny.outbound[")), "{url}");
    }
    for url in ["https://api.example.com/", "https://private.example.com/", "https://api.example.com/administrator"] {
        assert!(judged(&rules, url).is_ok(), "{url}");
    }
}

/// A connection nobody looks into is granted by rules that want to see nothing of it.
#[test]
fn a_connection_is_granted_unseen_where_no_rule_asks_for_more() {
    let unseen = |rules: &[&str], denied: &[&str]| {
        outbound(rules, denied, &[]).judge_unseen(&target("https://api.example.com/")).map(|rule| rule.rule.to_string())
    };

    assert_eq!(unseen(&["https://*.example.com"], &[]), Some("grant.outbound[0]".to_owned()));
    assert_eq!(
        unseen(&["https://api.example.com/v1", "https://api.example.com"], &["other.example"]),
        Some("grant.outbound[1]".to_owned())
    );
    for (rules, denied) in [
        (&["https://api.example.com/v1"][..], &[][..]),
        (&["http://api.example.com"][..], &[][..]),
        (&["https://api.example.com:8443"][..], &[][..]),
        (&["https://api.example.com"][..], &["https://api.example.com/admin"][..]),
        (&["https://api.example.com"][..], &["*.example.com"][..]),
        (&[][..], &[][..]),
    ] {
        assert_eq!(unseen(rules, denied), None, "{rules:?} {denied:?}");
    }
}

/// What a request is told is what the nearest rule lacks, wherever that stands; of two that are as near, the first is
/// named.
#[test]
fn the_nearest_rule_says_what_is_missing() {
    let from_worse_to_better = [
        ("http://a.example", DenialCode::SchemeNotGranted),
        ("https://a.example:8443", DenialCode::PortNotGranted),
        ("https://a.example/other", DenialCode::PathNotGranted),
    ];
    for (index, (best, code)) in from_worse_to_better.iter().enumerate() {
        let worse = from_worse_to_better[..index].iter().map(|(rule, _)| *rule);
        let (first, last): (Vec<&str>, Vec<&str>) =
            (std::iter::once(*best).chain(worse.clone()).collect(), worse.chain([*best]).collect());
        for rules in [first, last] {
            assert_eq!(judged(&outbound(&rules, &[], &[]), "https://a.example/x"), Err(*code), "{rules:?}");
        }
    }
    let alike = outbound(&["https://a.example/one", "https://a.example/two"], &[], &[]);
    let denial = alike.judge(&target("https://a.example/x")).unwrap_err();
    assert_eq!(denial.sentence(), "the rule `https://a.example/one` does not grant the path `/x` of `a.example`");
}

/// Reviewers are shown every rule.
#[test]
fn every_rule_can_be_shown() {
    let range: AddressRange = "10.0.0.0/8".parse().unwrap();
    let own = outbound(&["https://a.example"], &["evil.example"], &["10.1.0.0/16"]);
    let all = Outbound::new(
        own.rules().to_vec(),
        own.addresses().to_vec(),
        own.denied().to_vec(),
        vec![(RuleId::new("deny.outbound_addresses[0]"), range)],
    );

    let shown = [
        all.rules().iter().map(|granted| granted.value.to_string()).collect::<Vec<_>>(),
        all.addresses().iter().map(|granted| granted.value.to_string()).collect(),
        all.denied().iter().map(|(rule, denied)| format!("{rule} {denied}")).collect(),
        all.denied_addresses().iter().map(|(rule, denied)| format!("{rule} {denied}")).collect(),
    ];
    assert_eq!(
        shown,
        [
            vec!["https://a.example"],
            vec!["10.1.0.0/16"],
            vec!["deny.outbound[0] evil.example"],
            vec!["deny.outbound_addresses[0] 10.0.0.0/8"],
        ]
    );
}
