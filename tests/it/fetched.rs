//! What the tests of fetching share.

use std::path::Path;

use par_tests::{Answer, Authority, Line, Package, PackageServer, RunningHost, TestHost};
use sha2::{Digest as _, Sha256};

/// Where packages are kept, below the directory of a test.
pub(super) const CACHE: &str = "cache/packages/sha256";

/// A package as the bytes of its archive.
pub(super) fn archive(package: &Package) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    fs_err::read(package.write_archive(directory.path())).unwrap()
}

/// The digest of some bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What lies in a directory, which need not exist.
pub(super) fn leftovers(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Starts what must be refused: exit 1, the last line of the boot, and nothing left behind.
pub(super) async fn refused(setup: TestHost) -> (Line, RunningHost) {
    let mut host = setup.spawn();
    assert_eq!(host.wait_exit().await, 1, "{}", host.log_text());
    assert!(host.events("Runtime ready").is_empty());
    assert_eq!(host.events("Failed to download package").len(), 1, "{}", host.log_text());
    let line = host.wait_for_event("Boot failed").await;
    let root = host.setup().directory();
    for directory in [CACHE, "tmp"] {
        assert_eq!(leftovers(&root.join(directory)), Vec::<String>::new(), "{}", line.text);
    }
    (line, host)
}

/// A host that fetches from `server`, which the operator named and whose authority it trusts.
pub(super) fn fetching(server: &PackageServer, authority: &Authority) -> TestHost {
    trusting(&server.url("/agents/stdlib.apkg"), authority)
}

/// The same, from this URL.
pub(super) fn trusting(url: &str, authority: &Authority) -> TestHost {
    TestHost::fetching(url).env("SSL_CERT_FILE", authority.file()).env("PACKAGE_INTERNAL_HOSTS", "localhost")
}

/// Why a package was refused that a server answers so, and how often the server was asked.
pub(super) async fn answered(answers: impl Into<Vec<Answer>>) -> (Line, usize) {
    let authority = Authority::new();
    let server = PackageServer::start(&authority, answers).await;
    let (line, _) = refused(fetching(&server, &authority)).await;
    (line, server.requests().len())
}
