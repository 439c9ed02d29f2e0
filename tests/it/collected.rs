//! Traces and log records for a collector: what arrives there, and what it costs when it does not.

use par_tests::{ActionRequest, Collector, PATIENCE, Package, RunningHost, TakenSpan, TestHost, Upstream, free_port};
use reqwest::Method;
use tokio::net::TcpListener;
use tokio::time::timeout;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Asks the URL in its body, if there is one, and answers with the `traceparent` it was given. `/stream` answers in two pieces, and
/// asks between them; `/raise` raises.
const AGENT: &str = "
import logging
import urllib.request


def fetch(url):
    try:
        return urllib.request.urlopen(url, timeout=20).read()
    except OSError as error:
        logging.getLogger('agent').warning('refused')


async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        return await send({'type': 'lifespan.startup.complete'})
    url = (await receive())['body'].decode()
    if scope['path'] == '/raise':
        raise ValueError('5ec4e7')
    logging.getLogger('agent').info('asked')
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    if scope['path'] == '/stream':
        await send({'type': 'http.response.body', 'body': b'first', 'more_body': True})
    if url:
        fetch(url)
    own = dict(scope['headers']).get(b'traceparent', b'')
    await send({'type': 'http.response.body', 'body': own})


def create_service():
    return {'custom_handlers': {'fetch': lambda parameters: fetch(parameters['url'])}}
";

fn package() -> Package {
    Package::asgi(AGENT).and("a2a:\n  service: main:create_service\n")
}

/// The agent, sending to `collector`, with leave to ask `upstream`.
fn sending(collector: &str, upstream: &Upstream) -> TestHost {
    running(&package(), "", collector, upstream)
}

fn running(package: &Package, policy: &str, collector: &str, upstream: &Upstream) -> TestHost {
    let origin = upstream.url("127.0.0.1", "");
    let policy = format!("version: 1\n{policy}grant:\n  outbound: [{origin:?}]\n  outbound_addresses: [127.0.0.0/8]\n");
    TestHost::agent(package)
        .env("PAR_POLICY", policy)
        .env("PAR_METRICS_PORT", free_port().to_string())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
}

async fn ask(host: &RunningHost, path: &str, parent: &str, url: &str) -> String {
    let request = host.request(Method::POST, path).header("traceparent", parent).header("tracestate", "a=1");
    host.send(request.body(url.to_owned())).await.text().to_owned()
}

/// The span of `path` on the REST port.
async fn server_span(collector: &Collector, path: &str) -> TakenSpan {
    let wanted = |span: &TakenSpan| span.attributes.of("url.path") == path;
    collector.span(&format!("the span of {path}"), wanted).await
}

async fn below(collector: &Collector, parent: &TakenSpan) -> TakenSpan {
    let wanted = |span: &TakenSpan| span.ids[2] == parent.ids[1];
    collector.span(&format!("a span below {parent:?}"), wanted).await
}

async fn metric(host: &RunningHost, sample: &str) -> f64 {
    let url = format!("http://127.0.0.1:{}/metrics", host.setup().port("PAR_METRICS_PORT"));
    let page = host.send(host.client().get(url)).await.text().to_owned();
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no `{sample}` in\n{page}")).parse().unwrap()
}

/// A request is a span below the caller's; what the agent does for it is one below that, and what the agent asks of others
/// one below that again, whose id the other side is told. What is in them says nothing of headers, queries and bodies.
#[tokio::test]
async fn spans_go_on_with_the_trace_of_the_caller() {
    let (collector, upstream) = (Collector::start().await, Upstream::http().await);
    let headers = "x-key=5ec4e7-key";
    let host = sending(&collector.url(), &upstream).env("OTEL_EXPORTER_OTLP_HEADERS", headers).start().await;

    let told =
        ask(&host, "/some/path?token=5ec4e7-query", PARENT, &upstream.url("127.0.0.1", "/echo?key=5ec4e7")).await;

    let server = server_span(&collector, "/some/path").await;
    let call = below(&collector, &server).await;
    let client = below(&collector, &call).await;
    assert_eq!([server.ids[0].as_str(), &server.ids[2]], [TRACE, SPAN]);
    assert_eq!([&call.ids[0], &client.ids[0]], [TRACE, TRACE]);
    assert_eq!(told, format!("00-{TRACE}-{}-01", call.ids[1]));
    let seen = &upstream.seen()[0].headers;
    assert_eq!(seen["traceparent"], format!("00-{TRACE}-{}-01", client.ids[1]).as_str());
    assert_eq!(seen["tracestate"], "a=1");
    assert_eq!((server.span.kind, call.span.kind, client.span.kind), (2, 1, 3));
    assert_eq!((server.span.flags, call.span.flags), (0x301, 0x101));
    assert_eq!(server.span.trace_state, "a=1");
    assert!(server.span.start_time_unix_nano <= client.span.start_time_unix_nano);
    assert!(client.span.end_time_unix_nano <= server.span.end_time_unix_nano);

    let of_server = |key| server.attributes.of(key);
    assert_eq!([of_server("http.request.method"), of_server("http.response.status_code")], ["POST", "200"]);
    assert_eq!(of_server("server.port"), host.rest_port().to_string());
    assert_eq!((server.span.name.as_str(), of_server("par.surface")), ("POST", "rest"));
    assert_eq!(client.attributes.of("url.full"), upstream.url("127.0.0.1", "/echo"));
    assert_eq!([client.attributes.of("http.request.method"), client.attributes.of("par.decision")], ["GET", "allowed"]);
    assert_eq!(client.attributes.of("server.port"), upstream.port().to_string());
    let of_resource = |key| server.resource.of(key);
    assert_eq!([of_resource("service.name"), of_resource("deployment.id")], ["app-1", "deployment-1"]);
    assert_eq!(of_resource("service.version"), "1.0");

    let request = host.wait_for("the line of the agent", |line| line.text_of("text") == "asked").await;
    assert_eq!([request.text_of("trace_id"), request.text_of("span_id")], [TRACE, &call.ids[1]]);
    assert_eq!(request.text_of("request_id"), of_server("par.request_id"));
    let record = collector.record("the line of the agent", |record| record.body == "asked").await;
    assert_eq!(record.ids, [TRACE.to_owned(), call.ids[1].clone()]);
    assert_eq!((record.record.event_name.as_str(), record.attributes.of("logger")), ("Agent log", "agent"));
    assert!(collector.requests().iter().all(|(_, headers)| headers["x-key"] == "5ec4e7-key"));
    assert!(!collector.has("5ec4e7"), "no secret is sent");
    assert!(!host.log_text().contains("5ec4e7"), "no secret is logged");
}

/// The same outside the sandbox: the way out is one.
#[tokio::test]
async fn spans_of_an_agent_outside_the_sandbox_are_the_same() {
    let (collector, upstream) = (Collector::start().await, Upstream::http().await);
    let policy = "native: allow\n";
    let host = running(&package().native(), policy, &collector.url(), &upstream).start().await;

    let told = ask(&host, "/native", PARENT, &upstream.url("127.0.0.1", "/echo")).await;

    let server = server_span(&collector, "/native").await;
    let call = below(&collector, &server).await;
    let client = below(&collector, &call).await;
    assert_eq!([server.ids[0].as_str(), &server.ids[2]], [TRACE, SPAN]);
    assert_eq!(told, format!("00-{TRACE}-{}-01", call.ids[1]));
    assert_eq!(upstream.seen()[0].headers["traceparent"], format!("00-{TRACE}-{}-01", client.ids[1]).as_str());
    let record = collector.record("the line of the agent", |record| record.body == "asked").await;
    assert_eq!(record.ids, [TRACE.to_owned(), call.ids[1].clone()]);
}

/// The same for gRPC, and for a health check that a load balancer sends.
#[tokio::test]
async fn an_action_and_a_health_check_are_spans() {
    let (collector, upstream) = (Collector::start().await, Upstream::http().await);
    let host = sending(&collector.url(), &upstream).start().await;
    let parameters = [("url".to_owned(), upstream.url("127.0.0.1", "/echo"))].into();
    let request = ActionRequest { action: "fetch".into(), parameters, ..ActionRequest::default() };

    assert!(host.a2a().await.traced(PARENT).invoke(request).await.unwrap().success);
    assert_eq!(host.health().await.status, 200);

    let invoke = |span: &TakenSpan| span.span.name == "pixell.agent.AgentService/Invoke";
    let server = collector.span("the span of the action", invoke).await;
    let call = below(&collector, &server).await;
    let client = below(&collector, &call).await;
    assert_eq!([server.ids[0].as_str(), &server.ids[2]], [TRACE, SPAN]);
    let of = |key| server.attributes.of(key);
    assert_eq!([of("rpc.system"), of("rpc.method"), of("rpc.grpc.status_code")], ["grpc", "Invoke", "0"]);
    assert_eq!(call.attributes.of("par.action"), "fetch");
    assert_eq!(upstream.seen()[0].headers["traceparent"], format!("00-{TRACE}-{}-01", client.ids[1]).as_str());
    let health = server_span(&collector, "/health").await;
    assert_eq!((health.span.name.as_str(), health.attributes.of("http.route")), ("GET /health", "/health"));
    assert_ne!(health.ids[0], TRACE, "a request without a trace begins one");
    assert_eq!(health.ids[2], "");
}

/// A boot is a trace of its phases, that of an agent which cannot be loaded too.
#[tokio::test]
async fn a_boot_is_a_trace() {
    let collector = Collector::start().await;
    let host = TestHost::agent(&package()).env("OTEL_TRACES_EXPORTER", "otlp");
    let host = host.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", collector.url())).start().await;
    let boot = collector.span("the boot", |span| span.span.name == "boot").await;
    drop(host);
    let of_boot = collector.spans().into_iter().filter(|span| span.ids[2] == boot.ids[1]);
    let phases: Vec<String> = of_boot.map(|span| span.span.name).collect();
    assert_eq!(phases, ["download", "extract", "install", "load", "serve"]);
    assert!(boot.span.status.is_none());
    assert!(collector.records().is_empty(), "only spans were asked for");

    let collector = Collector::start().await;
    let broken = TestHost::agent(&Package::asgi("raise ValueError('no')"));
    drop(broken.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()).refused().await);
    let boot = collector.span("the boot", |span| span.span.name == "boot").await;
    let load = collector.span("the phase", |span| span.span.name == "load" && span.ids[2] == boot.ids[1]).await;
    assert_eq!([boot.attributes.of("error.type"), load.attributes.of("error.type")], ["agent", "agent"]);
    collector.record("why", |record| record.record.event_name == "Boot failed").await;
}

/// What is denied, what fails and what goes on after the head is in the spans as well.
#[tokio::test]
async fn failures_denials_and_streams_are_told() {
    let (collector, upstream) = (Collector::start().await, Upstream::http().await);
    let host = sending(&collector.url(), &upstream).start().await;

    ask(&host, "/denied", PARENT, "http://other.example/").await;
    ask(&host, "/raise", PARENT, "").await;
    ask(&host, "/stream", PARENT, &upstream.url("127.0.0.1", "/echo")).await;

    let call = below(&collector, &server_span(&collector, "/denied").await).await;
    let denied = below(&collector, &call).await;
    assert_eq!(
        [denied.attributes.of("par.decision"), denied.attributes.of("error.type")],
        ["denied", "host_not_granted"]
    );
    assert_eq!(denied.attributes.of("server.address"), "other.example");
    let server = server_span(&collector, "/raise").await;
    let call = below(&collector, &server).await;
    assert_eq!([server.attributes.of("error.type"), call.attributes.of("error.type")], ["500", "agent_error"]);
    assert!(server.span.status.is_some_and(|status| status.code == 2));
    let server = server_span(&collector, "/stream").await;
    let call = below(&collector, &server).await;
    let client = below(&collector, &call).await;
    assert!(client.span.end_time_unix_nano <= call.span.end_time_unix_nano, "the call goes on with its body");
    assert!(call.span.end_time_unix_nano <= server.span.end_time_unix_nano);
}

/// Who began the trace decides whether it is recorded, unless the operator does; what is not recorded is told so to everybody.
#[tokio::test]
async fn the_flag_of_the_caller_is_respected() {
    let (collector, upstream) = (Collector::start().await, Upstream::http().await);
    let host = sending(&collector.url(), &upstream).start().await;

    let told = ask(&host, "/no", NOT_SAMPLED, &upstream.url("127.0.0.1", "/echo")).await;
    ask(&host, "/yes", PARENT, "").await;

    server_span(&collector, "/yes").await;
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00") && told != NOT_SAMPLED, "{told}");
    assert_eq!(upstream.seen()[0].headers["traceparent"], told.as_str());
    assert!(collector.spans().iter().all(|span| span.attributes.of("url.path") != "/no"));

    let host = sending(&collector.url(), &upstream).env("OTEL_TRACES_SAMPLER", "always_off").start().await;
    let told = ask(&host, "/off", PARENT, "").await;
    assert!(told.ends_with("-00"), "{told}");
    collector.record("the log is not sampled", |record| record.record.event_name == "Runtime ready").await;
}

/// What was buffered is delivered before the process ends.
#[tokio::test]
async fn term_delivers_what_is_waiting() {
    let (collector, upstream) = (Collector::start().await, Upstream::http().await);
    let mut host = sending(&collector.url(), &upstream).start().await;
    for number in 0..50 {
        ask(&host, &format!("/{number}"), PARENT, "").await;
    }

    assert_eq!(host.stop().await, 0);

    let spans = collector.spans();
    for number in 0..50 {
        let path = format!("/{number}");
        assert!(spans.iter().any(|span| span.attributes.of("url.path") == path), "{path}");
    }
    let last = collector.records().last().unwrap().record.event_name.clone();
    assert_eq!(last, "Runtime shutdown complete");
}

/// Nothing is sent, and no trace is another one, unless somebody says so.
#[tokio::test]
async fn nothing_is_sent_unless_asked_for() {
    let (collector, upstream) = (Collector::start().await, Upstream::http().await);
    for variables in [
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
        vec![("OTEL_SDK_DISABLED", "true")],
        vec![("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")],
    ] {
        let host = sending(&collector.url(), &upstream);
        let mut host = variables.iter().fold(host, |host, (name, value)| host.env(name, *value)).start().await;

        assert_eq!(ask(&host, "/", PARENT, "").await, PARENT, "{variables:?}");
        assert_eq!(metric(&host, "par_telemetry_delivered_total{signal=\"traces\"}").await, 0.0);
        assert_eq!(host.stop().await, 0);
    }
    assert!(collector.requests().is_empty());
}

/// Hostile 183: a collector that refuses connections, and one that takes them and says nothing, hold nobody up: neither a boot, nor a request, nor
/// the end. What is lost is counted and said once.
#[tokio::test]
async fn a_dead_collector_costs_nothing() {
    let upstream = Upstream::http().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let held = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    for dead in [format!("http://127.0.0.1:{}", free_port()), silent_url] {
        // A week: nothing may wait for it.
        let mut host = sending(&dead, &upstream).env("OTEL_EXPORTER_OTLP_TIMEOUT", "604800000").start().await;
        for _ in 0..3 {
            ask(&host, "/", PARENT, "").await;
        }

        assert_eq!(host.stop().await, 0, "{dead}");

        let said = host.events("Telemetry not delivered");
        assert!(said.iter().all(|line| line.level() == "warning"), "{said:?}");
        assert!(said.len() <= 2, "once a signal: {said:?}");
    }
    held.abort();
}

/// What does not go the first time goes later, what never will does not, and both are counted.
#[tokio::test]
async fn what_a_collector_refuses_is_sent_again_or_counted() {
    let (collector, upstream) = (Collector::start().await, Upstream::http().await);
    let mut host = sending(&collector.url(), &upstream).env("OTEL_LOGS_EXPORTER", "none").start().await;
    let boot = collector.span("the boot", |span| span.span.name == "boot").await;
    assert_eq!(boot.resource.of("service.name"), "app-1");
    let sample = "par_telemetry_dropped_total{signal=\"traces\",reason=\"refused\"}";

    collector.refuse(503);
    collector.refuse(429);
    ask(&host, "/later", PARENT, "").await;
    server_span(&collector, "/later").await;
    assert_eq!(metric(&host, sample).await, 0.0);
    assert_eq!(host.wait_for_event("Telemetry not delivered").await.text_of("error"), "status 503");
    host.wait_for_event("Telemetry delivered again").await;

    collector.refuse(400);
    let before = collector.requests().len();
    ask(&host, "/never", PARENT, "").await;
    collector.until("the attempt", || (collector.requests().len() > before).then_some(())).await;
    collector.reject(2);
    ask(&host, "/part", PARENT, "").await;
    server_span(&collector, "/part").await;
    let counted = async {
        while metric(&host, sample).await < 4.0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, counted).await.expect("what was refused is counted");
    assert!(collector.spans().iter().all(|span| span.attributes.of("url.path") != "/never"));
    assert_eq!(host.stop().await, 0);
}

/// Wrong values are refused with the other mistakes, and keys are in no message.
#[tokio::test]
async fn wrong_variables_are_mistakes() {
    let wrong = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "5ec4e7"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ];
    let host = wrong.iter().fold(TestHost::bare().env("REST_PORT", "0"), |host, (name, value)| host.env(name, *value));
    let mut host = host.spawn();

    assert_eq!(host.wait_exit().await, 1);

    let mistakes = host.events("Configuration validation error");
    let named: Vec<&str> = mistakes.iter().map(|line| line.text_of("variable")).collect();
    assert_eq!(named.len(), wrong.len() + 1, "{named:?}");
    assert!(wrong.iter().all(|(name, _)| named.contains(name)), "{named:?}");
    assert!(!host.log_text().contains("5ec4e7"));
}

/// The collector is the operator's: naming one lets the agent reach nothing more.
#[tokio::test]
async fn an_agent_may_not_speak_with_the_collector() {
    let collector = Collector::start().await;
    let host = TestHost::agent(&package()).env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()).start().await;

    ask(&host, "/", PARENT, &format!("{}/v1/traces", collector.url())).await;

    let call = below(&collector, &server_span(&collector, "/").await).await;
    let denied = below(&collector, &call).await;
    assert_eq!(denied.attributes.of("error.type"), "host_not_granted");
    host.wait_for_denial("host_not_granted").await;
}
