//! A method and a URL under fixed rules: what leaves is what was judged, and nothing else leaves.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use par_fuzz::{assert_presentable, seeds};
use par_policy::outbound::{AddressRange, Host, Outbound, OutboundRule, OutboundTarget};
use par_policy::{Granted, Origin, RuleId};

static RULES: LazyLock<Outbound> = LazyLock::new(|| {
    let granted = |text: &str| Granted {
        value: OutboundRule::parse(text, &[]).expect("a rule"),
        origin: Origin::Unasked,
        rule: RuleId::new("grant.outbound[0]"),
    };
    let denied =
        |text: &str| (RuleId::new("deny.outbound[0]"), OutboundRule::parse_denying(text, &[]).expect("a rule"));
    let range: AddressRange = "10.0.0.0/8".parse().expect("a range");
    Outbound::new(
        vec![granted("https://*.example.com"), granted("https://files.example/v1"), granted("http://127.0.0.1:8080")],
        vec![Granted { value: range, origin: Origin::Unasked, rule: RuleId::new("grant.outbound_addresses[0]") }],
        vec![denied("secret.example.com"), denied("https://api.example.com/admin")],
        Vec::new(),
    )
});

fuzz_target!(init: seeds::plant(seeds::requests), |text: &str| {
    let (method, url) = text.split_once(' ').unwrap_or(("GET", text));
    let start = OutboundTarget::parse("GET", "https://api.example.com/v1/x").expect("a target");
    for parsed in [OutboundTarget::parse(method, url), start.redirected(method, url)] {
        match parsed {
            Ok(target) => judge(&target),
            Err(denial) => assert_presentable(&denial),
        }
    }
    if let Ok(rule) = OutboundRule::parse(url, &[]) {
        assert_eq!(OutboundRule::parse(&rule.to_string(), &[]), Ok(rule), "a rule is what it displays as");
    }
});

/// Judges a target and looks at it as another program would.
fn judge(target: &OutboundTarget) {
    let url = target.url();
    assert_eq!(OutboundTarget::parse(target.method().as_str(), url.as_str()).as_ref(), Ok(target), "canonical");
    assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    // An address in IPv6 of one in IPv4 is spelt in two ways, so not as texts.
    assert_eq!(url.host_str().and_then(Host::parse).as_ref(), Some(target.host()));
    assert_eq!(url.port_or_known_default(), Some(target.port()));
    if let Host::V4(address) = target.host() {
        let _ = RULES.judge_address((*address).into());
    }
    match RULES.judge(target) {
        Err(denial) => assert_presentable(&denial),
        Ok(_) => {
            let (scheme, host, port, path) =
                (url.scheme(), url.host_str().unwrap_or_default(), target.port(), url.path());
            let wildcard = scheme == "https" && port == 443 && host.ends_with(".example.com");
            let files = scheme == "https" && port == 443 && host == "files.example" && path.starts_with("/v1");
            let local = scheme == "http" && port == 8080 && host == "127.0.0.1";
            assert!(wildcard || files || local, "{url}");
            assert_ne!(host, "secret.example.com");
            assert!(host != "api.example.com" || !path.starts_with("/admin/"), "{url}");
        }
    }
}
