//! Targets, rules and addresses against each other.

use std::net::IpAddr;

use super::*;
use crate::{Denial, DenialCode, Granted, Origin, RuleId};

fn target(url: &str) -> OutboundTarget {
    OutboundTarget::parse("GET", url).unwrap_or_else(|denial| panic!("{url}: {denial}"))
}

fn code(url: &str) -> DenialCode {
    OutboundTarget::parse("GET", url).expect_err(url).code()
}

fn outbound(rules: &[&str], denied: &[&str], addresses: &[&str]) -> Outbound {
    let id = |list: &str, index: usize| RuleId::new(format!("{list}[{index}]"));
    let granted = |(index, text): (usize, &&str)| Granted {
        value: OutboundRule::parse(text, &[]).unwrap(),
        origin: Origin::Unasked,
        rule: id("grant.outbound", index),
    };
    let range = |(index, text): (usize, &&str)| Granted {
        value: text.parse().unwrap(),
        origin: Origin::Unasked,
        rule: id("grant.outbound_addresses", index),
    };
    let deny =
        |(index, text): (usize, &&str)| (id("deny.outbound", index), OutboundRule::parse_denying(text, &[]).unwrap());
    Outbound::new(
        rules.iter().enumerate().map(granted).collect(),
        addresses.iter().enumerate().map(range).collect(),
        denied.iter().enumerate().map(deny).collect(),
        Vec::new(),
    )
}

fn judged(outbound: &Outbound, url: &str) -> Result<String, DenialCode> {
    let target = OutboundTarget::parse("GET", url).map_err(|denial| denial.code())?;
    outbound.judge(&target).map(|granted| granted.rule.to_string()).map_err(|denial| denial.code())
}

/// hostile 113: spellings of one host are one host.
#[test]
fn a_host_has_one_spelling() {
    for url in [
        "https://api.example.com/",
        "https://API.Example.COM/",
        "HTTPS://api.example.com:443/",
        "https://api.example.com./",
        "https://%61pi.example.com/",
        "https://ａｐｉ.example.com/",
        "https://api。example.com/",
    ] {
        let target = target(url);
        assert_eq!(target.host().to_string(), "api.example.com", "{url}");
        assert_eq!((target.scheme(), target.port()), (Scheme::Https, 443), "{url}");
        assert_eq!(target.url().as_str(), "https://api.example.com/", "{url}");
    }
    let cyrillic = target("https://аpi.example.com/");
    assert_eq!(cyrillic.host().to_string(), "xn--pi-6kc.example.com");
}

/// hostile 98: an address is that address, however it is spelt.
#[test]
fn an_address_has_one_spelling() {
    for host in [
        "169.254.169.254",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "0XA9.0xfe.0xa9.0xFE",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.0xfea9fe",
        "１６９.254.169.254",
        "169。254。169。254",
        "%31%36%39.254.169.254",
    ] {
        assert_eq!(target(&format!("http://{host}/latest")).host().to_string(), "169.254.169.254", "{host}");
    }
    for (host, spelt) in [
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("017700000001", "127.0.0.1"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("[::ffff:169.254.169.254]", "[::ffff:169.254.169.254]"),
        ("[::FFFF:A9FE:A9FE]", "[::ffff:169.254.169.254]"),
        ("[FD00:EC2:0:0::254]", "[fd00:ec2::254]"),
    ] {
        assert_eq!(target(&format!("http://{host}/")).host().to_string(), spelt, "{host}");
    }
}

#[test]
fn a_text_that_is_no_target_is_refused_by_code() {
    use DenialCode as Code;
    for (url, expected) in [
        ("", Code::InvalidUrl),
        ("api.example.com", Code::InvalidUrl),
        ("/path", Code::InvalidUrl),
        ("https://", Code::InvalidUrl),
        ("https:///", Code::InvalidUrl),
        ("https://api.example.com:65536/", Code::InvalidUrl),
        ("https://256.1.1.1/", Code::InvalidUrl),
        ("https://1.2.3.4.5/", Code::InvalidUrl),
        ("https://[::1%25eth0]/", Code::InvalidUrl),
        ("https://api.example.com/a b", Code::InvalidUrl),
        ("https://api.example.com\\@evil.example/", Code::InvalidUrl),
        ("https://api.exa\nmple.com/", Code::InvalidUrl),
        ("https://api.example.com/\r\nHost: evil.example", Code::InvalidUrl),
        ("\thttps://api.example.com/", Code::InvalidUrl),
        ("https://api.example.com:0/", Code::InvalidPort),
        ("https://user@api.example.com/", Code::UrlCredentials),
        ("https://:password@api.example.com/", Code::UrlCredentials),
        ("https://api.example.com@evil.example/", Code::UrlCredentials),
        ("ftp://api.example.com/", Code::UnsupportedScheme),
        ("file:///etc/passwd", Code::UnsupportedScheme),
        ("data:text/plain,x", Code::UnsupportedScheme),
        ("wss://api.example.com/", Code::UnsupportedScheme),
        ("https://api..example.com/", Code::InvalidHost),
        ("https://api.example.com../", Code::InvalidHost),
        ("https://./", Code::InvalidHost),
        ("https://a$b.example.com/", Code::InvalidHost),
    ] {
        assert_eq!(code(url), expected, "{url:?}");
    }
    assert_eq!(code(&format!("https://{}.example.com/", "a".repeat(64))), Code::InvalidHost);
    let of_length = |length: usize| format!("https://api.example.com/{}", "a".repeat(length - 24));
    assert_eq!(code(&of_length((16 << 10) + 1)), Code::UrlTooLong);
    assert!(OutboundTarget::parse("GET", &of_length(16 << 10)).is_ok());
}

/// hostile 106: methods that are more than a request are out of reach.
#[test]
fn methods_are_words_and_some_are_never_granted() {
    let code = |method: &str| OutboundTarget::parse(method, "https://a.example/").map(|_| ()).map_err(|d| d.code());

    for method in ["CONNECT", "connect", "TRACE", "Track", "PRI"] {
        assert_eq!(code(method), Err(DenialCode::ForbiddenMethod), "{method}");
    }
    for method in ["", "GET ", "GET /x", "G\r\n", "G:T", &"A".repeat(33)] {
        assert_eq!(code(method), Err(DenialCode::InvalidMethod), "{method:?}");
    }
    for method in ["GET", "get", "PROPFIND", "M-SEARCH"] {
        assert_eq!(code(method), Ok(()), "{method}");
    }
}

#[test]
fn a_target_shows_no_query_and_sends_it() {
    let target = target("https://api.example.com:8443/v1/x%20y?token=5ec4e7#fragment");

    assert_eq!(target.to_string(), "GET https://api.example.com:8443/v1/x%20y");
    assert_eq!(format!("{target:?}"), "\"GET https://api.example.com:8443/v1/x%20y\"");
    assert_eq!(target.path_and_query(), "/v1/x%20y?token=5ec4e7");
    assert_eq!(target.authority(), "api.example.com:8443");
    assert_eq!(target.url().fragment(), None);
}

/// hostile 102: where a redirect leads is judged as a new target.
#[test]
fn a_redirect_is_a_new_target() {
    let from = target("https://api.example.com/v1/a?x=1");
    let to = |location: &str| from.redirected("GET", location);

    assert_eq!(to("../b").unwrap().url().as_str(), "https://api.example.com/b");
    assert_eq!(to("//169.254.169.254/latest").unwrap().host().to_string(), "169.254.169.254");
    assert_eq!(to("http://127.1/").unwrap().to_string(), "GET http://127.0.0.1/");
    assert_eq!(to("//user:pass@api.example.com/").unwrap_err().code(), DenialCode::UrlCredentials);
    assert_eq!(to("/a\r\nb").unwrap_err().code(), DenialCode::InvalidUrl);
    assert_eq!(to("file:///etc/passwd").unwrap_err().code(), DenialCode::UnsupportedScheme);
}

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

/// hostile 51, 52: every host at once, and hosts with more than a host in them.
#[test]
fn texts_outside_the_grammar_are_no_rules() {
    for text in [
        "",
        "api.example.com",
        "*",
        "*://*:*",
        "https://",
        "https://*",
        "https://*.com",
        "https://*example.com",
        "https://api.*.com",
        "https://*.*.example.com",
        "https://*.10.0.0.1",
        "https://api.example.com:0",
        "https://api.example.com:65536",
        "https://api.example.com:080",
        "https://api.example.com:1-2",
        "https://api.example.com:",
        "https://user@api.example.com",
        "https://api.example.com?x",
        "https://api.example.com#x",
        "https://api.example.com/a/../b",
        "https://api.example.com/a%2fb",
        "https://api.example.com/a//b",
        "https://api.example.com/a*",
        "https://api.example.com /",
        "https://api.example.com.",
        "https://аpi.example.com",
        "https://127.1",
        "https://0x7f000001",
        "https://[::ffff:7f00:1]",
        "ftp://api.example.com",
        "HTTPS://api.example.com",
    ] {
        assert!(OutboundRule::parse(text, &[]).is_err(), "{text}");
    }
    for methods in [&["get"][..], &["CONNECT"], &[""], &["*"]] {
        assert!(OutboundRule::parse("https://api.example.com", methods).is_err(), "{methods:?}");
    }
    for sign in ['?', '#', '@', '\\', ' ', '\u{7f}', '\u{2003}'] {
        let refused = OutboundRule::parse(&format!("https://api.example.com/a{sign}b"), &[]).unwrap_err();
        assert_eq!(refused.to_string(), "a rule has no query, fragment, user name or space", "{sign:?}");
    }
    let hint = |text| OutboundRule::parse(text, &[]).unwrap_err().hint().map(str::to_owned);
    assert_eq!(hint("https://127.1").as_deref(), Some("write `127.0.0.1`"));
    assert_eq!(hint("https://bücher.example").as_deref(), Some("write `xn--bcher-kva.example`"));
}

/// Found by fuzzing: what must be encoded to be part of a path is encoded when a rule is shown.
#[test]
fn a_rule_reads_back_as_the_same_rule() {
    for text in [
        "https://api.example/..%3fadmin",
        "https://api.example/a%20b%25%22%3b%2a/%C3%BC",
        "https://api.example/%7Bx%7D%23",
    ] {
        let rule = OutboundRule::parse(text, &[]).unwrap();
        assert_eq!(OutboundRule::parse(&rule.to_string(), &[]), Ok(rule), "{text}");
    }
}

#[test]
fn a_rule_displays_as_it_is_written() {
    for text in [
        "https://api.example.com",
        "http://api.example.com:8080/v1",
        "https://*.example.com/v1/",
        "https://[2606:4700::1111]:8443",
        "https://1.1.1.1",
    ] {
        assert_eq!(OutboundRule::parse(text, &[]).unwrap().to_string(), text);
    }
    assert_eq!(OutboundRule::parse("https://A.example:443/", &[]).unwrap().to_string(), "https://a.example");
    assert_eq!(
        OutboundRule::parse("https://a.example", &["POST", "GET"]).unwrap().to_string(),
        "GET,POST https://a.example"
    );
    assert_eq!(OutboundRule::parse_denying("*.example.com", &[]).unwrap().to_string(), "*.example.com");
}

#[test]
fn a_rule_is_shown_as_a_place_and_methods() {
    let rule = OutboundRule::parse("https://a.example:8443/v1", &["POST", "GET"]).unwrap();
    let methods: Vec<_> = rule.methods().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        (rule.place().as_str(), methods),
        ("https://a.example:8443/v1", vec!["GET".to_owned(), "POST".to_owned()])
    );
    assert_eq!(OutboundRule::parse("https://a.example", &[]).unwrap().methods(), None);
}

#[test]
fn a_rule_covers_what_is_narrower() {
    let covers = |wide: (&str, &[&str]), narrow: (&str, &[&str])| {
        let wide = OutboundRule::parse_denying(wide.0, wide.1).unwrap();
        OutboundRule::parse_denying(narrow.0, narrow.1).unwrap().is_covered_by(&wide)
    };
    let all: &[&str] = &[];
    for (wide, narrow) in [
        (("https://a.example", all), ("https://a.example", all)),
        (("https://a.example", all), ("https://a.example/v1", &["GET"][..])),
        (("https://*.example.com", all), ("https://a.example.com", all)),
        (("https://*.example.com", all), ("https://*.a.example.com", all)),
        (("https://a.example/v1", all), ("https://a.example/v1/x", all)),
        (("https://a.example", &["GET", "POST"][..]), ("https://a.example", &["GET"][..])),
        (("a.example", all), ("http://a.example:8080/x", all)),
    ] {
        assert!(covers(wide, narrow), "{wide:?} covers {narrow:?}");
        if wide != narrow {
            assert!(!covers(narrow, wide), "{narrow:?} does not cover {wide:?}");
        }
    }
    for (wide, narrow) in [
        ("https://a.example", "http://a.example"),
        ("https://a.example", "https://a.example:8443"),
        ("https://*.example.com", "https://example.com"),
        ("https://a.example/v1", "https://a.example/v10"),
    ] {
        assert!(!covers((wide, all), (narrow, all)), "{wide} does not cover {narrow}");
    }
}

fn address_code(outbound: &Outbound, address: &str) -> Result<(), DenialCode> {
    let address: IpAddr = address.parse().unwrap_or_else(|_| panic!("{address}"));
    outbound.judge_address(address).map_err(|denial: Denial| denial.code())
}

/// hostile 98, hostile 100: no address that is not public is dialled.
#[test]
fn addresses_that_are_not_public_are_refused_by_kind() {
    use DenialCode as Code;
    let nothing = Outbound::default();
    for (address, expected) in [
        ("169.254.169.254", Code::MetadataAddress),
        ("169.254.169.253", Code::MetadataAddress),
        ("169.254.169.123", Code::MetadataAddress),
        ("169.254.170.2", Code::MetadataAddress),
        ("169.254.170.23", Code::MetadataAddress),
        ("168.63.129.16", Code::MetadataAddress),
        ("100.100.100.200", Code::MetadataAddress),
        ("fd00:ec2::254", Code::MetadataAddress),
        ("fd00:ec2::23", Code::MetadataAddress),
        ("fd20:ce::254", Code::MetadataAddress),
        ("::ffff:169.254.169.254", Code::MetadataAddress),
        ("::169.254.169.254", Code::MetadataAddress),
        ("::ffff:0:169.254.169.254", Code::MetadataAddress),
        ("64:ff9b::169.254.169.254", Code::MetadataAddress),
        ("64:ff9b::a9fe:aa02", Code::MetadataAddress),
        ("64:ff9b:1::169.254.169.254", Code::MetadataAddress),
        ("64:ff9b:1:a9fe:a9:fe00::", Code::MetadataAddress),
        ("64:ff9b:1:a83f:81:1000::", Code::MetadataAddress),
        ("2002:a9fe:a9fe::1", Code::MetadataAddress),
        ("2001:0:a9fe:a9fe::1", Code::MetadataAddress),
        ("2001:0:101:101:0:0:5601:5601", Code::MetadataAddress),
        ("fe80::5efe:169.254.169.254", Code::MetadataAddress),
        ("127.0.0.1", Code::LoopbackAddress),
        ("127.255.255.254", Code::LoopbackAddress),
        ("::1", Code::LoopbackAddress),
        ("::ffff:127.0.0.1", Code::LoopbackAddress),
        ("64:ff9b::127.0.0.1", Code::LoopbackAddress),
        ("10.0.0.1", Code::PrivateAddress),
        ("172.16.0.1", Code::PrivateAddress),
        ("172.31.255.255", Code::PrivateAddress),
        ("192.168.1.1", Code::PrivateAddress),
        ("64:ff9b::10.0.0.1", Code::PrivateAddress),
        ("fc00::1", Code::PrivateAddress),
        ("fdff::1", Code::PrivateAddress),
        ("fec0::1", Code::PrivateAddress),
        ("169.254.1.1", Code::LinkLocalAddress),
        ("fe80::1", Code::LinkLocalAddress),
        ("100.64.0.1", Code::SharedAddress),
        ("100.127.255.255", Code::SharedAddress),
        ("224.0.0.1", Code::MulticastAddress),
        ("239.255.255.255", Code::MulticastAddress),
        ("ff02::1", Code::MulticastAddress),
        ("0.0.0.0", Code::UnspecifiedAddress),
        ("0.1.2.3", Code::UnspecifiedAddress),
        ("::", Code::UnspecifiedAddress),
        ("::ffff:0.0.0.0", Code::UnspecifiedAddress),
        ("255.255.255.255", Code::BroadcastAddress),
        ("192.0.2.1", Code::DocumentationAddress),
        ("198.51.100.1", Code::DocumentationAddress),
        ("203.0.113.1", Code::DocumentationAddress),
        ("198.18.0.1", Code::DocumentationAddress),
        ("198.19.255.255", Code::DocumentationAddress),
        ("2001:db8::1", Code::DocumentationAddress),
        ("3fff:fff::1", Code::DocumentationAddress),
        ("2001:2::1", Code::DocumentationAddress),
        ("2002:a00:1::1", Code::TunnelAddress),
        ("2001::1", Code::TunnelAddress),
        ("64:ff9b:1::8.8.8.8", Code::TunnelAddress),
        ("::8.8.8.8", Code::TunnelAddress),
        ("192.88.99.1", Code::TunnelAddress),
        ("240.0.0.1", Code::ReservedAddress),
        ("192.0.0.8", Code::ReservedAddress),
        ("2001:10::1", Code::ReservedAddress),
        ("100::1", Code::ReservedAddress),
        ("4000::1", Code::ReservedAddress),
        ("5f00::1", Code::ReservedAddress),
    ] {
        assert_eq!(address_code(&nothing, address), Err(expected), "{address}");
    }
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:200::1",
        "2a00:1450::1",
        "64:ff9b::8.8.8.8",
        "::ffff:8.8.8.8",
    ] {
        assert_eq!(address_code(&nothing, address), Ok(()), "{address}");
    }
}

#[test]
fn an_address_is_dialled_when_it_is_named_and_metadata_never() {
    let naming = outbound(&[], &[], &["10.1.2.0/24", "127.0.0.0/8", "169.254.0.0/16", "fd00::/8", "192.168.7.9"]);

    for address in ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "169.254.1.1", "fd12::1", "192.168.7.9"] {
        assert_eq!(address_code(&naming, address), Ok(()), "{address}");
    }
    for (address, expected) in [
        ("10.1.3.3", DenialCode::PrivateAddress),
        ("192.168.7.8", DenialCode::PrivateAddress),
        ("64:ff9b::10.1.2.3", DenialCode::PrivateAddress),
        ("169.254.169.254", DenialCode::MetadataAddress),
        ("169.254.170.2", DenialCode::MetadataAddress),
        ("::ffff:169.254.169.254", DenialCode::MetadataAddress),
        ("fd00:ec2::254", DenialCode::MetadataAddress),
    ] {
        assert_eq!(address_code(&naming, address), Err(expected), "{address}");
    }
}

#[test]
fn a_range_that_is_denied_is_denied_inside_other_addresses_too() {
    let range = (RuleId::new("deny.outbound_addresses[0]"), "8.8.8.0/24".parse().unwrap());
    let denying = Outbound::new(Vec::new(), Vec::new(), Vec::new(), vec![range]);

    for address in ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
        assert_eq!(address_code(&denying, address), Err(DenialCode::DeniedByPolicy), "{address}");
    }
    assert_eq!(address_code(&denying, "8.8.4.4"), Ok(()));
}

#[test]
fn ranges_are_written_in_one_way() {
    for text in [
        "",
        "10.0.0.0/33",
        "10.0.0.0/7",
        "0.0.0.0/0",
        "::/0",
        "10.1.2.3/24",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0/8",
        "::ffff:10.0.0.0/104",
        "169.254.169.254",
        "169.254.169.0/24",
        "fd00:ec2::/32",
        "example.com",
    ] {
        assert!(text.parse::<AddressRange>().is_err(), "{text}");
    }
    let range = |text: &str| text.parse::<AddressRange>().unwrap();
    assert_eq!(range("10.1.2.0/24").to_string(), "10.1.2.0/24");
    assert_eq!(range("10.1.2.3").to_string(), "10.1.2.3/32");
    assert_eq!(
        "10.1.2.3/24".parse::<AddressRange>().unwrap_err().to_string(),
        "has bits after its prefix: write `10.1.2.0/24`"
    );
    assert!(range("10.0.0.0/8").covers(&range("10.1.0.0/16")));
    assert!(!range("10.1.0.0/16").covers(&range("10.0.0.0/8")));
    assert!(!range("fc00::/7").covers(&range("10.0.0.0/8")));
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
