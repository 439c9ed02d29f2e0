//! Packages as files: what is accepted, what is refused, and what is left behind.

use std::io::Write;
use std::path::Path;

use par_tests::{Line, Package, RunningHost, TestHost};
use serde_json::json;

/// Starts with the archive that `write` makes, and returns why it was refused.
async fn refused_archive(write: impl FnOnce(&Path)) -> (Line, RunningHost) {
    let setup = TestHost::agent(&Package::example("stdlib"));
    let path = setup.directory().join("packages/hostile.apkg");
    write(&path);
    let mut host = setup.env("AGENT_PACKAGE_PATH", &path).spawn();
    assert_eq!(host.wait_exit().await, 1, "{}", host.log_text());
    assert!(host.events("Runtime ready").is_empty());
    let line = host.wait_for_event("Boot failed").await;
    assert_eq!(host.events("Failed to load package").len(), 1);
    (line, host)
}

fn archive(path: &Path, entries: &[(&str, &[u8])]) {
    let mut archive = zip::ZipWriter::new(fs_err::File::create(path).unwrap());
    for (name, content) in entries {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap();
}

const MANIFEST: &[u8] = b"name: probe\nversion: \"1.0\"\nhttp_server: main:app\n";

fn leftovers(host: &RunningHost) -> Vec<String> {
    let entries = fs_err::read_dir(host.setup().directory().join("tmp")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// R053, R054: an archive is unpacked into a temporary directory and served like a directory.
#[tokio::test]
async fn an_archive_is_unpacked_and_served() {
    let host = TestHost::archive(&Package::example("stdlib")).start().await;

    assert_eq!(host.get("/x").await.status, 200);

    let unpacked = leftovers(&host);
    assert_eq!(unpacked.len(), 1);
    assert!(unpacked[0].starts_with("pixell_apkg_"), "{unpacked:?}");
}

/// R058, R062: an entry that leads out of the package is refused with its name; nothing is written.
#[tokio::test]
async fn an_archive_with_a_way_out_is_refused_and_writes_nothing() {
    for name in ["../escaped.txt", "/escaped.txt", "a/../../escaped.txt", "..\\escaped.txt", "a//../../escaped.txt"] {
        let entries: &[(&str, &[u8])] = &[("agent.yaml", MANIFEST), ("main.py", b""), (name, b"escaped")];

        let (line, host) = refused_archive(|path| archive(path, entries)).await;

        assert!(line.text_of("error").contains("escaped.txt"), "{}", line.text);
        assert_eq!(line.text_of("phase"), "extract");
        let root = host.setup().directory();
        for place in ["escaped.txt", "tmp/escaped.txt", "packages/escaped.txt"] {
            assert!(!root.join(place).exists(), "{name} wrote {place}");
        }
        assert_eq!(leftovers(&host), Vec::<String>::new());
    }
}

/// R055, R057, R061: what is no package is refused with the reason.
#[tokio::test]
async fn what_is_no_package_is_refused_with_the_reason() {
    let (nothing, _) = refused_archive(|path| fs_err::write(path, "not an archive").unwrap()).await;
    let (empty, _) = refused_archive(|path| archive(path, &[])).await;
    let (without, _) = refused_archive(|path| archive(path, &[("main.py", b"")])).await;
    let manifest = b"name: probe\nhttp_server: main:app\n";
    let (unversioned, _) = refused_archive(|path| archive(path, &[("agent.yaml", manifest), ("main.py", b"")])).await;
    let manifest = b"name: probe\nversion: \"1.0\"\n";
    let (idle, _) = refused_archive(|path| archive(path, &[("agent.yaml", manifest)])).await;

    assert!(nothing.text_of("error").contains("hostile.apkg"), "{}", nothing.text);
    for line in [empty, without] {
        assert!(line.text_of("error").contains("agent.yaml"), "{}", line.text);
    }
    assert!(unversioned.text_of("error").contains("version"), "{}", unversioned.text);
    assert!(idle.text_of("hint").contains("rest") || idle.text_of("error").contains("rest"), "{}", idle.text);
}

/// `PACKAGE_SHA256` holds for a local archive too, in either case.
#[tokio::test]
async fn an_archive_with_another_digest_is_refused() {
    let (line, _) = {
        let setup = TestHost::archive(&Package::example("stdlib")).env("PACKAGE_SHA256", "0".repeat(64));
        let mut host = setup.spawn();
        assert_eq!(host.wait_exit().await, 1);
        (host.wait_for_event("Boot failed").await, host)
    };
    assert!(line.text_of("error").contains(&"0".repeat(64)), "{}", line.text);
}

/// A package larger than `MAX_PACKAGE_SIZE_MB` is refused.
#[tokio::test]
async fn an_archive_over_the_limit_is_refused() {
    let mut state = 1_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let noise: Vec<u8> = (0..2 << 17).flat_map(|_| random()).collect();
    let package = Package::example("stdlib").file("noise.bin", noise);
    let mut host = TestHost::archive(&package).env("MAX_PACKAGE_SIZE_MB", "1").spawn();

    assert_eq!(host.wait_exit().await, 1);

    let line = host.wait_for_event("Boot failed").await;
    assert!(
        line.text_of("error").contains("MAX_PACKAGE_SIZE_MB") || line.text_of("hint").contains("MAX_PACKAGE_SIZE_MB")
    );
}

/// Hostile 35: files named like the directories of the runtime are files of the package, and replace nothing.
#[tokio::test]
async fn files_named_like_the_runtime_replace_nothing() {
    let trap = "raise SystemExit('the package took the place of the runtime')\n";
    let package = Package::asgi(include_str!("python/probe.py"));
    let package = ["par_guest/__init__.py", "par_guest/world.py", "wit_world/__init__.py", "_par/__init__.py"]
        .into_iter()
        .chain(["site-packages/anyio/__init__.py", "lib/python3.14/json/__init__.py", "python/json.py", "deps/json.py"])
        .fold(package, |package, path| package.file(path, trap));

    let host = TestHost::archive(&package).start().await;

    assert_eq!(host.get("/ping").await.json(), "pong");
}

/// R056, R059: a `setup.py` is read and never run, also one that names packages that are not there.
#[tokio::test]
async fn a_setup_py_is_never_run() {
    let setup = "import os\nopen('ran.txt', 'w').close()\nos._exit(1)\nfrom setuptools import setup\nsetup(name='x', packages=['src'])\n";
    let package = Package::asgi(include_str!("python/probe.py")).file("setup.py", setup);
    let host = TestHost::archive(&package).start().await;

    assert_eq!(host.get("/ping").await.json(), "pong");
    assert!(!host.setup().directory().join("ran.txt").exists());
}

/// Modules are found below the root of the package and below `src`, with or without `__init__.py`.
#[tokio::test]
async fn modules_are_found_in_every_layout() {
    let app = Package::example("stdlib");
    let app = app.content("main.py");
    for (entry, files) in [
        ("main:app", &["main.py"][..]),
        ("src.main:app", &["src/main.py"][..]),
        ("src.rest.index:app", &["src/__init__.py", "src/rest/index.py"][..]),
        ("core.app:app", &["core/app.py"][..]),
    ] {
        let package = Package::new("probe", &format!("http_server: {entry}\n"));
        let (module, others) = files.split_last().unwrap();
        let package = others.iter().fold(package, |package, file| package.file(file, ""));
        let host = TestHost::archive(&package.file(module, app)).start().await;

        assert_eq!(host.get("/x").await.status, 200, "{entry}");
    }
}

/// Two agents of one machine keep apart, whatever they are called.
#[tokio::test]
async fn the_name_of_a_package_is_no_path() {
    let package =
        Package::empty("probe").file("agent.yaml", "name: ../../escaped\nversion: \"1.0\"\nhttp_server: main:app\n");
    let mut host = TestHost::archive(&package.file("main.py", "app = None\n")).spawn();

    assert_eq!(host.wait_exit().await, 1);

    let line = host.wait_for_event("Boot failed").await;
    assert!(line.text_of("error").contains("name"), "{}", line.text);
}

/// Servers an agent brings along for its own start are not needed and not in the way.
#[tokio::test]
async fn an_agent_that_would_start_a_server_when_run_as_a_script_is_served() {
    let main = format!(
        "{}\n\nif __name__ == '__main__':\n    import uvicorn\n    uvicorn.run(app, port=8080)\n",
        String::from_utf8_lossy(Package::example("stdlib").content("main.py"))
    );
    let host = TestHost::agent(&Package::asgi(&main)).start().await;

    assert_eq!(host.get("/x").await.json()["path"], json!("/x"));
}
