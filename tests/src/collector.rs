//! A collector of OpenTelemetry: takes spans and log records as protobuf over HTTP, and keeps them for the test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::host::PATIENCE;

/// Attributes as text, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// The value of one; empty where there is none.
    #[must_use]
    pub fn of(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }

    fn read(pairs: &[KeyValue]) -> Self {
        let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Any::StringValue(text)) => text.clone(),
            Some(Any::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        Self(pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect())
    }
}

/// A span that arrived.
#[derive(Debug, Clone)]
pub struct TakenSpan {
    /// Its trace, its own id and that of its parent, in hexadecimal digits; empty where there is none.
    pub ids: [String; 3],
    /// As the protocol has it.
    pub span: Span,
    /// What is said of it.
    pub attributes: Attributes,
    /// Who sent it.
    pub resource: Attributes,
}

/// A log record that arrived.
#[derive(Debug, Clone)]
pub struct TakenRecord {
    /// Its trace and its span, in hexadecimal digits; empty where there is none.
    pub ids: [String; 2],
    /// What it says.
    pub body: String,
    /// As the protocol has it.
    pub record: LogRecord,
    /// What else is said.
    pub attributes: Attributes,
}

#[derive(Debug)]
struct Shared {
    spans: Mutex<Vec<TakenSpan>>,
    records: Mutex<Vec<TakenRecord>>,
    requests: Mutex<Vec<(String, HeaderMap)>>,
    bytes: Mutex<Vec<u8>>,
    changed: watch::Sender<usize>,
    /// What is answered, in order; then 200.
    answers: Mutex<Vec<Response>>,
}

/// A running collector on loopback; it ends with the test.
#[derive(Debug)]
pub struct Collector {
    port: u16,
    shared: Arc<Shared>,
}

impl Collector {
    /// One that takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            spans: Mutex::default(),
            records: Mutex::default(),
            requests: Mutex::default(),
            bytes: Mutex::default(),
            changed: watch::Sender::new(0),
            answers: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/logs", post(logs))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { port, shared }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers the next request with this status and takes nothing of it.
    pub fn refuse(&self, status: u16) {
        let answer = Response::builder().status(StatusCode::from_u16(status).unwrap()).header("retry-after", "0");
        self.shared.answers.lock().unwrap().push(answer.body(Body::empty()).unwrap());
    }

    /// Says of the next request that it did not want so many of its spans.
    pub fn reject(&self, spans: i64) {
        let partial_success = ExportTracePartialSuccess { rejected_spans: spans, error_message: "no".to_owned() };
        let body = ExportTraceServiceResponse { partial_success: Some(partial_success) }.encode_to_vec();
        self.shared.answers.lock().unwrap().push(Response::new(Body::from(body)));
    }

    /// Every span so far.
    #[must_use]
    pub fn spans(&self) -> Vec<TakenSpan> {
        self.shared.spans.lock().unwrap().clone()
    }

    /// Every log record so far.
    #[must_use]
    pub fn records(&self) -> Vec<TakenRecord> {
        self.shared.records.lock().unwrap().clone()
    }

    /// Path and headers of every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, HeaderMap)> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Whether this text is anywhere in what was sent.
    #[must_use]
    pub fn has(&self, text: &str) -> bool {
        let bytes = self.shared.bytes.lock().unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// The first span that `wanted` accepts, waiting for it.
    pub async fn span(&self, what: &str, wanted: impl Fn(&TakenSpan) -> bool) -> TakenSpan {
        self.until(what, || self.spans().into_iter().find(&wanted)).await
    }

    /// The first log record that `wanted` accepts, waiting for it.
    pub async fn record(&self, what: &str, wanted: impl Fn(&TakenRecord) -> bool) -> TakenRecord {
        self.until(what, || self.records().into_iter().find(&wanted)).await
    }

    /// Waits until something is there.
    pub async fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let mut changes = self.shared.changed.subscribe();
        let wait = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look() {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        let longest: Duration = PATIENCE;
        let Ok(found) = timeout(longest, wait).await else {
            panic!("{what} did not arrive; there are {:#?} and {:#?}", self.spans(), self.records());
        };
        found
    }
}

fn digits(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes down the request; what is then answered, and what was sent unless that is a refusal.
async fn take(shared: &Shared, request: Request) -> (Response, Option<Vec<u8>>) {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    assert_eq!(head.headers["content-type"], "application/x-protobuf");
    shared.requests.lock().unwrap().push((head.uri.path().to_owned(), head.headers));
    let mut answers = shared.answers.lock().unwrap();
    let answer = if answers.is_empty() { Response::new(Body::empty()) } else { answers.remove(0) };
    let taken = answer.status().is_success().then(|| {
        shared.bytes.lock().unwrap().extend_from_slice(&body);
        body
    });
    (answer, taken)
}

async fn traces(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (answer, taken) = take(&shared, request).await;
    if let Some(body) = taken {
        let message = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        let mut spans = shared.spans.lock().unwrap();
        for of_one in message.resource_spans {
            let resource = Attributes::read(&of_one.resource.unwrap().attributes);
            for span in of_one.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let ids = [&span.trace_id, &span.span_id, &span.parent_span_id].map(|id| digits(id));
                let attributes = Attributes::read(&span.attributes);
                spans.push(TakenSpan { ids, span, attributes, resource: resource.clone() });
            }
        }
    }
    shared.changed.send_modify(|changes| *changes += 1);
    answer
}

async fn logs(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (answer, taken) = take(&shared, request).await;
    if let Some(body) = taken {
        let message = ExportLogsServiceRequest::decode(body.as_slice()).unwrap();
        let scopes = message.resource_logs.into_iter().flat_map(|of_one| of_one.scope_logs);
        let mut records = shared.records.lock().unwrap();
        for record in scopes.flat_map(|scope| scope.log_records) {
            let ids = [&record.trace_id, &record.span_id].map(|id| digits(id));
            let attributes = Attributes::read(&record.attributes);
            let Some(Any::StringValue(body)) = record.body.clone().and_then(|body| body.value) else { panic!() };
            records.push(TakenRecord { ids, body, record, attributes });
        }
    }
    shared.changed.send_modify(|changes| *changes += 1);
    answer
}
