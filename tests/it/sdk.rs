//! A2A over HTTP (`a2a.http_server`), and agents written with the Pixell SDK, unmodified, with the SDK from
//! the package index.

use std::time::Duration;

use par_tests::{Package, Reply, RunningHost, TestHost};
use reqwest::Method;
use serde_json::{Value, json};

/// The SDK brings two dozen distributions.
const INSTALL: Duration = Duration::from_secs(240);

/// A request to the A2A port.
async fn a2a(host: &RunningHost, method: Method, path: &str, body: &str) -> Reply {
    let url = format!("http://127.0.0.1:{}{path}", host.setup().port("A2A_PORT"));
    let request = host.client().request(method, url).header("content-type", "application/json");
    host.send(request.body(body.to_owned())).await
}

async fn call(host: &RunningHost, path: &str, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let reply = a2a(host, Method::POST, path, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn functions() -> Package {
    Package::new("probe", "a2a:\n  http_server: functions\n").file("functions.py", include_str!("python/functions.py"))
}

/// An agent of functions by name answers in the JSON-RPC form the platform's callers speak.
#[tokio::test]
async fn functions_are_served_as_json_rpc() {
    let host = TestHost::agent(&functions()).start().await;

    let card = a2a(&host, Method::GET, "/.well-known/agent.json", "").await.json();
    assert_eq!(card["capabilities"], json!({"streaming": true, "pushNotifications": false}));
    let skills: Vec<&str> =
        card["skills"].as_array().unwrap().iter().map(|skill| skill["id"].as_str().unwrap()).collect();
    assert_eq!((card["name"].as_str(), skills), (Some("probe"), vec!["chat", "add", "fails", "count"]));
    assert_eq!(a2a(&host, Method::GET, "/health", "").await.json(), json!({"ok": true, "status": "healthy"}));
    assert_eq!(host.get("/a2a/health").await.json()["ok"], true);

    let message = |text: &str, metadata: Value| json!({"message": {"parts": [{"type": "text", "text": text}], "metadata": metadata}});
    for (path, method, params, expected) in [
        ("/", "message/send", message("hello", json!({})), json!({"result": {"you said": "hello", "tone": null}})),
        (
            "/a2a",
            "tasks/send",
            message("x", json!({"skill": "chat", "params": {"tone": "dry"}})),
            json!({"result": {"you said": "x", "tone": "dry"}}),
        ),
        ("/", "skills/add", json!({"numbers": [1, 2]}), json!({"result": 3})),
        ("/agents/app-1/a2a/", "add", json!({"params": {"numbers": [1, 2, 4]}}), json!({"result": 7})),
        ("/", "unknown", json!({}), json!({"result": {"you said": null, "tone": null}})),
        ("/", "fails", json!({}), json!({"error": {"code": -32000, "message": "it went wrong"}})),
    ] {
        let mut expected = expected;
        expected["jsonrpc"] = json!("2.0");
        expected["id"] = json!(7);
        assert_eq!(call(&host, path, method, params).await, expected, "{path} {method}");
    }
    for (body, code) in [("{", -32700), ("[]", -32600), ("{}", -32600)] {
        assert_eq!(a2a(&host, Method::POST, "/", body).await.json()["error"]["code"], code, "{body}");
    }
    assert_eq!(a2a(&host, Method::GET, "/a2a", "").await.status, 405);
    assert_eq!(a2a(&host, Method::GET, "/elsewhere", "").await.status, 404);
}

/// Counts what it is asked.
const COUNTING: &str = "
asked = []


def main():
    def chat(parameters):
        asked.append(parameters)
        return parameters.get('message')

    return {'custom_handlers': {'chat': chat, 'asked': lambda _: len(asked)}, 'streaming_handlers': {'chat': chat}}
";

/// Hostile 154: what the A2A test kit demands of JSON-RPC, of the form that is served: a request that is none is refused with
/// the code of its mistake and reaches no function, an unknown method is said to be unknown, and an id comes back as it was.
#[tokio::test]
async fn what_is_no_json_rpc_request_is_refused_with_its_code() {
    let package = Package::new("probe", "a2a:\n  http_server: functions\n").file("functions.py", COUNTING);
    let host = TestHost::agent(&package).start().await;
    let (deep, digits) = ("[".repeat(200_000), "9".repeat(20_000));

    for path in ["/", "/stream"] {
        for (body, code, id) in [
            ("", -32700, json!(null)),
            ("{\"id\": 1,", -32700, json!(null)),
            ("{\"id\": 1, \"method\": \"chat\"} x", -32700, json!(null)),
            ("{\"id\": NaN, \"method\": \"chat\"}", -32700, json!(null)),
            ("{\"id\": 1e999, \"method\": \"chat\"}", -32700, json!(null)),
            (&format!("{{\"id\": {digits}, \"method\": \"chat\"}}"), -32700, json!(null)),
            (&format!("{{\"params\": {deep}"), -32700, json!(null)),
            ("[]", -32600, json!(null)),
            ("[{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"chat\"}]", -32600, json!(null)),
            ("{\"jsonrpc\": \"2.0\", \"id\": {}, \"method\": \"chat\"}", -32600, json!(null)),
            ("{\"jsonrpc\": \"1.0\", \"id\": 1, \"method\": \"chat\"}", -32600, json!(1)),
            ("{\"jsonrpc\": \"2.0\", \"id\": 1}", -32600, json!(1)),
            ("{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": [\"chat\"]}", -32600, json!(1)),
            ("{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"chat\", \"params\": 5}", -32602, json!(1)),
        ] {
            let reply = a2a(&host, Method::POST, path, body).await;

            let shown = &body[..body.len().min(60)];
            assert_eq!((reply.status, &reply.json()["error"]["code"]), (200, &json!(code)), "{path} {shown}");
            assert_eq!(reply.json()["id"], id, "{path} {shown}");
        }
    }
    assert_eq!(call(&host, "/", "asked", json!({})).await["result"], 0, "no function was called");
    assert!(host.events("Instance trapped").is_empty());

    let large = "x".repeat(1 << 20);
    for id in [json!(0), json!(-1), json!(u64::MAX), json!(large), json!("\u{1f600}\r\n\"")] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "message/send", "params": {"message": {"parts": [{"kind": "text", "text": "hi"}]}}});
        let answer = a2a(&host, Method::POST, "/", &request.to_string()).await.json();
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": id, "result": "hi"}));
    }
    assert_eq!(call(&host, "/", "asked", json!({})).await["result"], 5);

    let only = COUNTING.replace("'chat': chat, 'asked'", "'asked'");
    let host = TestHost::agent(&Package::new("probe", "a2a:\n  http_server: functions\n").file("functions.py", only));
    let host = host.start().await;
    let answer = call(&host, "/", "tasks/get", json!({"id": "t"})).await;
    assert_eq!(answer["error"], json!({"code": -32601, "message": "Method not found: get"}));
    assert_eq!(call(&host, "/", "asked", json!({})).await["result"], 0);
}

/// The states of a task as they arrive; each ends as completed or failed.
#[tokio::test]
async fn functions_that_stream_are_served_as_events() {
    let host = TestHost::agent(&functions()).start().await;
    let states = async |params: Value| -> Vec<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "count", "params": params}).to_string();
        let reply = a2a(&host, Method::POST, "/stream", &body).await;
        assert_eq!(reply.header("content-type"), "text/event-stream");
        let events =
            reply.text().split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap().to_owned());
        events.map(|event| serde_json::from_str::<Value>(&event).unwrap()["params"]["status"].clone()).collect()
    };
    let working = |text: &str| json!({"state": "working", "message": {"role": "agent", "parts": [{"type": "text", "text": text}]}});
    let mut thinking = working("let me see");
    thinking["message"]["metadata"] = json!({"thinking": true});

    assert_eq!(
        states(json!({"to": 1, "id": "t"})).await,
        [
            thinking.clone(),
            working("0"),
            json!({"state": "completed", "metadata": {"counted": 1}}),
            json!({"state": "completed", "final": true}),
        ]
    );
    assert_eq!(
        states(json!({"to": 0, "break": true})).await,
        [thinking, json!({"state": "failed", "error": {"code": -32000, "message": "it broke"}})]
    );
}

/// What does not make an application ends the start with the reason.
#[tokio::test]
async fn a_dictionary_of_something_else_is_refused() {
    let package =
        Package::new("probe", "a2a:\n  http_server: functions\n").file("functions.py", "def main(): return {'a': 1}\n");

    let host = TestHost::agent(&package).refused().await;

    let said = host.log_text();
    assert!(said.contains("returned a dictionary without `custom_handlers` and `streaming_handlers`"), "{said}");
}

/// The events of a stream of the SDK: name and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text.split("\n\n").filter(|block| block.contains("event: "));
    blocks
        .map(|block| {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            (field("event: ").to_owned(), serde_json::from_str(field("data: ")).unwrap())
        })
        .collect()
}

async fn planner(manifest: &str) -> RunningHost {
    // Its workflows are in its memory, so there is one instance.
    let package = Package::new("planner", &format!("{manifest}sandbox: {{limits: {{instances: 1}}}}\n"))
        .file("main.py", include_str!("python/planner.py"))
        .file("requirements.txt", "pixell-sdk==0.5.4\n");
    let host = TestHost::agent(&package).spawn();
    assert_eq!(host.booted(INSTALL).await.event(), "Runtime ready");
    host
}

/// From a question over a choice and a plan to a result, each step a request of its own.
async fn plans(ask: impl AsyncFn(Value) -> Vec<(String, Value)>) {
    let message = json!({"parts": [{"text": "tea"}], "role": "user", "messageId": "m"});
    let asked =
        ask(json!({"method": "message/stream", "params": {"message": message, "sessionId": "s", "workflowId": "w"}}))
            .await;
    let names: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"status-update") && names.contains(&"discovery_result"), "{asked:?}");
    let (_, choice) = asked.iter().find(|(_, data)| data["selectionId"].is_string()).unwrap();
    assert_eq!((&choice["sessionId"], &choice["workflowId"]), (&json!("s"), &json!("w")));

    let chosen = ask(json!({"method": "respond", "params": {
        "selectionId": choice["selectionId"], "selectedIds": ["b"], "sessionId": "s", "workflowId": "w"}}))
    .await;
    let (name, plan) = chosen.iter().find(|(_, data)| data["planId"].is_string()).unwrap();
    assert_eq!(name, "preview_ready", "{chosen:?}");

    let done = ask(json!({"method": "respond", "params": {
        "planId": plan["planId"], "approved": true, "sessionId": "s", "workflowId": "w"}}))
    .await;
    let (name, result) = done.last().unwrap();
    assert_eq!(name, "message", "{done:?}");
    assert!(result.to_string().contains("Did tea for b"), "{result}");
}

#[tokio::test]
async fn a_plan_mode_agent_runs_unmodified_as_http_server() {
    let host = planner("http_server: main:app\n").await;

    let card = host.get("/.well-known/agent.json").await.json();
    assert_eq!((&card["name"], &card["planMode"]["supported"]), (&json!("Planner"), &json!(true)));
    plans(async |request| events(host.post("/", &request).await.text())).await;
}

/// Hostile 154: requests the SDK does not take are answered by the SDK, and leave the agent as it was.
#[tokio::test]
async fn a_plan_mode_agent_runs_unmodified_on_the_a2a_port() {
    let host = planner("a2a:\n  http_server: main:server\n").await;

    let card = a2a(&host, Method::GET, "/.well-known/agent.json", "").await.json();
    assert_eq!(card["name"], "Planner");
    // What the SDK says to requests that are none is its own affair, and costs nobody else anything.
    for (body, status, code) in [
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "tasks/get"}"#, 200, json!(-32601)),
        (r#"{"jsonrpc": "2.0", "id": 1}"#, 500, json!(-32603)),
    ] {
        let reply = a2a(&host, Method::POST, "/", body).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (status, &code), "{body}");
    }
    assert_eq!(a2a(&host, Method::POST, "/", "{").await.status, 500);
    assert!(host.events("Instance trapped").is_empty());
    plans(async |request| events(a2a(&host, Method::POST, "/", &request.to_string()).await.text())).await;
}
