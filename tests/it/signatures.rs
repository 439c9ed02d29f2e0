//! Packages that must be signed.

use std::path::PathBuf;

use par_tests::{Answer, Authority, Line, Package, PackageServer, RunningHost, TestHost, repository};

use super::fetched::{digest, refused};

fn fixture(name: &str) -> Vec<u8> {
    fs_err::read(repository().join("tests/signed").join(name)).unwrap()
}

/// A public key, as it is set.
fn key(name: &str) -> String {
    String::from_utf8(fixture(name)).unwrap().lines().last().unwrap().to_owned()
}

fn signature() -> String {
    String::from_utf8(fixture("probe-1.0.apkg.minisig")).unwrap()
}

async fn served(host: &RunningHost) {
    assert_eq!(host.get("/x").await.text(), "signed");
    let verified = host.wait_for_event("Package signature verified").await;
    assert_eq!(verified.text_of("comment"), "probe 1.0");
}

/// A package of this machine in a directory of its own, with what lies beside it.
fn local(setup: TestHost, package: &[u8], beside: Option<&str>) -> TestHost {
    let path: PathBuf = setup.directory().join("packages/probe-1.0.apkg");
    fs_err::write(&path, package).unwrap();
    if let Some(beside) = beside {
        fs_err::write(setup.directory().join("packages/probe-1.0.apkg.minisig"), beside).unwrap();
    }
    setup.env("AGENT_PACKAGE_PATH", path)
}

async fn refused_locally(setup: TestHost) -> Line {
    let host = setup.refused().await;
    assert_eq!(host.events("Boot phase completed").len(), 0, "nothing is unpacked");
    host.wait_for_event("Boot failed").await
}

/// R225: a package signed by one of the trusted keys is run, with the signature beside it or given.
#[tokio::test]
async fn a_signed_package_is_run() {
    let package = fixture("probe-1.0.apkg");
    let keys = format!("{}, {}", key("other.pub"), key("key.pub"));

    let beside = local(TestHost::bare(), &package, Some(&signature())).with_guest();
    served(&beside.env("PACKAGE_TRUSTED_KEYS", &keys).start().await).await;

    let given = local(TestHost::bare(), &package, None).with_guest().env("PACKAGE_SIGNATURE", signature());
    served(&given.env("PACKAGE_TRUSTED_KEYS", &keys).start().await).await;
}

/// R225: without a signature, with one of another key, or of other bytes, nothing is unpacked.
#[tokio::test]
async fn a_package_that_no_trusted_key_signed_is_refused() {
    let (package, signed) = (fixture("probe-1.0.apkg"), signature());
    let mut changed = package.clone();
    changed[60] ^= 1;

    for (package, beside, trusted, error) in [
        (
            &package,
            None,
            "key.pub",
            "`probe-1.0.apkg` is not signed: there is no signature at `probe-1.0.apkg.minisig`",
        ),
        (&package, Some(signed.as_str()), "other.pub", "the signature was made with another key"),
        (&package, Some("not a signature"), "key.pub", "the signature is not one of minisign"),
        (&changed, Some(signed.as_str()), "key.pub", "the signature is of other bytes"),
    ] {
        let setup = local(TestHost::bare(), package, beside).env("PACKAGE_TRUSTED_KEYS", key(trusted));

        let line = refused_locally(setup).await;

        assert!(line.text_of("error").contains(error), "{}", line.text);
    }
    let directory = TestHost::agent(&Package::example("stdlib")).env("PACKAGE_TRUSTED_KEYS", key("key.pub"));
    let line = refused_locally(directory).await;
    assert!(line.text_of("error").contains("is not signed"), "{}", line.text);
}

/// R225: the signature of a package that is fetched lies beside it, and is kept with it.
#[tokio::test]
async fn the_signature_of_a_fetched_package_is_fetched_and_kept() {
    let (authority, package) = (Authority::new(), fixture("probe-1.0.apkg"));
    let answers = [Answer::File(signature().into_bytes()), Answer::File(package.clone())];
    let server = PackageServer::start(&authority, answers).await;
    let cache = tempfile::tempdir().unwrap();
    let host = || {
        TestHost::fetching(&server.url("/probe.apkg?token=5ec4e7"))
            .with_guest()
            .env("SSL_CERT_FILE", authority.file())
            .env("PACKAGE_INTERNAL_HOSTS", "localhost")
            .env("PACKAGE_TRUSTED_KEYS", key("key.pub"))
            .env("PACKAGE_SHA256", digest(&package))
            .env("PAR_CACHE_DIR", cache.path())
    };

    let mut first = host().start().await;
    served(&first).await;
    first.wait_for_event("Package kept for the next start").await;
    first.stop().await;
    let asked = server.requests();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].line(), "GET /probe.apkg.minisig?token=5ec4e7 HTTP/1.1");

    served(&host().start().await).await;
    assert_eq!(server.requests().len(), 2);
}

/// R225: a fetched package that no trusted key signed is refused, and is not kept.
#[tokio::test]
async fn a_fetched_package_that_no_trusted_key_signed_is_refused() {
    let (authority, package) = (Authority::new(), fixture("probe-1.0.apkg"));
    for (answers, error, asked) in [
        (vec![Answer::status(404)], "is not signed: there is no signature at", 1),
        (vec![Answer::Endless], "is not signed: there is no signature at", 1),
        (vec![Answer::Whole(signature().into_bytes()), Answer::Whole(b"other".to_vec())], "is of other bytes", 2),
    ] {
        let server = PackageServer::start(&authority, answers).await;
        let setup = TestHost::fetching(&server.url("/probe.apkg"))
            .env("SSL_CERT_FILE", authority.file())
            .env("PACKAGE_INTERNAL_HOSTS", "localhost")
            .env("PACKAGE_TRUSTED_KEYS", key("key.pub"));
        let demanded = if asked == 2 { digest(b"other") } else { digest(&package) };

        let (line, _) = refused(setup.env("PACKAGE_SHA256", demanded)).await;

        assert!(line.text_of("error").contains(error), "{}", line.text);
        assert_eq!(server.requests().len(), asked);
    }
}

/// A signature without a key to trust, and keys that are none, are mistakes.
#[tokio::test]
async fn keys_that_are_none_are_mistakes() {
    for (variable, value) in [("PACKAGE_TRUSTED_KEYS", "RWQ"), ("PACKAGE_SIGNATURE", "untrusted comment: x")] {
        let host = TestHost::bare().env(variable, value).refused().await;

        let line = host.wait_for_event("Configuration validation error").await;
        assert_eq!(line.text_of("variable"), "PACKAGE_TRUSTED_KEYS", "{}", line.text);
    }
}
