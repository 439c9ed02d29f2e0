//! What Prometheus reads, and what reads Prometheus.

use std::collections::BTreeSet;

use par_tests::{PATIENCE, Package, RunningHost, TestHost, free_port, repository};
use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;

/// An agent with its numbers on a port.
fn measured(package: &Package) -> TestHost {
    TestHost::agent(package).env("PAR_METRICS_PORT", free_port().to_string())
}

async fn scrape(host: &RunningHost) -> String {
    let url = format!("http://127.0.0.1:{}/metrics", host.setup().port("PAR_METRICS_PORT"));
    let reply = host.send(host.client().get(url)).await;
    assert_eq!(reply.status, 200);
    reply.text().to_owned()
}

/// The number of a sample, as it stands.
fn number(page: &str, sample: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no `{sample}` in\n{page}")).parse().unwrap()
}

/// Requests are counted and timed by surface and outcome; instances, memory and the boot are told.
#[tokio::test]
async fn the_numbers_are_those_of_the_process() {
    let host = measured(&Package::example("fastapi")).start().await;
    for _ in 0..3 {
        assert_eq!(host.get("/api/ping").await.status, 200);
    }
    assert_eq!(host.get("/nothing-here").await.status, 404);
    host.a2a().await.health().await.unwrap();

    let page = scrape(&host).await;

    assert_eq!(number(&page, "par_requests_total{surface=\"rest\",outcome=\"ok\"}"), 3.0);
    assert_eq!(number(&page, "par_requests_total{surface=\"rest\",outcome=\"client_error\"}"), 1.0);
    assert_eq!(number(&page, "par_requests_total{surface=\"rest\",outcome=\"server_error\"}"), 0.0);
    assert_eq!(number(&page, "par_requests_total{surface=\"a2a\",outcome=\"ok\"}"), 1.0);
    assert_eq!(number(&page, "par_request_duration_seconds_count{surface=\"rest\"}"), 4.0);
    assert_eq!(number(&page, "par_instances_ready"), 1.0);
    assert_eq!(number(&page, "par_ready"), 1.0);
    assert!(number(&page, "par_memory_resident_bytes") > 1e6);
    assert!(number(&page, "par_memory_limit_bytes") > number(&page, "par_memory_resident_bytes"));
    assert!(number(&page, "par_boot_seconds{phase=\"load\"}") <= number(&page, "par_boot_seconds{phase=\"total\"}"));
}

/// A request is in flight until its answer is over, its body included: what an agent that waits for models is scaled on.
#[tokio::test]
async fn a_request_is_in_flight_until_its_answer_is_over() {
    let host = measured(&Package::asgi(include_str!("python/streams.py"))).start().await;
    let sample = "par_requests_in_flight{surface=\"rest\"}";
    assert_eq!(number(&scrape(&host).await, sample), 0.0);

    let answer = host.request(Method::GET, "/until_left").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(number(&scrape(&host).await, sample), 1.0);
    drop(answer);

    let ended = async {
        while number(&scrape(&host).await, sample) > 0.0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, ended).await.expect("a client that left is in flight no more");
}

/// An instance that is lost and a request that is denied are seen.
#[tokio::test]
async fn losses_and_denials_are_counted() {
    let host = measured(&Package::asgi(include_str!("python/probe.py"))).start().await;
    assert_eq!(host.get("/leave").await.status, 502);
    host.wait_for_event("Instance replaced").await;

    let page = scrape(&host).await;

    assert_eq!(number(&page, "par_instances_replaced_total{reason=\"lost\"}"), 1.0);
    assert_eq!(number(&page, "par_requests_total{surface=\"rest\",outcome=\"server_error\"}"), 1.0);
}

/// Hostile 143: the numbers are on a port of their own, where the operator wants one, and nowhere else.
#[tokio::test]
async fn metrics_are_on_no_other_port_and_nothing_else_is_on_theirs() {
    let own = "
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'of the agent'})
";
    let host = measured(&Package::asgi(own)).start().await;
    assert_eq!(host.get("/metrics").await.text(), "of the agent", "a path like any other");
    let port = host.setup().port("PAR_METRICS_PORT");
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    for path in ["/", "/health", "/metrics/", "//metrics"] {
        assert_eq!(host.send(host.client().get(url(path))).await.status, 404, "{path}");
    }
    let post = host.send(host.client().request(Method::POST, url("/metrics"))).await;
    assert_eq!(post.status, 405);

    let without = TestHost::agent(&Package::asgi(own)).start().await;
    assert!(without.events("Listening").iter().all(|line| line.text_of("surface") != "metrics"));
}

/// The port of the numbers is one more that must be free and another than the others.
#[tokio::test]
async fn the_port_of_the_metrics_is_checked_like_the_others() {
    let host = TestHost::bare();
    let rest = host.port("REST_PORT").to_string();
    for wrong in ["0", "x", rest.as_str()] {
        let mut host = TestHost::bare().env("REST_PORT", rest.as_str()).env("PAR_METRICS_PORT", wrong).spawn();
        assert_eq!(host.wait_exit().await, 1);
        let mistakes = host.events("Configuration validation error");
        assert!(mistakes.iter().any(|line| line.text_of("variable") == "PAR_METRICS_PORT"), "{wrong}");
    }
}

/// Dashboard and alerts ask for names that are there, each of them.
#[tokio::test]
async fn dashboard_and_alerts_ask_for_names_that_exist() {
    let host = measured(&Package::example("stdlib")).start().await;
    assert_eq!(host.get("/health").await.status, 200);
    let page = scrape(&host).await;
    let there: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .chain(page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()))
        .collect();

    let mut asked = BTreeSet::new();
    for file in ["docs/grafana/par.json", "docs/grafana/alerts.yaml", "docs/operations.md"] {
        let text = fs_err::read_to_string(repository().join(file)).unwrap();
        let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        asked.extend(words.filter(|word| word.starts_with("par_")).map(str::to_owned));
    }

    assert!(asked.len() > 10, "the files are read: {asked:?}");
    for name in asked {
        assert!(there.contains(name.as_str()), "`{name}` is not among {there:?}");
    }
}

/// The picture in the documents has every panel of the dashboard, and data in each.
#[test]
fn the_picture_shows_every_panel() {
    let read = |file: &str| fs_err::read_to_string(repository().join("docs").join(file)).unwrap();
    let picture = read("images/dashboard.svg");
    let dashboard: Value = serde_json::from_str(&read("grafana/par.json")).unwrap();

    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(picture.contains(&format!(">{title}<")), "run: just dashboard-picture, for `{title}`");
    }
    assert!(!picture.contains("No data"), "a panel without data");
    assert!(picture.len() < 150_000, "{} bytes", picture.len());
}
