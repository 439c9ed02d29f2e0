//! The REST surface: where routes are, what they answer, and what the platform adds.

use par_tests::{Package, RunningHost, TestHost};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) const BASE: &str = "/agents/app-1";

pub(crate) fn at_base(package: &Package) -> TestHost {
    TestHost::agent(package).env("BASE_PATH", BASE)
}

/// An agent whose every route mirrors the request.
fn mirror() -> Package {
    Package::example("stdlib")
}

const ROUTES: &str = "
from fastapi import HTTPException
from pydantic import BaseModel, Field


class Order(BaseModel):
    item: str
    count: int = Field(ge=1)


def mount(app):
    @app.get('/api/ping')
    async def ping():
        return {'message': 'pong'}

    @app.get('/api/sync')
    def sync():
        return {'message': 'sync'}

    @app.post('/api/orders', status_code=201)
    async def order(body: Order):
        if body.item == 'unknown':
            raise HTTPException(status_code=400, detail='there is no such item')
        return {'ordered': body.count}

    @app.get('/api/fail')
    async def fail():
        raise RuntimeError('the password is hunter2')

    @app.get('/health')
    async def health():
        return 'not the platform'
";

async fn orders() -> RunningHost {
    at_base(&Package::mount(ROUTES)).start().await
}

/// R031, R033, R072, R073, R079: `GET {BASE}/api/ping` of a mount function answers JSON.
#[tokio::test]
async fn routes_of_a_mount_function_answer_below_the_base_path() {
    let host = orders().await;

    let ping = host.get("/agents/app-1/api/ping").await;
    let sync = host.get("/agents/app-1/api/sync").await;

    assert_eq!((ping.status, ping.json()), (200, json!({"message": "pong"})));
    assert_eq!(ping.header("content-type"), "application/json");
    assert_eq!((sync.status, sync.json()), (200, json!({"message": "sync"})));
}

/// R037, R039, R040: the prefix is taken off once; neither the root nor a doubled prefix leads
/// to the agent, with or without the checks of a framework.
#[tokio::test]
async fn the_prefix_applies_exactly_once_and_the_root_stays_clean() {
    let host = at_base(&mirror()).start().await;

    let once = host.get("/agents/app-1/api/x?q=1").await;
    let refused = ["/api/x", "/", "/agents/app-1/agents/app-1/api/x", "/agents/app-12/api/x", "/meta", "/deploy"];

    assert_eq!(once.status, 200);
    let expected = json!({"method": "GET", "path": "/agents/app-1/api/x", "root_path": BASE, "query": "q=1"});
    assert_eq!(once.json(), expected);
    for path in refused {
        let reply = host.get(path).await;
        assert_eq!((reply.status, reply.json()), (404, json!({"detail": "Not Found"})), "{path}");
    }
}

/// R034: with `SERVE_AT_ROOT=true` the agent answers at the root too; built-ins stay first.
#[tokio::test]
async fn the_root_serves_the_agent_where_it_was_asked_to() {
    let host = at_base(&mirror()).env("SERVE_AT_ROOT", "true").start().await;

    let root = host.get("/test").await;
    let prefixed = host.get("/agents/app-1/test").await;
    let doubled = host.get("/agents/app-1/agents/app-1/test").await;

    assert_eq!((root.status, root.json()["root_path"].clone()), (200, json!("")));
    assert_eq!((prefixed.status, prefixed.json()["root_path"].clone()), (200, json!(BASE)));
    assert_eq!(doubled.status, 404);
    assert_eq!(host.health().await.json()["ok"], true);
}

/// R011, R021, R027, R150: the variable is normalised, and `{AGENT_APP_ID}` in it is replaced.
#[tokio::test]
async fn the_base_path_is_normalised_and_its_placeholder_replaced() {
    let host = TestHost::agent(&mirror()).env("BASE_PATH", " agents/{AGENT_APP_ID}/ ").start().await;

    assert_eq!(host.get("/agents/app-1/x").await.json()["root_path"], BASE);
    assert_eq!(host.get("/x").await.status, 404);
}

/// R011: without `BASE_PATH` everything is at the root.
#[tokio::test]
async fn without_a_base_path_the_agent_is_at_the_root() {
    let host = TestHost::agent(&mirror()).start().await;

    let reply = host.get("/x").await;

    assert_eq!(reply.json(), json!({"method": "GET", "path": "/x", "root_path": "", "query": ""}));
    assert_eq!(host.get("/meta").await.json()["name"], "mirror");
}

/// Hostile 143. R014, R084: the built-in endpoints have their shapes, and the agent cannot take their place.
#[tokio::test]
async fn built_in_endpoints_have_the_shapes_the_platform_asks_for() {
    let host = orders().await;

    for path in ["/health", "/agents/app-1/health"] {
        let health = host.get(path).await;
        let body = health.json();
        assert_eq!((health.status, &body["ok"]), (200, &json!(true)), "{path}");
        assert_eq!(body["surfaces"], json!({"rest": true, "a2a": false, "ui": false}));
        assert!(body["timestamp"].as_i64().unwrap() > 1_600_000_000_000, "milliseconds since 1970");
    }
    let supervisor = host.get("/agents/app-1/agents/app-1/health").await.json();
    assert_eq!(supervisor["status"], "healthy");
    assert_eq!((&supervisor["agentId"], &supervisor["loaded"]), (&json!("app-1"), &json!(true)));
    let other = host.get("/agents/other/health").await;
    let expected = json!({"error": "Agent not found", "agentId": "other", "loaded": false});
    assert_eq!((other.status, other.json()), (404, expected));

    let meta = host.get("/agents/app-1/meta").await.json();
    assert_eq!((&meta["name"], &meta["version"]), (&json!("probe"), &json!("1.0")));
    assert_eq!(meta["surfaces"], json!({"a2a": false, "rest": true, "ui": false}));
    assert!(meta["boot_stats"]["total_ms"].as_f64().unwrap() > 0.0);
    for phase in ["download", "extract", "install", "load", "serve"] {
        assert!(meta["boot_stats"]["phases_ms"][phase].is_number(), "{meta}");
    }
    let index = host.get("/agents/app-1/").await.json();
    assert_eq!(index["service"], "Pixell Agent Runtime");
    let bare = host.get("/agents/app-1").await;
    assert_eq!((bare.status, bare.header("location")), (307, "/agents/app-1/"));
    let a2a = host.get("/agents/app-1/a2a/health").await;
    assert_eq!((a2a.status, a2a.json()), (404, json!({"detail": "A2A service not available"})));
    assert_eq!(host.get("/agents/app-1/ui/health").await.json()["ok"], false);
}

/// R179, R180, R001: there is nothing to deploy to and no other agent.
#[tokio::test]
async fn no_port_has_a_deployment_or_control_api() {
    let host = orders().await;

    for path in ["/deploy", "/deployments", "/agents", "/runtime/status", "/invoke", "/status", "/metrics", "/packages"]
    {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let reply = host.send(host.request(method.clone(), path)).await;
            assert_eq!(reply.status, 404, "{method} {path}");
        }
    }
    assert_eq!(host.get("/agents/app-1/api/ping").await.status, 200);
}

/// Bodies that do not fit the model are 422 in FastAPI's shape; the agent's own 400 and 201
/// pass through.
#[tokio::test]
async fn answers_of_fastapi_keep_their_status_and_shape() {
    let host = orders().await;
    let orders = "/agents/app-1/api/orders";

    let created = host.post(orders, &json!({"item": "tea", "count": 2})).await;
    let own = host.post(orders, &json!({"item": "unknown", "count": 2})).await;
    let invalid = host.post(orders, &json!({"count": 0})).await;
    let request = host.request(Method::POST, orders).header("content-type", "application/json").body("{");
    let broken = host.send(request).await;
    let method = host.get(orders).await;

    assert_eq!((created.status, created.json()), (201, json!({"ordered": 2})));
    assert_eq!((own.status, own.json()), (400, json!({"detail": "there is no such item"})));
    let detail = invalid.json()["detail"].clone();
    let errors: Vec<(&Value, &Value)> =
        detail.as_array().unwrap().iter().map(|error| (&error["type"], &error["loc"])).collect();
    let expected =
        [(json!("missing"), json!(["body", "item"])), (json!("greater_than_equal"), json!(["body", "count"]))];
    assert_eq!(invalid.status, 422);
    assert_eq!(errors, expected.iter().map(|(kind, place)| (kind, place)).collect::<Vec<_>>());
    assert_eq!((broken.status, &broken.json()["detail"][0]["type"]), (422, &json!("json_invalid")));
    assert_eq!((method.status, method.json()), (405, json!({"detail": "Method Not Allowed"})));
    assert_eq!(method.header("allow"), "POST");
}

/// The traceback of an exception is in the log under the id the caller was given, and nowhere
/// in the answer.
#[tokio::test]
async fn an_exception_is_a_typed_error_whose_traceback_only_the_log_has() {
    let host = at_base(&Package::asgi(include_str!("python/probe.py"))).start().await;

    let reply = host.get("/agents/app-1/fail").await;

    assert_eq!((reply.status, reply.error_code().as_str()), (500, "agent_error"));
    assert_eq!(reply.json()["message"], "agent `app-1` failed to answer");
    let id = reply.header("x-request-id").to_owned();
    let line = host.wait_for("the failure", |line| line.text_of("request_id") == id).await;
    assert_eq!(line.level(), "error");
    assert!(line.text_of("traceback").contains("in fail"), "{}", line.text);
    assert!(line.text_of("traceback").contains("hunter2"), "{}", line.text);
    assert_eq!(host.get("/agents/app-1/ping").await.json(), "pong");
}

/// The same through FastAPI, whose own error page is only its status.
#[tokio::test]
async fn an_exception_in_a_mounted_route_tells_the_caller_nothing() {
    let host = orders().await;

    let reply = host.get("/agents/app-1/api/fail").await;

    assert_eq!(reply.status, 500);
    for secret in ["hunter2", "Traceback", "routes.py", "/agent", "/python"] {
        assert!(!reply.text().contains(secret), "{}", reply.text());
    }
    host.wait_for("the traceback", |line| line.text_of("traceback").contains("hunter2")).await;
    assert_eq!(host.get("/agents/app-1/api/ping").await.status, 200);
}

/// CORS as the platform's clients know it, on the agent's routes and on built-ins.
#[tokio::test]
async fn every_origin_is_allowed_with_credentials() {
    let host = orders().await;
    let (allow_origin, allow_credentials) = ("access-control-allow-origin", "access-control-allow-credentials");

    for path in ["/agents/app-1/api/ping", "/health", "/nowhere"] {
        let plain = host.get(path).await;
        let crossed = host.send(host.request(Method::GET, path).header("origin", "https://app.example")).await;
        let request = host.request(Method::GET, path).header("origin", "https://app.example");
        let with_cookie = host.send(request.header("cookie", "a=b")).await;
        let request = host.request(Method::OPTIONS, path).header("origin", "https://app.example");
        let request = request.header("access-control-request-method", "PUT");
        let preflight = host.send(request.header("access-control-request-headers", "x-token")).await;

        assert!(!plain.headers.contains_key(allow_origin), "{path}");
        assert_eq!((crossed.header(allow_origin), crossed.header(allow_credentials)), ("*", "true"), "{path}");
        assert_eq!((with_cookie.header(allow_origin), with_cookie.header("vary")), ("https://app.example", "Origin"));
        assert_eq!((preflight.status, preflight.text()), (200, "OK"), "{path}");
        assert_eq!(preflight.header("access-control-allow-methods"), "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
        assert_eq!(preflight.header("access-control-allow-headers"), "x-token");
        assert_eq!(preflight.header("access-control-max-age"), "600");
    }
    let request = host.request(Method::OPTIONS, "/health").header("origin", "https://app.example");
    let refused = host.send(request.header("access-control-request-method", "BREW")).await;
    assert_eq!((refused.status, refused.text()), (400, "Disallowed CORS method"));
}

/// What the client asked is what the agent sees: method, path, query and header fields, and
/// none of those that describe the connection to PAR.
#[tokio::test]
async fn methods_paths_and_queries_reach_the_agent_as_they_are() {
    let host = at_base(&mirror()).start().await;

    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let method: Method = method.parse().unwrap();
        let reply = host.send(host.request(method.clone(), "/agents/app-1/%C3%BC/a%20b?x=%26&x=1")).await;
        let body = reply.json();
        assert_eq!(body["method"], method.as_str());
        assert_eq!(body["path"], "/agents/app-1/ü/a b");
        assert_eq!(body["query"], "x=%26&x=1");
    }
    let head = host.send(host.request(Method::HEAD, "/agents/app-1/x")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// R013, R031: the ports listen on every interface, not only on the loopback one.
#[tokio::test]
async fn the_ports_listen_on_all_interfaces() {
    let host = at_base(&Package::example("fastapi")).env("MULTIPLEXED", "false").start().await;

    let listening: Vec<(String, String)> = host
        .events("Listening")
        .iter()
        .map(|line| (line.text_of("surface").to_owned(), line.text_of("address").to_owned()))
        .collect();

    let expected = [("rest", "REST_PORT"), ("ui", "UI_PORT"), ("a2a", "A2A_PORT")]
        .map(|(surface, variable)| (surface.to_owned(), format!("0.0.0.0:{}", host.setup().port(variable))));
    assert_eq!(listening, expected);
    for (_, address) in listening {
        tokio::net::TcpStream::connect(address).await.unwrap();
    }
}

/// Requests that overlap on one instance get their own answer each, in whatever order the agent gives them.
#[tokio::test]
async fn answers_of_requests_that_overlap_are_not_mixed_up() {
    let agent = "
import asyncio

waiting = []


async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    mine = asyncio.Event()
    waiting.append(mine)
    if len(waiting) == 100:
        for event in reversed(waiting):
            event.set()
    await mine.wait()
    number = scope['path'].lstrip('/').encode()
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'x-number', number)]})
    await send({'type': 'http.response.body', 'body': number, 'more_body': True})
    await asyncio.sleep(0)
    await send({'type': 'http.response.body', 'body': b' ' + number})
";
    let host = TestHost::agent(&Package::asgi(agent)).start().await;
    let paths: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();

    let replies = futures::future::join_all(paths.iter().map(|path| host.get(path))).await;

    for (number, reply) in replies.iter().enumerate() {
        assert_eq!((reply.status, reply.header("x-number")), (200, number.to_string().as_str()));
        assert_eq!(reply.text(), format!("{number} {number}"));
    }
}
