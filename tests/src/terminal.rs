//! `par` at a terminal of its own: what a person sees there, and the keys they press.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::raw::{self, RawReply};

/// What Ctrl-C sends.
const INTERRUPT: &[u8] = b"\x03";

/// A program at a terminal of 150 columns and 40 rows. Dropping it ends it, for its terminal is gone then.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: watch::Receiver<String>,
    port: u16,
    _directory: TempDir,
}

impl Terminal {
    /// Starts a command line with nothing of the environment but `environment`.
    pub(crate) fn start(
        line: &[OsString],
        environment: impl IntoIterator<Item = (String, OsString)>,
        port: u16,
        directory: TempDir,
    ) -> Self {
        let quoted = line.iter().map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''")));
        let quoted = quoted.collect::<Vec<_>>().join(" ");
        // The program of every Linux that makes a terminal and says what is on it.
        #[expect(clippy::disallowed_methods, reason = "the program under test is a process, at a terminal")]
        let mut command = Command::new("/usr/bin/script");
        command.args(["-qefc", &format!("stty rows 40 cols 150; exec {quoted}"), "/dev/null"]);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm-256color").envs(environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.current_dir(directory.path()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let keys = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let (shown, screen) = watch::channel(String::new());
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = output.read(&mut buffer).await {
                shown.send_modify(|text| text.push_str(&String::from_utf8_lossy(&buffer[..count])));
            }
        });
        Self { child, keys, screen, port, _directory: directory }
    }

    /// Waits until everything that was ever shown satisfies `wanted`; `what` names it in messages. Returns it, with
    /// the sequences that move the cursor.
    pub async fn shows(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.shows_within(PATIENCE, what, wanted).await
    }

    /// The same for what takes long.
    pub async fn shows_within(&self, patience: Duration, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut screen = self.screen.clone();
        let outcome = timeout(patience, screen.wait_for(|text| wanted(text))).await;
        match outcome {
            Ok(Ok(text)) => text.clone(),
            _ => panic!("{what} was not shown; this was:\n{:?}", self.text()),
        }
    }

    /// Everything that was shown so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.screen.borrow().clone()
    }

    /// A text without the sequences that move the cursor and colour it.
    #[must_use]
    pub fn plain(text: &str) -> String {
        let mut pieces = text.split("\u{1b}[");
        let mut plain = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            plain.push_str(
                piece
                    .trim_start_matches(|byte: char| byte.is_ascii_digit() || ";?".contains(byte))
                    .get(1..)
                    .unwrap_or_default(),
            );
        }
        plain
    }

    /// The address of a path on the REST port.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// GET of a path on the REST port.
    pub async fn get(&self, path: &str) -> RawReply {
        let request = format!("GET {path} HTTP/1.1\r\nhost: agent.example\r\nconnection: close\r\n\r\n");
        raw::exchange(self.port, request.as_bytes(), PATIENCE).await
    }

    /// Presses Ctrl-C and waits for the end; says the exit code.
    pub async fn interrupt(&mut self) -> i32 {
        self.keys.write_all(INTERRUPT).await.unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it did not end; this was shown:\n{:?}", self.text()));
        status.unwrap().code().unwrap()
    }
}
