use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;

/// Everything that was written.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settings(level: Level) -> Settings {
    Settings { app_id: Some("app-123".into()), deployment_id: Some("dep-456".into()), level, format: Format::Json }
}

/// The text that logging `body` writes.
fn written(settings: Settings, body: impl FnOnce()) -> String {
    let output = Output::default();
    let telemetry = Telemetry::start(settings, output.clone()).unwrap();
    telemetry.within(body);
    telemetry.flush();
    String::from_utf8(output.0.lock().unwrap().clone()).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_has_the_schema_and_the_fields_twice() {
    let text = written(settings(Level::Info), || {
        tracing::info!(rest_port = 8080, name = "x", phases_ms.load = 1.5, phases_ms.serve = 2, "Runtime ready");
    });

    assert!(text.contains(r#""event": "Runtime ready", "#), "{text}");
    let line = &lines(&text)[0];
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "level",
            "ts",
            "timestamp",
            "agentAppId",
            "deploymentId",
            "event",
            "details",
            "rest_port",
            "name",
            "phases_ms"
        ]
    );
    assert_eq!(
        (&line["level"], &line["agentAppId"], &line["deploymentId"]),
        (&json!("info"), &json!("app-123"), &json!("dep-456"))
    );
    assert_eq!(line["details"], json!({"rest_port": 8080, "name": "x", "phases_ms": {"load": 1.5, "serve": 2}}));
    assert_eq!(line["phases_ms"], line["details"]["phases_ms"]);
    let time = line["ts"].as_str().unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'), "{time}");
    assert_eq!(line["ts"], line["timestamp"]);
}

#[test]
fn an_unknown_identity_is_null_and_not_missing() {
    let settings = Settings { app_id: None, deployment_id: None, ..settings(Level::Info) };

    let text = written(settings, || tracing::info!("x"));

    assert!(text.contains(r#""agentAppId": null, "deploymentId": null, "#), "{text}");
}

#[test]
fn secrets_are_redacted_by_name_in_details_and_beside() {
    let text = written(settings(Level::Info), || {
        tracing::info!(
            password = "5ec4e7",
            Token = "5ec4e7",
            headers.authorization = "5ec4e7",
            api_key = 7,
            "leak_test"
        );
    });

    assert!(!text.contains("5ec4e7"), "{text}");
    let line = &lines(&text)[0];
    assert_eq!((&line["password"], &line["details"]["Token"]), (&json!("[REDACTED]"), &json!("[REDACTED]")));
    assert_eq!(line["details"]["headers"]["authorization"], "[REDACTED]");
    assert_eq!(line["details"]["api_key"], "[REDACTED]");
}

#[test]
fn fields_cannot_replace_the_schema() {
    let text = written(settings(Level::Info), || {
        tracing::info!(event = "forged", level = "debug", agentAppId = "other", details = 1, "real");
    });

    let line = &lines(&text)[0];
    assert_eq!(
        (&line["event"], &line["level"], &line["agentAppId"]),
        (&json!("real"), &json!("info"), &json!("app-123"))
    );
    assert_eq!(line["details"]["event"], "forged");
}

/// hostile 121, 122: an agent cannot forge a line.
#[test]
fn an_agent_cannot_forge_a_line() {
    let forged = "x\n{\"level\": \"error\", \"event\": \"Runtime ready\"}\r\n\u{2028}\u{85}\u{1b}[2J";

    let text = written(settings(Level::Info), || {
        tracing::info!(target: AGENT_TARGET, text = forged, event = "Runtime ready", "{}", events::AGENT_LOG);
    });

    assert_eq!(text.lines().count(), 1);
    assert!(text.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    let line = &lines(&text)[0];
    assert_eq!((&line["event"], &line["details"]["text"]), (&json!("Agent log"), &json!(forged)));
    assert_eq!(line.get("text"), None, "what an agent wrote stays inside details");
}

#[test]
fn an_agent_that_floods_the_log_is_cut_off_and_the_loss_is_told() {
    let text = written(settings(Level::Info), || {
        for _ in 0..20_000 {
            tracing::info!(target: AGENT_TARGET, text = "x", "{}", events::AGENT_LOG);
        }
    });

    let lines = lines(&text);
    let kept = lines.iter().filter(|line| line["event"] == "Agent log").count();
    let dropped: u64 = lines.iter().filter_map(|line| line["details"]["dropped"].as_u64()).sum();
    assert!(dropped > 0 && kept < 20_000, "{kept} kept");
    assert_eq!(kept as u64 + dropped, 20_000);
}

/// hostile 121: long texts and long lines are cut.
#[test]
fn long_texts_and_long_lines_are_cut() {
    let long = "ü".repeat(1 << 20);

    let text = written(settings(Level::Info), || {
        tracing::info!(target: AGENT_TARGET, text = long, "{}", events::AGENT_LOG);
        tracing::info!(a = long, b = long, c = long, d = long, e = long, f = long, g = long, "many");
    });

    let lines = lines(&text);
    assert!(lines[0]["details"]["text"].as_str().unwrap().contains(" bytes left out] "));
    assert!(text.lines().all(|line| line.len() < 256 << 10));
    assert!(lines[1]["details"]["left_out_bytes"].is_u64(), "{}", lines[1]);
}

#[test]
fn levels_below_the_threshold_are_not_written() {
    let log = || {
        tracing::debug!("d");
        tracing::info!("i");
        tracing::warn!("w");
        tracing::error!("e");
    };
    let events =
        |level| lines(&written(settings(level), log)).iter().map(|line| line["event"].to_string()).collect::<String>();

    assert_eq!(events(Level::Debug), r#""d""i""w""e""#);
    assert_eq!(events(Level::Info), r#""i""w""e""#);
    assert_eq!(events(Level::Warning), r#""w""e""#);
    assert_eq!(events(Level::Error), r#""e""#);
}

#[test]
fn libraries_are_heard_from_warning_on_and_never_name_an_event() {
    let text = written(settings(Level::Debug), || {
        tracing::debug!(target: "hyper::proto", headers = "authorization: 5ec4e7", "read");
        tracing::info!(target: "reqwest::connect", "starting new connection");
        tracing::warn!(target: "h2::server", "Runtime ready");
    });

    assert!(!text.contains("5ec4e7"), "{text}");
    let lines = lines(&text);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["event"], "Library message");
    assert_eq!(lines[0]["details"], json!({"message": "Runtime ready", "target": "h2::server"}));
}

#[test]
fn an_error_is_logged_with_its_whole_chain() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot read manifest in `x.apkg`")]
    struct Outer(#[source] io::Error);
    let error = Outer(io::Error::other("entry 17 is outside the package"));

    let text = written(settings(Level::Info), || {
        tracing::error!(error = &error as &dyn std::error::Error, "Failed to load package");
    });

    assert_eq!(lines(&text)[0]["error"], "cannot read manifest in `x.apkg`: entry 17 is outside the package");
}

#[test]
fn a_quiet_log_still_warns_and_still_has_what_the_agent_says() {
    let output = Output::default();
    let telemetry = Telemetry::start(settings(Level::Info), output.clone()).unwrap();

    telemetry.set_quiet(true);
    telemetry.within(|| {
        tracing::info!("told by the progress display");
        tracing::info!(target: AGENT_TARGET, text = "imported", "Agent output");
        tracing::warn!("odd");
    });
    telemetry.set_quiet(false);
    telemetry.within(|| tracing::info!("normal"));
    telemetry.flush();

    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        lines(&text).iter().map(|line| line["event"].clone()).collect::<Vec<_>>(),
        ["Agent output", "odd", "normal"]
    );
}

#[test]
fn names_of_events_differ_from_each_other() {
    let source = include_str!("events.rs");
    let names: Vec<&str> =
        source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1)).collect();
    let mut distinct = names.clone();
    distinct.sort_unstable();
    distinct.dedup();

    assert!(names.len() > 20);
    assert_eq!(names.len(), distinct.len());
}
