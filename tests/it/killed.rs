//! The process is killed at any point of its start; the next start is clean and right.

use std::path::Path;
use std::time::Duration;

use par_tests::{Answer, Authority, Package, PackageServer, TestHost};
use rustix::process::Signal;

use super::fetched::{CACHE, archive, digest, leftovers};

/// How often.
const KILLS: u64 = 20;

/// Longest time until the kill: a bit more than the start takes with the slow server.
const LONGEST_MS: u64 = 600;

/// Points in time that differ from test to test, and are the same in each run of one process.
pub(crate) fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// R132, hostile 38, 185: killed while it fetches, checks, keeps or unpacks a package.
#[tokio::test]
async fn a_start_after_a_kill_is_clean_and_right() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let place = tempfile::tempdir().unwrap();
    let (cache, scratch) = (place.path().join("cache"), place.path().join("tmp"));
    fs_err::create_dir(&scratch).unwrap();
    let host = |server: &PackageServer| {
        TestHost::fetching(&server.url("/a.apkg"))
            .with_guest()
            .env("SSL_CERT_FILE", authority.file())
            .env("PACKAGE_INTERNAL_HOSTS", "localhost")
            .env("PACKAGE_SHA256", digest(&package))
            .env("PAR_CACHE_DIR", &cache)
            .env("TMPDIR", &scratch)
    };
    let mut seed = u64::from(std::process::id()) | 1 << 40;
    for round in 0..KILLS {
        // The package comes in three pieces with pauses, so that most kills fall into it.
        let slow = PackageServer::start(&authority, [Answer::Slow(package.clone())]).await;
        let killed = host(&slow).spawn();
        let after = Duration::from_millis(random(&mut seed) % LONGEST_MS);
        tokio::time::sleep(after).await;
        killed.signal(Signal::KILL);
        killed.gone().await;

        let quick = PackageServer::start(&authority, [Answer::File(package.clone())]).await;
        let mut next = host(&quick).start().await;

        assert_eq!(next.get("/x").await.status, 200, "round {round}, killed after {after:?}");
        assert_eq!(leftovers(&scratch).len(), 1, "what this start unpacked, and nothing else");
        if quick.requests().len() == 1 {
            next.wait_for_event("Package kept for the next start").await;
        }
        assert_eq!(kept(&cache), [digest(&package)], "round {round}, killed after {after:?}");
        assert_eq!(next.stop().await, 0);
        assert_eq!(leftovers(&scratch), Vec::<String>::new());
        fs_err::remove_file(cache.join("packages/sha256").join(digest(&package))).unwrap();
    }
}

fn kept(cache: &Path) -> Vec<String> {
    leftovers(&cache.join(CACHE.strip_prefix("cache/").unwrap()))
}

/// Hostile 176: a signal while the package comes ends the process and leaves nothing.
#[tokio::test]
async fn a_signal_during_the_fetch_leaves_nothing_behind() {
    let authority = Authority::new();
    let server = PackageServer::start(&authority, [Answer::Trickle(vec![7; 1 << 16])]).await;
    let host = TestHost::fetching(&server.url("/a.apkg")).env("SSL_CERT_FILE", authority.file());
    let host = host.env("PACKAGE_INTERNAL_HOSTS", "localhost").env("PACKAGE_SHA256", "0".repeat(64));
    let mut host = host.spawn();
    host.wait_for_event("Downloading package").await;

    assert_eq!(host.stop().await, 0);

    assert_eq!(leftovers(&host.setup().directory().join(CACHE)), Vec::<String>::new());
    assert_eq!(leftovers(&host.setup().directory().join("tmp")), Vec::<String>::new());
}
