//! Wheels over the network: a server of this test on the loopback interface.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use tokio::net::TcpListener;

use super::*;
use crate::redact::RedactedUrl;

/// What the server does at each request, counted from 0.
type Script = fn(usize) -> Response;

/// An index that serves one wheel.
struct Index {
    address: String,
    hits: Arc<AtomicUsize>,
}

impl Index {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hits = Arc::new(AtomicUsize::new(0));
        let respond = |State((script, hits)): State<(Script, Arc<AtomicUsize>)>| async move {
            script(hits.fetch_add(1, Ordering::SeqCst))
        };
        let app = Router::new().fallback(respond).with_state((script, Arc::clone(&hits)));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, hits }
    }

    /// A bench whose lock points here and whose operator chose this index.
    fn bench(&self) -> Bench {
        let mut bench = Bench::new();
        bench.settings.index = Some(RedactedUrl::parse(&format!("http://{}/simple", self.address)).unwrap());
        let url = format!("http://{}/{}", self.address, thing().file());
        bench.lock(&format!("lock-version = \"1.0\"\n{}", entry(&thing(), &url, Sha256::of(thing().bytes()))));
        bench
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

fn thing() -> Wheel {
    Wheel::pure("thing", "1.0")
}

#[tokio::test]
async fn a_wheel_is_fetched_once_and_told_with_its_size() {
    let index = Index::start(|_| thing().bytes().into_response()).await;
    let bench = index.bench();

    bench.install(&["thing"]).await.unwrap().unwrap();
    fs::remove_dir_all(bench.path("cache/deps")).unwrap();
    bench.install(&["thing"]).await.unwrap().unwrap();

    assert_eq!(index.hits(), 1);
    let size = thing().bytes().len();
    assert!(bench.told(&format!("bytes: {size}, total: Some({size})")));
}

#[tokio::test]
async fn a_server_that_recovers_is_asked_again() {
    let index = Index::start(|hit| {
        if hit < 2 { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { thing().bytes().into_response() }
    })
    .await;

    index.bench().install(&["thing"]).await.unwrap().unwrap();

    assert_eq!(index.hits(), 3);
}

#[tokio::test]
async fn a_server_that_stays_broken_is_asked_three_times() {
    let index = Index::start(|_| StatusCode::BAD_GATEWAY.into_response()).await;

    let sentence = index.bench().refusal().await;

    assert_eq!(
        sentence,
        "cannot download `thing-1.0-py3-none-any.whl`: the index answered 502 Bad Gateway (after 3 attempts)"
    );
    assert_eq!(index.hits(), 3);
}

#[tokio::test]
async fn a_refusal_of_the_server_is_final() {
    for (script, status) in [
        ((|_| StatusCode::FORBIDDEN.into_response()) as Script, "403 Forbidden"),
        (|_| StatusCode::NOT_FOUND.into_response(), "404 Not Found"),
    ] {
        let index = Index::start(script).await;

        let sentence = index.bench().refusal().await;

        assert_eq!(sentence, format!("cannot download `thing-1.0-py3-none-any.whl`: the index answered {status}"));
        assert_eq!(index.hits(), 1);
    }
}

#[tokio::test]
async fn other_bytes_than_those_of_the_lock_are_refused_and_not_kept() {
    let index = Index::start(|_| thing().with("thing/evil.py", "").bytes().into_response()).await;
    let bench = index.bench();

    let sentence = bench.refusal().await;

    assert!(sentence.starts_with("digest mismatch for `thing-1.0-py3-none-any.whl`"), "{sentence}");
    assert_eq!(fs::read_dir(bench.path("cache/wheels/sha256")).unwrap().count(), 0);
    assert_eq!(index.hits(), 1);
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let index = Index::start(|_| {
        let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[0; 65536])));
        axum::body::Body::from_stream(endless).into_response()
    })
    .await;
    let mut bench = index.bench();
    bench.settings.max_wheel_bytes = 4 << 20;

    let sentence = bench.refusal().await;

    assert_eq!(sentence, "cannot download `thing-1.0-py3-none-any.whl`: it is larger than 4 MiB");
}

#[tokio::test]
async fn plain_http_is_refused_before_a_connection_opens_unless_the_index_is_local_too() {
    let index = Index::start(|_| thing().bytes().into_response()).await;
    let mut bench = index.bench();
    bench.settings.index = None;

    let sentence = bench.refusal().await;

    assert_eq!(sentence, "cannot download `thing-1.0-py3-none-any.whl`: its URL is not `https`");
    assert_eq!(index.hits(), 0);
}

#[tokio::test]
async fn a_redirect_away_from_https_is_not_followed() {
    let index =
        Index::start(|_| Redirect::temporary("http://192.0.2.1/thing-1.0-py3-none-any.whl").into_response()).await;

    let sentence = index.bench().refusal().await;

    assert!(sentence.contains("a redirect away from https"), "{sentence}");
    assert_eq!(index.hits(), 1);
}

#[tokio::test]
async fn a_redirect_to_an_acceptable_place_is_followed() {
    let index = Index::start(|hit| {
        if hit == 0 { Redirect::temporary("/elsewhere").into_response() } else { thing().bytes().into_response() }
    })
    .await;

    index.bench().install(&["thing"]).await.unwrap().unwrap();

    assert_eq!(index.hits(), 2);
}
