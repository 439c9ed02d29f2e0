//! The record of every use and every denial of a capability: one JSON line each, in the log or in
//! a file of its own. `docs/audit.md` tells what is in a line.
//!
//! All backends write through [`Audit`], which is the one writer. Nothing here waits: lines are
//! handed to a thread. Above a rate events are counted, and what was counted becomes lines a
//! second later. An event that finds no room is counted as well, so that none is lost silently.

mod counted;
mod file;
mod line;
mod spans;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use par_policy::{AuditEvent, DenialCode};
use par_sandbox::{AuditRecord, AuditSink};

use crate::backend::Backend;
use crate::otlp::Tracer;
use crate::telemetry::{Lines, RateLimit, Telemetry};
use counted::Counted;
pub use file::AuditFileError;

/// Lines a second for long, and at once.
const RATE: (u32, u32) = (500, 2_000);

/// How long events are counted before they become lines.
const COUNTING: Duration = Duration::from_secs(1);

/// Longest time an exit waits for the record to be written.
const LONGEST_FLUSH: Duration = Duration::from_secs(2);

/// The record of the process. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Lines,
    file: OnceLock<Lines>,
    rate: RateLimit,
    counted: Mutex<Counted>,
    counting: Condvar,
    totals: Mutex<BTreeMap<Total, u64>>,
    /// What makes spans of outbound requests; set once it is known whether there are any.
    tracer: OnceLock<Tracer>,
}

/// What events are told apart by in the totals: words, of which there are few.
pub type Total = (&'static str, &'static str, &'static str);

impl Audit {
    /// Starts the record, which is written to the log.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(telemetry: &Telemetry) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            log: telemetry.lines(),
            file: OnceLock::new(),
            rate: RateLimit::new(RATE.0, RATE.1, Instant::now()),
            counted: Mutex::default(),
            counting: Condvar::new(),
            totals: Mutex::default(),
            tracer: OnceLock::new(),
        });
        // Like the log, it lives as long as the process.
        let counting = Arc::clone(&shared);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            loop {
                counting.wait();
                std::thread::sleep(COUNTING);
                counting.write_counted();
            }
        })?;
        let audit = Self { shared };
        let dropped = audit.sink(Backend::SANDBOX);
        telemetry.on_agent_lines_dropped(move |count| {
            let event = AuditEvent::limit(DenialCode::LogLinesDropped, None, "the log of the agent");
            dropped.record(AuditRecord { count, ..AuditRecord::at_once(event, None) });
        });
        Ok(audit)
    }

    /// Writes to this file from now on, and no more to the log.
    ///
    /// # Errors
    /// [`AuditFileError`] when it is not a file only this process writes to.
    pub fn write_to(&self, path: &Path, telemetry: &Telemetry) -> Result<(), AuditFileError> {
        let output = file::open(path, self.shared.log.clone())?;
        let lines =
            telemetry.lines_to(output).map_err(|source| AuditFileError::Open { path: path.to_owned(), source })?;
        // A second file would be a mistake of ours: the first stays.
        let _ = self.shared.file.set(lines);
        Ok(())
    }

    /// Makes a span of each outbound request from now on, where spans are made. The first tracer stays.
    pub fn trace(&self, tracer: Tracer) {
        let _ = self.shared.tracer.set(tracer);
    }

    /// Where a backend writes down what its agent does. `backend` is the word for it.
    #[must_use]
    pub fn sink(&self, backend: &'static str) -> Arc<dyn AuditSink> {
        Arc::new(Recorder { shared: Arc::clone(&self.shared), backend, shown: false })
    }

    /// The same for events whoever reads the log is shown already: they are counted, and written where there is a
    /// file for them.
    #[must_use]
    pub fn sink_of_shown(&self, backend: &'static str) -> Arc<dyn AuditSink> {
        Arc::new(Recorder { shared: Arc::clone(&self.shared), backend, shown: true })
    }

    /// How many events there were since the start: capability, decision, code.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<Total, u64> {
        self.shared.totals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what was counted and what is still waiting; for at most two seconds, should nobody
    /// read it.
    pub fn finish(&self) {
        let deadline = Instant::now() + LONGEST_FLUSH;
        loop {
            self.shared.write_counted();
            self.shared.output().flush(deadline.saturating_duration_since(Instant::now()));
            if self.shared.counted().is_empty() || Instant::now() >= deadline {
                return;
            }
        }
    }
}

impl Shared {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn output(&self) -> &Lines {
        self.file.get().unwrap_or(&self.log)
    }

    /// Returns once something was counted.
    fn wait(&self) {
        let mut counted = self.counted();
        while counted.is_empty() {
            counted = self.counting.wait(counted).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take(&self, record: AuditRecord, backend: &'static str, shown: bool) {
        if let Some(tracer) = self.tracer.get() {
            spans::of(&record, tracer);
        }
        let event = &record.event;
        let code = event.code.map_or("", DenialCode::as_str);
        let total = (event.capability.as_str(), event.decision.as_str(), code);
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner).entry(total).or_default() += record.count;
        if shown && self.file.get().is_none() {
            return;
        }
        let admitted = self.rate.admit(Instant::now()).is_some();
        if admitted && line::write(self.output(), &record, backend) {
            return;
        }
        self.counted().add(record, backend);
        self.counting.notify_one();
    }

    /// Turns what was counted into lines; what finds no room is counted on.
    fn write_counted(&self) {
        let events = self.counted().take();
        for (record, backend) in events {
            if !line::write(self.output(), &record, backend) {
                self.counted().add(record, backend);
            }
        }
    }
}

/// The way in for one backend.
#[derive(Debug)]
struct Recorder {
    shared: Arc<Shared>,
    backend: &'static str,
    shown: bool,
}

impl AuditSink for Recorder {
    fn record(&self, record: AuditRecord) {
        self.shared.take(record, self.backend, self.shown);
    }
}

#[cfg(test)]
mod tests;
