//! From events to lines: what is written, how much of it, and in whose name.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::bounds::RateLimit;
use super::fields::Fields;
use super::line::{Origin, Repeat};
use super::writer::Sink;
use super::{Level, events};

/// The target of everything the agent wrote: printed, logged or raised.
pub const AGENT_TARGET: &str = "agent";

/// Lines a second an agent may write for long, and at once.
const AGENT_RATE: (u32, u32) = (1_000, 4_000);

/// The same for all libraries together.
const LIBRARY_RATE: (u32, u32) = (20, 100);

/// Who wrote an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    Par,
    Agent,
    Library,
}

impl Author {
    fn of(metadata: &Metadata<'_>) -> Self {
        let target = metadata.target();
        let crate_name = target.split("::").next().unwrap_or(target);
        match crate_name {
            AGENT_TARGET => Self::Agent,
            "par" | "par_host" | "par_sandbox" | "par_apkg" | "par_policy" => Self::Par,
            _ => Self::Library,
        }
    }
}

/// Turns events into lines.
#[derive(Debug, Clone)]
pub(super) struct LineLayer {
    level: Level,
    origin: Arc<Origin>,
    sink: Sink,
    quiet: Arc<AtomicBool>,
    limits: Arc<Limits>,
    agent_lines_dropped: Arc<OnceLock<OnDropped>>,
    also: Arc<OnceLock<Heard>>,
}

/// A line of the log that is about to be written: limited, cut and without secrets like that.
#[derive(Debug)]
pub struct Entry<'a> {
    /// When it happened.
    pub time: Timestamp,
    /// How serious it is.
    pub level: Level,
    /// What happened.
    pub event: &'a str,
    /// The values.
    pub details: &'a Map<String, Value>,
}

/// Hears of every line.
pub(super) struct Heard(pub(super) Box<dyn Fn(&Entry<'_>) + Send + Sync>);

impl fmt::Debug for Heard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Heard")
    }
}

/// Hears how many lines of the agent were left out.
pub(super) struct OnDropped(pub(super) Box<dyn Fn(u64) + Send + Sync>);

impl fmt::Debug for OnDropped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OnDropped")
    }
}

#[derive(Debug)]
struct Limits {
    agent: RateLimit,
    library: RateLimit,
}

impl LineLayer {
    pub(super) fn new(level: Level, origin: Arc<Origin>, sink: Sink, quiet: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        let limits = Limits {
            agent: RateLimit::new(AGENT_RATE.0, AGENT_RATE.1, now),
            library: RateLimit::new(LIBRARY_RATE.0, LIBRARY_RATE.1, now),
        };
        Self {
            level,
            origin,
            sink,
            quiet,
            limits: Arc::new(limits),
            agent_lines_dropped: Arc::default(),
            also: Arc::default(),
        }
    }

    pub(super) const fn sink(&self) -> &Sink {
        &self.sink
    }

    /// How many lines a second the agent may write from now on.
    pub(super) fn limit_agent(&self, per_second: u32) {
        self.limits.agent.change(per_second, per_second.saturating_mul(AGENT_RATE.1 / AGENT_RATE.0));
    }

    pub(super) fn origin(&self) -> Arc<Origin> {
        Arc::clone(&self.origin)
    }

    /// Tells `hear` from now on how many lines of the agent were left out. The first one stays.
    pub(super) fn on_agent_lines_dropped(&self, hear: OnDropped) {
        let _ = self.agent_lines_dropped.set(hear);
    }

    /// Tells `hear` of every line from now on. The first one stays.
    pub(super) fn also_to(&self, hear: Heard) {
        let _ = self.also.set(hear);
    }

    /// Writes how many lines were refused, when some were.
    pub(super) fn report_dropped(&self) {
        self.note_dropped(events::AGENT_LINES_DROPPED, self.limits.agent.take_dropped());
        self.note_dropped(events::LINES_DROPPED, self.limits.library.take_dropped());
    }

    fn note_dropped(&self, event: &str, dropped: u64) {
        if dropped > 0 {
            self.sink.write(&self.origin.dropped_notice(event, dropped));
            if event == events::AGENT_LINES_DROPPED
                && let Some(hear) = self.agent_lines_dropped.get()
            {
                (hear.0)(dropped);
            }
        }
    }

    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        let least = match Author::of(metadata) {
            Author::Library => self.level.max(Level::Warning),
            Author::Par | Author::Agent => self.level,
        };
        // Not `is_event`: the question `tracing::enabled!` asks is neither event nor span.
        !metadata.is_span() && Level::from(metadata.level()) >= least
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.is_wanted(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level {
            Level::Debug => LevelFilter::TRACE,
            Level::Info => LevelFilter::INFO,
            Level::Warning => LevelFilter::WARN,
            Level::Error => LevelFilter::ERROR,
        })
    }

    #[expect(clippy::disallowed_methods, reason = "lines have the time of day")]
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = Level::from(metadata.level());
        let author = Author::of(metadata);
        let also = self.also.get();
        let is_quiet = author == Author::Par && level < Level::Warning && self.quiet.load(Ordering::Relaxed);
        if is_quiet && also.is_none() {
            return;
        }
        let limit = match author {
            Author::Par => None,
            Author::Agent => Some((&self.limits.agent, events::AGENT_LINES_DROPPED)),
            Author::Library => Some((&self.limits.library, events::LINES_DROPPED)),
        };
        if let Some((limit, notice)) = limit {
            let Some(dropped) = limit.admit(Instant::now()) else { return };
            self.note_dropped(notice, dropped);
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        if author == Author::Library {
            let message = std::mem::replace(&mut fields.message, events::LIBRARY_MESSAGE.to_owned());
            fields.details.insert("message".to_owned(), Value::from(message));
            fields.details.insert("target".to_owned(), Value::from(metadata.target()));
        }
        let repeat = if author == Author::Par { Repeat::Fields } else { Repeat::Nothing };
        let now = Timestamp::now();
        if let Some(also) = also {
            (also.0)(&Entry { time: now, level, event: &fields.message, details: &fields.details });
        }
        if !is_quiet {
            self.sink.write(&self.origin.line(now, level, fields, repeat));
        }
    }
}
