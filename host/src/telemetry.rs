//! The log: JSON lines on standard output, from the first line on.
//!
//! Everything is logged with the macros of `tracing`. The message is the name of the event and
//! constant; values are fields. A dotted field, `phases_ms.load = 12`, becomes an object. A line
//! reads
//!
//! ```json
//! {"level": "info", "ts": "...", "timestamp": "...", "agentAppId": "...", "deploymentId": null,
//!  "event": "Runtime ready", "details": {"rest_port": 8080}, "rest_port": 8080}
//! ```
//!
//! `details` has all fields; short ones are repeated beside it, where readers of earlier
//! runtimes look for them. What the agent writes is logged with the target [`AGENT_TARGET`]: it
//! stays inside `details`, its length and rate are bounded, and it cannot forge a line. Libraries
//! are heard from `warning` on only, so that no level of verbosity prints what they handle.

mod bounds;
pub mod events;
mod fields;
mod json;
mod layer;
mod line;
mod lines;
mod redaction;
mod text;
mod writer;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

pub(crate) use bounds::RateLimit;
pub(crate) use fields::chain;
pub use layer::{AGENT_TARGET, Entry};
pub(crate) use lines::Lines;
pub use text::visible;

use layer::{Heard, LineLayer, OnDropped};
use line::Origin;
use writer::Sink;

/// Longest time an exit waits for the log to be read.
const LONGEST_FLUSH: Duration = Duration::from_secs(2);

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For finding out why.
    Debug,
    /// What happened.
    Info,
    /// Odd, and PAR goes on.
    Warning,
    /// Something did not work.
    Error,
}

impl Level {
    /// Reads a level as operators write it, in any case: a word, or the list of directives that Rust programs take, of
    /// which the one about PAR counts, else the one about everything.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut of_all, mut of_par) = (None, None);
        for directive in text.split(',').map(str::trim) {
            match directive.split_once('=') {
                None => of_all = Some(Self::word(directive)?),
                Some(("par" | "par_host", level)) => of_par = Some(Self::word(level)?),
                // Libraries are heard from `warning` on, whatever anybody asks for.
                Some(_) => {}
            }
        }
        of_par.or(of_all)
    }

    fn word(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "debug" | "trace" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warning" | "warn" => Some(Self::Warning),
            "error" | "critical" | "fatal" | "off" => Some(Self::Error),
            _ => None,
        }
    }

    /// The word in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people at a terminal.
    Text,
}

/// What every line says, and which lines are written.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `AGENT_APP_ID`, once it is known.
    pub app_id: Option<String>,
    /// `DEPLOYMENT_ID`.
    pub deployment_id: Option<String>,
    /// Least serious lines that are written.
    pub level: Level,
    /// What a line looks like.
    pub format: Format,
}

/// The running log.
#[derive(Debug, Clone)]
pub struct Telemetry {
    layer: LineLayer,
    quiet: Arc<AtomicBool>,
}

impl Telemetry {
    /// Starts writing to `output`. Nothing is logged until [`Telemetry::install`].
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(settings: Settings, output: impl Write + Send + 'static) -> io::Result<Self> {
        let origin = Arc::new(Origin::new(&settings));
        let quiet = Arc::new(AtomicBool::new(false));
        let notices = Arc::clone(&origin);
        let sink = Sink::start(output, move |dropped| notices.dropped_notice(events::LINES_DROPPED, dropped))?;
        Ok(Self { layer: LineLayer::new(settings.level, origin, sink, Arc::clone(&quiet)), quiet })
    }

    /// Makes this the log of the process, for panics too.
    ///
    /// # Errors
    /// When the process has one already.
    pub fn install(&self) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
        tracing::subscriber::set_global_default(self.subscriber())?;
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(error = panic.payload_as_str(), place, "{}", events::PANICKED);
        }));
        Ok(())
    }

    /// Logs what `body` logs on this thread.
    pub fn within<T>(&self, body: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(self.subscriber(), body)
    }

    /// How many lines a second the agent may write from now on; the others are counted.
    pub fn limit_agent(&self, per_second: u32) {
        self.layer.limit_agent(per_second);
    }

    /// While quiet, PAR's own lines below `warning` are left out: a progress display tells the rest.
    pub fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }

    /// Lines for the log that no level holds back.
    pub(crate) fn lines(&self) -> Lines {
        Lines::new(self.layer.origin(), self.layer.sink().clone())
    }

    /// Lines of the same form for another output, always as JSON. Never drops one.
    pub(crate) fn lines_to(&self, output: impl Write + Send + 'static) -> io::Result<Lines> {
        let sink = Sink::start(output, |_| Vec::new())?;
        Ok(Lines::new(Arc::new(self.layer.origin().for_machines()), sink))
    }

    /// Tells `hear` from now on how many lines of the agent were left out.
    pub(crate) fn on_agent_lines_dropped(&self, hear: impl Fn(u64) + Send + Sync + 'static) {
        self.layer.on_agent_lines_dropped(OnDropped(Box::new(hear)));
    }

    /// Tells `hear` of every line from now on, before it is written. It must not log, nor wait.
    pub fn also_to(&self, hear: impl Fn(&Entry<'_>) + Send + Sync + 'static) {
        self.layer.also_to(Heard(Box::new(hear)));
    }

    /// Writes how many lines were left out since this was last said.
    pub fn report_dropped(&self) {
        self.layer.report_dropped();
    }

    /// Writes what is still waiting; for at most two seconds, should nobody read it.
    pub fn flush(&self) {
        self.layer.report_dropped();
        self.layer.sink().flush(LONGEST_FLUSH);
    }

    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + 'static {
        Registry::default().with(self.layer.clone())
    }
}

#[cfg(test)]
mod tests;
