//! Native extensions: what they answer in the sandbox, and what they are for.

use std::path::PathBuf;
use std::time::Duration;

use par_tests::{Package, PackageIndex, Release, RunningHost, TestHost, Upstream, VOCABULARY, guest, repository};
use reqwest::Method;
use serde_json::{Value, json};

/// Longest time until dependencies are installed, whatever else the machine does.
const INSTALL: Duration = Duration::from_secs(240);

/// Every case in a directory of cases, by the name of its file.
fn cases(directory: &str) -> Vec<(String, PathBuf)> {
    let directory = repository().join("tests/cases").join(directory);
    let paths = fs_err::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    cases.sort();
    cases
}

/// Every extension answers in the sandbox what CPython answers outside; that those answers are CPython's is tested
/// beside the guest's Python. The wheel of the index is not the one that is installed.
#[tokio::test]
async fn extensions_answer_as_they_do_outside_of_the_sandbox() {
    let broken =
        Release::wheel("markupsafe", "3.0.4", &[("markupsafe/__init__.py", "raise ImportError('of the index')\n")]);
    // What tiktoken requires, to fetch with.
    let requests = Release::wheel("requests", "2.34.2", &[("requests.py", "")]);
    let index = PackageIndex::start([broken, requests]).await;
    let package = Package::asgi(include_str!("python/battery.py")).file(
        "requirements.txt",
        "brotli\njiter\nmarkupsafe\nmsgspec\norjson\normsgpack\nregex\nrpds-py\ntiktoken\nuuid-utils\nxxhash\n",
    );
    let host = TestHost::agent(&package).env("PAR_INDEX_URL", index.url()).start().await;

    let (cases, wrong) = differences(&host, "extensions").await;

    assert_eq!(cases, 12);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How many cases there are in a directory of cases, and what an agent of `python/battery.py` answers otherwise than CPython
/// outside of the sandbox.
pub(crate) async fn differences(host: &RunningHost, directory: &str) -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    let cases = cases(directory);
    for (name, path) in &cases {
        let text = fs_err::read_to_string(path).unwrap();
        let answers = host.send(host.request(Method::POST, "/").body(text.clone())).await.json();
        let written = fs_err::read_to_string(path.with_extension("answers")).unwrap();
        let expected: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expressions = text.split("\n# ---\n").nth(1).unwrap().lines().filter(|line| !line.is_empty());
        let Some(answers) = answers.as_array() else { panic!("{name}: {answers}") };
        assert_eq!(answers.len(), expected.len(), "{name}");
        for ((expression, answer), expected) in expressions.zip(answers).zip(&expected) {
            if answer != expected {
                wrong.push(format!("{name}: {expression}\n  expected {expected}\n  got      {answer}"));
            }
        }
    }
    (cases.len(), wrong)
}

/// Every client asks for `br` where `brotli` is installed, and decodes it. Releases are pinned: what is asked for is theirs.
#[tokio::test]
async fn clients_decode_brotli_where_it_is_installed() {
    let upstream = Upstream::http().await;
    let url = upstream.url("127.0.0.1", "");
    let requirements = "aiohttp==3.14.5\nbrotli==1.2.1\nhttpx==0.28.1\nhttpx2==2.16.2\nrequests==2.34.2\n";
    let package = Package::asgi(include_str!("python/run.py"))
        .file("clients.py", include_str!("python/clients.py"))
        .file("requirements.txt", requirements);
    let policy = format!("version: 1\ngrant: {{outbound: [\"{url}\"], outbound_addresses: [127.0.0.0/8]}}\n");
    let host = TestHost::agent(&package).env("PAR_POLICY", policy).spawn();
    assert_eq!(host.booted(INSTALL).await.event(), "Runtime ready", "{}", host.log_text());

    for client in ["requests", "urllib3", "httpx", "httpx2", "httpx, async", "httpx2, async", "aiohttp"] {
        let call = |method: &str, path: &str| {
            format!("from clients import CLIENTS\nreturn await CLIENTS[{client:?}]().{method}(\"{url}{path}\")")
        };
        let asked = host.send(host.request(Method::POST, "/").body(call("get", "/echo"))).await.json();
        if client != "urllib3" {
            let encodings = asked["done"][1]["headers"]["accept-encoding"].as_str().unwrap_or_default();
            assert!(encodings.contains("br"), "{client}: {asked:#}");
        }
        let got = host.send(host.request(Method::POST, "/").body(call("encoded", "/encoded?as=br"))).await.json();
        assert_eq!(got["done"], "encoded ".repeat(64), "{client}: {got:#}");
    }
}

/// Counts the tokens of a text with a vocabulary from the URL or the file that is named.
const COUNTING: &str = "
import tiktoken
from tiktoken.load import load_tiktoken_bpe
ranks = load_tiktoken_bpe(URL)
return tiktoken.Encoding('own', pat_str='.+', mergeable_ranks=ranks, special_tokens={}).encode('abcab')
";

/// tiktoken fetches vocabularies when it needs them: through PAR, with a grant and only then, or from its cache,
/// which may be a directory of the package.
#[tokio::test]
async fn vocabularies_of_tiktoken_are_fetched_under_the_policy_or_found_in_the_package() {
    let upstream = Upstream::http().await;
    let url = upstream.url("127.0.0.1", "/vocabulary");
    let granted = format!("outbound: [\"{url}\"], outbound_addresses: [127.0.0.0/8]");
    // Where tiktoken looks for what it has fetched: named by the SHA-1 of the URL.
    let kept = "https://vocabularies.example/own";
    let file = "vocabularies/6045da9372e0037efe42c173ae86c57857fc804c";
    let setups = [
        ("TIKTOKEN_CACHE_DIR: \"\"", granted.clone(), url.as_str(), 2),
        ("OTHER: \"\"", format!("{granted}, files: {{scratch_mib: 4}}"), &url, 1),
        ("TIKTOKEN_CACHE_DIR: /agent/vocabularies", String::new(), kept, 0),
    ];
    for (variable, grant, url, fetched) in setups {
        let before = upstream.seen().len();
        let package = Package::asgi(include_str!("python/run.py"))
            .file("requirements.txt", "tiktoken==0.14.0\n")
            .file(file, VOCABULARY)
            .and(&format!("environment: {{{variable}}}\n"));
        let host = TestHost::agent(&package).env("PAR_POLICY", format!("version: 1\ngrant: {{{grant}}}\n")).spawn();
        assert_eq!(host.booted(INSTALL).await.event(), "Runtime ready", "{}", host.log_text());
        for _ in 0..2 {
            let code = format!("URL = {url:?}{COUNTING}");
            let got = host.send(host.request(Method::POST, "/").body(code)).await.json();
            assert_eq!(got["done"], json!([3, 2, 3]), "{variable}: {got:#}");
        }
        assert_eq!(upstream.seen().len() - before, fetched, "{variable}");

        let code = format!("URL = {:?}{COUNTING}", "http://other.example/vocabulary");
        let got = host.send(host.request(Method::POST, "/").body(code)).await.json();
        assert!(got["raised"].to_string().contains("host_not_granted"), "{variable}: {got:#}");
        assert_eq!(upstream.seen().len() - before, fetched, "{variable}");
    }
}

/// The page names the releases the guest has.
#[test]
fn the_page_names_every_release_with_native_code() {
    let page = fs_err::read_to_string(repository().join("docs/dependencies.md")).unwrap();
    let section = page.split("### Native code\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let mut named: Vec<String> = rows
        .flat_map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = cells[1].trim_matches('`').to_owned();
            cells[2].split(", ").map(|version| format!("{name}=={version}")).collect::<Vec<_>>()
        })
        .collect();
    named.sort();

    let index = guest().join("index");
    let mut offered: Vec<String> = fs_err::read_dir(&index)
        .unwrap()
        .flat_map(|project| {
            let project = project.unwrap();
            let name = project.file_name().into_string().unwrap();
            let files = fs_err::read_dir(project.path()).unwrap().map(|file| file.unwrap().file_name());
            let wheels =
                files.filter_map(|file| file.to_str()?.strip_suffix("-py3-none-any.whl").map(ToOwned::to_owned));
            wheels.map(move |stem| format!("{name}=={}", stem.rsplit('-').next().unwrap())).collect::<Vec<_>>()
        })
        .collect();
    offered.sort();

    assert_eq!(named, offered);
}
