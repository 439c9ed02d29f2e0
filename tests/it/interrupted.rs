//! A signal in each phase of the boot ends the process with 0, with all it started, and leaves nothing the next boot
//! would stumble over. Fetching is in `killed.rs`; importing and the lifespan are in `termination.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use par_tests::{PATIENCE, Package, PackageIndex, Release, RunningHost, TestHost};
use serde_json::json;

use crate::compiled::untrusted;
use crate::dependencies::{agent, layers, served, thing};
use crate::fetched::leftovers;
use crate::native;

/// Processes a process has started, and they in turn: each with the time of its start, because numbers come again.
fn descendants(of: u32) -> BTreeSet<(u32, String)> {
    let all: Vec<(u32, u32, String)> = fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let (parent, begun) = status(id)?;
            Some((id, parent, begun))
        })
        .collect();
    let mut found = BTreeSet::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for (id, _, begun) in all.iter().filter(|(_, of, _)| *of == parent) {
            parents.push(*id);
            found.insert((*id, begun.clone()));
        }
    }
    found
}

/// The parent of a process that runs, and when it began; `None` of one that has ended.
fn status(id: u32) -> Option<(u32, String)> {
    let text = fs_err::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    (!["Z", "X"].contains(&fields[0])).then(|| Some((fields[1].parse().ok()?, fields[19].to_owned())))?
}

/// Waits until processes have ended; who was killed need not be reaped yet.
async fn ended(processes: &BTreeSet<(u32, String)>) {
    let all_ended = async {
        while processes.iter().any(|(id, begun)| status(*id).is_some_and(|(_, now)| now == *begun)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_ended).await.expect("what was started ends with the one that started it");
}

/// Sends the signal, and looks at what is left.
async fn ends_cleanly(mut host: RunningHost, starts_processes: bool) {
    let started = descendants(host.id());
    assert_eq!(!started.is_empty(), starts_processes, "{started:?}");

    assert_eq!(host.stop().await, 0, "{}", host.log_text());

    ended(&started).await;
    assert!(host.events("Runtime ready").is_empty());
    assert_eq!(host.events("Runtime shutdown complete").len(), 1);
    assert_eq!(leftovers(&host.setup().directory().join("tmp")), Vec::<String>::new());
    assert_eq!(host.standard_error().await, "");
}

/// Below a cache, but for what the resolver keeps for itself: files that are no lock, by path.
fn kept(cache: &Path) -> BTreeSet<PathBuf> {
    let all = native::files(cache).into_iter().map(|path| path.strip_prefix(cache).unwrap().to_owned());
    all.filter(|path| !path.starts_with("uv") && !path.starts_with("boots")).collect()
}

/// Hostile 176: a signal while versions are resolved, wheels are fetched, or a source distribution is built in the sandbox.
#[tokio::test]
async fn a_signal_while_dependencies_are_installed_leaves_nothing_behind() {
    let large: String = (0..20_000_u32).map(|n| format!("v{n} = {}\n", n.wrapping_mul(2_654_435_761))).collect();
    let large = Release::wheel("thing", "1.0", &[("thing/large.py", &large)]);
    let endless =
        Release::source("thing", "1.0", &[("setup.py", "print('building on', flush=True)\nwhile True: pass\n")]);
    let points = [
        ("Resolving dependencies", thing(), true),
        ("Download progress", large, false),
        ("Building in the sandbox", endless, false),
    ];
    for (point, release, silent) in points {
        let index = PackageIndex::start([release]).await;
        index.be_silent(silent);
        index.hold_back(true);
        let cache = tempfile::tempdir().unwrap();
        let setup = |index: &PackageIndex| {
            TestHost::agent(&agent())
                .env("PAR_INDEX_URL", index.url())
                .env("PAR_BUILD_FROM_SOURCE", "in_sandbox")
                .env("PAR_CACHE_DIR", cache.path())
        };
        let host = setup(&index).spawn();
        host.wait_for_event(point).await;
        if silent {
            index.asked(1).await;
        }

        ends_cleanly(host, silent).await;

        assert_eq!(kept(cache.path()), [PathBuf::from("deps/.gate")].into(), "{point}");
        let index = PackageIndex::start([thing()]).await;
        let mut next = setup(&index).start().await;
        served(&next).await;
        next.wait_for_event("Dependencies compiled").await;
        assert_eq!(next.stop().await, 0);
        assert_eq!(layers(cache.path()).len(), 1, "{point}");
    }
}

/// Hostile 176: a signal while PAR compiles the guest for this machine keeps no half of it.
#[tokio::test]
async fn a_signal_while_the_guest_is_compiled_leaves_nothing_behind() {
    let (guest, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    untrusted(guest.path());
    let setup = || TestHost::agent(&Package::example("stdlib")).env("PAR_CACHE_DIR", cache.path());
    let host = setup().env("PAR_GUEST_DIR", guest.path()).spawn();
    host.wait_for_event("Compiling the guest").await;

    ends_cleanly(host, false).await;

    assert_eq!(leftovers(&cache.path().join("compiled")), Vec::<String>::new());
    let mut next = setup().start().await;
    assert_eq!(next.get("/x").await.status, 200);
    assert_eq!(next.stop().await, 0);
}

/// Hostile 176: outside the sandbox as well: a signal while the venv is made, or while a process of the agent imports it.
#[tokio::test]
async fn a_signal_while_a_native_agent_starts_ends_all_of_its_processes() {
    let index = PackageIndex::start([native::fast()]).await;
    let cache = tempfile::tempdir().unwrap();
    let setup = |package: &Package| {
        TestHost::agent(package)
            .env("PAR_POLICY", "version: 1\nnative: allow\n")
            .env("PAR_INDEX_URL", index.url())
            .env("PAR_CACHE_DIR", cache.path())
    };
    let importing = "print('importing on', flush=True)\nimport time\ntime.sleep(3600)\n";

    index.be_silent(true);
    let host = setup(&native::agent().native()).spawn();
    index.asked(1).await;
    ends_cleanly(host, true).await;
    assert_eq!(native::venvs(cache.path()), Vec::<String>::new());

    index.be_silent(false);
    let host = setup(&native::agent().native().file("main.py", importing)).spawn();
    host.wait_for_agent("importing on").await;
    ends_cleanly(host, true).await;

    let mut next = setup(&native::agent().native()).start().await;
    assert_eq!(next.get("/fast").await.json(), json!(42));
    assert_eq!(native::venvs(cache.path()).len(), 1);
    assert_eq!(next.stop().await, 0);
}
