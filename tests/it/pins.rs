//! The agent's pins win: which releases it runs on, of the frameworks the guest carries and of what has native code.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, stream};
use par_tests::{Package, TestHost};
use serde_json::{Value, json};

use crate::losses::comes_to_rest;

/// Longest time until dependencies are installed, whatever else the machine does.
const INSTALL: Duration = Duration::from_secs(240);

/// How many agents are started at a time.
const AT_ONCE: usize = 4;

/// Says which releases it runs on, and uses each of them.
const PINNED: &str = r#"
import importlib.metadata
from contextlib import asynccontextmanager
import anyio, fastapi, pydantic, pydantic_core, starlette
from fastapi import Depends, FastAPI
from starlette.responses import StreamingResponse

started = []

@asynccontextmanager
async def lifespan(app):
    started.append(True)
    yield

app = FastAPI(lifespan=lifespan)

class Reading(pydantic.BaseModel):
    place: str = pydantic.Field(min_length=1)
    degrees: list[float]

@app.get("/versions")
def versions():
    names = ["anyio", "fastapi", "pydantic", "pydantic-core", "starlette"]
    modules = [fastapi, pydantic, starlette]
    return {
        "installed": {name: importlib.metadata.version(name) for name in names},
        "imported": [module.__version__ for module in modules],
        "core": getattr(pydantic_core, "__version__", None),
        "places": [module.__file__.split("/")[1] for module in modules],
        "started": started,
    }

@app.post("/readings")
async def readings(reading: Reading, unit: str = Depends(lambda: "C")) -> Reading:
    reading.degrees.append(await anyio.to_thread.run_sync(lambda: 1.5))
    return reading

@app.get("/stream")
def stream():
    return StreamingResponse(str(number) for number in range(3))
"#;

/// Requirements of an agent on `PINNED`, and what it must run on: package, version, where it is from.
async fn runs_on(requirements: &str, expected: &[(&str, &str)]) {
    let package = Package::asgi(PINNED).file("requirements.txt", requirements);
    let host = TestHost::agent(&package).start().await;

    let versions = host.get("/versions").await.json();
    for (name, version) in expected {
        assert_eq!(versions["installed"][name], *version, "{versions}");
    }
    let installed = |name: &str| &versions["installed"][name];
    assert_eq!(
        versions["imported"],
        json!([installed("fastapi"), installed("pydantic"), installed("starlette")]),
        "{versions}"
    );
    assert_eq!(&versions["core"], installed("pydantic-core"), "{versions}");
    assert_eq!(versions["started"], json!([true]));
    let good = host.post("/readings", &json!({"place": "Ys", "degrees": ["1", 2]})).await;
    assert_eq!(good.json(), json!({"place": "Ys", "degrees": [1.0, 2.0, 1.5]}));
    let bad = host.post("/readings", &json!({"place": "", "degrees": "x"})).await;
    assert_eq!(bad.status, 422);
    assert_eq!(bad.json()["detail"][0]["loc"], json!(["body", "place"]));
    assert_eq!(host.get("/stream").await.text(), "012");
}

/// The agent's pins win over what the guest carries, also where that was imported when the guest was built. Asks the
/// real package index: what older releases of a framework do is not to be made up.
#[tokio::test]
async fn an_agent_runs_on_the_framework_it_pins() {
    runs_on(
        "fastapi==0.109.0\n",
        &[("fastapi", "0.109.0"), ("starlette", "0.35.1"), ("pydantic", "2.14.3"), ("anyio", "4.16.0")],
    )
    .await;
}

/// As above, with a release of pydantic whose native core is another one.
#[tokio::test]
async fn a_framework_runs_on_the_pydantic_an_agent_pins() {
    for (requirements, pydantic, core) in
        [("fastapi\npydantic==2.12.0\n", "2.12.0", "2.41.1"), ("fastapi\npydantic<2.14\n", "2.13.5", "2.46.5")]
    {
        runs_on(requirements, &[("fastapi", "0.165.0"), ("pydantic", pydantic), ("pydantic-core", core)]).await;
    }
}

/// What agents ask of pydantic, the release each gets, and the native core that asks for: every release that runs on
/// Python 3.14, as `pip freeze` writes it, and ranges.
const PYDANTIC: [(&str, &str, &str); 19] = [
    ("pydantic==2.12.0", "2.12.0", "2.41.1"),
    ("pydantic==2.12.1", "2.12.1", "2.41.3"),
    ("pydantic==2.12.2", "2.12.2", "2.41.4"),
    ("pydantic==2.12.3", "2.12.3", "2.41.4"),
    ("pydantic==2.12.4", "2.12.4", "2.41.5"),
    ("pydantic==2.12.5", "2.12.5", "2.41.5"),
    ("pydantic==2.13.0", "2.13.0", "2.46.0"),
    ("pydantic==2.13.1", "2.13.1", "2.46.1"),
    ("pydantic==2.13.2", "2.13.2", "2.46.2"),
    ("pydantic==2.13.3", "2.13.3", "2.46.3"),
    ("pydantic==2.13.4\npydantic_core==2.46.4", "2.13.4", "2.46.4"),
    ("pydantic==2.13.5", "2.13.5", "2.46.5"),
    ("pydantic==2.14.0", "2.14.0", "2.50.0"),
    ("pydantic==2.14.1", "2.14.1", "2.50.1"),
    ("pydantic==2.14.2", "2.14.2", "2.50.2"),
    ("pydantic==2.14.3", "2.14.3", "2.50.4"),
    ("pydantic>=2", "2.14.3", "2.50.4"),
    ("pydantic<2.14", "2.13.5", "2.46.5"),
    ("pydantic~=2.12.0", "2.12.5", "2.41.5"),
];

/// Validates a model, and says what did.
const VALIDATING: &str = r#"
import json, pydantic, pydantic_core

class Reading(pydantic.BaseModel):
    place: str = pydantic.Field(min_length=1)
    degrees: list[float]

def wrong():
    try:
        Reading.model_validate({"place": "", "degrees": "x"})
    except pydantic.ValidationError as error:
        return [[*problem["loc"], problem["type"]] for problem in error.errors()]

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    answer = {
        "releases": [pydantic.VERSION, pydantic_core.__version__],
        "right": Reading.model_validate_json('{"place": "Ys", "degrees": ["1", 2]}').model_dump(),
        "wrong": wrong(),
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
"#;

/// What an agent on `main` with these requirements answers.
async fn answers(main: &str, requirements: &str, cache: &Path) -> Value {
    let package = Package::asgi(main).file("requirements.txt", format!("{requirements}\n"));
    let host = TestHost::agent(&package).env("PAR_CACHE_DIR", cache).spawn();
    assert_eq!(host.booted(INSTALL).await.event(), "Runtime ready", "{requirements}: {}", host.log_text());
    host.get("/").await.json()
}

/// An exact pin of any release of pydantic that runs on this Python finds its native core, and a range the newest it
/// reaches. Asks the real package index.
#[tokio::test]
async fn an_agent_runs_on_the_native_core_of_the_pydantic_it_pins() {
    let cache = tempfile::tempdir().unwrap();
    let asking = PYDANTIC.map(|(requirements, pydantic, core)| {
        let cache = cache.path();
        async move { (requirements, answers(VALIDATING, requirements, cache).await, [pydantic, core]) }
    });
    let mut asking = stream::iter(asking).buffer_unordered(AT_ONCE);
    let mut asked = 0;
    while let Some((requirements, answer, expected)) = asking.next().await {
        assert_eq!(answer["releases"], json!(expected), "{requirements}");
        assert_eq!(answer["right"], json!({"place": "Ys", "degrees": [1.0, 2.0]}), "{requirements}");
        assert_eq!(answer["wrong"], json!([["place", "string_too_short"], ["degrees", "list_type"]]), "{requirements}");
        asked += 1;
    }
    assert_eq!(asked, PYDANTIC.len());
}

/// Makes a set of numbers that do not end: the native core takes one after the other, and Python looks for no signal.
const ENDLESS: &str = r#"
import itertools, pydantic, pydantic_core

numbers = pydantic.TypeAdapter(set[int])

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/for-ever":
        numbers.validate_python(itertools.repeat(1))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": pydantic_core.__version__.encode()})
"#;

/// hostile 74: a native core that was added to the guest after it was optimised is stopped as all other code is.
#[tokio::test]
async fn a_native_core_that_computes_for_ever_is_stopped() {
    let package = Package::asgi(ENDLESS).file("requirements.txt", "pydantic==2.13.4\n");
    let host = TestHost::agent(&package).env("REQUEST_TIMEOUT_SEC", "5").env("PAR_INSTANCES", "1").spawn();
    assert_eq!(host.booted(INSTALL).await.event(), "Runtime ready", "{}", host.log_text());
    let reply = host.get("/for-ever").await;

    assert_eq!((reply.status, reply.error_code().as_str()), (504, "call_timeout"));
    assert_eq!(host.get("/").await.text(), "2.46.4");
    comes_to_rest(&host, "it was stopped").await;
}

/// What SDKs ask of jiter, and the release each gets: `openai` and `anthropic`, then the lines of `instructor`, each
/// with a bound of its own.
const JITER: [(&str, &str); 4] = [
    ("jiter>=0.4,<1", "0.19.0"),
    ("jiter>=0.6.1,<0.12", "0.11.1"),
    ("jiter>=0.6.1,<0.14", "0.13.0"),
    ("jiter>=0.6.1,<0.15", "0.14.0"),
];

/// Parses JSON that has not all arrived, as clients of models do.
const PARSING: &str = r#"
import importlib.metadata, json, jiter

def wrong():
    try:
        jiter.from_json(b'{"a": tru}')
    except ValueError as error:
        return str(error)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    part = jiter.from_json(b'{"a": [1, 2.5, "\\u00e9", null, true], "b": "c', partial_mode="trailing-strings")
    answer = {"release": importlib.metadata.version("jiter"), "part": part, "wrong": wrong()}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
"#;

/// A range of an SDK finds a native release of jiter in it.
#[tokio::test]
async fn an_agent_runs_on_the_jiter_its_sdk_asks_for() {
    let cache = tempfile::tempdir().unwrap();
    for (requirement, release) in JITER {
        let answer = answers(PARSING, requirement, cache.path()).await;
        assert_eq!(answer["release"], release, "{requirement}");
        assert_eq!(answer["part"], json!({"a": [1, 2.5, "\u{e9}", null, true], "b": "c"}), "{requirement}");
        assert_eq!(answer["wrong"], "expected ident at line 1 column 10", "{requirement}");
    }
}

/// What `par check --verdict` says of requirements: the backend, why, and the way out.
async fn verdict(requirements: &str, set: &[(&str, &str)]) -> [String; 3] {
    let package = Package::asgi(PINNED).file("requirements.txt", requirements);
    let setup = set.iter().fold(TestHost::agent(&package), |setup, (name, value)| setup.env(name, *value));
    let said = setup.command(["check", "--json", setup.package().to_str().unwrap()]).await;
    assert_eq!(said.code, 0, "{}", said.errors);
    let said = said.json();
    ["backend", "because", "hint"].map(|key| said[key].as_str().unwrap_or_default().to_owned())
}

/// The releases of pydantic an agent may pin and not get in the sandbox, and a phrase of the reason: before 2.12 none
/// runs on Python 3.14.
const ELSEWHERE: [(&str, &str); 2] =
    [("pydantic>=2.5,<2.8", "pydantic-core"), ("pydantic==2.11.10", "pydantic-core==2.33.2")];

const CARRIED: &str = "the guest carries `pydantic-core==2.41.1, 2.41.3, 2.41.4, 2.41.5, 2.46.0, 2.46.1, 2.46.2, 2.46.3, \
                       2.46.4, 2.46.5, 2.50.0, 2.50.1, 2.50.2, 2.50.4`";

const WAY_OUT: &str = "ask for `pydantic>=2.12`, before which none runs on Python 3.14, and leave the rest open; or let the \
                       operator allow it outside the sandbox: `native: allow` in the policy, `PAR_NATIVE=allow` without one";

/// A pin on a release the sandbox cannot have says so, with the way out: before the start, and at the start of an agent
/// that may not leave the sandbox. The twins are above and below.
#[tokio::test]
async fn a_pin_on_a_native_core_that_is_not_there_is_refused_by_name() {
    for (pin, core) in ELSEWHERE {
        let requirements = format!("fastapi\n{pin}\n");
        let package = Package::asgi(PINNED).file("requirements.txt", requirements.clone());
        let host = TestHost::agent(&package).spawn();
        let line = host.booted(INSTALL).await;
        assert_eq!(line.event(), "Boot failed", "{pin}");
        let error = line.text_of("error");
        assert!(error.contains(core) && error.contains(CARRIED), "{pin}: {error}");
        assert_eq!(line.text_of("hint"), WAY_OUT);
        assert!(!host.setup().directory().join("cache/venvs").exists());

        let nowhere = [("PAR_PYTHON", "/bin/false")];
        let [backend, because, hint] = verdict(&requirements, &nowhere).await;
        assert_eq!((backend.as_str(), because.as_str(), hint.as_str()), ("none", error, WAY_OUT), "{pin}");
    }
}

/// Where it may leave the sandbox, such an agent does: an older Python of the host has what this one has not. `par check`
/// says so before.
#[tokio::test]
async fn a_pin_on_a_native_core_that_is_not_there_runs_outside_where_it_may() {
    for (pin, core) in ELSEWHERE {
        let requirements = format!("fastapi\n{pin}\n");
        let [backend, because, _] = verdict(&requirements, &[]).await;
        assert_eq!(backend, "native", "{because}");
        assert!(because.contains(core) && because.contains(CARRIED), "{because}");
        let (_, end) = because.rsplit_once("; CPython 3.").unwrap();
        assert!(end.ends_with(" of this machine can have all of it"), "{because}");

        let package = Package::asgi(PINNED).file("requirements.txt", requirements);
        let host = TestHost::agent(&package).env("PAR_NATIVE", "allow").spawn();
        assert_eq!(host.booted(INSTALL).await.event(), "Runtime ready", "{}", host.log_text());
        let outside = host.wait_for_event("Agent runs outside the sandbox").await;
        let because = outside.text_of("because");
        let (_, cores) = CARRIED.trim_end_matches('`').split_once("==").unwrap();
        assert!(because.contains(&format!("pydantic-core {cores}")), "{because}");
        assert!(because.contains("the sandbox has no other version of it"), "{because}");
        let versions = host.get("/versions").await.json();
        let installed = versions["installed"]["pydantic"].as_str().unwrap();
        assert!(installed.starts_with("2.7.") || installed == "2.11.10", "{pin}: {versions}");
        assert_eq!(versions["core"], versions["installed"]["pydantic-core"]);
        let good = host.post("/readings", &json!({"place": "Ys", "degrees": ["1", 2]})).await;
        assert_eq!(good.json(), json!({"place": "Ys", "degrees": [1.0, 2.0, 1.5]}));
    }
}
