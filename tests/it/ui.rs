//! The UI surface: files of `ui.path`, and nothing else.

use par_tests::{Package, RunningHost, TestHost};
use reqwest::Method;
use serde_json::json;

use crate::rest::{BASE, at_base};

const INDEX: &str = "<!doctype html><title>the page</title>";

/// An agent with a UI, and things beside it that are nobody's business.
fn package() -> Package {
    Package::new("probe", "http_server: main:app\nui:\n  path: client/dist\n")
        .file("main.py", include_str!("python/probe.py"))
        .file(".env", "SECRET=hunter2\n")
        .file("client/secret.txt", "hunter2")
        .file("client/dist/index.html", INDEX)
        .file("client/dist/app.js", "console.log('app');".repeat(100))
        .file("client/dist/static/logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
        .file("client/dist/.hidden", "hunter2")
}

async fn multiplexed() -> RunningHost {
    at_base(&package()).start().await
}

/// R074, R081: the index is at `{BASE}/ui/`, files beside it, and every other path of the
/// application is the index too.
#[tokio::test]
async fn the_index_files_and_pages_of_the_application_are_served() {
    let host = multiplexed().await;

    let bare = host.get("/agents/app-1/ui").await;
    let index = host.get("/agents/app-1/ui/").await;
    let script = host.get("/agents/app-1/ui/app.js").await;
    let logo = host.get("/agents/app-1/static/logo.svg").await;

    assert_eq!((bare.status, bare.header("location")), (307, "/agents/app-1/ui/"));
    assert_eq!((index.status, index.text()), (200, INDEX));
    assert!(index.header("content-type").starts_with("text/html"));
    assert_eq!(script.status, 200);
    assert!(script.header("content-type").starts_with("text/javascript"), "{:?}", script.headers);
    assert_eq!(logo.status, 200);
    assert!(logo.header("content-type").starts_with("image/svg+xml"), "{:?}", logo.headers);
    for path in ["settings", "users/7", "missing.js"] {
        let page = host.get(&format!("/agents/app-1/ui/{path}")).await;
        assert_eq!((page.status, page.text()), (200, INDEX), "{path}");
    }
    for path in ["api/x", "a2a/x", "meta", "ui-config.json"] {
        assert_eq!(host.get(&format!("/agents/app-1/ui/{path}")).await.status, 404, "{path}");
    }
    assert_eq!(host.health().await.json()["surfaces"]["ui"], true);
}

/// The page is told where the API is.
#[tokio::test]
async fn the_configuration_of_the_page_names_the_api() {
    let host = multiplexed().await;
    let at_root = TestHost::agent(&package()).start().await;

    assert_eq!(host.get("/agents/app-1/ui-config.json").await.json(), json!({"apiBase": "/agents/app-1/api"}));
    assert_eq!(at_root.get("/ui-config.json").await.json(), json!({"apiBase": "/api"}));
}

/// Browsers may keep files, ask for parts of them and get them compressed, and must not guess
/// their type.
#[tokio::test]
async fn files_have_tags_ranges_compression_and_safe_types() {
    let host = multiplexed().await;
    let path = "/agents/app-1/ui/app.js";

    let whole = host.get(path).await;
    let tag = whole.header("etag").to_owned();
    let same = host.send(host.request(Method::GET, path).header("if-none-match", &tag)).await;
    let part = host.send(host.request(Method::GET, path).header("range", "bytes=0-10")).await;
    let small = host.send(host.request(Method::GET, path).header("accept-encoding", "gzip")).await;
    let head = host.send(host.request(Method::HEAD, path)).await;
    let posted = host.send(host.request(Method::POST, path)).await;

    assert!(!tag.is_empty());
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!((part.status, part.text()), (206, "console.log"));
    assert_eq!(part.header("content-range"), "bytes 0-10/1900");
    assert_eq!(small.header("content-encoding"), "gzip");
    assert!(small.body.len() < 200 && small.body.starts_with(&[0x1f, 0x8b]));
    assert_eq!((head.status, head.header("content-length")), (200, "1900"));
    assert_eq!(posted.status, 405);
}

/// hostile 136: however a path is spelt, nothing outside `ui.path` is served; the file beside the refused
/// one is.
#[tokio::test]
async fn nothing_outside_the_folder_is_served_however_it_is_spelt() {
    let host = multiplexed().await;
    let ways_up = [
        "../",
        "..%2f",
        "..%2F",
        "%2e%2e/",
        "%2e%2e%2f",
        ".%2e/",
        "..%5c",
        "..\\",
        "%2e%2e%5c",
        "....//",
        "..;/",
        "static/../../",
        "static/..%2f..%2f",
        "%252e%252e%252f",
        "..%c0%af",
        "./../",
        "/../",
        "//",
        "%00/../",
    ];
    let targets =
        ["secret.txt", "../main.py", "..%2fmain.py", "../.env", "../../../../../../etc/passwd", "/etc/passwd"];
    let mut refused = 0;

    for root in ["/agents/app-1/ui/", "/agents/app-1/static/", "/agents/app-1/assets/"] {
        for up in ways_up {
            for target in targets {
                let reply = host.raw_get(&format!("{root}{up}{target}")).await;
                let served = reply.status == 200 && !reply.body.contains("the page");
                assert!(!served && !reply.body.contains("hunter2"), "{root}{up}{target}: {reply:?}");
                refused += 1;
            }
        }
    }
    for hidden in [".hidden", "%2ehidden", ".env", "/etc/host.conf", "//etc/host.conf"] {
        let reply = host.raw_get(&format!("/agents/app-1/ui/{hidden}")).await;
        assert!(reply.status == 404 || reply.status == 400 || reply.body.contains("the page"), "{hidden}: {reply:?}");
        assert!(!reply.body.contains("hunter2"), "{hidden}: {reply:?}");
    }
    assert_eq!(refused, 3 * 19 * 6);

    let twin = host.raw_get("/agents/app-1/ui/static/%6cogo.svg").await;
    assert_eq!((twin.status, twin.body.contains("<svg")), (200, true));
}

/// R074: `MULTIPLEXED=false` puts the UI on its own port and takes it off the REST port.
#[tokio::test]
async fn the_ui_has_a_port_of_its_own_when_it_is_not_multiplexed() {
    let host = at_base(&package()).env("MULTIPLEXED", "false").start().await;
    let port = host.setup().port("UI_PORT");
    let alone = async |path: &str| host.send(host.client().get(format!("http://127.0.0.1:{port}{path}"))).await;

    let index = alone("/agents/app-1/ui/").await;
    let config = alone("/agents/app-1/ui-config.json").await;
    let health = alone("/health").await;
    let agent = alone("/agents/app-1/ping").await;
    let rest = host.get("/agents/app-1/ui/").await;

    assert_eq!((index.status, index.text()), (200, INDEX));
    assert_eq!(config.json(), json!({"apiBase": "/agents/app-1/api"}));
    assert_eq!(health.json(), json!({"ok": true, "service": "ui", "port": port}));
    assert_eq!(agent.status, 404, "the agent is not on the port of the UI");
    assert_ne!(rest.text(), INDEX);
    assert_eq!(host.get("/agents/app-1/ping").await.json(), "pong");
}

/// Multiplexed, the default, nothing listens on the port of the UI.
#[tokio::test]
async fn the_port_of_the_ui_stays_closed_when_it_is_multiplexed() {
    let host = multiplexed().await;

    let port = host.setup().port("UI_PORT");

    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    assert_eq!(host.get(&format!("{BASE}/ui/")).await.status, 200);
}

/// `ui.basePath` moves the UI and leaves its API where it was.
#[tokio::test]
async fn the_base_path_of_the_ui_is_added_to_the_prefix() {
    let package = package().and("  basePath: /shop/\n");
    let host = at_base(&package).start().await;

    assert_eq!(host.get("/agents/app-1/shop/ui/").await.text(), INDEX);
    let config = host.get("/agents/app-1/shop/ui-config.json").await;
    assert_eq!(config.json(), json!({"apiBase": "/agents/app-1/api"}));
}

/// `ui.entry` names an application that renders the pages in the sandbox.
#[tokio::test]
async fn pages_may_be_rendered_by_the_agent() {
    let package = Package::new("probe", "ui:\n  entry: main:app\n")
        .file("main.py", Package::example("stdlib").content("main.py"));
    let host = at_base(&package).start().await;

    let page = host.get("/agents/app-1/ui/users/7?q=1").await.json();

    assert_eq!(page["path"], "/agents/app-1/ui/users/7");
    assert_eq!(page["root_path"], "/agents/app-1/ui");
    assert_eq!(host.health().await.json()["surfaces"], json!({"rest": false, "a2a": false, "ui": true}));
}
