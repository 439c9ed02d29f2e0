//! Who is asked for a package by `https`: which URLs, redirects, addresses and certificates are taken.

use par_tests::{Answer, Authority, Fault, Package, PackageServer, TestHost};

use super::fetched::{archive, fetching, refused, trusting};

/// Hostile 2, 3, 4: each hop of a redirect is judged like the first.
#[tokio::test]
async fn redirects_are_judged_hop_by_hop() {
    let authority = Authority::new();
    let elsewhere = PackageServer::plain([Answer::File(b"PK".to_vec())]).await;
    let twin = PackageServer::start(&authority, [Answer::File(b"PK".to_vec())]).await;
    let inside = twin.url("/x").replace("localhost", "127.0.0.1");

    for (to, error, asked) in [
        (elsewhere.url("/x?sig=5ec4e7"), "which is not `https`", 1),
        (inside.clone(), "`127.0.0.1` is refused", 1),
        ("https://169.254.169.254/latest/meta-data/".to_owned(), "`169.254.169.254` is refused", 1),
        ("https://169.254.170.2/v2/credentials".to_owned(), "`169.254.170.2` is refused", 1),
        ("https://[::ffff:a9fe:a9fe]/".to_owned(), "is refused", 1),
        ("https://2852039166/".to_owned(), "`169.254.169.254` is refused", 1),
        ("https://[::1]/".to_owned(), "`[::1]` is refused", 1),
        ("https://10.1.2.3/".to_owned(), "`10.1.2.3` is refused", 1),
        ("https://user:5ec4e7@localhost/".to_owned(), "user and password", 1),
        ("/again".to_owned(), "more than 5 redirects", 6),
    ] {
        let server = PackageServer::start(&authority, [Answer::Redirect(to.clone())]).await;

        let (line, host) = refused(fetching(&server, &authority)).await;

        assert!(line.text_of("error").contains(error), "{to}: {}", line.text);
        assert_eq!(server.requests().len(), asked, "{to}");
        assert!(!host.log_text().contains("5ec4e7"), "{to}: {}", host.log_text());
    }
    assert_eq!((elsewhere.connections(), twin.connections()), (0, 0));
}

/// The allowed twin: a redirect to a host the operator named.
#[tokio::test]
async fn a_redirect_to_a_host_that_may_be_asked_is_followed() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let second = PackageServer::start(&authority, [Answer::File(package)]).await;
    let to = second.url("/b?sig=5ec4e7").replace("localhost", "127.0.0.1");
    let first = PackageServer::start(&authority, [Answer::Redirect("/a".to_owned()), Answer::Redirect(to)]).await;

    let host = fetching(&first, &authority).with_guest().env("PACKAGE_INTERNAL_HOSTS", "localhost,127.0.0.1");
    let host = host.start().await;

    assert_eq!(host.get("/x").await.status, 200);
    assert_eq!((first.requests().len(), second.requests().len()), (2, 1));
    assert!(!host.log_text().contains("5ec4e7"), "{}", host.log_text());
}

/// Hostile 3, 8: a package is not fetched from this machine's own networks, however the address is spelt.
#[tokio::test]
async fn addresses_that_are_not_public_are_refused_before_a_connection() {
    let authority = Authority::new();
    let server = PackageServer::start(&authority, [Answer::File(b"PK".to_vec())]).await;
    let port = server.port();

    for host in ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]", "0"]
    {
        let setup = TestHost::fetching(&format!("https://{host}:{port}/a.apkg")).env("SSL_CERT_FILE", authority.file());

        let (line, _) = refused(setup).await;

        assert!(line.text_of("error").contains("is refused"), "{host}: {}", line.text);
        assert!(line.text_of("hint").contains("PACKAGE_INTERNAL_HOSTS"), "{host}: {}", line.text);
    }
    let metadata = TestHost::fetching("https://169.254.169.254/a").env("PACKAGE_INTERNAL_HOSTS", "169.254.169.254");
    let (line, _) = refused(metadata.env("SSL_CERT_FILE", authority.file())).await;
    assert!(line.text_of("error").contains("`169.254.169.254` is refused"), "{}", line.text);
    assert_eq!(server.connections(), 0);
}

/// Hostile 17: certificates that are expired, for another name, or of nobody.
#[tokio::test]
async fn a_server_whose_certificate_is_not_trusted_is_not_asked() {
    let authority = Authority::new();
    for fault in [Fault::Expired, Fault::OtherName, Fault::SelfSigned] {
        let server = PackageServer::with_fault(&authority, fault, [Answer::File(b"PK".to_vec())]).await;

        let (line, _) = refused(fetching(&server, &authority)).await;

        assert!(
            line.text_of("error").contains("the certificate of the server is not trusted"),
            "{fault:?} {}",
            line.text
        );
        assert_eq!((server.connections(), server.requests().len()), (1, 0), "{fault:?}");
    }
}

/// R128, R147, R221, R222, R224, hostile 1, 6: other schemes, and URLs with a password, are refused at configuration.
#[tokio::test]
async fn urls_packages_are_not_fetched_from_are_mistakes() {
    for url in [
        "http://host.example/a.apkg",
        "file:///etc/passwd",
        "ftp://host.example/a.apkg",
        "data:application/zip;base64,UEs=",
        "https://user:5ec4e7@host.example/a.apkg",
    ] {
        let host = TestHost::fetching(url).refused().await;

        let mistake = host.wait_for_event("Configuration validation error").await;
        assert_eq!(mistake.text_of("variable"), "PACKAGE_URL");
        assert!(!host.log_text().contains("5ec4e7"), "{}", host.log_text());
        assert_eq!(host.events("Downloading package from PACKAGE_URL").len(), 0);
    }
}

/// R099, hostile 7: what signs a request is in no line, also when everything goes wrong.
#[tokio::test]
async fn the_signature_of_a_url_is_in_no_line_of_the_log() {
    let authority = Authority::new();
    let server =
        PackageServer::start(&authority, [Answer::status(500), Answer::Cut(vec![0; 50], 9), Answer::status(403)]).await;
    let url = server.url("/a.apkg?X-Amz-Credential=5ec4e7&X-Amz-Signature=5ec4e7#5ec4e7");

    let (_, host) = refused(trusting(&url, &authority).env("LOG_LEVEL", "debug")).await;

    assert_eq!(server.requests()[0].line(), "GET /a.apkg?X-Amz-Credential=5ec4e7&X-Amz-Signature=5ec4e7 HTTP/1.1");
    assert!(!host.log_text().contains("5ec4e7"), "{}", host.log_text());
}
