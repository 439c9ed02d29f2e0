//! The wheelhouse: by command, and at a start.

use std::path::Path;

use par_tests::{Answer, Authority, Package, PackageIndex, PackageServer, Release, RunningHost, TestHost};

use crate::dependencies::{MAIN, agent, thing};
use crate::fetched::archive;

/// Runs `par wheelhouse ...` and returns what it printed, with its exit code.
async fn par(setup: TestHost, wheelhouse: &Path, arguments: &[&str]) -> (i32, String, String) {
    let setup =
        setup.for_people().env("WHEELHOUSE_DIR", wheelhouse).args(["wheelhouse"]).args(arguments.iter().copied());
    let mut host: RunningHost = setup.spawn();
    let code = host.wait_exit().await;
    let errors = host.standard_error().await;
    // What is no line of the log is told with the reason in front.
    let printed = host.violations().iter().map(|line| format!("{}\n", line.split_once(": ").unwrap().1)).collect();
    (code, printed, errors)
}

fn setup(index: &PackageIndex) -> TestHost {
    TestHost::agent(&agent()).env("PAR_INDEX_URL", index.url())
}

fn other(version: &str) -> Release {
    Release::wheel("Other_Name", version, &[("other_name.py", "")])
}

/// R154, R158, R159, R161, R162, R163, R166, R167: wheels are added from the index, from files and for a package; listed
/// with their normalised names in every version; counted; and removed, and nothing else is.
#[tokio::test]
async fn wheels_are_added_listed_counted_and_removed() {
    let index = PackageIndex::start([thing(), other("1.0"), other("2.0")]).await;
    let directory = tempfile::tempdir().unwrap();
    let wheelhouse = directory.path().join("wheelhouse");
    let file = directory.path().join(other("1.0").file());
    fs_err::write(&file, other("1.0").content()).unwrap();

    let added = par(setup(&index), &wheelhouse, &["add", "thing>=1", file.to_str().unwrap()]).await;
    assert_eq!((added.0, added.2.as_str()), (0, ""));
    fs_err::write(wheelhouse.join(other("2.0").file()), other("2.0").content()).unwrap();
    fs_err::write(wheelhouse.join("notes.txt"), "not a wheel").unwrap();

    let (_, listed, _) = par(setup(&index), &wheelhouse, &["list"]).await;
    assert_eq!(
        listed,
        "other-name 1.0  Other_Name-1.0-py3-none-any.whl\nother-name 2.0  Other_Name-2.0-py3-none-any.whl\n\
         thing 1.0  thing-1.0-py3-none-any.whl\nignored: notes.txt\n"
    );
    let (_, info, _) = par(setup(&index), &wheelhouse, &["info"]).await;
    for line in ["wheels         3", "distributions  2, 1 in several versions", "ignored        1"] {
        assert!(info.lines().any(|found| found == line), "{info}");
    }
    let (code, cleared, _) = par(setup(&index), &wheelhouse, &["clear"]).await;
    assert_eq!((code, cleared.starts_with("removed 3 wheels")), (0, true), "{cleared}");
    let left: Vec<_> = fs_err::read_dir(&wheelhouse).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
}

/// R157, R168: what is no wheel, no requirement, or no directory is refused by name; nothing is written.
#[tokio::test]
async fn what_cannot_be_added_or_read_is_refused_by_name() {
    let index = PackageIndex::start([thing()]).await;
    let directory = tempfile::tempdir().unwrap();
    let wheelhouse = directory.path().join("wheelhouse");
    let broken = directory.path().join("broken-1.0-py3-none-any.whl");
    fs_err::write(&broken, "not an archive").unwrap();
    let nameless = directory.path().join("nameless.whl");
    fs_err::write(&nameless, thing().content()).unwrap();

    for (argument, expected) in [
        (broken.to_str().unwrap(), "broken-1.0-py3-none-any.whl` is not a wheel"),
        (nameless.to_str().unwrap(), "its name is not that of a wheel"),
        ("https://elsewhere.example/thing-1.0-py3-none-any.whl", "a wheel is not taken from a URL"),
        ("https://elsewhere.example/x.whl", "nothing says which bytes it should have"),
        ("ftp://elsewhere.example/agent.apkg", "no package URL: expected"),
        ("git+https://elsewhere.example/x", "is neither a wheel, nor a package, nor a requirement"),
        ("absent-name", "which the package index does not have"),
    ] {
        let (code, _, errors) = par(setup(&index), &wheelhouse, &["add", argument]).await;
        assert_eq!(code, 1);
        assert!(errors.contains(expected), "{errors}");
        let empty = fs_err::read_dir(&wheelhouse).map_or(0, Iterator::count);
        assert_eq!(empty, 0, "{argument} left something");
    }
    let (code, _, errors) = par(setup(&index), &directory.path().join("absent"), &["list"]).await;
    assert_eq!((code, errors.contains("cannot read the wheelhouse")), (1, true), "{errors}");
    let mut nowhere = TestHost::bare().for_people().args(["wheelhouse", "list"]).spawn();
    assert_eq!(nowhere.wait_exit().await, 1);
    assert!(nowhere.standard_error().await.contains("no wheelhouse"));
}

/// What a package at a URL needs is added, too; the operator's demands hold for it.
#[tokio::test]
async fn what_a_package_at_a_url_needs_is_added() {
    let index = PackageIndex::start([thing()]).await;
    let (authority, package) = (Authority::new(), archive(&agent()));
    let server = PackageServer::start(&authority, [Answer::File(package)]).await;
    let (url, directory) = (server.url("/agents/probe.apkg"), tempfile::tempdir().unwrap());
    let trusting = || setup(&index).env("SSL_CERT_FILE", authority.file()).env("PACKAGE_INTERNAL_HOSTS", "localhost");

    let refused = trusting().env("PACKAGE_SHA256", "0".repeat(64));
    let (code, _, errors) = par(refused, directory.path(), &["add", &url]).await;
    assert_eq!((code, errors.contains("digest mismatch")), (1, true), "{errors}");
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
    let (code, added, errors) = par(trusting(), directory.path(), &["add", &url]).await;

    assert_eq!((code, added.as_str()), (0, "added thing-1.0-py3-none-any.whl\n"), "{errors}");
}

/// R065, R155, R156, R160, R165, R169, R170: a start uses the wheelhouse by itself, beside the index unless it is told not to.
#[tokio::test]
async fn a_start_uses_the_wheelhouse_and_offline_nothing_else() {
    let index = PackageIndex::start([Release::wheel("remote", "1.0", &[("remote.py", "")])]).await;
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join(thing().file()), thing().content()).unwrap();
    let both = Package::asgi(MAIN).file("requirements.txt", "thing\nremote\n");
    let host = |package: &Package| {
        TestHost::agent(package).env("PAR_INDEX_URL", index.url()).env("WHEELHOUSE_DIR", directory.path())
    };

    let online = host(&both).start().await;
    assert_eq!(online.get("/x").await.json()["answer"], 42);

    let asked = index.hits();
    let offline = host(&agent()).env("WHEELHOUSE_OFFLINE", "true").start().await;
    assert_eq!(offline.get("/x").await.json()["answer"], 42);
    let refused = host(&both).env("WHEELHOUSE_OFFLINE", "true").refused().await;
    let line = refused.wait_for_event("Boot failed").await;
    assert!(line.text_of("error").contains("needs `remote`"), "{}", line.text);
    assert_eq!(index.hits(), asked, "offline, the index is never asked");
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1, "a start writes nothing there");
}

/// Offline, what the guest carries needs no wheel in the wheelhouse, whether it is required or what is installed requires
/// it; what neither has is refused by its name.
#[tokio::test]
async fn offline_what_the_guest_carries_is_there() {
    let needs = Release::wheel_of("thing", "1.0", "markupsafe>=2", &[("thing/__init__.py", "answer = 42\n")]);
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join(needs.file()), needs.content()).unwrap();
    let main = "
import json

import fastapi
import markupsafe
import pydantic
import thing

async def app(scope, receive, send):
    if scope['type'] == 'http':
        text = json.dumps([thing.answer, str(markupsafe.escape('<')), fastapi.FastAPI.__name__])
        await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'application/json')]})
        await send({'type': 'http.response.body', 'body': text.encode()})
";
    let host = |requirements: &str| {
        let host = TestHost::agent(&Package::asgi(main).file("requirements.txt", requirements));
        host.env("WHEELHOUSE_DIR", directory.path()).env("WHEELHOUSE_OFFLINE", "true")
    };

    let started = host("thing\nfastapi\npydantic>=2\n").start().await;
    assert_eq!(started.get("/x").await.json(), serde_json::json!([42, "&lt;", "FastAPI"]));

    let refused = host("thing\nfastapi>=9999\n").refused().await;
    let line = refused.wait_for_event("Boot failed").await;
    assert!(line.text_of("error").contains("fastapi"), "{}", line.text);
}

/// R164, R168: a wheelhouse that is not there or is no directory is said, and the index is asked.
#[tokio::test]
async fn a_wheelhouse_that_cannot_be_read_does_not_stop_a_start() {
    let index = PackageIndex::start([thing()]).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs_err::write(&file, "").unwrap();
    for wheelhouse in [directory.path().join("absent"), file] {
        let host = setup(&index).env("WHEELHOUSE_DIR", wheelhouse).start().await;

        assert_eq!(host.get("/x").await.json()["answer"], 42);
        host.wait_for_event("Wheelhouse unavailable").await;
    }
}

/// Hostile 73: a wheel that was changed after it was installed once changes nothing for whoever has its digest.
#[tokio::test]
async fn a_poisoned_wheelhouse_does_not_reach_a_locked_package() {
    let poisoned = Release::wheel("thing", "1.0", &[("thing/__init__.py", "answer = 666\n")]);
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"thing\"\nversion = \"1.0\"\n\
         wheels = [{{ name = \"{}\", path = \"x\", hashes = {{ sha256 = \"{}\" }} }}]\n",
        thing().file(),
        thing().digest()
    );
    let directory = tempfile::tempdir().unwrap();
    let wheel = directory.path().join(thing().file());
    let host = || {
        TestHost::agent(&agent().file("pylock.toml", lock.clone()))
            .env("WHEELHOUSE_DIR", directory.path())
            .env("WHEELHOUSE_OFFLINE", "true")
    };

    fs_err::write(&wheel, poisoned.content()).unwrap();
    let refused = host().refused().await;
    assert!(refused.wait_for_event("Boot failed").await.text_of("error").starts_with("digest mismatch"));

    fs_err::write(&wheel, thing().content()).unwrap();
    let served = host().start().await;
    assert_eq!(served.get("/x").await.json()["answer"], 42);
}
