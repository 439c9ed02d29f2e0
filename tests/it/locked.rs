//! Locked packages where there is nothing but PAR and a package index: no resolver, no Python.

use std::path::Path;

use par_tests::{Answer, Authority, Package, PackageIndex, PackageServer, Release, TestHost};
use serde_json::json;

use crate::dependencies::{agent, thing};

/// Native code of the guest, and a wheel of the index.
const MAIN: &str = "
import orjson, thing
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    body = orjson.dumps({'answer': thing.answer, 'version': orjson.__version__})
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': body})
";

/// As the hardened image has it.
fn alone(host: TestHost) -> TestHost {
    host.unset("PAR_UV").env("PATH", "/nowhere")
}

/// A lock of another tool: of `thing`, with a place nobody should ask.
fn lock(digest: &str, more: &str) -> String {
    let file = thing().file().to_owned();
    format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"thing\"\nversion = \"1.0\"\nwheels = \
         [{{ url = \"https://elsewhere.example/{file}\", hashes = {{ sha256 = \"{digest}\" }} }}]\n{more}"
    )
}

/// The page of `thing`, as one of the answers of a server.
fn page(url: &str) -> Answer {
    let (file, digest) = (thing().file().to_owned(), thing().digest());
    let page = json!({
        "meta": {"api-version": "1.0"},
        "name": "thing",
        "files": [{"filename": file, "url": url, "hashes": {"sha256": digest}}],
    });
    let page = page.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.pypi.simple.v1+json\r\nconnection: close\r\n";
    Answer::Raw(format!("{head}content-length: {}\r\n\r\n{page}", page.len()).into_bytes())
}

/// Wheels, layers and what is unfinished.
fn left_behind(cache: &Path) -> Vec<String> {
    let below = |name: &str| fs_err::read_dir(cache.join(name)).into_iter().flatten();
    let names = ["wheels/sha256", "deps"].into_iter().flat_map(below);
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "index" && name != ".gate").collect()
}

/// What `par lock` wrote is enough for a start anywhere, and native code comes with the guest. The second start asks
/// nobody.
#[tokio::test]
async fn a_locked_package_starts_from_an_index_without_resolver_and_python() {
    let index = PackageIndex::start([thing()]).await;
    let package = Package::asgi(MAIN).file("requirements.txt", "orjson\nthing\n");
    let locking = TestHost::agent(&package).env("PAR_INDEX_URL", index.url());
    let said =
        locking.command(["lock".as_ref(), "--output".as_ref(), "-".as_ref(), locking.package().as_os_str()]).await;
    assert_eq!(said.code, 0, "{}", said.errors);
    let package = package.file("pylock.toml", said.output);
    let cache = tempfile::tempdir().unwrap();
    let setup =
        || alone(TestHost::agent(&package)).env("PAR_INDEX_URL", index.url()).env("PAR_CACHE_DIR", cache.path());

    let asked = index.hits();
    let mut host = setup().start().await;
    assert_eq!(host.get("/x").await.json()["answer"], 42);
    assert_eq!(index.hits(), asked + 2, "a page and a wheel, and nothing for what the guest has");
    let resolved = host.wait_for_event("Dependencies resolved").await;
    assert_eq!((resolved.text_of("phase"), resolved.detail("distributions")), ("install", &json!(2)));
    let installed = host.wait_for_event("Dependencies installed").await;
    assert!(installed.detail("fetched_bytes").as_u64().unwrap() > thing().content().len() as u64, "{}", installed.text);
    assert_eq!(host.stop().await, 0);

    let again = setup().start().await;
    assert_eq!(again.get("/x").await.json()["answer"], 42);
    assert_eq!(index.hits(), asked + 2);
}

/// Without a lock there is a sentence, and the way out, and nobody is asked.
#[tokio::test]
async fn an_unlocked_package_is_refused_without_a_resolver() {
    let index = PackageIndex::start([thing()]).await;

    let host = alone(TestHost::agent(&agent())).env("PAR_INDEX_URL", index.url()).refused().await;

    let failed = host.wait_for_event("Boot failed").await;
    let error = failed.text_of("error");
    assert!(
        error.starts_with("`uv` ") && error.ends_with(" is needed to install `thing` and was not found"),
        "{error}"
    );
    assert!(
        failed.text.contains("run `par lock` where `uv` is and put its `pylock.toml` into the package"),
        "{}",
        failed.text
    );
    assert_eq!(index.hits(), 0);

    let package = agent().file("requirements.txt", format!("thing==1.0 --hash=sha256:{}\n", thing().digest()));
    let host = alone(TestHost::agent(&package)).env("PAR_INDEX_URL", index.url()).start().await;
    assert_eq!(host.get("/x").await.json()["answer"], 42);
}

/// Hostile 66: a wheel with another digest than the lock's is refused by its name, whether the index says so or its
/// bytes do. Nothing is left behind.
#[tokio::test]
async fn a_wheel_that_is_not_the_one_of_the_lock_is_refused_by_name() {
    let index = PackageIndex::start([thing()]).await;
    let package = agent().file("pylock.toml", lock(&"00".repeat(32), ""));
    let host = alone(TestHost::agent(&package)).env("PAR_INDEX_URL", index.url()).refused().await;
    let failed = host.wait_for_event("Boot failed").await;
    assert!(failed.text_of("error").starts_with("digest mismatch for `thing-1.0-py3-none-any.whl`"), "{}", failed.text);
    assert_eq!(left_behind(&host.setup().directory().join("cache")), Vec::<String>::new());
    assert_eq!(index.hits(), 1, "the page, and not the wheel");

    let authority = Authority::new();
    let other = Release::wheel("thing", "1.0", &[("thing/__init__.py", "answer = 43\n")]);
    for (content, is_right) in [(other.content(), false), (thing().content(), true)] {
        let server = PackageServer::start(&authority, [page("/f"), Answer::File(content.to_vec())]).await;
        let package = agent().file("pylock.toml", lock(&thing().digest(), ""));
        let host = alone(TestHost::agent(&package))
            .env("SSL_CERT_FILE", authority.file())
            .env("PAR_INDEX_URL", server.url("/simple"));
        if is_right {
            assert_eq!(host.start().await.get("/x").await.json()["answer"], 42);
            continue;
        }
        let host = host.refused().await;
        let failed = host.wait_for_event("Boot failed").await;
        assert!(
            failed.text_of("error").starts_with("digest mismatch for `thing-1.0-py3-none-any.whl`"),
            "{}",
            failed.text
        );
        assert_eq!(left_behind(&host.setup().directory().join("cache")), Vec::<String>::new());
    }
}

/// Hostile 3, 6: a redirect of the index to a host of a private network is not followed, unless the operator named that host;
/// it hears no credentials of the index, and neither does the log.
#[tokio::test]
async fn a_redirect_of_the_index_is_judged_and_takes_no_credentials_along() {
    let authority = Authority::new();
    let elsewhere = PackageServer::start(&authority, [Answer::File(thing().content().to_vec())]).await;
    let to = format!("https://127.0.0.1:{}/f?token=5ec4e7", elsewhere.port());
    let package = agent().file("pylock.toml", lock(&thing().digest(), ""));
    for is_named in [false, true] {
        let answers = [Answer::status(503), page("/f"), Answer::Redirect(to.clone())];
        let index = PackageServer::start(&authority, answers).await;
        let host = alone(TestHost::agent(&package))
            .env("SSL_CERT_FILE", authority.file())
            .env("PAR_INDEX_URL", index.url("/simple").replace("https://", "https://user:pa55@"));
        let host =
            if is_named { host.env("PACKAGE_INTERNAL_HOSTS", "127.0.0.1").start().await } else { host.refused().await };

        if is_named {
            assert_eq!(host.get("/x").await.json()["answer"], 42);
            let [request] = &elsewhere.requests()[..] else { panic!("{:?}", elsewhere.requests()) };
            assert_eq!(request.field("authorization"), None);
        } else {
            let failed = host.wait_for_event("Boot failed").await;
            let error = failed.text_of("error");
            assert!(
                error.starts_with("cannot fetch `thing-1.0-py3-none-any.whl`: `127.0.0.1` is refused: "),
                "{error}"
            );
            assert!(failed.text.contains("`PACKAGE_INTERNAL_HOSTS`"), "{}", failed.text);
            assert_eq!(elsewhere.connections(), 0);
        }
        let heard = index.requests();
        let basic: Vec<_> = heard.iter().map(|request| request.field("authorization")).collect();
        assert_eq!(basic, [Some("Basic dXNlcjpwYTU1"); 3]);
        let text = host.log_text();
        assert!(!text.contains("pa55") && !text.contains("5ec4e7"), "{text}");
    }
}

/// Hostile 11, 12, 16, 17: a server that does not give, gives without end, or is not who it says it is.
#[tokio::test]
async fn an_index_that_does_not_give_is_an_exit_with_the_reason() {
    let authority = Authority::new();
    let package = agent().file("pylock.toml", lock(&thing().digest(), ""));
    let strange = Authority::new();
    for (authority_of_server, answers, expected, requests) in [
        (&authority, vec![page("/f"), Answer::status(404)], "the index answered 404 Not Found", 2),
        (
            &authority,
            vec![page("/f"), Answer::status(500)],
            "the index answered 500 Internal Server Error (after 3 attempts)",
            4,
        ),
        (&authority, vec![page("/f"), Answer::Endless], "it is larger than 128 MiB", 2),
        (&authority, vec![page("/f"), Answer::Silent], "timed out after 5 s", 2),
        (&authority, vec![page("http://elsewhere.example/f")], "its URL is not `https`", 1),
        (&strange, vec![page("/f")], "cannot ask the package index for `thing`: error sending request", 0),
    ] {
        let server = PackageServer::start(authority_of_server, answers).await;
        let host = alone(TestHost::agent(&package))
            .env("SSL_CERT_FILE", authority.file())
            .env("PAR_INDEX_URL", server.url("/simple"));
        let host = if expected.starts_with("timed out") { host.env("INSTALL_TIMEOUT_SEC", "5") } else { host };
        let host = host.refused().await;

        let failed = host.wait_for_event("Boot failed").await;
        assert!(failed.text_of("error").contains(expected), "{expected}: {}", failed.text);
        assert_eq!(server.requests().len(), requests, "{expected}");
        assert_eq!(left_behind(&host.setup().directory().join("cache")), Vec::<String>::new(), "{expected}");
    }

    // A transfer that breaks off is begun again.
    let (file, cut) = (thing().content().to_vec(), Answer::Cut(thing().content().to_vec(), 100));
    let server = PackageServer::start(&authority, [page("/f"), cut, Answer::File(file)]).await;
    let host = alone(TestHost::agent(&package))
        .env("SSL_CERT_FILE", authority.file())
        .env("PAR_INDEX_URL", server.url("/simple"))
        .start()
        .await;
    assert_eq!(host.get("/x").await.json()["answer"], 42);
}
