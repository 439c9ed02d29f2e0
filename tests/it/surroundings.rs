//! Machines as they are not meant to be: no temporary directory, a root that is read-only, a user nobody knows, a clock
//! that was wrong.

use std::path::Path;
use std::time::{Duration, SystemTime};

use par_tests::{Package, PackageIndex, TestHost};

use crate::dependencies::{agent, served, thing};
use crate::fetched::leftovers;
use crate::native::files;
use crate::sharing::kept;

/// Hostile 181: without a directory for temporary files there is no start, and the reason names it.
#[tokio::test]
async fn without_a_temporary_directory_there_is_no_start() {
    let example = Package::example("stdlib");
    for place in ["/nowhere/tmp", "/proc"] {
        let host = TestHost::archive(&example).env("TMPDIR", place).refused().await;

        let failed = host.wait_for_event("Boot failed").await;
        let said = format!("cannot use `{place}` as the temporary directory: ");
        assert!(failed.text_of("error").starts_with(&said), "{}", failed.text);
        assert_eq!(failed.text_of("class"), "machine");
        assert_eq!(failed.text_of("hint"), "set `TMPDIR` to a directory PAR may write to");
        assert!(host.events("Runtime ready").is_empty());
        assert_eq!(leftovers(&host.setup().directory().join("cache/deps")), Vec::<String>::new());
    }

    let host = TestHost::archive(&example).start().await;
    assert_eq!(host.get("/x").await.status, 200);
}

/// Hostile 181: a user without a name and without a home, on a machine where nothing can be written but the cache and the
/// temporary directory, starts, installs and serves; without the latter there is no start.
#[tokio::test]
async fn a_user_without_a_name_serves_from_a_read_only_root() {
    let index = PackageIndex::start([thing()]).await;
    let setup = || {
        let host = TestHost::archive(&agent()).env("PAR_INDEX_URL", index.url()).unset("HOME");
        host.on_a_read_only_root()
    };

    let mut host = setup().start().await;
    served(&host).await;
    host.wait_for_event("Dependencies compiled").await;
    assert_eq!(host.stop().await, 0);
    assert_eq!(leftovers(&host.setup().directory().join("tmp")), Vec::<String>::new());

    let refused = setup().unset("TMPDIR").refused().await;
    let failed = refused.wait_for_event("Boot failed").await;
    assert!(failed.text_of("error").starts_with("cannot use `/tmp` as the temporary directory: "), "{}", failed.text);
}

/// Gives everything below a directory another time.
fn all_from(directory: &Path, time: SystemTime) {
    for path in files(directory) {
        fs_err::File::options().write(true).open(&path).unwrap().file().set_modified(time).unwrap();
    }
}

/// Hostile 181: what an earlier start kept while the clock was a century ahead, or decades behind, is used as if the clock
/// had been right: nobody is asked, and nothing is taken for left over.
#[tokio::test]
async fn what_was_kept_while_the_clock_was_wrong_is_used() {
    let index = PackageIndex::start([thing()]).await;
    let cache = tempfile::tempdir().unwrap();
    let setup = || {
        let host = TestHost::archive(&agent()).env("PAR_INDEX_URL", index.url());
        host.env("PAR_CACHE_DIR", cache.path()).env("PAR_CACHE_LIMIT_MB", "1000")
    };
    let mut first = setup().start().await;
    first.wait_for_event("Dependencies compiled").await;
    assert_eq!(first.stop().await, 0);
    let (asked, left) = (index.hits(), kept(cache.path()));
    assert!(asked > 0);

    let year = Duration::from_secs(31_557_600);
    for time in [SystemTime::UNIX_EPOCH + 130 * year, SystemTime::UNIX_EPOCH + year] {
        all_from(cache.path(), time);

        let mut next = setup().env("PAR_UV", "/bin/false").start().await;

        served(&next).await;
        assert_eq!(next.stop().await, 0);
        assert_eq!((index.hits(), kept(cache.path())), (asked, left.clone()));
    }
}
