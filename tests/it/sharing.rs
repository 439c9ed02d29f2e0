//! Two processes with one cache directory, as two tasks on one machine with one volume have it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use par_tests::{
    Answer, Authority, Line, PATIENCE, Package, PackageIndex, PackageServer, Release, RunningHost, TestHost,
};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::dependencies::{MAIN, is_compiled, served, thing};
use crate::fetched::{archive, digest, leftovers};
use crate::native::files;

/// Where packages are kept, below the cache.
const PACKAGES: &str = "packages/sha256";

/// What both need, and where it comes from.
struct Sources {
    authority: Authority,
    index: PackageIndex,
    package: Vec<u8>,
}

impl Sources {
    /// A package with three dependencies. One of them is large enough for its fetching to be told.
    async fn new() -> Self {
        let large: String = (0..20_000_u32).map(|n| format!("v{n} = {}\n", n.wrapping_mul(2_654_435_761))).collect();
        let large = Release::wheel("large", "1.0", &[("large.py", &large)]);
        let more = Release::wheel("more", "1.0", &[("more/__init__.py", "")]);
        let index = PackageIndex::start([thing(), large, more]).await;
        let package = archive(&Package::asgi(MAIN).file("requirements.txt", "thing\nlarge\nmore\n"));
        Self { authority: Authority::new(), index, package }
    }

    async fn server(&self) -> PackageServer {
        PackageServer::start(&self.authority, [Answer::File(self.package.clone()), Answer::File(self.package.clone())])
            .await
    }

    fn setup(&self, server: &PackageServer, cache: &Path) -> TestHost {
        TestHost::fetching(&server.url("/a.apkg"))
            .with_guest()
            .installing()
            .env("SSL_CERT_FILE", self.authority.file())
            .env("PACKAGE_INTERNAL_HOSTS", "localhost")
            .env("PACKAGE_SHA256", digest(&self.package))
            .env("PAR_INDEX_URL", self.index.url())
            .env("PAR_CACHE_DIR", cache)
    }

    /// What one process leaves in a cache of its own.
    async fn left_by_one(&self) -> BTreeSet<PathBuf> {
        let (cache, server) = (tempfile::tempdir().unwrap(), self.server().await);
        let mut alone = self.setup(&server, cache.path()).start().await;
        alone.wait_for_event("Dependencies compiled").await;
        alone.wait_for_event("Package kept for the next start").await;
        assert_eq!(alone.stop().await, 0);
        kept(cache.path())
    }
}

/// What lies in a cache, but for what the resolver keeps for itself.
pub(crate) fn kept(cache: &Path) -> BTreeSet<PathBuf> {
    let all = files(cache).into_iter().map(|path| path.strip_prefix(cache).unwrap().to_owned());
    // Who is up for long trims the cache.
    all.filter(|path| !path.starts_with("uv") && path != Path::new(".trimming")).collect()
}

async fn ends(mut host: RunningHost) {
    served(&host).await;
    assert_eq!(host.stop().await, 0);
    assert_eq!(leftovers(&host.setup().directory().join("tmp")), Vec::<String>::new());
}

/// Waits until the package is kept and its dependencies are compiled, whoever of the two does that.
async fn settled(cache: &Path) {
    let settled = async {
        while !is_compiled(cache) || leftovers(&cache.join(PACKAGES)).len() != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, settled).await.expect("somebody keeps and compiles");
}

/// Hostile 186: two processes that start at the same moment with one empty cache fetch and install the same: both get
/// ready and answer, and the cache has what one alone would have left there.
#[tokio::test]
async fn two_that_start_at_once_with_one_cache_both_serve() {
    let sources = Sources::new().await;
    let expected = sources.left_by_one().await;
    let (cache, server) = (tempfile::tempdir().unwrap(), sources.server().await);

    let (one, other) = (sources.setup(&server, cache.path()).spawn(), sources.setup(&server, cache.path()).spawn());
    tokio::join!(one.ready(), other.ready());

    served(&one).await;
    served(&other).await;
    settled(cache.path()).await;
    ends(one).await;
    ends(other).await;
    let left = kept(cache.path());
    assert_eq!(left, expected, "{:?}", left.symmetric_difference(&expected));
}

/// Hostile 185, 186: one of the two is killed while it fetches wheels, and the other gets ready with a right cache.
#[tokio::test]
async fn one_that_is_killed_does_not_hold_up_the_other() {
    let sources = Sources::new().await;
    let expected = sources.left_by_one().await;
    let (cache, server) = (tempfile::tempdir().unwrap(), sources.server().await);
    sources.index.hold_back(true);

    let (one, other) = (sources.setup(&server, cache.path()).spawn(), sources.setup(&server, cache.path()).spawn());
    let fetches = |line: &Line| line.event() == "Download progress" && line.text_of("what") == "wheels";
    let first = tokio::select! {
        _ = one.wait_for("its wheels", fetches) => true,
        _ = other.wait_for("its wheels", fetches) => false,
    };
    let (victim, survivor) = if first { (one, other) } else { (other, one) };
    assert!(victim.events("Runtime ready").is_empty() && survivor.events("Runtime ready").is_empty());
    victim.signal(Signal::KILL);
    victim.gone().await;
    sources.index.hold_back(false);

    survivor.ready().await;
    served(&survivor).await;
    settled(cache.path()).await;
    ends(survivor).await;
    let left = kept(cache.path());
    assert_eq!(left, expected, "{:?}", left.symmetric_difference(&expected));
}
