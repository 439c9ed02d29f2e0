//! What an agent requires, from an index of the test's own to an import in the sandbox.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use par_tests::{Package, PackageIndex, Release, RunningHost, TestHost};

use crate::killed::random;

/// Processes that are killed at a time.
const AT_ONCE: usize = 4;

/// Says what `thing` is and where it comes from.
pub(crate) const MAIN: &str = "
import json, thing
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    body = json.dumps({'answer': thing.answer, 'file': thing.__file__, 'cached': thing.__spec__.cached})
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': body.encode()})
";

pub(crate) fn thing() -> Release {
    Release::wheel("thing", "1.0", &[("thing/__init__.py", "answer = 42\n"), ("thing/more.py", "more = 1\n")])
}

pub(crate) fn agent() -> Package {
    Package::asgi(MAIN).file("requirements.txt", "thing\n")
}

/// Layers and what is unfinished, by name.
pub(crate) fn layers(cache: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(cache.join("deps")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "index" && name != ".gate").collect()
}

fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

/// Whether a layer has all of its bytecode.
pub(crate) fn is_compiled(cache: &Path) -> bool {
    let state = |layer: String| fs_err::read_to_string(cache.join("deps").join(layer).join(".bytecode"));
    layers(cache).into_iter().any(|layer| state(layer).is_ok_and(|state| state == "complete"))
}

pub(crate) async fn served(host: &RunningHost) {
    let reply = host.get("/x").await.json();
    assert_eq!(reply["answer"], 42, "{reply}");
    assert_eq!(reply["file"], "/deps/lib/python3.14/site-packages/thing/__init__.py");
}

/// R063, R064, R066, R068, R070: dependencies are installed below the cache directory and nowhere else, with
/// bytecode, and importable in the sandbox. A second start asks nobody and compiles nothing.
#[tokio::test]
async fn dependencies_are_installed_into_the_cache_and_imported_in_the_sandbox() {
    let index = PackageIndex::start([thing()]).await;
    let mut host = TestHost::agent(&agent()).env("PAR_INDEX_URL", index.url()).start().await;

    served(&host).await;
    let bytecode = host.get("/x").await.json()["cached"].as_str().unwrap().replace("/deps/", "");
    let cache = host.setup().directory().join("cache");
    // Nobody waits for the bytecode: it is there some time after the agent.
    assert_eq!(host.wait_for_event("Dependencies compiled").await.detail("compiled"), 2);
    let [layer] = layers(&cache).try_into().expect("one layer");
    assert!(cache.join("deps").join(layer).join(bytecode).is_file());
    assert_eq!(files(&host.setup().directory().join("home")), BTreeSet::new(), "nothing outside the cache");
    assert_eq!(host.stop().await, 0);

    let asked = index.hits();
    let again = TestHost::agent(&agent())
        .env("PAR_INDEX_URL", index.url())
        .env("PAR_CACHE_DIR", &cache)
        .env("PAR_UV", "/bin/false")
        .start()
        .await;
    served(&again).await;
    assert_eq!(index.hits(), asked);
    assert!(again.events("Compiling dependencies").is_empty());
}

/// While wheels are fetched, the log says now and then how far they are, and how fast they come.
#[tokio::test]
async fn the_log_says_how_far_the_wheels_are() {
    let large: String = (0..20_000_u32).map(|n| format!("v{n} = {}\n", n.wrapping_mul(2_654_435_761))).collect();
    let wheel = Release::wheel("thing", "1.0", &[("thing/__init__.py", "answer = 42\n"), ("thing/large.py", &large)]);
    let size = wheel.content().len();
    let index = PackageIndex::start([wheel]).await;
    index.hold_back(true);
    let host = TestHost::agent(&agent()).env("PAR_INDEX_URL", index.url()).spawn();

    let line = host.wait_for_event("Download progress").await;
    index.hold_back(false);

    assert_eq!((line.text_of("phase"), line.text_of("what")), ("install", "wheels"));
    assert_eq!(line.detail("total"), size);
    let here = line.detail("bytes").as_u64().unwrap();
    assert!(here > 0 && here < size as u64, "{}", line.text);
    assert!(line.detail("bytes_per_second").is_u64(), "{}", line.text);
    host.ready().await;
    served(&host).await;
    let installed = host.wait_for_event("Dependencies installed").await;
    assert_eq!(installed.detail("fetched_bytes"), size);
    assert!(installed.detail("fetched_bytes_per_second").as_u64().unwrap() > 0, "{}", installed.text);
}

/// Beyond its limit the cache is emptied of what nobody uses, what the resolver remembers included; an agent keeps what
/// it runs with, and the next start finds or makes what it needs.
#[tokio::test]
async fn a_cache_over_its_limit_keeps_what_is_in_use_and_nothing_else() {
    let index = PackageIndex::start([thing()]).await;
    let setup = || TestHost::agent(&agent()).env("PAR_INDEX_URL", index.url());
    let mut host = setup().env("PAR_CACHE_LIMIT_MB", "0").start().await;
    let cache = host.setup().directory().join("cache");

    let line = host.wait_for_event("Cache trimmed").await;

    // The wheel, what its requirement led to, what the resolver remembers; and a guest, where one was compiled.
    assert!(line.detail("entries").as_u64().unwrap() >= 3, "{}", line.text);
    for place in ["wheels/sha256", "wheels/names", "deps/index"] {
        assert_eq!(files(&cache.join(place)), BTreeSet::new(), "{place}");
    }
    assert!(!cache.join("uv").exists());
    assert_eq!(layers(&cache).len(), 1, "the layer is in use");
    served(&host).await;
    assert_eq!(host.stop().await, 0);

    let again = setup().env("PAR_CACHE_DIR", &cache).start().await;
    served(&again).await;
    assert!(cache.join("uv").exists());
}

/// R069, hostile 67, 68: bad requirements are an exit with the line; health is never 200 and nobody is asked.
#[tokio::test]
async fn a_requirement_that_is_not_acceptable_is_an_exit_and_asks_nobody() {
    let index = PackageIndex::start([thing()]).await;
    for line in [
        "--index-url http://elsewhere.example",
        "-r other.txt",
        "thing @ https://elsewhere.example/x.whl",
        "thing; os_name",
    ] {
        let package = agent().file("requirements.txt", format!("thing\n{line}\n"));
        let host = TestHost::agent(&package).env("PAR_INDEX_URL", index.url()).refused().await;

        let text = host.wait_for_event("Boot failed").await;
        assert!(text.text_of("error").contains("`requirements.txt` line 2"), "{}", text.text);
        assert!(host.events("Runtime ready").is_empty());
    }
    assert_eq!(index.hits(), 0);
}

/// R069, hostile 65: a name the operator's index does not have is asked for there and nowhere else.
#[tokio::test]
async fn a_name_the_index_does_not_have_is_an_exit_with_the_name() {
    let index = PackageIndex::start([thing()]).await;
    let package = agent().file("requirements.txt", "thing\ninternal-name\n");

    let host = TestHost::agent(&package).env("PAR_INDEX_URL", index.url()).refused().await;

    let line = host.wait_for_event("Boot failed").await;
    assert_eq!(line.text_of("error"), "agent `probe` needs `internal-name`, which the package index does not have");
}

/// R067, R071, hostile 69: a resolver that does not come back is stopped, and the exit is a controlled one.
#[tokio::test]
async fn installing_that_takes_too_long_is_a_controlled_exit() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/simple", silent.local_addr().unwrap());

    let host = TestHost::agent(&agent()).env("PAR_INDEX_URL", url).env("INSTALL_TIMEOUT_SEC", "1").refused().await;

    let line = host.wait_for_event("Boot failed").await;
    assert_eq!(line.text_of("error"), "installing the dependencies of agent `probe` timed out after 1 s");
    assert_eq!(layers(&host.setup().directory().join("cache")), Vec::<String>::new());
}

/// Hostile 59, 60, 61, 63, 70, 71: wheels that would run at start, replace a module, or are not what they say.
#[tokio::test]
async fn hostile_wheels_are_refused_by_name_before_anything_is_loaded() {
    let init = ("thing/__init__.py", "answer = 42\n");
    let cases = [
        (Release::wheel("thing", "1.0", &[init, ("sitecustomize.py", "")]), "sitecustomize.py"),
        (Release::wheel("thing", "1.0", &[init, ("json.py", "")]), "json.py"),
        (Release::wheel("thing", "1.0", &[init, ("par_guest/__init__.py", "")]), "par_guest"),
        (Release::wheel("thing", "1.0", &[init, ("thing/core.txt", "\u{7f}ELF\u{2}")]), "native code for Linux"),
        (Release::wheel("thing", "1.0", &[init, ("thing/secret.pyc", "bytecode")]), "bytecode without its source"),
        (Release::wheel("thing", "1.0", &[init, ("thing-1.0.data/stdlib/os.py", "")]), "no place of a virtual"),
    ];
    for (wheel, expected) in cases {
        let index = PackageIndex::start([wheel]).await;
        let host = TestHost::agent(&agent()).env("PAR_INDEX_URL", index.url()).refused().await;

        let line = host.wait_for_event("Boot failed").await;
        assert!(line.text_of("error").contains(expected), "{}", line.text);
        assert_eq!(layers(&host.setup().directory().join("cache")), Vec::<String>::new());
    }
    // Left out and said, not refused: nothing in the guest would run it.
    let index =
        PackageIndex::start([Release::wheel("thing", "1.0", &[init, ("thing.pth", "import os; os._exit(1)\n")])]).await;
    let host = TestHost::agent(&agent()).env("PAR_INDEX_URL", index.url()).start().await;
    served(&host).await;
    assert_eq!(host.wait_for_event("Dependency file left out").await.text_of("path"), "thing.pth");
}

/// What an agent is made of is its wheels, with the digests of their files; the same again for the same.
#[tokio::test]
async fn the_bill_of_an_agent_names_its_wheels() {
    let index = PackageIndex::start([thing()]).await;
    let setup = TestHost::agent(&agent()).env("PAR_INDEX_URL", index.url());
    let package = setup.package().to_owned();

    let said = setup.command(["sbom".as_ref(), package.as_os_str()]).await;
    let again = setup.command(["sbom".as_ref(), package.as_os_str()]).await;

    let bill = said.json();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let [component] = bill["components"].as_array().unwrap().as_slice() else { panic!("{bill:#}") };
    assert_eq!(component["purl"], "pkg:pypi/thing@1.0");
    assert_eq!(component["hashes"][0]["content"], thing().digest());
    assert_eq!(said.output, again.output);
}

/// Hostile 65, 66: with a lock a start needs neither resolver nor index, and comes to the tree of the lock wherever it
/// is: for another user, with another cache, temporary directory and umask. With one other byte in a wheel there is no start, and the wheel is named.
#[tokio::test]
async fn a_package_with_a_lock_starts_offline_and_not_with_another_byte() {
    let index = PackageIndex::start([thing()]).await;
    let setup = TestHost::agent(&agent()).env("PAR_INDEX_URL", index.url());
    let package = setup.package().to_owned();
    let mut locking = setup.umask("000").for_people().args(["lock".into(), package.clone().into_os_string()]).spawn();
    assert_eq!(locking.wait_exit().await, 0, "{}", locking.standard_error().await);
    let lock = fs_err::read_to_string(package.join("pylock.toml")).unwrap();
    assert!(lock.contains(&thing().digest()) && lock.contains("tree = \"sha256:"), "{lock}");

    let offline = |bytes: &[u8]| {
        let host = TestHost::agent(&agent().file("pylock.toml", lock.clone()));
        let wheelhouse = host.directory().join("wheelhouse");
        fs_err::create_dir(&wheelhouse).unwrap();
        fs_err::write(wheelhouse.join(thing().file()), bytes).unwrap();
        host.env("WHEELHOUSE_DIR", wheelhouse).env("WHEELHOUSE_OFFLINE", "true").env("PAR_UV", "/bin/false")
    };
    let asked = index.hits();
    for elsewhere in [|host: TestHost| host.umask("022"), TestHost::as_another_user] {
        let host = elsewhere(offline(thing().content())).start().await;
        served(&host).await;
        let tree = host.wait_for_event("Dependencies installed").await.text_of("tree").to_owned();
        assert!(lock.contains(&format!("tree = \"{tree}\"")), "{lock}\n{tree}");
        assert!(host.events("Package remark").is_empty(), "the tree is compared");
    }

    let mut altered = thing().content().to_vec();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    let refused = offline(&altered).refused().await;
    let line = refused.wait_for_event("Boot failed").await;
    assert!(line.text_of("error").starts_with("digest mismatch for `thing-1.0-py3-none-any.whl`"), "{}", line.text);
    assert_eq!(index.hits(), asked);
}

/// Hostile 185: killed at twenty random points of an installation, from the resolver to the compiling after the agent is
/// ready, the next start is clean and right every time.
#[tokio::test]
async fn a_process_killed_while_it_installs_leaves_nothing_that_is_wrong() {
    let text = "value = 'x' * 10\n".repeat(50);
    let many: Vec<Release> = (0..8)
        .map(|number| {
            let name = format!("part{number}");
            let files: Vec<(String, &str)> = (0..6).map(|file| (format!("{name}/m{file}.py"), text.as_str())).collect();
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
            Release::wheel(&name, "1.0", &files)
        })
        .collect();
    let requirements = (0..8).map(|number| format!("part{number}\n")).collect::<String>() + "thing\n";
    let index = PackageIndex::start(many.into_iter().chain([thing()])).await;
    let package = Package::asgi(MAIN).file("requirements.txt", requirements);
    let setup = |cache: &Path| TestHost::agent(&package).env("PAR_INDEX_URL", index.url()).env("PAR_CACHE_DIR", cache);
    let root = tempfile::tempdir().unwrap();
    let below = |cache: &Path| -> BTreeSet<PathBuf> {
        let found = files(&cache.join("deps")).into_iter();
        found.map(|path| path.strip_prefix(cache).unwrap().to_owned()).collect()
    };
    // As many at a time as below, so that the points are spread over what a start then takes.
    let whole = join_all((0..AT_ONCE).map(|number| {
        let cache = root.path().join(format!("whole-{number}"));
        let host = setup(&cache);
        async move {
            let started = std::time::Instant::now();
            let mut host = host.start().await;
            host.wait_for_event("Dependencies compiled").await;
            let took = started.elapsed();
            assert_eq!(host.stop().await, 0);
            (below(&cache), took)
        }
    }))
    .await;
    let (expected, took) = (&whole[0].0, whole.iter().map(|(_, took)| *took).max().unwrap());

    let mut seed = u64::from(std::process::id()) | 1 << 40;
    // One of each twentieth, wherever this is on this machine: the promise holds at every point.
    let points: Vec<Duration> = (0..20_u32)
        .map(|point| took * (point * 1000 + u32::try_from(random(&mut seed) % 1000).unwrap()) / 20_000)
        .collect();
    let killed = points.into_iter().enumerate().map(|(number, after)| {
        let cache = root.path().join(format!("killed-{number}"));
        let (victim, next) = (setup(&cache), setup(&cache));
        async move {
            let victim = victim.spawn();
            tokio::time::sleep(after).await;
            victim.kill().await;

            let was_compiled = is_compiled(&cache);
            let mut next = next.start().await;
            served(&next).await;
            if !was_compiled {
                next.wait_for_event("Dependencies compiled").await;
            }
            assert_eq!(next.stop().await, 0);
            assert_eq!(below(&cache), *expected, "killed after {after:?} of {took:?}");
            fs_err::remove_dir_all(&cache).unwrap();
        }
    });
    let points = stream::iter(killed).buffer_unordered(AT_ONCE).count().await;
    assert_eq!(points, 20);
}

/// Hostile 72: the resolver inherits nothing that could hold a secret.
#[tokio::test]
async fn the_resolver_sees_nothing_of_the_environment_of_the_process() {
    let index = PackageIndex::start([thing()]).await;
    let setup = TestHost::agent(&agent()).env("PAR_INDEX_URL", index.url());
    let seen = setup.directory().join("seen");
    let uv = setup.directory().join("uv");
    fs_err::write(&uv, format!("#!/bin/sh\n/usr/bin/env >> {}\nexit 1\n", seen.display())).unwrap();
    fs_err::set_permissions(&uv, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let _refused = setup
        .env("PAR_UV", &uv)
        .env("AWS_ACCESS_KEY_ID", "5ec4e7")
        .env("AWS_SECRET_ACCESS_KEY", "5ec4e7")
        .env("PIP_INDEX_URL", "https://user:5ec4e7@index.example/simple")
        .env("UV_INDEX", "https://user:5ec4e7@index.example/simple")
        .refused()
        .await;

    let text = fs_err::read_to_string(seen).unwrap();
    assert!(text.contains("PATH=") && !text.contains("5ec4e7"), "{text}");
}

/// What `par check` says about a lock.
#[tokio::test]
async fn par_check_says_that_a_package_is_locked() {
    let package = agent().file("pylock.toml", "lock-version = \"1.0\"\npackages = []\n");
    let setup = TestHost::agent(&package);
    let path = setup.package().to_owned();
    let mut host = setup.for_people().args(["check".into(), path.into_os_string()]).spawn();

    assert_eq!(host.wait_exit().await, 0);

    let text = host.violations().join("\n");
    assert!(text.contains("locked by pylock.toml"), "{text}");
}
