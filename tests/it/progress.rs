//! How far a start is: lines of the log in a container, one line that moves at a terminal.

use par_tests::{Answer, Authority, Package, PackageIndex, PackageServer, Release, TestHost};

use super::fetched::archive;

const MAIN: &str = "
import json

import thing

async def app(scope, receive, send):
    if scope['type'] == 'http':
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': json.dumps(thing.answer).encode()})
";

fn fetching(server: &PackageServer, authority: &Authority) -> TestHost {
    let host = TestHost::fetching(&server.url("/a.apkg")).installing().with_guest();
    host.env("SSL_CERT_FILE", authority.file()).env("PACKAGE_INTERNAL_HOSTS", "localhost")
}

/// While a package comes, the log says now and then how much of it is here, of how much, and how fast it comes.
#[tokio::test]
async fn the_log_says_how_far_the_package_is() {
    let authority = Authority::new();
    let server = PackageServer::start(&authority, [Answer::Trickle(vec![7; 1 << 16])]).await;
    let host = fetching(&server, &authority).env("FETCH_TIMEOUT_SEC", "600").spawn();

    let line = host.wait_for_event("Download progress").await;

    assert_eq!((line.text_of("phase"), line.text_of("what")), ("download", "package"), "{}", line.text);
    assert_eq!(line.detail("total"), 1 << 16);
    let here = line.detail("bytes").as_u64().unwrap();
    assert!(here > 0 && here < 1 << 16, "{}", line.text);
    assert!(line.detail("bytes_per_second").as_u64().unwrap() <= 1 << 16, "{}", line.text);
    host.kill().await;
}

/// At a terminal one line moves: the package with a bar, the resolver, the wheels with a bar, loading; each phase
/// leaves a line, and the addresses are the last.
#[tokio::test]
async fn a_terminal_shows_how_far_a_start_is() {
    let large: String = (0..20_000_u32).map(|n| format!("v{n} = {}\n", n.wrapping_mul(2_654_435_761))).collect();
    let files = [("thing/__init__.py", "answer = 42\n"), ("thing/large.py", large.as_str())];
    let index = PackageIndex::start([Release::wheel("thing", "1.0", &files)]).await;
    index.hold_back(true);
    let authority = Authority::new();
    let package = archive(&Package::asgi(MAIN).file("requirements.txt", "thing\n"));
    let server = PackageServer::start(&authority, [Answer::Slow(package.clone())]).await;
    let host = fetching(&server, &authority).env("PAR_INDEX_URL", index.url());
    let mut terminal = host.args(["run"]).at_terminal();

    let held = terminal.shows("the bar of the wheels", |text| bar(text, "install  1 wheels, ")).await;
    assert!(bar(&held, "download "), "the package had a bar\n{held:?}");
    assert!(held.contains("resolving 1 requirements"), "{held:?}");
    index.hold_back(false);
    let whole = terminal.shows("the end of the start", |text| text.contains("Ctrl-C ends it.")).await;

    assert!(whole.contains("loading the agent"), "{whole:?}");
    for phase in ["download", "extract", "install", "load"] {
        let line =
            whole.split(['\r', '\n']).find(|line| line.contains(&format!("  {phase:<8} ")) && line.contains(" ms)"));
        assert!(line.is_some(), "{phase} left no line\n{whole:?}");
    }
    assert!(whole.contains(&format!("REST  {}", terminal.url("/").replace("127.0.0.1", "localhost"))), "{whole:?}");
    assert!(!whole.contains("{\"level\""), "the log is text\n{whole:?}");
    assert_eq!(terminal.interrupt().await, 0);
}

/// Whether something was shown with a bar and its bytes.
fn bar(text: &str, what: &str) -> bool {
    text.split(['\r', '\n']).any(|line| {
        let Some((_, rest)) = line.split_once(what) else { return false };
        rest.contains(" a second [") && rest.contains("] ") && rest.contains(" of ")
    })
}
