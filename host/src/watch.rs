//! What a person sees who watches an agent: each use and each denial of a capability, as it happens.
//!
//! It stands beside the record. A view that cannot keep up leaves events out and counts them; these are in the record
//! wherever that is, so that none is lost silently.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use console::Style;
use jiff::Timestamp;
use par_apkg::escaped;
use par_policy::{Capability, Decision};
use par_sandbox::{AuditRecord, AuditSink};

use crate::review::line::advice;

/// Most events that wait to be shown.
const MOST_WAITING: usize = 1024;

/// Most denials whose line for the policy is remembered, so that it is shown once.
const MOST_REMEMBERED: usize = 4096;

/// Longest time an exit waits for the view.
const LONGEST_FINISH: Duration = Duration::from_secs(2);

enum Message {
    Record(Timestamp, Box<AuditRecord>),
    Finish(SyncSender<()>),
}

/// A running view.
#[derive(Debug, Clone)]
pub struct Watch {
    messages: SyncSender<Message>,
    left_out: Arc<AtomicU64>,
}

impl Watch {
    /// Shows events on `output` from now on.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(output: impl Write + Send + 'static, colours: bool) -> io::Result<Self> {
        let (messages, received) = sync_channel(MOST_WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let view = View { output, colours, left_out: Arc::clone(&left_out), denials: HashMap::new() };
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || view.run(&received))?;
        Ok(Self { messages, left_out })
    }

    /// Where events are shown as well: what is shown goes on to `shown`, what finds no room to `record`.
    #[must_use]
    pub fn beside(&self, record: Arc<dyn AuditSink>, shown: Arc<dyn AuditSink>) -> Arc<dyn AuditSink> {
        Arc::new(Watched { watch: self.clone(), record, shown })
    }

    /// Waits until everything is shown; for at most two seconds.
    pub fn finish(&self) {
        let (done, finished) = sync_channel(1);
        if self.messages.send(Message::Finish(done)).is_ok() {
            let _ = finished.recv_timeout(LONGEST_FINISH);
        }
    }
}

#[derive(Debug)]
struct Watched {
    watch: Watch,
    record: Arc<dyn AuditSink>,
    shown: Arc<dyn AuditSink>,
}

impl AuditSink for Watched {
    #[expect(clippy::disallowed_methods, reason = "records are shown with the time of day")]
    fn record(&self, record: AuditRecord) {
        let message = Message::Record(Timestamp::now(), Box::new(record.clone()));
        if self.watch.messages.try_send(message).is_ok() {
            self.shown.record(record);
        } else {
            self.watch.left_out.fetch_add(record.count, Ordering::Relaxed);
            self.record.record(record);
        }
    }
}

struct View<W> {
    output: W,
    colours: bool,
    left_out: Arc<AtomicU64>,
    /// How often each line for the policy was due.
    denials: HashMap<String, u64>,
}

impl<W: Write> View<W> {
    /// Nobody is left to tell when the output is gone.
    fn run(mut self, messages: &Receiver<Message>) {
        for message in messages {
            let text = match &message {
                Message::Record(time, record) => self.lines(*time, record),
                Message::Finish(_) => String::new(),
            };
            let _ = self.output.write_all(text.as_bytes());
            let _ = self.output.flush();
            if let Message::Finish(done) = message {
                let _ = done.try_send(());
            }
        }
    }

    fn paint(&self, text: &str, style: Style) -> String {
        style.force_styling(self.colours).apply_to(text).to_string()
    }

    fn lines(&mut self, time: Timestamp, record: &AuditRecord) -> String {
        let AuditRecord { event, status, sent_bytes, received_bytes, duration, count, packages, .. } = record;
        let mut text = String::new();
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let _ = writeln!(text, "          {left_out} events are not shown; the record has them");
        }
        let (word, style) = match event.decision {
            Decision::Allowed => ("allowed", Style::new().green()),
            Decision::Denied => ("DENIED", Style::new().red().bold()),
            Decision::Observed => ("OBSERVED", Style::new().yellow().bold()),
        };
        let word = self.paint(&format!("{word:<8}"), style);
        let clock = time.strftime("%H:%M:%S");
        let _ = write!(text, "{clock}  {word}  {:<8}  {}", event.capability.as_str(), escaped(&event.target));
        let mut facts: Vec<String> = Vec::new();
        facts.extend(event.code.map(|code| code.as_str().to_owned()));
        facts.extend(event.rule.as_ref().map(|rule| format!("by {}", escaped(rule.as_str()))));
        facts.extend(status.map(|status| format!("status {status}")));
        if event.capability == Capability::Outbound && event.decision == Decision::Allowed {
            facts.push(format!("{} ms, sent {sent_bytes} B, received {received_bytes} B", duration.as_millis()));
        }
        facts.extend((*count > 1).then(|| format!("{count} times")));
        let made_by: Vec<String> = packages.iter().map(|name| escaped(name)).collect();
        facts.extend((!made_by.is_empty()).then(|| format!("from {}", made_by.join(" > "))));
        let _ = writeln!(text, "  {}", self.paint(&facts.join(", "), Style::new().dim()));
        if let Some(line) = advice(event).filter(|_| event.decision != Decision::Allowed)
            && self.is_new(&line)
        {
            let _ = writeln!(
                text,
                "          to allow it, the policy needs: {}",
                self.paint(&escaped(&line), Style::new().bold())
            );
        }
        text
    }

    /// Whether a line for the policy was not shown yet. An agent that is denied the same in a loop says it once.
    fn is_new(&mut self, line: &str) -> bool {
        if self.denials.len() >= MOST_REMEMBERED && !self.denials.contains_key(line) {
            return false;
        }
        let times = self.denials.entry(line.to_owned()).or_default();
        *times += 1;
        *times == 1
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use par_policy::{AuditEvent, Denial, DenialCode, Granted, Origin, RuleId};
    use par_sandbox::NoAudit;

    use super::*;

    /// What is written, for a test to look at.
    #[derive(Debug, Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(colours: bool, events: &[AuditEvent]) -> String {
        let page = Page::default();
        let watch = Watch::start(page.clone(), colours).unwrap();
        let sink = watch.beside(Arc::new(NoAudit), Arc::new(NoAudit));
        for event in events {
            sink.record(AuditRecord::at_once(event.clone(), None));
        }
        watch.finish();
        page.text()
    }

    fn denied(target: &str, code: DenialCode) -> AuditEvent {
        AuditEvent::denied(Capability::Outbound, target, &Denial::new(code, "no"))
    }

    #[test]
    fn a_use_has_its_rule_and_a_denial_the_line_that_would_allow_it() {
        let granted = Granted { value: (), origin: Origin::Unasked, rule: RuleId::new("grant.outbound[0]") };
        let events = [
            AuditEvent::allowed(Capability::Outbound, "GET https://a.example/x", &granted),
            denied("POST https://evil.example/y", DenialCode::HostNotGranted),
            denied("POST https://evil.example/y", DenialCode::HostNotGranted),
            denied("GET http://10.1.2.3/", DenialCode::PrivateAddress),
            denied("GET http://169.254.169.254/", DenialCode::MetadataAddress),
        ];

        let text = shown(false, &events);

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 7, "{text}");
        assert!(lines[0].contains("allowed   outbound  GET https://a.example/x  by grant.outbound[0]"), "{text}");
        assert!(lines[1].contains("DENIED    outbound  POST https://evil.example/y  host_not_granted"), "{text}");
        assert!(
            lines[2].ends_with("needs: grant: {outbound: [{url: \"https://evil.example/y\", methods: [POST]}]}"),
            "{text}"
        );
        assert!(lines[3].contains("DENIED"), "the same again is shown without the line\n{text}");
        assert!(lines[5].ends_with("needs: grant: {outbound_addresses: [\"10.1.2.3\"]}"), "{text}");
        assert!(lines[6].contains("metadata_address"), "{text}");
        assert!(!text.contains('\u{1b}') && shown(true, &events).contains("\u{1b}[31m"));
    }

    #[test]
    fn nothing_an_agent_names_steers_the_terminal() {
        let hostile = "GET https://a.example/\u{1b}[2J\r\n\u{202e}x";
        let text = shown(true, &[denied(hostile, DenialCode::HostNotGranted)]);

        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.contains("\\u{1b}[2J\\u{d}\\u{a}\\u{202e}x"), "{text:?}");
    }

    /// Counts what comes.
    #[derive(Debug, Default)]
    struct Counting(AtomicU64);

    impl AuditSink for Counting {
        fn record(&self, record: AuditRecord) {
            self.0.fetch_add(record.count, Ordering::Relaxed);
        }
    }

    /// A terminal that stands still must not stop the agent, and what it does not show is in the record.
    #[test]
    fn a_view_that_cannot_keep_up_says_how_much_it_left_out() {
        let page = Page::default();
        let held = page.clone();
        let held = held.0.lock().unwrap();
        let watch = Watch::start(page.clone(), false).unwrap();
        let (record, seen) = (Arc::new(Counting::default()), Arc::new(Counting::default()));
        let sink = watch.beside(record.clone(), seen.clone());
        let event = denied("GET https://a.example/x", DenialCode::HostNotGranted);
        let sent = MOST_WAITING as u64 * 2;
        for _ in 0..sent {
            sink.record(AuditRecord::at_once(event.clone(), None));
        }
        drop(held);
        watch.finish();
        sink.record(AuditRecord::at_once(event, None));
        watch.finish();

        let text = page.text();
        let shown = text.lines().filter(|line| line.contains("DENIED")).count() as u64;
        let left_out: u64 = text
            .lines()
            .filter_map(|line| line.trim().strip_suffix(" events are not shown; the record has them"))
            .map(|count| count.parse::<u64>().unwrap())
            .sum();
        assert_eq!(shown + left_out, sent + 1);
        assert!(left_out > 0);
        assert_eq!([&record, &seen].map(|sink| sink.0.load(Ordering::Relaxed)), [left_out, shown]);
    }
}
