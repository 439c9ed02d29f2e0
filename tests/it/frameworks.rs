//! Web frameworks, as their manuals use them, unmodified and installed from the package index.

use std::time::Duration;

use futures::future::join_all;
use par_tests::{Package, RunningHost, TestHost};
use reqwest::Method;
use serde_json::{Value, json};

/// Longest time until a framework is installed, whatever else the machine does.
const INSTALL: Duration = Duration::from_secs(500);

async fn fastapi() -> RunningHost {
    let main = include_str!("python/frameworks/fastapi_features.py");
    TestHost::agent(&Package::asgi(main)).start().await
}

#[tokio::test]
async fn fastapi_has_its_lifespan_dependencies_and_background_tasks() {
    let mut host = fastapi().await;

    assert_eq!(host.get("/lifespan").await.json(), json!([true, ["from the lifespan"]]));

    let ask = |token: &str| host.request(Method::GET, "/dependencies").bearer_auth(token).header("x-page", "7");
    let found = host.send(ask("right")).await;
    assert_eq!(found.json(), json!({"resource": "resource", "token": "right", "page": 7}));
    assert_eq!(host.send(ask("wrong")).await.status, 403);
    assert_eq!(host.get("/events").await.json(), json!(["opened", "closed", "opened", "closed"]));

    // One request waits for what another one leaves to be done afterwards.
    let (waited, accepted) = tokio::join!(host.get("/wait"), host.post("/background", &Value::Null));
    assert_eq!(accepted.json(), json!({"accepted": true}));
    let events = waited.json();
    assert!(events.as_array().unwrap().contains(&json!("background")), "{events}");

    assert_eq!(host.stop().await, 0);
    host.wait_for_agent("the lifespan has ended").await;
}

#[tokio::test]
async fn fastapi_has_its_middleware_exception_handlers_and_models() {
    let host = fastapi().await;

    let teapot = host.get("/teapot").await;
    assert_eq!((teapot.status, teapot.json()), (418, json!({"error": "short and stout"})));
    assert!(teapot.header("x-seconds").starts_with("0."));

    let large = host.send(host.request(Method::GET, "/large").header("accept-encoding", "gzip")).await;
    assert_eq!(large.header("content-encoding"), "gzip");

    let item = json!({"name": "lamp", "price": 2.5});
    let put =
        |path: &str| host.request(Method::PUT, path).header("content-type", "application/json").body(item.to_string());
    let stored = host.send(put("/items/3?q=x")).await;
    assert_eq!((stored.status, stored.json()), (201, json!({"name": "lamp 3 x", "price": 2.5})));
    assert_eq!(host.send(put("/items/three")).await.status, 422);

    let schema = host.get("/openapi.json").await.json();
    assert_eq!(schema["paths"]["/items/{item_id}"]["put"]["responses"]["201"]["description"], "Successful Response");
}

/// hostile 76: what a stranger may send costs a request, and not the instance with everybody else's.
#[tokio::test]
async fn fastapi_refuses_json_that_nests_without_end() {
    let host = fastapi().await;
    let levels = 100_000;
    let put = |body: String| {
        host.send(host.request(Method::PUT, "/items/3").header("content-type", "application/json").body(body))
    };

    for deep in ["[".repeat(levels), "[".repeat(levels) + &"]".repeat(levels), r#"{"name":"#.repeat(levels)] {
        let refused = put(deep).await;
        assert_eq!((refused.status, &refused.json()["detail"]), (400, &json!("There was an error parsing the body")));
    }
    // What can be read and not be written: FastAPI repeats a wrong body.
    let repeated = put("[".repeat(2000) + &"]".repeat(2000)).await;
    assert_eq!((repeated.status, repeated.text()), (500, "Internal Server Error"));
    let wide = put(format!(r#"{{"name": "lamp", "price": 2.5, "more": [{}0]}}"#, "[0],".repeat(levels))).await;
    assert_eq!((wide.status, wide.json()["name"].as_str()), (201, Some("lamp 3 None")));
    assert!(host.events("Instance trapped").is_empty());
}

#[tokio::test]
async fn fastapi_takes_uploads_and_streams() {
    let host = fastapi().await;
    let part =
        |about: &str, content: &str| format!("--edge\r\ncontent-disposition: form-data; {about}\r\n\r\n{content}\r\n");
    let body = [
        part("name=\"file\"; filename=\"a.txt\"\r\ncontent-type: text/plain", &"a".repeat(2 << 20)),
        part("name=\"second\"; filename=\"b\"", &"b".repeat(10)),
        part("name=\"note\"", "hello"),
        "--edge--\r\n".to_owned(),
    ];
    let form = host.request(Method::POST, "/upload").header("content-type", "multipart/form-data; boundary=edge");

    let uploaded = host.send(form.body(body.concat())).await;

    let expected = json!({
        "name": "a.txt", "type": "text/plain", "head": "aaaa", "size": 2 << 20, "note": "hello", "second": 10,
    });
    assert_eq!(uploaded.json(), expected, "{}", uploaded.text());
    assert_eq!(host.get("/stream").await.text(), "0\n1\n2\n");
}

/// Context variables belong to one request, and asyncio has its groups, timeouts, queues and cancellation.
#[tokio::test]
async fn asyncio_and_context_variables_are_those_of_python() {
    let host = fastapi().await;

    let asking = (0..20).map(|number| {
        let request = host.request(Method::GET, "/tenant").header("x-tenant", format!("tenant {number}"));
        async { host.send(request).await.json() }
    });
    let seen = join_all(asking).await;
    let expected: Vec<Value> = (0..20).map(|number| json!(format!("tenant {number}"))).collect();
    assert_eq!(seen, expected);
    assert_eq!(host.get("/tenant").await.json(), "nobody");

    assert_eq!(host.get("/group").await.json(), json!([[0, 1, 2], [true, "timed out", true, "group"]]));
}

/// Three routes, the same for all.
async fn answers(factory: &str, requirement: &str) {
    let package = Package::new("probe", &format!("http_server: main:{factory}\n"))
        .file("main.py", include_str!("python/frameworks/small.py"))
        .file("requirements.txt", format!("{requirement}\n"));
    let host = TestHost::agent(&package).spawn();
    assert_eq!(host.booted(INSTALL).await.event(), "Runtime ready", "{factory}");

    assert_eq!(host.get("/hello/Ada").await.text(), "Hello, Ada", "{factory}");
    assert_eq!(host.post("/sum", &json!([1, 2, 3])).await.json(), json!({"sum": 6}), "{factory}");
    assert_eq!(host.get("/stream").await.text(), "0\n1\n2\n", "{factory}");
    assert_eq!(host.get("/missing").await.status, 404, "{factory}");
}

#[tokio::test]
async fn flask_answers() {
    answers("flask_app", "flask==3.1.3").await;
}

#[tokio::test]
async fn bottle_answers() {
    answers("bottle_app", "bottle==0.13.4").await;
}

#[tokio::test]
async fn falcon_answers_as_wsgi_and_asgi() {
    answers("falcon_wsgi", "falcon==4.4.0").await;
    answers("falcon_asgi", "falcon==4.4.0").await;
}

#[tokio::test]
async fn quart_answers() {
    answers("quart_app", "quart==0.23.1").await;
}

#[tokio::test]
async fn starlette_answers() {
    answers("starlette_app", "starlette").await;
}

#[tokio::test]
async fn django_answers_as_wsgi_and_asgi() {
    let directory = TestHost::bare();
    for interface in ["wsgi", "asgi"] {
        let package = Package::new("probe", &format!("http_server: main:{interface}\n"))
            .file("main.py", include_str!("python/frameworks/django_app.py"))
            .file("requirements.txt", "django==6.1.3\n");
        let cache = directory.directory().join("cache");
        let host = TestHost::agent(&package).env("PAR_CACHE_DIR", cache).spawn();
        assert_eq!(host.booted(INSTALL).await.event(), "Runtime ready", "{interface}");

        assert_eq!(host.get("/hello/ada").await.text(), "Hello, Ada", "{interface}");
        let form = host.request(Method::POST, "/add").header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(host.send(form.body("a=1&b=2")).await.json(), json!({"sum": 3, "method": "POST"}), "{interface}");
        assert_eq!(host.get("/stream").await.text(), "0\n1\n2\n", "{interface}");
        if interface == "asgi" {
            assert_eq!(host.get("/waits").await.json(), json!({"waited": true}));
        }
    }
}
