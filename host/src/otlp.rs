//! Traces and log records for an OpenTelemetry collector, where the operator names one.
//!
//! Off, nothing of it exists but an empty cell. On, whoever ends a span or writes a line hands it to a bounded queue
//! and goes on; one task a signal sends what is queued, as protobuf over HTTP. A collector that is slow, dead or
//! wrong costs the process that queue and nothing else: what finds no room or is not taken is counted and left out.
//!
//! The messages are those of `opentelemetry-proto`. The SDK beside it is not used: it reads the environment by itself, where
//! PAR has one reader, and does not tell how much it dropped.

mod destination;
mod queue;
mod record;
mod resource;
mod sampler;
mod sending;
mod span;
mod value;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

pub use destination::Destination;
pub use queue::Counts;
pub use resource::Identity;
pub use sampler::{Root, Sampler};
pub use span::{Attribute, Kind, Recording, Span, Trace, Tracer, known_method};

use queue::Queue;
use record::Record;
use resource::Resource;

use crate::telemetry::Entry;

/// Longest time an exit waits for what is queued to be taken.
const LONGEST_DRAIN: Duration = Duration::from_secs(2);

/// What is sent, and where to. Source: the variables `OTEL_*`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where spans go; nowhere if nothing.
    pub traces: Option<Destination>,
    /// Where log records go; nowhere if nothing.
    pub logs: Option<Destination>,
    /// Which requests are traced.
    pub sampler: Sampler,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub attributes: Vec<(String, String)>,
    /// Certificates (PEM) to trust in the place of the platform's.
    pub certificate: Option<PathBuf>,
}

/// What the process sends to collectors; empty until [`Export::start`], and for good where nothing is sent.
#[derive(Debug, Default)]
pub struct Export {
    running: OnceLock<Running>,
}

#[derive(Debug)]
struct Running {
    resource: Arc<Resource>,
    traces: Option<Signal<span::Finished>>,
    logs: Option<Signal<Record>>,
    sampler: Sampler,
}

/// One of both signals on its way.
#[derive(Debug)]
struct Signal<T> {
    queue: Arc<Queue<T>>,
    task: JoinHandle<()>,
}

impl Export {
    /// Begins to send what the settings name. A second call changes nothing. Needs a runtime.
    pub fn start(&self, settings: &Settings, identity: &Identity) {
        if settings.traces.is_none() && settings.logs.is_none() {
            return;
        }
        let resource = Arc::new(Resource::new(settings, identity));
        let _ = self.running.get_or_init(|| Running {
            traces: settings.traces.clone().map(|to| sending::start(to, settings.certificate.clone(), &resource)),
            logs: settings.logs.clone().map(|to| sending::start(to, settings.certificate.clone(), &resource)),
            sampler: settings.sampler,
            resource,
        });
    }

    /// The agent is known: its name and version are said from here on.
    pub fn agent(&self, name: &str, version: &str) {
        if let Some(running) = self.running.get() {
            running.resource.agent(name, version);
        }
    }

    /// What makes spans; off where none are sent.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        let running = self.running.get();
        let traces = running.and_then(|running| Some((running.traces.as_ref()?, running.sampler)));
        traces.map_or_else(Tracer::default, |(signal, sampler)| Tracer::new(Arc::clone(&signal.queue), sampler))
    }

    /// What takes the lines of the log; nothing where none are sent.
    #[must_use]
    pub fn log(&self) -> Option<impl Fn(&Entry<'_>) + Send + Sync + use<>> {
        let queue = Arc::clone(&self.running.get()?.logs.as_ref()?.queue);
        Some(move |entry: &Entry<'_>| {
            let record = Record::of(entry);
            let bytes = record.bytes();
            queue.push(record, bytes);
        })
    }

    /// What became of everything that was handed over, by signal.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, Counts); 2] {
        let running = self.running.get();
        let traces = running.and_then(|running| running.traces.as_ref()).map(|signal| signal.queue.counts());
        let logs = running.and_then(|running| running.logs.as_ref()).map(|signal| signal.queue.counts());
        [("traces", traces.unwrap_or_default()), ("logs", logs.unwrap_or_default())]
    }

    /// Sends what is queued, for two seconds at most; what is left then is counted as not delivered.
    pub async fn finish(&self) {
        let Some(Running { traces, logs, .. }) = self.running.get() else { return };
        let deadline = Instant::now() + LONGEST_DRAIN;
        let traces = async {
            if let Some(signal) = traces {
                signal.finish(deadline).await;
            }
        };
        let logs = async {
            if let Some(signal) = logs {
                signal.finish(deadline).await;
            }
        };
        tokio::join!(traces, logs);
    }
}

impl<T> Signal<T> {
    async fn finish(&self, deadline: Instant) {
        self.queue.close();
        let ended = self.queue.ended();
        if timeout_at(deadline, ended).await.is_err() {
            self.task.abort();
            self.queue.give_up();
        }
    }
}
