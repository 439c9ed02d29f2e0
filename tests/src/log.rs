//! What the program logs: every line parsed and held against the schema.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::audit;

/// Keys every line has.
const KEYS: [&str; 7] = ["level", "ts", "timestamp", "agentAppId", "deploymentId", "event", "details"];

const LEVELS: [&str; 4] = ["debug", "info", "warning", "error"];

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Line {
    /// As it was written.
    pub text: String,
    /// Parsed.
    pub value: Value,
}

impl Line {
    /// What happened.
    #[must_use]
    pub fn event(&self) -> &str {
        self.value["event"].as_str().unwrap_or_default()
    }

    /// How serious it is.
    #[must_use]
    pub fn level(&self) -> &str {
        self.value["level"].as_str().unwrap_or_default()
    }

    /// One of the values that belong to the event.
    #[must_use]
    pub fn detail(&self, name: &str) -> &Value {
        &self.value["details"][name]
    }

    /// One of the values that belong to the event, as text; empty when it is none.
    #[must_use]
    pub fn text_of(&self, name: &str) -> &str {
        self.detail(name).as_str().unwrap_or_default()
    }

    /// Whether it is on the record.
    #[must_use]
    pub fn is_audit(&self) -> bool {
        audit::is_audit(&self.value)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?;
        for key in KEYS {
            if value.get(key).is_none() {
                return Err(format!("no `{key}`: {text}"));
            }
        }
        let line = Self { text: text.to_owned(), value };
        let stamp = line.value["ts"].as_str().unwrap_or_default();
        let is_stamp = stamp.len() >= 20 && stamp.as_bytes()[10] == b'T' && stamp.ends_with('Z');
        if !is_stamp || line.value["timestamp"] != line.value["ts"] {
            return Err(format!("`ts` and `timestamp` are not one UTC time: {text}"));
        }
        if !LEVELS.contains(&line.level()) || !line.value["event"].is_string() || !line.value["details"].is_object() {
            return Err(format!("`level`, `event` or `details` is of another kind: {text}"));
        }
        if !text.is_ascii() {
            return Err(format!("not ASCII: {text}"));
        }
        if let Some(violation) = line.is_audit().then(|| audit::violation(&line.value)).flatten() {
            return Err(violation);
        }
        Ok(line)
    }
}

/// The log of one process, growing while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    shared: Arc<Shared>,
    changes: watch::Receiver<State>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Vec<Line>>,
    violations: Mutex<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Growing(usize),
    Ended,
}

impl Log {
    /// Reads `output` to its end in the background.
    pub(crate) fn read(output: impl AsyncRead + Unpin + Send + 'static) -> (Self, JoinHandle<()>) {
        let shared = Arc::new(Shared::default());
        let (changed, changes) = watch::channel(State::Growing(0));
        let log = Self { shared: Arc::clone(&shared), changes };
        let reading = tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            let mut count = 0;
            while let Ok(Some(text)) = lines.next_line().await {
                match Line::parse(&text) {
                    Ok(line) => shared.lines.lock().unwrap().push(line),
                    Err(violation) => shared.violations.lock().unwrap().push(violation),
                }
                count += 1;
                changed.send_replace(State::Growing(count));
            }
            changed.send_replace(State::Ended);
        });
        (log, reading)
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lines that are no JSON objects of the schema.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.shared.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first line that `wanted` accepts, waiting for it; nothing when the log ends or the
    /// time passes without one.
    pub(crate) async fn wait(&self, patience: Duration, wanted: impl Fn(&Line) -> bool) -> Option<Line> {
        let mut changes = self.changes.clone();
        let search = async {
            loop {
                let state = *changes.borrow_and_update();
                let found = self.shared.lines.lock().unwrap().iter().find(|line| wanted(line)).cloned();
                if found.is_some() || state == State::Ended {
                    return found;
                }
                if changes.changed().await.is_err() {
                    return None;
                }
            }
        };
        timeout(patience, search).await.ok().flatten()
    }

    /// The whole log, for messages.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines();
        let start = lines.len().saturating_sub(60);
        lines[start..].iter().map(|line| format!("  {}\n", line.text)).collect()
    }
}
