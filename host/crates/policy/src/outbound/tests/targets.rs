//! Texts that name a request: one spelling each, and none that two readers could disagree about.

use super::{code, target};
use crate::DenialCode;
use crate::outbound::{OutboundTarget, Scheme};

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
