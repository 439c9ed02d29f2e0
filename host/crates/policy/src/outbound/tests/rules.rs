//! Texts that name what is granted: which are rules, how one reads back, and which is narrower.

use crate::outbound::OutboundRule;

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
