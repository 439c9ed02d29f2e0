//! Packages that come by `https`: from a real server, with TLS of an authority of the test.

use std::path::Path;

use par_tests::{Answer, Authority, Fault, Line, Package, PackageIndex, PackageServer, RunningHost, TestHost};

use super::dependencies::{agent, thing};
use super::fetched::{CACHE, archive, digest, leftovers, refused};

/// A host that fetches from `server`, which the operator named and whose authority it trusts.
fn fetching(server: &PackageServer, authority: &Authority) -> TestHost {
    trusting(&server.url("/agents/stdlib.apkg"), authority)
}

fn trusting(url: &str, authority: &Authority) -> TestHost {
    TestHost::fetching(url).env("SSL_CERT_FILE", authority.file()).env("PACKAGE_INTERNAL_HOSTS", "localhost")
}

/// Why a package was refused that a server answers so, and how often the server was asked.
async fn answered(answers: impl Into<Vec<Answer>>) -> (Line, usize) {
    let authority = Authority::new();
    let server = PackageServer::start(&authority, answers).await;
    let (line, _) = refused(fetching(&server, &authority)).await;
    (line, server.requests().len())
}

fn kept(host: &RunningHost) -> Vec<String> {
    leftovers(&host.setup().directory().join(CACHE))
}

/// R042, R051, R125, R126, R130: a package comes by `https`, is checked and served: the
/// allowed twin of what is refused below.
#[tokio::test]
async fn a_package_is_fetched_checked_and_served() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let server = PackageServer::start(&authority, [Answer::File(package.clone())]).await;

    let host = fetching(&server, &authority).with_guest().env("PACKAGE_SHA256", digest(&package).to_uppercase());
    let mut host = host.start().await;

    assert_eq!(host.get("/x").await.status, 200);
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line(), "GET /agents/stdlib.apkg HTTP/1.1");
    assert_eq!(asked[0].field("accept-encoding"), Some("identity"));
    let done = host.wait_for_event("Package downloaded successfully").await;
    assert_eq!(done.detail("bytes"), package.len());
    assert_eq!(done.text_of("digest"), format!("sha256:{}", digest(&package)));
    host.wait_for_event("Package kept for the next start").await;
    assert_eq!(kept(&host), [digest(&package)]);
    assert_eq!(host.stop().await, 0);
    assert_eq!(leftovers(&host.setup().directory().join("tmp")), Vec::<String>::new());
}

/// R129: without a digest nothing is kept: at the end nothing of the package is left.
#[tokio::test]
async fn a_package_without_a_digest_is_not_kept() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let server = PackageServer::start(&authority, [Answer::Whole(package)]).await;

    let mut host = fetching(&server, &authority).with_guest().start().await;

    assert_eq!(host.get("/x").await.status, 200);
    assert_eq!(host.stop().await, 0);
    assert_eq!(kept(&host), Vec::<String>::new());
    assert_eq!(leftovers(&host.setup().directory().join("tmp")), Vec::<String>::new());
}

/// Commands take a package from where a start takes it, under the same demands.
#[tokio::test]
async fn commands_take_a_package_from_a_url() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let server = PackageServer::start(&authority, [Answer::File(package.clone())]).await;
    let url = server.url("/agents/stdlib.apkg");
    let host = trusting(&url, &authority);

    let grants = host.command(["grants", &url, "--json"]).await;
    assert_eq!(grants.code, 0, "{}", grants.errors);
    let review = grants.json();
    assert_eq!(review["package"]["sha256"], digest(&package));
    assert!(review["package"]["file"].as_str().unwrap().ends_with("stdlib.apkg"), "{review}");
    for arguments in [&["check", &url][..], &["policy", "diff", &url, &url]] {
        let said = host.command(arguments).await;
        assert_eq!(said.code, 0, "{arguments:?}\n{}", said.errors);
    }

    let host = host.env("PACKAGE_SHA256", "0".repeat(64));
    for arguments in [&["grants", &url][..], &["check", &url]] {
        let said = host.command(arguments).await;
        assert_eq!(said.code, 1, "{arguments:?}\n{}", said.output);
        assert!(said.errors.contains("digest mismatch"), "{}", said.errors);
    }
}

/// A package with a known digest is fetched once: the next start needs no network.
#[tokio::test]
async fn a_package_that_was_kept_starts_without_the_network() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let server = PackageServer::start(&authority, [Answer::File(package.clone())]).await;
    let url = server.url("/agents/stdlib.apkg");
    let cache = tempfile::tempdir().unwrap();
    let host = |url: &str| {
        let host = trusting(url, &authority).with_guest().env("PAR_CACHE_DIR", cache.path());
        host.env("PACKAGE_SHA256", digest(&package))
    };
    let mut first = host(&url).start().await;
    first.wait_for_event("Package kept for the next start").await;
    first.stop().await;
    drop(server);

    let second = host(&url).start().await;

    assert_eq!(second.get("/x").await.status, 200);
    assert_eq!(second.events("Downloading package").len(), 0);
    assert_eq!(second.events("Using the package kept by an earlier start").len(), 1);
}

/// A start of what is kept asks nobody, whoever would answer: not the server of the package, and not the index its
/// dependencies came from.
#[tokio::test]
async fn a_start_of_what_is_kept_asks_nobody() {
    let (authority, package) = (Authority::new(), archive(&agent()));
    let server = PackageServer::start(&authority, [Answer::File(package.clone())]).await;
    let index = PackageIndex::start([thing()]).await;
    let cache = tempfile::tempdir().unwrap();
    let host = || {
        let host = TestHost::fetching(&server.url("/a.apkg")).installing().with_guest();
        let host = host.env("SSL_CERT_FILE", authority.file()).env("PACKAGE_INTERNAL_HOSTS", "localhost");
        let host = host.env("PAR_CACHE_DIR", cache.path()).env("PACKAGE_SHA256", digest(&package));
        host.env("PAR_INDEX_URL", index.url())
    };
    let mut first = host().start().await;
    first.wait_for_event("Package kept for the next start").await;
    assert_eq!(first.stop().await, 0);
    let asked = (server.connections(), index.hits());
    assert!(asked.0 == 1 && asked.1 > 0, "{asked:?}");

    let mut second = host().start().await;
    let answer = second.get("/").await;
    assert_eq!(second.stop().await, 0);

    assert_eq!(answer.json()["answer"], 42);
    assert_eq!((server.connections(), index.hits()), asked);
}

/// What is in the cache is read again before it is used: a package that changed is fetched.
#[tokio::test]
async fn a_kept_package_that_changed_is_fetched_again() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let server = PackageServer::start(&authority, [Answer::File(package.clone())]).await;
    let setup = fetching(&server, &authority).with_guest().env("PACKAGE_SHA256", digest(&package));
    let directory = setup.directory().join(CACHE);
    fs_err::create_dir_all(&directory).unwrap();
    private(&setup.directory().join("cache"));
    fs_err::write(directory.join(digest(&package)), "poison").unwrap();

    let host = setup.start().await;

    assert_eq!(host.get("/x").await.status, 200);
    assert_eq!(server.requests().len(), 1);
}

fn private(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs_err::set_permissions(directory, PermissionsExt::from_mode(0o700)).unwrap();
}

/// R043, R104, R132, hostile 15: what may pass is asked for again, with the rest of what is here already.
#[tokio::test]
async fn a_transfer_that_breaks_off_goes_on_where_it_was() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let answers = [
        Answer::Status(503, "retry-after: 0\r\n".to_owned()),
        Answer::Cut(package.clone(), 700),
        Answer::status(500),
        Answer::File(package.clone()),
    ];
    let server = PackageServer::start(&authority, answers).await;

    let host = fetching(&server, &authority).with_guest().env("PACKAGE_SHA256", digest(&package)).start().await;

    assert_eq!(host.get("/x").await.status, 200);
    let asked = server.requests();
    assert_eq!(asked.len(), 4);
    assert_eq!((asked[0].field("range"), asked[1].field("range")), (None, None));
    // A reset may overtake bytes that were sent before it, so that fewer of them are here.
    let from = asked[3].field("range").map(str::to_owned);
    assert_eq!(from.is_some(), asked[3].field("if-range").is_some());
    assert_eq!(host.events("Fetch attempt failed").len(), 3);
    assert_eq!(host.wait_for_event("Package downloaded successfully").await.detail("attempts"), 4);
}

/// A server that cannot resume, or will not say what version it gives, is asked for the whole.
#[tokio::test]
async fn a_server_without_ranges_is_asked_for_the_whole_again() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let short = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\nPK", package.len());
    let answers = [Answer::Raw(short.into_bytes()), Answer::Cut(package.clone(), 9), Answer::Whole(package.clone())];
    let server = PackageServer::start(&authority, answers).await;

    let host = fetching(&server, &authority).with_guest().env("PACKAGE_SHA256", digest(&package)).start().await;

    assert_eq!(host.get("/x").await.status, 200);
    assert_eq!(server.requests().len(), 3);
}

/// Hostile 15: a server that is never there is given up, after pauses that grow.
#[tokio::test]
async fn a_server_that_never_answers_well_is_given_up() {
    for answer in [
        Answer::status(503),
        Answer::Status(429, "retry-after: 1\r\n".to_owned()),
        Answer::Cut(vec![0; 100], 50),
        Answer::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
    ] {
        let (line, asked) = answered([answer]).await;

        assert_eq!(asked, 4, "{}", line.text);
        assert!(line.text_of("error").contains("no success after 4 attempt(s)"), "{}", line.text);
    }
}

/// R052, hostile 16: what is forbidden or not there is not asked for again.
#[tokio::test]
async fn what_is_not_given_is_asked_for_once() {
    for status in [400, 401, 403, 404, 410] {
        let (line, asked) = answered([Answer::status(status)]).await;

        assert_eq!(asked, 1, "{status}");
        assert!(line.text_of("error").contains(&format!("the server answered {status}")), "{}", line.text);
    }
}

/// R045, R052, R132, hostile 12: silence ends an attempt, and trickling ends the whole.
#[tokio::test]
async fn a_server_that_is_silent_or_trickles_runs_into_a_limit() {
    let authority = Authority::new();
    let server = PackageServer::start(&authority, [Answer::Silent]).await;
    let (line, _) = refused(fetching(&server, &authority).env("FETCH_IDLE_TIMEOUT_SEC", "1")).await;
    assert!(line.text_of("error").contains("no success after 4 attempt(s)"), "{}", line.text);
    assert_eq!(server.connections(), 4);

    let server = PackageServer::start(&authority, [Answer::Trickle(vec![7; 1 << 20])]).await;
    let (line, _) = refused(fetching(&server, &authority).env("FETCH_TIMEOUT_SEC", "1.5")).await;
    assert!(line.text_of("error").contains("not here after 1.5 s (`FETCH_TIMEOUT_SEC`)"), "{}", line.text);
    assert!(server.connections() <= 1);
}

/// R044, R127, R202, hostile 10, 11: too much is too much, whatever the server announced.
#[tokio::test]
async fn a_package_over_the_limit_is_cut_off_whatever_was_announced() {
    let authority = Authority::new();
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nPK";
    let server = PackageServer::start(&authority, [Answer::Raw(announced.into())]).await;
    let (line, _) = refused(fetching(&server, &authority)).await;
    assert!(line.text_of("error").contains("has 99999999999 bytes"), "{}", line.text);
    assert_eq!(server.requests().len(), 1);

    let server = PackageServer::start(&authority, [Answer::Endless]).await;
    let (line, _) = refused(fetching(&server, &authority).env("MAX_PACKAGE_SIZE_MB", "1")).await;
    assert!(
        line.text_of("error").contains("has more than the 1048576 bytes of `MAX_PACKAGE_SIZE_MB`"),
        "{}",
        line.text
    );
    assert!(line.text_of("hint").contains("MAX_PACKAGE_SIZE_MB"), "{}", line.text);
    assert_eq!(server.requests().len(), 1);
}

/// Hostile 10: bytes beyond an announced end are no part of the package.
#[tokio::test]
async fn bytes_beyond_the_announced_end_are_not_taken() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", package.len());
    let raw = [head.as_bytes(), &package, &[7; 4096]].concat();
    let server = PackageServer::start(&authority, [Answer::Raw(raw)]).await;

    let host = fetching(&server, &authority).with_guest().env("PACKAGE_SHA256", digest(&package)).start().await;

    assert_eq!(host.get("/x").await.status, 200);
}

/// Hostile 13: packages are taken as they are; nothing is decoded on the way.
#[tokio::test]
async fn a_package_that_comes_encoded_is_refused() {
    let raw = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nPK";

    let (line, asked) = answered([Answer::Raw(raw.into())]).await;

    assert!(line.text_of("error").contains("the server sends it as `gzip`"), "{}", line.text);
    assert_eq!(asked, 1);
}

/// R046, R126, R201, R234, hostile 14: another digest is refused before anything opens the file.
#[tokio::test]
async fn a_package_with_another_digest_is_refused_unopened() {
    let (authority, package) = (Authority::new(), b"not even an archive".to_vec());
    let server = PackageServer::start(&authority, [Answer::File(package.clone())]).await;

    let (line, host) = refused(fetching(&server, &authority).env("PACKAGE_SHA256", "0".repeat(64))).await;

    let error = line.text_of("error");
    assert!(error.contains(&"0".repeat(64)) && error.contains(&digest(&package)), "{error}");
    assert_eq!(line.text_of("phase"), "download");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(host.events("SHA256 validation enabled").len(), 1);
}

/// Hostile 14: a digest that is none is a mistake of the configuration.
#[tokio::test]
async fn a_digest_that_is_none_is_refused_before_anything_is_asked() {
    let authority = Authority::new();
    let server = PackageServer::start(&authority, [Answer::File(b"PK".to_vec())]).await;

    for value in ["abc", &"0".repeat(63), &"g".repeat(64)] {
        let host = fetching(&server, &authority).env("PACKAGE_SHA256", value).refused().await;
        assert_eq!(host.events("Configuration validation error").len(), 1);
    }

    assert_eq!(server.connections(), 0);
}

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

/// Hostile 20: a cache directory nothing can be written to.
#[tokio::test]
async fn a_cache_that_cannot_be_written_is_a_typed_error() {
    let authority = Authority::new();
    let server = PackageServer::start(&authority, [Answer::File(b"PK".to_vec())]).await;
    let setup = fetching(&server, &authority);
    fs_err::create_dir_all(setup.directory().join("cache")).unwrap();
    fs_err::write(setup.directory().join("cache/packages"), "a file in its place").unwrap();
    private(&setup.directory().join("cache"));

    let host = setup.refused().await;

    let line = host.wait_for_event("Boot failed").await;
    assert!(
        line.text_of("error").contains("cannot write package `stdlib.apkg` to the cache directory"),
        "{}",
        line.text
    );
    assert_eq!(server.connections(), 0);
}

/// R127: `par check` looks at a package of another machine as a start would, and within the same size.
#[tokio::test]
async fn a_package_of_another_machine_can_be_checked() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let server = PackageServer::start(&authority, [Answer::Whole(package.clone())]).await;
    let check = |megabytes: &str, digest: String| {
        let host = TestHost::bare().for_people().args(["check".to_owned(), server.url("/a.apkg")]);
        let host = host.env("SSL_CERT_FILE", authority.file()).env("PACKAGE_INTERNAL_HOSTS", "localhost");
        host.env("MAX_PACKAGE_SIZE_MB", megabytes).env("PACKAGE_SHA256", digest).spawn()
    };

    let mut checked = check("1", digest(&package));
    assert_eq!(checked.wait_exit().await, 0, "{}", checked.standard_error().await);
    assert!(checked.violations().join("\n").contains("surfaces"));

    let mut other = check("1", "0".repeat(64));
    assert_eq!(other.wait_exit().await, 1);
    assert!(other.standard_error().await.contains("digest mismatch"));
}

/// Bytes that do not get smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[4]
    };
    (0..bytes).map(|_| next()).collect()
}

/// R127: what a command accepts is what a start accepts.
#[tokio::test]
async fn the_size_of_a_checked_package_is_the_operators() {
    let large = Package::example("stdlib").file("noise", noise(2 << 20));
    let check = |megabytes: &str| {
        let host = TestHost::archive(&large);
        let path = host.package().to_owned();
        host.for_people().args(["check".into(), path.into_os_string()]).env("MAX_PACKAGE_SIZE_MB", megabytes).spawn()
    };

    let mut accepted = check("3");
    assert_eq!(accepted.wait_exit().await, 0, "{}", accepted.standard_error().await);

    let mut refused = check("1");
    assert_eq!(refused.wait_exit().await, 1);
    assert!(refused.standard_error().await.contains("larger than 1 MiB"));
}
