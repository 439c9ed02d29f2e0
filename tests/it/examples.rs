//! The agents in `tests/agents`, as they are, on every surface they have.

use par_tests::{Package, TestHost};
use reqwest::Method;
use serde_json::json;

use crate::rest::{BASE, at_base};

/// R072, R079, R080, R081: the FastAPI example answers on three surfaces.
#[tokio::test]
async fn the_fastapi_example_answers_on_three_surfaces() {
    let host = at_base(&Package::example("fastapi")).start().await;

    assert_eq!(host.get("/agents/app-1/api/ping").await.json(), json!({"message": "pong"}));
    let text = json!({"text": "one two three", "longest": 2});
    let summary = host.post("/agents/app-1/api/summary", &text).await;
    assert_eq!(summary.json(), json!({"words": 3, "characters": 13, "summary": "one two …"}));
    let empty = host.post("/agents/app-1/api/summary", &json!({"text": " "})).await;
    assert_eq!((empty.status, empty.json()), (400, json!({"detail": "there is no text to summarise"})));
    let invalid = host.post("/agents/app-1/api/summary", &json!({"text": "a", "longest": 0})).await;
    assert_eq!((invalid.status, &invalid.json()["detail"][0]["loc"]), (422, &json!(["body", "longest"])));
    let events = host.get("/agents/app-1/api/words?text=a%20b").await;
    assert_eq!(events.text(), "id: 0\ndata: \"a\"\n\nid: 1\ndata: \"b\"\n\n");
    assert!(events.header("content-type").starts_with("text/event-stream"));

    let client = host.a2a().await;
    let summary = client.act("summary", &[("text", "one two three"), ("longest", "2")]).await;
    assert_eq!(summary.result, "{'words': 3, 'characters': 13, 'summary': 'one two …'}");
    assert_eq!(client.act("count_words", &[("text", "one two three")]).await.result, "3");
    assert_eq!(client.act("count_words", &[]).await.error, "'text'");

    let page = host.get("/agents/app-1/ui/").await;
    assert!(page.text().contains("<title>Text tools</title>"));
    for file in ["app.js", "style.css"] {
        assert_eq!(host.get(&format!("{BASE}/ui/{file}")).await.status, 200);
    }
    assert_eq!(host.get("/agents/app-1/ui-config.json").await.json(), json!({"apiBase": "/agents/app-1/api"}));
}

/// The Starlette example has its lifespan, and links that carry the prefix.
#[tokio::test]
async fn the_starlette_example_answers() {
    let host = at_base(&Package::example("starlette")).start().await;

    let hello = host.get("/agents/app-1/hello/Ada").await.json();

    assert_eq!(hello["greeting"], "Hello, Ada");
    assert_eq!(hello["self"], host.url("/agents/app-1/hello/Ada"));
    assert_eq!(host.get("/agents/app-1/missing").await.status, 404);
}

/// R056, R060, R064: the Flask example installs its requirement and answers through WSGI.
#[tokio::test]
async fn the_flask_example_installs_flask_and_answers() {
    let host = at_base(&Package::example("flask")).start().await;

    let roll = host.get("/agents/app-1/dice/6").await.json();
    let refused = host.get("/agents/app-1/dice/1").await;
    let sum = host.post("/agents/app-1/sum", &json!([1, 2, 3])).await;

    assert_eq!(roll["sides"], 6);
    assert!((1..=6).contains(&roll["rolled"].as_i64().unwrap()));
    assert_eq!(refused.status, 400);
    assert_eq!(sum.json(), json!({"sum": 6}));
}

/// The example without dependencies answers.
#[tokio::test]
async fn the_standard_library_example_answers() {
    let host = TestHost::agent(&Package::example("stdlib")).start().await;

    let reply = host.send(host.request(Method::PUT, "/anything?x=1")).await;

    assert_eq!(reply.json(), json!({"method": "PUT", "path": "/anything", "root_path": "", "query": "x=1"}));
}

/// R053, R054, R072, R119: a package of the first runtime, zipped, runs unmodified on all its surfaces.
#[tokio::test]
async fn a_package_of_the_first_runtime_runs_unmodified() {
    let host = TestHost::archive(&Package::example("old-par-example")).env("BASE_PATH", BASE).start().await;
    let calculate = async |body| host.post("/agents/app-1/api/calculate", &body).await;

    assert_eq!(host.get("/agents/app-1/api/status").await.json()["agent"], "example-agent");
    assert_eq!(host.get("/agents/app-1/api/health").await.json(), json!({"healthy": true}));
    let data = json!({"data": {"b": 1, "a": 2}, "operation": "keys"});
    assert_eq!(host.post("/agents/app-1/api/process", &data).await.json(), json!({"result": ["a", "b"]}));
    assert_eq!(calculate(json!({"a": 2, "b": 3, "operation": "multiply"})).await.json(), json!({"result": 6.0}));
    let zero = calculate(json!({"a": 2, "b": 0, "operation": "divide"})).await;
    assert_eq!((zero.status, zero.json()), (400, json!({"detail": "Division by zero"})));
    let invalid = calculate(json!({"a": "two", "b": 3})).await;
    assert_eq!(invalid.status, 422);
    assert_eq!(invalid.json()["detail"].as_array().unwrap().len(), 2);

    let client = host.a2a().await;
    assert_eq!(client.act("calculate", &[("a", "1"), ("b", "2")]).await.result, "3.0");
    assert_eq!(client.act("get_status", &[]).await.result, "{'status': 'running', 'version': '0.1.0'}");
    assert_eq!(client.act("process_data", &[("data", "x")]).await.result, "{'processed': True, 'data': 'x'}");
    let failed = client.act("calculate", &[("a", "1"), ("b", "2"), ("operation", "guess")]).await;
    assert_eq!((failed.success, failed.error.as_str()), (false, "Unknown operation: guess"));
    assert_eq!(client.act("calculate", &[]).await.error, "'a'");

    assert!(host.get("/agents/app-1/ui/").await.text().contains("<h1>Example agent</h1>"));
    assert_eq!(host.health().await.json()["surfaces"], json!({"rest": true, "a2a": true, "ui": true}));
}

/// R053, R056, R064, R119: what `pixell build` makes of the project `pixell init` starts, zipped, runs unmodified.
#[tokio::test]
async fn a_package_of_pixell_build_runs_unmodified() {
    let host = TestHost::archive(&Package::example("pixell-init")).start().await;

    assert_eq!(host.get("/api/hello").await.json(), json!({"message": "Hello from REST"}));
    assert_eq!(host.get("/meta").await.json()["name"], "initagent");
    assert!(host.get("/ui/").await.text().contains("<h1>Initagent</h1>"));
    let result = host.a2a().await.act("anything", &[]).await;
    assert_eq!(result.error, "No handler found for action: anything");
    host.wait_for_agent("no actions yet").await;
    assert_eq!(host.health().await.json()["surfaces"], json!({"rest": true, "a2a": true, "ui": true}));
}

/// `par check` describes each example and runs nothing.
#[tokio::test]
async fn par_check_describes_every_example() {
    for name in ["fastapi", "starlette", "flask", "stdlib", "old-par-example", "pixell-init"] {
        let directory = par_tests::repository().join("tests/agents").join(name);
        let mut host = TestHost::bare().args(["check".into(), directory]).for_people().spawn();

        assert_eq!(host.wait_exit().await, 0, "{name}: {}", host.standard_error().await);

        let said = host.violations().join("\n");
        assert!(said.contains("1.0") || said.contains("0.1.0"), "{name}: {said}");
    }
}
