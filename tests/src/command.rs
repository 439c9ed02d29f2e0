//! `par` as a command that says something and ends.

use std::ffi::OsStr;
use std::path::Path;

use tokio::process::Command;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::built;

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Said {
    /// Standard output, parsed.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.output, self.errors))
    }
}

/// Runs `par` in a directory with nothing of the environment but these variables.
pub async fn par<A: AsRef<OsStr>>(
    directory: &Path,
    variables: &[(&str, &str)],
    arguments: impl IntoIterator<Item = A>,
) -> Said {
    #[expect(clippy::disallowed_methods, reason = "the program under test is a process")]
    let mut command = Command::new(built::par());
    command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(directory).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.expect("a command ends").unwrap();
    Said {
        code: output.status.code().expect("a command exits"),
        output: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}
