//! Pinned wheels from the operator's index: a server of this test on the loopback interface, and no resolver anywhere.

use std::io::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::net::TcpListener;

use super::*;
use crate::redact::RedactedUrl;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// What the server answers to the request of a path, which is its `hit`th, counted from 0.
type Answers = Box<dyn Fn(&str, usize) -> Response + Send + Sync>;

/// A server that remembers what it was asked.
struct Server {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Answers,
    asked: Mutex<Vec<(String, HeaderMap)>>,
}

impl Server {
    async fn start(answers: impl Fn(&str, usize) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { answers: Box::new(answers), asked: Mutex::default() });
        let app = Router::new().fallback(respond).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, shared }
    }

    /// An index with the wheel of `thing` and a page of it.
    async fn of_thing() -> Self {
        Self::naming("../../files/thing", Some(digest())).await
    }

    /// An index whose page of `thing` has this place and digest, and whose answer to all else is the wheel.
    async fn naming(place: &str, digest: Option<Sha256>) -> Self {
        let file = thing_file(place, digest);
        Self::start(move |path, _| if path == PAGE { page(&[&file]) } else { wheel() }).await
    }

    /// An index that leads to this place for the wheel, by its page or by a redirect of what the page has.
    async fn leading_to(place: &str, is_redirected: bool) -> Self {
        let file = thing_file(if is_redirected { "/own" } else { place }, Some(digest()));
        let place = place.to_owned();
        Self::start(move |path, _| match path {
            PAGE => page(&[&file]),
            _ => Redirect::temporary(&place).into_response(),
        })
        .await
    }

    /// A bench whose operator chose this index, and which has neither resolver nor wheelhouse.
    fn bench(&self) -> Bench {
        let mut bench = Bench::new();
        bench.settings.wheelhouse = None;
        bench.settings.uv = Some("/nowhere/uv".into());
        bench.settings.index = Some(RedactedUrl::parse(&format!("http://127.0.0.1:{}/simple", self.port)).unwrap());
        bench
    }

    fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }

    fn headers(&self, path: &str, name: header::HeaderName) -> Vec<Option<String>> {
        let asked = self.shared.asked.lock().unwrap();
        let heads = asked.iter().filter(|(asked, _)| asked == path).map(|(_, headers)| headers);
        heads.map(|headers| Some(headers.get(&name)?.to_str().unwrap().to_owned())).collect()
    }
}

async fn respond(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let hit = {
        let mut asked = shared.asked.lock().unwrap();
        let hit = asked.iter().filter(|(earlier, _)| *earlier == path).count();
        asked.push((path.clone(), request.headers().clone()));
        hit
    };
    (shared.answers)(&path, hit)
}

const PAGE: &str = "/simple/thing/";

fn thing() -> Wheel {
    Wheel::pure("thing", "1.0")
}

fn digest() -> Sha256 {
    Sha256::of(thing().bytes())
}

fn wheel() -> Response {
    thing().bytes().into_response()
}

/// A file of a page in JSON.
fn thing_file(url: &str, digest: Option<Sha256>) -> String {
    let hashes = digest.map(|digest| format!("\"sha256\": \"{}\"", digest.to_hex())).unwrap_or_default();
    format!(r#"{{"filename": "{}", "url": "{url}", "hashes": {{{hashes}}}}}"#, thing().file())
}

fn page(files: &[&str]) -> Response {
    let text = format!(r#"{{"meta": {{"api-version": "1.3"}}, "name": "thing", "files": [{}]}}"#, files.join(","));
    ([(header::CONTENT_TYPE, JSON)], text).into_response()
}

/// A lock of another tool, with a place nobody should ask.
fn lock() -> String {
    let url = format!("https://elsewhere.example/{}", thing().file());
    format!("lock-version = \"1.0\"\ncreated-by = \"test\"\n{}", entry(&thing(), &url, digest()))
}

fn hashed(digest: Sha256) -> Requirements {
    let mut requirements = requirements(&["thing==1.0"]);
    requirements.list[0].hashes = vec![digest];
    requirements
}

async fn refusal(bench: &Bench) -> InstallError {
    let error = bench.install_locked(&["thing"], &lock()).await.unwrap_err();
    assert!(bench.is_clean(), "something was left behind");
    assert_eq!(fs::read_dir(bench.path("cache/wheels/sha256")).unwrap().count(), 0);
    error
}

#[tokio::test]
async fn a_lock_and_an_index_are_enough() {
    let index = Server::of_thing().await;
    let bench = index.bench();

    let layer = bench.install_locked(&["thing"], &lock()).await.unwrap().unwrap();

    assert_eq!(layer.distributions()[0].sha256, digest());
    assert_eq!(index.asked(), [PAGE, "/files/thing"]);
    let accept = index.headers(PAGE, header::ACCEPT);
    assert!(accept[0].as_ref().unwrap().starts_with("application/vnd.pypi.simple.v1+json, "), "{accept:?}");
    let size = thing().bytes().len();
    assert!(bench.told(&format!("bytes: {size}, total: Some({size})")));

    fs::remove_dir_all(bench.path("cache/deps")).unwrap();
    bench.install_locked(&["thing"], &lock()).await.unwrap().unwrap();
    assert_eq!(index.asked().len(), 2, "the wheel is here");
}

#[tokio::test]
async fn hashed_requirements_and_an_index_are_enough() {
    let index = Server::start(|path, _| match path {
        PAGE => {
            let (file, digest) = (thing().file(), digest().to_hex());
            let other = Sha256::of("other").to_hex();
            axum::response::Html(format!(
                "<html><body><a href=\"/f/thing-2.0-py3-none-any.whl#sha256={other}\">thing-2.0-py3-none-any.whl</a>\n\
                 <a href=\"/f/{file}#sha256={digest}\">{file}</a></body></html>"
            ))
            .into_response()
        }
        _ => wheel(),
    })
    .await;
    let bench = index.bench();

    let layer = bench.install_all(&hashed(digest())).await.unwrap().unwrap();
    assert_eq!(layer.distributions()[0].sha256, digest());

    let error = bench.install_all(&hashed(Sha256::of("another"))).await.unwrap_err();
    assert_eq!(error.to_string(), "`thing==1.0` cannot be found: no wheel with a digest the package names fits");
    assert_eq!(index.asked(), [PAGE, "/f/thing-1.0-py3-none-any.whl", PAGE]);
}

/// An index need not know digests: the package does. What it knows must be the same.
#[tokio::test]
async fn an_index_without_digests_is_believed_by_name_and_one_with_another_digest_is_not_asked_for_the_file() {
    let silent = Server::naming("/f", None).await;
    assert!(silent.bench().install_locked(&["thing"], &lock()).await.unwrap().is_some());

    let other = Sha256::of("other");
    let index = Server::naming("/f", Some(other)).await;
    let error = refusal(&index.bench()).await;

    let expected = format!("digest mismatch for `{}`\n  expected {}\n  got      {other}", thing().file(), digest());
    assert_eq!(error.to_string(), expected);
    assert_eq!(index.asked(), [PAGE]);
}

#[tokio::test]
async fn other_bytes_than_those_that_are_pinned_are_refused_and_not_kept() {
    let index = Server::start(|path, _| match path {
        PAGE => page(&[&thing_file("/f", Some(digest()))]),
        _ => thing().with("thing/evil.py", "").bytes().into_response(),
    })
    .await;

    let error = refusal(&index.bench()).await;

    assert!(error.to_string().starts_with("digest mismatch for `thing-1.0-py3-none-any.whl`"), "{error}");
    assert_eq!(index.asked(), [PAGE, "/f"]);
}

#[tokio::test]
async fn a_page_that_is_not_given_is_asked_for_once_and_one_that_may_come_three_times() {
    for (status, attempts, expected) in [
        (404, 1, "`thing==1.0` cannot be found: the package index does not have it"),
        (403, 1, "cannot ask the package index for `thing`: the index answered 403 Forbidden"),
        (502, 3, "cannot ask the package index for `thing`: the index answered 502 Bad Gateway (after 3 attempts)"),
    ] {
        let index = Server::start(move |_, _| StatusCode::from_u16(status).unwrap().into_response()).await;
        assert_eq!(refusal(&index.bench()).await.to_string(), expected);
        assert_eq!(index.asked(), vec![PAGE; attempts]);
    }

    let index = Server::start(|path, hit| match (path, hit) {
        (_, 0) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        (PAGE, _) => page(&[&thing_file("/f", Some(digest()))]),
        _ => wheel(),
    })
    .await;
    assert!(index.bench().install_locked(&["thing"], &lock()).await.unwrap().is_some());
    assert_eq!(index.asked(), [PAGE, PAGE, "/f", "/f"]);
}

/// A lock says which files, and the operator where from: what it says of places is nobody's business.
#[tokio::test]
async fn a_place_a_lock_names_is_not_asked() {
    let (index, named) = (Server::of_thing().await, Server::start(|_, _| wheel()).await);
    let lock = lock().replace("https://elsewhere.example", &format!("http://127.0.0.1:{}", named.port));
    assert!(lock.contains(&named.port.to_string()));

    assert!(index.bench().install_locked(&["thing"], &lock).await.unwrap().is_some());

    assert_eq!(named.asked(), Vec::<String>::new());
    assert_eq!(index.asked(), [PAGE, "/files/thing"]);
}

/// User and password of the index go to the index, and to no other host a page or a redirect leads to.
#[tokio::test]
async fn credentials_are_for_the_index_alone() {
    let files = Arc::new(Server::start(|_, _| wheel()).await);
    for is_redirected in [false, true] {
        let elsewhere = format!("http://localhost:{}/f{is_redirected}", files.port);
        let index = Server::leading_to(&elsewhere, is_redirected).await;
        let mut bench = index.bench();
        let url = format!("http://us%40er:pa%2F55@127.0.0.1:{}/simple", index.port);
        bench.settings.index = Some(RedactedUrl::parse(&url).unwrap());
        bench.settings.internal_hosts = vec!["localhost".to_owned()];

        assert!(bench.install_locked(&["thing"], &lock()).await.unwrap().is_some());

        let basic = Some("Basic dXNAZXI6cGEvNTU=".to_owned());
        assert_eq!(index.headers("/own", header::AUTHORIZATION), vec![basic.clone(); usize::from(is_redirected)]);
        assert_eq!(index.headers(PAGE, header::AUTHORIZATION), [basic]);
        assert_eq!(files.headers(&format!("/f{is_redirected}"), header::AUTHORIZATION), [None]);
    }
}

/// Hostile 3: neither a page nor a redirect leads to an address of the machine's own networks, unless the operator named
/// the host, and to none that serves metadata even so.
#[tokio::test]
async fn addresses_nobody_chose_are_not_dialled() {
    let inside = Arc::new(Server::start(|_, _| wheel()).await);
    let local = format!("http://localhost:{}/f", inside.port);
    let cases = [
        (local.as_str(), "`localhost` is refused: ", false),
        ("https://10.1.2.3/f", "`10.1.2.3` is refused: ", false),
        ("https://169.254.169.254/latest", "`169.254.169.254` is refused: ", true),
        ("https://[::ffff:169.254.170.2]/v2", "is refused: ", true),
    ];
    for (place, expected, is_final) in cases {
        for is_redirected in [false, true] {
            let index = Server::leading_to(place, is_redirected).await;
            let mut bench = index.bench();
            if is_final {
                bench.settings.internal_hosts = ["169.254.169.254", "[::ffff:a9fe:aa02]"].map(str::to_owned).to_vec();
            }

            let error = refusal(&bench).await;

            let text = error.to_string();
            assert!(
                text.starts_with("cannot fetch `thing-1.0-py3-none-any.whl`: ") && text.contains(expected),
                "{text}"
            );
            assert_eq!(error.hint().is_none(), is_final, "{text}");
            assert_eq!(inside.asked(), Vec::<String>::new());
        }
    }

    let index = Server::naming(&local, Some(digest())).await;
    let mut bench = index.bench();
    bench.settings.internal_hosts = vec!["localhost".to_owned()];
    assert!(bench.install_locked(&["thing"], &lock()).await.unwrap().is_some());
    assert_eq!(inside.asked(), ["/f"]);
}

/// A page that leads away from `https`, to a file, or to a URL with a password leads nowhere.
#[tokio::test]
async fn a_page_leads_to_files_of_the_network_and_encrypted() {
    for (place, expected) in [
        ("http://192.0.2.1/f", "cannot download `thing-1.0-py3-none-any.whl`: its URL is not `https`"),
        ("file:///etc/passwd", "`thing==1.0` cannot be found: no wheel with a digest the package names fits"),
        ("https://u:p@files.example/f", "`thing==1.0` cannot be found: no wheel with a digest the package names fits"),
    ] {
        let index = Server::start(move |_, _| page(&[&thing_file(place, Some(digest()))])).await;
        assert_eq!(refusal(&index.bench()).await.to_string(), expected);
        assert_eq!(index.asked(), [PAGE]);
    }
}

#[tokio::test]
async fn a_page_may_be_compressed_and_not_without_end() {
    let zipped = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        let headers = [(header::CONTENT_TYPE, JSON), (header::CONTENT_ENCODING, "gzip")];
        (headers, encoder.finish().unwrap()).into_response()
    };
    let text = format!(r#"{{"meta": {{"api-version": "1.0"}}, "files": [{}]}}"#, thing_file("/f", Some(digest())));
    let index = Server::start(move |path, _| if path == PAGE { zipped(text.as_bytes()) } else { wheel() }).await;
    assert!(index.bench().install_locked(&["thing"], &lock()).await.unwrap().is_some());
    assert_eq!(index.headers(PAGE, header::ACCEPT_ENCODING), [Some("gzip".to_owned())]);

    let bomb = Server::start(move |_, _| zipped(&vec![b' '; 17 << 20])).await;
    let endless = Server::start(|_, _| {
        let endless =
            futures::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; 65536])));
        Body::from_stream(endless).into_response()
    })
    .await;
    for index in [bomb, endless] {
        let error = refusal(&index.bench()).await;
        assert_eq!(error.to_string(), "cannot ask the package index for `thing`: it is larger than 16 MiB");
        assert_eq!(index.asked(), [PAGE]);
    }
}

#[tokio::test]
async fn a_wheel_that_says_it_is_too_large_is_not_taken() {
    let index = Server::of_thing().await;
    let mut bench = index.bench();
    bench.settings.max_wheel_bytes = 10;

    let error = refusal(&bench).await;

    assert_eq!(error.to_string(), "cannot download `thing-1.0-py3-none-any.whl`: it is larger than 0 MiB");
    assert_eq!(index.asked(), [PAGE, "/files/thing"]);
}

/// A lock names native code of the guest as any other tool would: with wheels for Linux, which nobody asks for.
#[tokio::test]
async fn what_is_tied_to_the_guest_comes_with_it() {
    let index = Server::of_thing().await;
    let mut bench = index.bench();
    bench.constraints = "tied==3.0\n".to_owned();
    fs::create_dir_all(bench.path("guest/index/tied")).unwrap();
    let tied = |version| {
        format!(
            "[[packages]]\nname = \"tied\"\nversion = \"{version}\"\nwheels = [{{ name = \
             \"tied-{version}-cp314-cp314-manylinux_2_28_x86_64.whl\", url = \"https://x.example/tied.whl\", hashes = {{ sha256 = \"{}\" }} }}]\n",
            "ab".repeat(32)
        )
    };

    let layer = bench.install_locked(&["thing", "tied"], &(lock() + &tied("3.0"))).await.unwrap().unwrap();
    assert_eq!(layer.distributions().iter().map(|each| each.name.as_str()).collect::<Vec<_>>(), ["thing"]);
    assert_eq!(index.asked(), [PAGE, "/files/thing"]);

    let error = bench.install_locked(&["thing", "tied"], &(lock() + &tied("4.0"))).await.unwrap_err();
    assert_eq!(error.to_string(), "agent `weather` needs `tied==4.0`, but the guest carries `tied==3.0`");
}

#[tokio::test]
async fn without_a_lock_there_is_nothing_to_go_by() {
    let index = Server::of_thing().await;
    let mut bench = index.bench();
    bench.settings.uv = None;

    let error = bench.install(&["thing"]).await.unwrap_err();

    assert_eq!(error.to_string(), format!("`uv` {UV_VERSION} is needed to install `thing` and was not found"));
    assert!(
        error.hint().unwrap().starts_with("run `par lock` where `uv` is and put its `pylock.toml` into the package")
    );
    assert_eq!(index.asked(), Vec::<String>::new());
}
