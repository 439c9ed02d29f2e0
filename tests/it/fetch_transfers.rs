//! Transfers by `https` that break off, stall, or bring more or other than was announced.

use par_tests::{Answer, Authority, Package, PackageServer};

use super::fetched::{answered, archive, digest, fetching, refused};

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
