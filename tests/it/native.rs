//! Agents outside the sandbox: chosen for a reason, installed into a venv, served like any other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use par_tests::{Package, PackageIndex, Release, RunningHost, TestHost, package_index};
use serde_json::{Value, json};

const MAIN: &str = include_str!("python/native.py");

/// A distribution with native code, which nobody built for the sandbox.
pub(crate) fn fast() -> Release {
    let files = [("fast/__init__.py", "answer = 42\n"), ("fast/_core.so", "\x7fELF\x02\x01\x01")];
    Release::wheel("fast", "2.0", &files)
}

pub(crate) fn agent() -> Package {
    Package::asgi(MAIN).file("requirements.txt", "fast\n")
}

/// Without a word about leaving the sandbox: that is allowed.
fn setup(index: &PackageIndex) -> TestHost {
    TestHost::agent(&agent()).unset("PAR_NATIVE").env("PAR_INDEX_URL", index.url())
}

pub(crate) fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs_err::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

/// Venvs in a cache, by name.
pub(crate) fn venvs(cache: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(cache.join("venvs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.len() == 64).collect()
}

const NUMBERS: &str = "
import logging
import numpy
from fastapi.responses import StreamingResponse

def mount(router):
    @router.get('/api/sum')
    async def total(n: int):
        return {'sum': int(numpy.arange(n).sum())}

    @router.get('/api/sync')
    def sync():
        return float(numpy.linalg.det(numpy.eye(3)))

    @router.get('/api/pieces')
    async def pieces():
        async def rows():
            for row in numpy.eye(3, dtype=int):
                yield f'{row}\\n'
        return StreamingResponse(rows())

def create_service():
    async def dot(parameters):
        one, other = (numpy.fromstring(parameters[name], sep=',') for name in ('one', 'other'))
        return {'dot': float(one @ other)}
    return {'custom_handlers': {'dot': dot}}

async def startup():
    logging.info('started with numpy %s', numpy.__version__)

async def shutdown():
    logging.info('stopped')
";

/// R063, R064, R072, R075: numpy and FastAPI from the package index, on the three surfaces, like any other agent.
#[tokio::test]
async fn an_agent_with_numpy_is_installed_served_on_three_surfaces_and_drained() {
    let manifest = "rest:\n  entry: main:mount\na2a:\n  service: main:create_service\nui:\n  path: ui\n";
    let package = Package::new("numbers", manifest)
        .file("main.py", NUMBERS)
        .file("requirements.txt", "numpy\n")
        .file("ui/index.html", "<h1>numbers</h1>");
    let mut host = TestHost::agent(&package).unset("PAR_NATIVE").env("PAR_INDEX_URL", package_index()).start().await;

    assert_eq!(host.get("/api/sum?n=100").await.json(), json!({"sum": 4950}));
    assert_eq!(host.get("/api/sum?n=x").await.status, 422);
    assert_eq!(host.get("/api/sync").await.json(), json!(1.0));
    assert_eq!(host.get("/api/pieces").await.text(), "[1 0 0]\n[0 1 0]\n[0 0 1]\n");
    let acted = host.a2a().await.act("dot", &[("one", "1,2"), ("other", "3,4")]).await;
    assert_eq!((acted.success, acted.result.as_str()), (true, "{'dot': 11.0}"));
    assert!(!host.a2a().await.act("cross", &[]).await.success);
    assert_eq!(host.get("/ui/").await.text(), "<h1>numbers</h1>");
    host.wait_for("the startup hook", |line| line.text_of("text").starts_with("started with numpy")).await;

    let outside = host.wait_for_event("Agent runs outside the sandbox").await;
    let because = outside.text_of("because");
    assert!(because.starts_with("`numpy ") && because.ends_with(".so` is native code for Linux)"), "{because}");
    let meta = host.get("/meta").await.json();
    assert_eq!(json!([meta["backend"], meta["backend_because"]]), json!(["native", because]));
    let health = host.health().await;
    assert_eq!((health.status, &health.json()["backend"]), (200, &json!("native")));
    let record = host.wait_for("the record", |line| line.is_audit() && *line.detail("capability") == "native").await;
    assert_eq!(
        json!([record.detail("target"), record.detail("backend"), record.detail("origin")]),
        json!([because, "native", "unasked"])
    );

    assert_eq!(host.stop().await, 0);
    host.wait_for_agent("stopped").await;
}

/// Whether an agent may leave the sandbox is the operator's: refused, the sentence names the distribution, its file
/// and the way out; no venv is made.
#[tokio::test]
async fn where_it_is_refused_the_sentence_names_the_distribution_and_the_way_out() {
    let index = PackageIndex::start([fast()]).await;
    let policy = |text: &str| format!("version: 1\n{text}");
    for (name, value) in [
        ("PAR_NATIVE", "refuse".to_owned()),
        ("PAR_POLICY", policy("native: refuse\n")),
        ("PAR_POLICY", policy("mode: enforce\n")),
    ] {
        let host = setup(&index).env(name, value).refused().await;

        let failed = host.wait_for_event("Boot failed").await;
        let expected = "agent `probe` needs `fast==2.0`, which has no wheel that runs in the sandbox (`fast/_core.so` \
                        is native code for Linux)";
        assert_eq!((failed.text_of("error"), failed.text_of("phase")), (expected, "install"));
        let hint = failed.text_of("hint");
        assert!(hint.contains("`native: allow` in the policy") && hint.contains("`PAR_NATIVE=allow`"), "{hint}");
        assert!(!host.setup().directory().join("cache/venvs").exists());
    }
    for (name, value) in [("PAR_NATIVE", "allow".to_owned()), ("PAR_POLICY", policy("native: allow\n"))] {
        let host = setup(&index).env(name, value).start().await;
        assert_eq!(host.get("/fast").await.json(), 42);
    }
}

/// What has no wheel for the sandbox's Python, and none for the host's, is refused in the words of the sandbox.
#[tokio::test]
async fn what_no_python_has_a_wheel_for_is_refused_as_in_the_sandbox() {
    let index = PackageIndex::start([Release::source("thing", "1.0", &[("setup.py", "")])]).await;
    let package = Package::asgi(MAIN).file("requirements.txt", "thing==1.0\n");

    let host = TestHost::agent(&package).unset("PAR_NATIVE").env("PAR_INDEX_URL", index.url()).refused().await;

    let failed = host.wait_for_event("Boot failed").await;
    assert_eq!(failed.text_of("error"), "agent `probe` needs `thing==1.0`, which has no wheel for Python 3.14");
}

/// A policy may let agents out for the sake of some distributions, and no others.
#[tokio::test]
async fn a_policy_may_list_the_distributions_for_which_agents_leave_the_sandbox() {
    let index = PackageIndex::start([fast()]).await;
    let policy = |list: &str| format!("version: 1\nnative: [{list}]\n");

    let host = setup(&index).env("PAR_POLICY", policy("fast, other")).start().await;
    assert_eq!(host.get("/fast").await.json(), 42);

    let host = setup(&index).env("PAR_POLICY", policy("other")).refused().await;
    let failed = host.wait_for_event("Boot failed").await;
    let expected = "agent `probe` needs `fast 2.0` (`fast/_core.so` is native code for Linux), for which the policy \
                    lets no agent out of the sandbox";
    assert_eq!(failed.text_of("error"), expected);
    assert_eq!(failed.text_of("hint"), "an operator may add `fast` to `native` in the policy");
    assert_eq!(host.events("Failed to grant capabilities").len(), 1);
}

/// A manifest may ask to run outside; what runs in the sandbox and does not ask stays there.
#[tokio::test]
async fn a_manifest_may_ask_for_the_native_backend_and_gets_it_only_then() {
    let main = "
import sys
async def app(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': sys.platform.encode()})
";
    let asking = || TestHost::agent(&Package::asgi(main).native());

    let host = asking().start().await;
    assert_eq!(host.get("/").await.text(), "linux");
    let outside = host.wait_for_event("Agent runs outside the sandbox").await;
    assert_eq!(outside.text_of("because"), "the manifest asks for it");
    let record = host.wait_for("the record", |line| line.is_audit() && *line.detail("capability") == "native").await;
    assert_eq!(*record.detail("origin"), "asked");

    let host = TestHost::agent(&Package::asgi(main)).start().await;
    assert_eq!(host.get("/").await.text(), "wasi");
    assert_eq!(host.get("/meta").await.json()["backend"], "sandbox");
    assert_eq!(host.health().await.json().get("backend"), None);

    for policy in ["native: refuse", "native: [fast]"] {
        let host = asking().env("PAR_POLICY", format!("version: 1\n{policy}\n")).refused().await;
        let failed = host.wait_for_event("Boot failed").await;
        assert_eq!(
            failed.text_of("error"),
            "agent `probe` asks for `sandbox.backend: native`, which the policy refuses"
        );
    }
}

/// R065, R066, R070: the venv lies in the cache under the digest of its lock; a second start with the same
/// requirements asks neither resolver nor index. Nothing else of the machine changes.
#[tokio::test]
async fn a_venv_is_made_once_and_the_python_of_the_machine_stays_as_it_was() {
    let index = PackageIndex::start([fast()]).await;
    let mut host = setup(&index).start().await;
    let cache = host.setup().directory().join("cache");
    let [venv] = venvs(&cache).try_into().expect("one venv");
    let process = host.get("/process").await.json();
    let site_packages = cache.join("venvs").join(&venv).join("lib").join(series(&process)).join("site-packages");
    assert!(site_packages.join("fast/__init__.py").is_file());
    let marker = fs_err::read(cache.join("venvs").join(&venv).join(".pixell_venv_metadata.json")).unwrap();
    let marker: Value = serde_json::from_slice(&marker).unwrap();
    assert_eq!(json!([marker["package_id"], marker["lock_sha256"]]), json!(["probe", venv]));
    assert_eq!(marker["python_version"], process["python"]);
    assert!(marker["requirements_sha256"].is_string() && marker["created_at"].is_string());
    host.wait_for_event("Dependencies compiled").await;
    let compiled = files(&site_packages).iter().filter(|path| path.extension().is_some_and(|end| end == "pyc")).count();
    assert!(compiled > 0);
    assert_eq!(files(&host.setup().directory().join("home")), BTreeSet::new(), "nothing outside the cache");
    let installed = interpreter_site_packages(&process);
    assert!(installed.iter().all(|path| !path.to_string_lossy().contains("fast-2.0")), "system site-packages");
    assert_eq!(host.stop().await, 0);
    let asked = index.hits();

    let again = setup(&index).env("PAR_CACHE_DIR", &cache).env("PAR_UV", "/bin/false").start().await;

    assert_eq!(again.get("/fast").await.json(), 42);
    assert_eq!((again.events("Virtual environment reused").len(), index.hits()), (1, asked));
    assert_eq!(venvs(&cache), [venv]);
}

/// `python3.11`, by what a process says of itself.
fn series(process: &Value) -> String {
    let version = process["python"].as_str().unwrap();
    format!("python{}", version.rsplit_once('.').unwrap().0)
}

/// Every file an interpreter has beside its own library.
fn interpreter_site_packages(process: &Value) -> BTreeSet<PathBuf> {
    let paths = process["path"].as_array().unwrap().iter().filter_map(Value::as_str);
    let library = paths.map(Path::new).find(|path| path.ends_with(series(process))).unwrap();
    files(&library.join("site-packages")).into_iter().chain(files(&library.join("dist-packages"))).collect()
}

/// R065, R160: offline, the wheelhouse alone is asked. Hashes hold, and a file of another content is refused.
#[tokio::test]
async fn the_wheelhouse_serves_alone_and_hashes_hold() {
    let wheelhouse = tempfile::tempdir().unwrap();
    fs_err::write(wheelhouse.path().join(fast().file()), fast().content()).unwrap();
    let offline = |requirements: String| {
        TestHost::agent(&Package::asgi(MAIN).file("requirements.txt", requirements))
            .unset("PAR_NATIVE")
            .env("WHEELHOUSE_DIR", wheelhouse.path())
            .env("WHEELHOUSE_OFFLINE", "true")
    };

    let host = offline("fast\n".to_owned()).start().await;
    assert_eq!(host.get("/fast").await.json(), 42);
    let host = offline(format!("fast==2.0 --hash=sha256:{}\n", fast().digest())).start().await;
    assert_eq!(host.get("/fast").await.json(), 42);

    let host = offline(format!("fast==2.0 --hash=sha256:{}\n", "0".repeat(64))).refused().await;
    assert_eq!(host.wait_for_event("Boot failed").await.text_of("phase"), "install");
    assert!(!host.setup().directory().join("cache/venvs").exists());
}

/// The process has the environment it was granted, its own group and directory, and an interpreter that reads
/// neither `.pth` files nor what lies where it starts.
#[tokio::test]
async fn a_process_has_what_was_granted_and_nothing_of_the_hosts() {
    let index = PackageIndex::start([fast()]).await;
    let policy = "version: 1\nnative: allow\ngrant: {env: {REGION: eu}}\n";
    let host = setup(&index).env("PAR_POLICY", policy).env("OF_THE_HOST", "1").start().await;

    let process = host.get("/process").await.json();

    let environment = process["environment"].as_object().unwrap();
    let names: BTreeSet<&str> = environment.keys().map(String::as_str).collect();
    let granted = ["AGENT_APP_ID", "BASE_PATH", "DEPLOYMENT_ID", "HOME", "LANG", "PATH", "REGION", "VIRTUAL_ENV"];
    let trusted = ["AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"];
    let expected = granted.into_iter().chain(trusted).collect();
    assert_eq!(names.difference(&expected).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert_eq!((&environment["REGION"], &environment["AGENT_APP_ID"]), (&json!("eu"), &json!("app-1")));
    assert_eq!((&process["group"], &process["isolated"]), (&process["pid"], &json!([1, 1])));
    let last = process["path"].as_array().unwrap().iter().rev().filter_map(Value::as_str).take(2);
    assert!(last.collect::<Vec<_>>().iter().all(|path| path.contains("cache/")), "{}", process["path"]);
}

/// A Flask application blocks its thread and nobody else's.
#[tokio::test]
async fn a_wsgi_application_is_served_in_threads() {
    let main = "
import threading
both = threading.Barrier(2)
def app(environ, start_response):
    if environ['PATH_INFO'] == '/fail':
        raise ValueError('no')
    if environ['PATH_INFO'] == '/both':
        both.wait(60)
    body = environ['wsgi.input'].read()
    start_response('200 OK', [('x-method', environ['REQUEST_METHOD'])])
    yield b'got '
    yield body
";
    let host = TestHost::agent(&Package::asgi(main).native()).start().await;

    let (one, other) = tokio::join!(host.get("/both"), host.get("/both"));

    assert_eq!((one.status, one.text(), other.text()), (200, "got ", "got "));
    let posted = host.post("/", &json!([1, 2])).await;
    assert_eq!((posted.text(), posted.header("x-method")), ("got [1,2]", "POST"));
    assert_eq!(host.get("/fail").await.status, 500);
    host.wait_for("the traceback", |line| line.text_of("traceback").contains("ValueError: no")).await;
}

/// What the agent writes is in the log, as the value of a field; records name their request.
#[tokio::test]
async fn output_and_records_of_a_process_are_in_the_log() {
    let host = TestHost::agent(&Package::asgi(MAIN).native()).start().await;

    let reply = host.get("/speak").await;

    let id = reply.header("x-request-id");
    for (text, stream) in [("on standard output", "stdout"), ("on standard error", "stderr")] {
        let line = host.wait_for_agent(text).await;
        assert_eq!((line.event(), line.text_of("stream")), ("Agent output", stream));
    }
    let line = host.wait_for_agent("in a record").await;
    assert_eq!((line.level(), line.text_of("logger"), line.text_of("request_id")), ("warning", "native", id));
    assert_eq!(host.wait_for_agent("in a thread").await.level(), "error");
}

/// An agent that does not load is refused with its own words and traceback.
#[tokio::test]
async fn an_agent_that_does_not_load_is_refused() {
    for (main, expected) in [
        ("import nothing_of_the_kind\napp = 1\n", "imports `nothing_of_the_kind`, which is not installed"),
        ("applet = 1\n", "has no attribute `app`"),
        (
            "async def app(scope, receive, send):\n    if scope['type'] == 'lifespan':\n        await receive()\n        \
          await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n",
            "no database",
        ),
    ] {
        let host = TestHost::agent(&Package::asgi(main).native()).refused().await;
        let failed = host.wait_for_event("Boot failed").await;
        assert!(failed.text_of("error").contains(expected), "{}", failed.text);
        assert_eq!(failed.text_of("phase"), "load");
    }
}

/// Waits until a process is gone.
pub(crate) async fn gone(pid: &Value) {
    let status = format!("/proc/{pid}/status");
    let is_there = || fs_err::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ"));
    tokio::time::timeout(par_tests::PATIENCE, async {
        while is_there() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the process goes");
}

/// Waits until health answers with this status.
pub(crate) async fn healthy(host: &RunningHost, status: u16) {
    tokio::time::timeout(par_tests::PATIENCE, async { while host.health().await.status != status {} })
        .await
        .expect("health changes");
}

/// A process that ends fails its request with the error of a lost instance; health says that none is left, until
/// there is one again.
#[tokio::test]
async fn a_process_that_ends_is_replaced_and_health_tells() {
    let host = TestHost::agent(&Package::asgi(MAIN).native()).start().await;
    for path in ["/leave", "/garbage"] {
        let before = host.get("/process").await.json();

        let lost = host.get(path).await;

        assert_eq!((lost.status, lost.error_code().as_str()), (502, "instance_lost"), "{path}");
        healthy(&host, 200).await;
        let after = host.get("/process").await.json();
        assert_ne!(before["pid"], after["pid"]);
        gone(&before["pid"]).await;
    }
    assert_eq!(host.events("Process of the agent lost").len(), 2);
    assert_eq!(host.records().iter().filter(|line| *line.detail("code") == "instance_trapped").count(), 2);
}

/// Where one process of several ends, the others go on, and health does not change.
#[tokio::test]
async fn one_process_of_several_that_ends_leaves_the_others() {
    let host = TestHost::agent(&Package::asgi(MAIN).native()).env("PAR_INSTANCES", "2").start().await;
    // The second one starts when the first serves already.
    let seen = Mutex::new(BTreeSet::new());
    host.wait_for("two processes", |line| {
        let mut seen = seen.lock().unwrap();
        if line.event() == "Process of the agent started" {
            seen.insert(line.detail("process").to_string());
        }
        seen.len() == 2
    })
    .await;

    assert_eq!(host.get("/leave").await.status, 502);

    assert_eq!(host.get("/process").await.status, 200);
}

/// What an agent started ends with it, all of its group.
#[tokio::test]
async fn the_whole_group_of_a_process_ends_with_the_host() {
    let mut host = TestHost::agent(&Package::asgi(MAIN).native()).start().await;
    let process = host.get("/process").await.json();
    let child = host.get("/child").await.json();
    assert!(Path::new(&format!("/proc/{child}")).exists());

    assert_eq!(host.stop().await, 0);

    gone(&process["pid"]).await;
    gone(&child).await;
}

/// What of the confinement holds is in the log and on the record, and so is what does not; where all of it is demanded,
/// an agent without a part of it does not start.
#[tokio::test]
async fn a_strict_confinement_starts_no_agent_when_a_part_is_missing() {
    let policy = |word: &str| format!("version: 1\nnative: allow\nconfinement: {word}\n");
    let setup = || TestHost::agent(&Package::asgi(MAIN).native()).as_another_user();
    let about = |host: &RunningHost, start: &str| {
        let records = host.records().into_iter().filter(|line| *line.detail("capability") == "native");
        let of_kind = records.filter(|line| line.text_of("target").starts_with(start));
        of_kind.map(|line| json!([line.detail("target"), line.detail("decision"), line.detail("code")])).collect()
    };
    let parts = "session, limits, capabilities, descriptors, calls";

    let mut host =
        setup().env("PAR_POLICY", policy("available")).env("TEST_CONFINEMENT_WITHOUT", "files").start().await;
    // Whoever may make control groups has one more part; `control_groups.rs` has that.
    let confined = host.wait_for_event("Process of the agent confined").await;
    let all = confined.text_of("parts");
    assert_eq!(all.trim_end_matches(", control-group"), parts);
    let incomplete = host.wait_for_event("Confinement incomplete").await;
    assert_eq!([incomplete.text_of("part"), incomplete.text_of("because")], ["files", "left out"]);
    assert_eq!(host.stop().await, 0);
    let target = format!("confined: {all}");
    let missing =
        |part: &str, decision: &str, code: Value| json!([format!("not confined: {part}: left out"), decision, code]);
    let records: Vec<Value> = about(&host, "confined");
    assert_eq!(records, [json!([target, "allowed", null])]);
    let records: Vec<Value> = about(&host, "not confined");
    assert_eq!(records, [missing("files", "allowed", Value::Null), missing("signals", "allowed", Value::Null)]);

    for (name, value) in [("PAR_POLICY", policy("strict")), ("PAR_CONFINEMENT", "strict".to_owned())] {
        let host = setup().env(name, value).env("TEST_CONFINEMENT_WITHOUT", "files").refused().await;

        let failed = host.wait_for_event("Boot failed").await;
        let expected = "the confinement of native agents is strict, and `files` cannot be applied: left out";
        assert_eq!((failed.text_of("error"), failed.text_of("phase")), (expected, "load"));
        assert!(failed.text_of("hint").contains("`confinement: available`"), "{}", failed.text);
        let records: Vec<Value> = about(&host, "not confined");
        assert_eq!(records[0], missing("files", "denied", json!("not_confined")));
    }

    let host = setup().env("PAR_POLICY", policy("strict")).start().await;
    assert_eq!(host.get("/process").await.status, 200);
    let expected = "session, limits, capabilities, descriptors, files, signals, calls";
    let confined = host.wait_for_event("Process of the agent confined").await;
    assert_eq!(confined.text_of("parts").trim_end_matches(", control-group"), expected);
    assert_eq!(host.events("Confinement incomplete").len(), 0);
}
