//! What is said of a panic of PAR itself. In a process of its own: the hook is the process's.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use par_host::telemetry::{Format, Level, Settings, Telemetry};
use serde_json::Value;

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

/// Hostile 125: a panic is one line with its message and its place: no value of the environment, no backtrace.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test looks for what it finds in its own environment")]
fn a_panic_says_its_message_and_its_place_and_nothing_of_the_environment() {
    let output = Output::default();
    let settings = Settings { app_id: None, deployment_id: None, level: Level::Debug, format: Format::Json };
    let telemetry = Telemetry::start(settings, output.clone()).unwrap();
    telemetry.install().unwrap();

    let outcome = std::thread::spawn(|| panic!("the disk is made of cheese")).join();

    assert!(outcome.is_err());
    telemetry.flush();
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let line: Value = serde_json::from_str(text.trim_end()).expect("one line");
    assert_eq!(line["details"]["error"], "the disk is made of cheese");
    assert!(line["details"]["place"].as_str().unwrap().contains("panics.rs:"), "{text}");
    assert_eq!(line["details"].as_object().unwrap().len(), 2, "{text}");
    // Short values are in everything.
    let values: Vec<String> = std::env::vars().map(|(_, value)| value).filter(|value| value.len() >= 8).collect();
    assert!(!values.is_empty(), "there is an environment to be found");
    assert!(values.iter().all(|value| !text.contains(value.as_str())), "{text}");
}
