use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use http::StatusCode;
use serde_json::json;
use tempfile::TempDir;

use super::{Pages, Site, SiteError, Ui, UiAlone};
use crate::backend::scripted::Script;
use crate::backend::{Backend, Surface};
use crate::lifecycle::Phase;
use crate::surfaces::serve::{Bound, Limits, Protocol, Server};
use crate::surfaces::testing::{BASE, Front, get, health_in, loopback, request_limits, routes, says, send};

const INDEX: &str = "<!doctype html><title>home</title>";

/// A package with a UI folder in it, and things beside and in it that nobody may see.
fn package() -> TempDir {
    let package = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = package.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write("main.py", "SECRET = 1");
    write(".env", "SECRET=2");
    write("ui/index.html", INDEX);
    write("ui/app.js", &"console.log('so it goes');\n".repeat(100));
    write("ui/assets/style.css", "body { color: red }");
    write("ui/static/logo.svg", "<svg/>");
    write("ui/a b.txt", "space");
    write("ui/.env", "SECRET=3");
    write("ui/.git/config", "SECRET=4");
    write("ui/health", "not the health");
    fs_err::os::unix::fs::symlink("../main.py", package.path().join("ui/link.txt")).unwrap();
    fs_err::os::unix::fs::symlink("/etc", package.path().join("ui/etc")).unwrap();
    fs_err::os::unix::fs::symlink("app.js", package.path().join("ui/inside.js")).unwrap();
    package
}

fn site(package: &TempDir) -> Site {
    let folder = Dir::open_ambient_dir(package.path().join("ui"), ambient_authority()).unwrap();
    Site::open(folder).unwrap()
}

fn serve(package: &TempDir, below: &str) -> Server {
    let mut front = Front::ready();
    front.ui = Some(Ui::new(BASE, below, Pages::Static(site(package))));
    front.start(|call| async move {
        Ok(says(format!("agent {:?} {} root={}", call.surface, call.head.uri.path(), call.root_path)))
    })
}

#[tokio::test]
async fn files_and_the_page_of_the_application_are_served() {
    let package = package();
    let server = serve(&package, "");

    for (path, kind, start) in [
        ("ui/", "text/html; charset=utf-8", "<!doctype"),
        ("ui/index.html", "text/html; charset=utf-8", "<!doctype"),
        ("ui/some/page", "text/html; charset=utf-8", "<!doctype"),
        ("ui/missing.js", "text/html; charset=utf-8", "<!doctype"),
        ("ui/app.js", "text/javascript; charset=utf-8", "console"),
        ("ui/a%20b.txt", "text/plain; charset=utf-8", "space"),
        ("ui/assets/style.css", "text/css; charset=utf-8", "body"),
        ("assets/style.css", "text/css; charset=utf-8", "body"),
        ("static/logo.svg", "image/svg+xml; charset=utf-8", "<svg/>"),
        ("static/app.js", "text/javascript; charset=utf-8", "console"),
    ] {
        let answer = get(server.address(), &format!("{BASE}/{path}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, kind), "{path}");
        assert!(answer.text().starts_with(start), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    let bare = get(server.address(), &format!("{BASE}/ui?x=1")).await;
    assert_eq!((bare.status, bare.header("location")), (StatusCode::TEMPORARY_REDIRECT, "/agents/app-1/ui/?x=1"));
    let config = get(server.address(), &format!("{BASE}/ui-config.json")).await;
    assert_eq!(config.json(), json!({"apiBase": "/agents/app-1/api"}));
    let posted = send(server.address(), &format!("POST {BASE}/ui/app.js"), b"").await;
    assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn nothing_outside_the_folder_no_link_and_no_dotfile_is_served_however_it_is_spelt() {
    let package = package();
    let server = serve(&package, "");

    for path in [
        "ui/../main.py",
        "ui/..%2fmain.py",
        "ui/%2e%2e/main.py",
        "ui/%2e%2e%2fmain.py",
        "ui/..%252fmain.py",
        "ui/%252e%252e%252fmain.py",
        "ui/..%5cmain.py",
        "ui/..\\main.py",
        "ui/%5c..%5cmain.py",
        "ui//etc/hostname",
        "ui/%2fetc/hostname",
        "ui/etc/hostname",
        "ui/assets/../../main.py",
        "ui/assets/..%2f..%2fmain.py",
        "ui/link.txt",
        "ui/inside.js",
        "ui/.env",
        "ui/%2eenv",
        "ui/.git/config",
        "ui/main.py%00.html",
        "ui/app.js%00",
        "ui/index.html/../../main.py",
        "ui/....//main.py",
        "ui/..;/main.py",
        "ui/~/main.py",
        "ui/%c0%ae%c0%ae/main.py",
        "static/../main.py",
        "static/..%2fmain.py",
        "static/%252e%252e/main.py",
        "static/.env",
        "assets/link.txt",
    ] {
        let answer = get(server.address(), &format!("{BASE}/{path}")).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("SECRET") && !text.contains("so it goes"), "{path}: {text}");
        let host = fs_err::read_to_string("/etc/hostname").unwrap_or_default();
        assert!(host.is_empty() || text != host, "{path}");
    }
    for path in ["ui/.env", "ui/..%252fmain.py", "ui/api/x", "ui/a2a/x", "ui/health/../x"] {
        assert_ne!(get(server.address(), &format!("{BASE}/{path}")).await.status, StatusCode::OK, "{path}");
    }
    for path in ["ui/meta", "ui/ui-config.json", "ui/api/x", "ui/a2a/x"] {
        let answer = get(server.address(), &format!("{BASE}/{path}")).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::NOT_FOUND, json!({"detail": "Not Found"})), "{path}");
    }
    // A file of that name does not take the place of the built-in.
    assert_eq!(get(server.address(), &format!("{BASE}/ui/health")).await.json()["service"], "ui");
}

#[tokio::test]
async fn what_the_folder_has_not_below_static_is_the_agents() {
    let package = package();
    let server = serve(&package, "");

    let answer = get(server.address(), &format!("{BASE}/static/missing.png")).await;

    assert_eq!(answer.text(), "agent Rest /agents/app-1/static/missing.png root=/agents/app-1");
}

#[tokio::test]
async fn tags_and_dates_save_the_body_and_ranges_cut_it() {
    let package = package();
    let server = serve(&package, "");
    let path = format!("GET {BASE}/ui/app.js");
    let whole = send(server.address(), &path, b"").await;
    let (etag, date) = (whole.header("etag"), whole.header("last-modified"));
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
    assert_eq!(whole.header("accept-ranges"), "bytes");

    for condition in [format!("if-none-match: {etag}"), format!("if-modified-since: {date}")] {
        let answer = send(server.address(), &format!("{path}\n{condition}"), b"").await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0), "{condition}");
        assert_eq!(answer.header("etag"), etag);
    }
    let other = send(server.address(), &format!("{path}\nif-none-match: \"x\""), b"").await;
    assert_eq!(other.status, StatusCode::OK);

    let part = send(server.address(), &format!("{path}\nrange: bytes=8-10\naccept-encoding: gzip"), b"").await;
    assert_eq!((part.status, part.text().as_str()), (StatusCode::PARTIAL_CONTENT, "log"));
    assert_eq!(part.header("content-range"), format!("bytes 8-10/{}", whole.body.len()));
    let beyond = send(server.address(), &format!("{path}\nrange: bytes=99999-"), b"").await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", whole.body.len()));

    let head = send(server.address(), &format!("HEAD {BASE}/ui/app.js"), b"").await;
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn compressed_forms_have_tags_of_their_own_and_decode_to_the_file() {
    use std::io::Read;

    let package = package();
    let server = serve(&package, "");
    let plain = get(server.address(), &format!("{BASE}/ui/app.js")).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "Accept-Encoding"));

    for (accepted, encoding) in [("gzip", "gzip"), ("gzip, br", "br")] {
        let head = format!("GET {BASE}/ui/app.js\naccept-encoding: {accepted}");
        let answer = send(server.address(), &head, b"").await;
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_ne!(answer.header("etag"), plain.header("etag"));
        let mut decoded = Vec::new();
        match encoding {
            "gzip" => flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut decoded).unwrap(),
            _ => brotli::Decompressor::new(&answer.body[..], 4096).read_to_end(&mut decoded).unwrap(),
        };
        assert_eq!(decoded, plain.body);
        let again = format!("{head}\nif-none-match: {}", answer.header("etag"));
        assert_eq!(send(server.address(), &again, b"").await.status, StatusCode::NOT_MODIFIED);
    }
    let small = send(server.address(), &format!("GET {BASE}/ui/\naccept-encoding: gzip"), b"").await;
    assert_eq!(small.header("content-encoding"), "");
}

#[tokio::test]
async fn a_large_file_is_streamed_whole_and_in_parts() {
    let package = package();
    let bytes: Vec<u8> = (0..5 * 1024 * 1024_u32).flat_map(|n| n.to_le_bytes().into_iter().take(1)).collect();
    fs_err::write(package.path().join("ui/large.bin"), &bytes).unwrap();
    let server = serve(&package, "");
    let path = format!("GET {BASE}/ui/large.bin");

    let whole = send(server.address(), &path, b"").await;
    assert_eq!(whole.header("content-length"), bytes.len().to_string());
    assert!(whole.body == bytes);
    let part = send(server.address(), &format!("{path}\nrange: bytes=4194300-4194310"), b"").await;
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &bytes[4_194_300..4_194_311]));
    let again = send(server.address(), &format!("{path}\nif-none-match: {}", whole.header("etag")), b"").await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn the_ui_may_hang_below_a_path_of_its_own() {
    let package = package();
    let server = serve(&package, "/shop");

    let page = get(server.address(), &format!("{BASE}/shop/ui/")).await;
    assert_eq!(page.text(), INDEX);
    let config = get(server.address(), &format!("{BASE}/shop/ui-config.json")).await;
    assert_eq!(config.json(), json!({"apiBase": "/agents/app-1/api"}));
    let agent = get(server.address(), &format!("{BASE}/ui/")).await;
    assert!(agent.text().starts_with("agent Rest"), "{}", agent.text());
}

#[tokio::test]
async fn rendered_pages_are_the_agents_under_the_root_path_of_the_ui() {
    let mut front = Front::ready();
    front.ui = Some(Ui::new(BASE, "", Pages::Rendered(None)));
    let server = front.start(|call| async move {
        assert_eq!(call.surface, Surface::Ui);
        Ok(says(format!("{} {} root={}", call.head.method, call.head.uri.path(), call.root_path)))
    });

    let page = send(server.address(), &format!("POST {BASE}/ui/form"), b"").await;
    assert_eq!(page.text(), "POST /agents/app-1/ui/form root=/agents/app-1/ui");
    let bare = get(server.address(), &format!("{BASE}/ui")).await;
    assert_eq!(bare.header("location"), "/agents/app-1/ui/");
}

#[tokio::test]
async fn on_its_own_port_the_ui_has_its_paths_and_its_health_and_nothing_else() {
    let package = package();
    let alone = UiAlone {
        routes: routes(),
        limits: request_limits(),
        health: health_in(Phase::Ready),
        ui: Arc::new(Ui::new(BASE, "", Pages::Static(site(&package)))),
        backend: Arc::new(Backend::Scripted(Script::http(|_| async { Ok(says("agent")) }))),
    };
    let bound = Bound::bind("UI", loopback()).unwrap();
    let server = bound.serve(Arc::new(alone), Protocol::Http, Limits::default());

    let health = get(server.address(), "/health").await;
    assert_eq!(health.json(), json!({"ok": true, "service": "ui", "port": server.address().port()}));
    assert_eq!(get(server.address(), &format!("{BASE}/ui/")).await.text(), INDEX);
    for path in ["/", BASE, "/agents/app-1/"] {
        let answer = get(server.address(), path).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::TEMPORARY_REDIRECT, "/agents/app-1/ui/"));
    }
    for path in ["/agents/app-1/api/x", "/agents/app-1/static/missing.png", "/agents/app-1/meta", "/x"] {
        assert_eq!(get(server.address(), path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(get(server.address(), &format!("{BASE}/ui/..%2fmain.py")).await.status, StatusCode::BAD_REQUEST);

    // Without a UI on it, the REST port leaves these paths to the agent, who has none.
    let rest = Front::ready().start(|call| async move { Ok(says(format!("agent {:?}", call.surface))) });
    assert_eq!(get(rest.address(), &format!("{BASE}/ui/")).await.text(), "agent Rest");
}

#[tokio::test]
async fn a_folder_without_a_first_page_is_no_ui() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("page.html"), "x").unwrap();
    let open = || Site::open(Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap());

    assert!(matches!(open(), Err(SiteError::NoIndex)));

    fs_err::os::unix::fs::symlink("page.html", folder.path().join("index.html")).unwrap();
    assert!(matches!(open(), Err(SiteError::NoIndex)), "a link is no file");

    fs_err::remove_file(folder.path().join("index.html")).unwrap();
    fs_err::write(folder.path().join("index.html"), "x").unwrap();
    assert_eq!(open().unwrap().file_count(), 2);
}

#[tokio::test]
async fn a_file_that_changed_under_us_is_an_error_and_not_another_file() {
    let package = package();
    let server = serve(&package, "");
    fs_err::remove_file(package.path().join("ui/app.js")).unwrap();
    fs_err::os::unix::fs::symlink("../main.py", package.path().join("ui/app.js")).unwrap();

    let answer = get(server.address(), &format!("{BASE}/ui/app.js")).await;

    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.text().contains("SECRET"));
}
