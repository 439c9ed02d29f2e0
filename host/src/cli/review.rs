//! The commands of the security reviewer.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `par grants`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct GrantsArguments {
    /// A package file, an agent's directory, or an `https://` or `s3://` URL.
    pub package: PathBuf,
    /// The operator's policy. Without it, PAR_POLICY; without that, nothing is granted.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// What it looks like.
    #[command(flatten)]
    pub form: GrantsForm,
    /// Write it there instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What the answer of `par grants` looks like; tables without any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
#[group(multiple = false)]
pub struct GrantsForm {
    /// JSON, as docs/review.md describes it.
    #[arg(long)]
    pub json: bool,
    /// Markdown, for an issue or a merge request.
    #[arg(long)]
    pub markdown: bool,
    /// One HTML page that needs nothing else.
    #[arg(long)]
    pub html: bool,
}

/// `par policy`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum PolicyCommand {
    /// Say which rule decides. Exits with 0 when everything is allowed, 3 when something is allowed
    /// only to a package that asks, 2 when something is denied.
    Test {
        /// A URL, `env NAME`, `secret NAME URL`, an absolute path, or an address.
        #[arg(required = true, value_name = "WHAT")]
        what: Vec<String>,
        /// The operator's policy. Without it, PAR_POLICY; without that, nothing is granted.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Judge for this package. Without it, for one that asks for nothing.
        #[arg(long, value_name = "PACKAGE")]
        package: Option<PathBuf>,
        /// The method of the requests.
        #[arg(long, default_value = "GET")]
        method: String,
    },
    /// Turn a recorded run into the smallest policy that would have allowed it. PAR_AUDIT_FILE records one.
    Suggest {
        /// The record, or a log with records in it; `-` is standard input.
        record: PathBuf,
        /// The policy of the run, for what a record does not say: where values come from, which files.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Compare two packages or two policies. Exits with 2 when the new one gives more.
    Diff {
        /// The old one.
        old: PathBuf,
        /// The new one.
        new: PathBuf,
        /// JSON, as docs/review.md describes it.
        #[arg(long)]
        json: bool,
        /// SARIF 2.1.0, for code hosts.
        #[arg(long, conflicts_with = "json")]
        sarif: bool,
    },
}
