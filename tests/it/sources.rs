//! Source distributions: built in the sandbox, or not at all.

use std::path::Path;

use par_tests::{Package, PackageIndex, Release, TestHost};

/// A build backend that lies in the source distribution itself, and writes a wheel by hand. `{more}` runs first.
const BACKEND: &str = "
import base64, hashlib, os, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    found = attempts()
    files = {
        'thing/__init__.py': 'answer = 42\\nfound = ' + repr(found) + '\\n',
        'thing-1.0.dist-info/METADATA': 'Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n',
        'thing-1.0.dist-info/WHEEL': 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n',
    }
    record = ''
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()
        record += f'{path},sha256={digest},{len(text.encode())}\\n'
    files['thing-1.0.dist-info/RECORD'] = record + 'thing-1.0.dist-info/RECORD,,\\n'
    name = 'thing-1.0-py3-none-any.whl'
    with zipfile.ZipFile(os.path.join(wheel_directory, name), 'w') as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
";

const PYPROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";

/// What the agent answers is what the build found.
const MAIN: &str = "
import json, thing
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': json.dumps([thing.answer, thing.found]).encode()})
";

fn source(attempts: &str) -> Release {
    let backend = format!("{attempts}{BACKEND}");
    Release::source("thing", "1.0", &[("pyproject.toml", PYPROJECT), ("backend.py", &backend)])
}

fn agent(index: &PackageIndex) -> TestHost {
    let package = Package::asgi(MAIN).file("requirements.txt", "thing\n");
    TestHost::agent(&package).env("PAR_INDEX_URL", index.url())
}

fn building(index: &PackageIndex) -> TestHost {
    agent(index).env("PAR_BUILD_FROM_SOURCE", "in_sandbox")
}

/// Hostile 57, 58: nothing is built unless the operator says so; the refusal names the way out.
#[tokio::test]
async fn a_source_distribution_is_refused_with_the_way_out_unless_the_operator_allows_it() {
    let index = PackageIndex::start([source("def attempts(): return []\n")]).await;

    let refused = agent(&index).refused().await;
    let line = refused.wait_for_event("Boot failed").await;
    assert_eq!(line.text_of("error"), "agent `probe` needs `thing==1.0`, which has no wheel for Python 3.14");
    assert!(line.text_of("hint").contains("PAR_BUILD_FROM_SOURCE=in_sandbox"), "{}", line.text);

    let allowed = building(&index).start().await;
    assert_eq!(allowed.get("/x").await.json()[0], 42);
    assert_eq!(allowed.wait_for_event("Building in the sandbox").await.text_of("sdist"), "thing-1.0.tar.gz");
}

/// Hostile 57, 58: a build has no environment, no network, and no file but its own; none of its code ever runs on the host.
#[tokio::test]
async fn a_hostile_build_finds_nothing_and_reaches_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let marker = outside.path().join("marker");
    fs_err::write(outside.path().join("secret"), "5ec4e7").unwrap();
    let attempts = format!(
        "
import os, urllib.request
def attempt(action):
    try:
        return repr(action())
    except BaseException as error:
        return 'refused: ' + type(error).__name__
try:
    open({marker:?}, 'w').write('import')
except OSError:
    pass
def attempts():
    return {{
        'environment': sorted(os.environ),
        'connect': attempt(lambda: urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=2).read()),
        'outside': attempt(lambda: open({marker:?}, 'w')),
        'secret': attempt(lambda: open({secret:?}).read()),
        'platform': attempt(lambda: open('/platform/par_guest/world.py', 'a')),
        'python': attempt(lambda: open('/python/os.py', 'a')),
        'job': attempt(lambda: open('/agent/job.py', 'a')),
        'link': attempt(lambda: os.symlink({outside:?}, '/build/link') or open('/build/link/secret').read()),
        'climb': attempt(lambda: open('/build/../../../../../..' + {secret:?}).read()),
        'process': attempt(lambda: os.system('id')),
        'own': attempt(lambda: open('/build/own', 'w').write('x')),
    }}
",
        marker = marker.to_str().unwrap(),
        secret = outside.path().join("secret").to_str().unwrap(),
        outside = outside.path().to_str().unwrap(),
        port = listener.local_addr().unwrap().port(),
    );
    let index = PackageIndex::start([source(&attempts)]).await;

    let host = building(&index).env("AWS_ACCESS_KEY_ID", "5ec4e7").env("AWS_SECRET_ACCESS_KEY", "5ec4e7").start().await;

    let found = &host.get("/x").await.json()[1];
    assert_eq!(found["environment"], serde_json::json!(["HOME", "SOURCE_DATE_EPOCH", "TMPDIR"]));
    for refused in ["connect", "outside", "secret", "platform", "python", "job", "link", "climb", "process"] {
        assert!(found[refused].as_str().unwrap().starts_with("refused: "), "{refused}: {found}");
    }
    assert_eq!(found["own"], "1", "its own directory is writable");
    assert!(!marker.exists(), "its code ran on the host");
    assert!(listener.accept().is_err(), "it opened a connection");
    assert!(!host.log_text().contains("5ec4e7"));
}

/// Hostile 57, 70: what a build makes goes through the rules for every wheel.
#[tokio::test]
async fn a_build_that_makes_a_bad_wheel_or_none_is_refused() {
    let native = source("def attempts(): return []\n");
    let cases = [
        ("BACKEND_NAME", "thing-1.0-cp314-cp314-wasi_wasm32.whl", "native code or is for one system only"),
        ("BACKEND_NAME", "other-1.0-py3-none-any.whl", "the wheel of something else"),
        ("BACKEND_NAME", "../escape-1.0-py3-none-any.whl", "cannot build `thing-1.0.tar.gz`"),
    ];
    assert_eq!(native.file(), "thing-1.0.tar.gz");
    for (_, name, expected) in cases {
        let backend = format!("def attempts(): return []\n{BACKEND}").replace("thing-1.0-py3-none-any.whl", name);
        let release = Release::source("thing", "1.0", &[("pyproject.toml", PYPROJECT), ("backend.py", &backend)]);
        let index = PackageIndex::start([release]).await;

        let refused = building(&index).refused().await;

        let line = refused.wait_for_event("Boot failed").await;
        assert!(line.text_of("error").contains(expected), "{}", line.text);
    }
    let shadow = format!("def attempts(): return []\n{BACKEND}").replace("'thing/__init__.py'", "'json.py'");
    let release = Release::source("thing", "1.0", &[("pyproject.toml", PYPROJECT), ("backend.py", &shadow)]);
    let index = PackageIndex::start([release]).await;
    let refused = building(&index).refused().await;
    let line = refused.wait_for_event("Boot failed").await;
    assert!(line.text_of("error").contains("would replace a module of the standard library"), "{}", line.text);
}

/// Hostile 57, 74: a build that never ends is stopped with the time for installing.
#[tokio::test]
async fn a_build_that_does_not_end_is_stopped() {
    let index = PackageIndex::start([source("def attempts():\n    while True: pass\n")]).await;

    let refused = building(&index).env("INSTALL_TIMEOUT_SEC", "6").refused().await;

    let line = refused.wait_for_event("Boot failed").await;
    let error = line.text_of("error");
    assert!(error.contains("timed out") || error.contains("before the deadline"), "{}", line.text);
}

/// Hostile 57, 95: what a build writes is counted before it is written, holes included.
#[tokio::test]
async fn a_build_writes_as_much_as_it_may_and_no_more() {
    let attempts = "
import os
def write(name, megabyte):
    with open('/build/' + name, 'wb') as file:
        file.seek(megabyte << 20)
        file.write(b'x')
def attempt(action):
    try:
        action()
        return 'done'
    except OSError:
        return 'refused'
def attempts():
    steps = [attempt(lambda: write('large', 400)), attempt(lambda: write('more', 200))]
    os.remove('/build/large')
    return steps + [attempt(lambda: write('more', 200))]
";
    let index = PackageIndex::start([source(attempts)]).await;

    let host = building(&index).start().await;

    let expected = serde_json::json!(["done", "refused", "done"]);
    assert_eq!(host.get("/x").await.json()[1], expected);
}

/// A wheel that was built once is kept: another layer with it needs no second build.
#[tokio::test]
async fn what_was_built_is_kept() {
    let index =
        PackageIndex::start([source("def attempts(): return []\n"), Release::wheel("more", "1.0", &[("more.py", "")])])
            .await;
    let cache = tempfile::tempdir().unwrap();
    let at = |setup: TestHost, cache: &Path| setup.env("PAR_CACHE_DIR", cache.join("par"));
    let first = at(building(&index), cache.path()).start().await;
    assert_eq!(first.events("Building in the sandbox").len(), 1);

    let package = Package::asgi(MAIN).file("requirements.txt", "thing\nmore\n");
    let second = TestHost::agent(&package).env("PAR_INDEX_URL", index.url()).env("PAR_BUILD_FROM_SOURCE", "in_sandbox");
    let second = at(second, cache.path()).start().await;

    assert_eq!(second.get("/x").await.json()[0], 42);
    assert_eq!(second.events("Building in the sandbox").len(), 0);
}
