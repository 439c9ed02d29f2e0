//! Packages that come by `https`: from a real server, with TLS of an authority of the test.

use std::path::Path;

use par_tests::{Answer, Authority, Package, PackageIndex, PackageServer, RunningHost, TestHost};

use super::dependencies::{agent, thing};
use super::fetched::{CACHE, archive, digest, fetching, leftovers, refused, trusting};

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
