//! What was typed.

mod review;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::exit::Exit;

pub use review::{GrantsArguments, GrantsForm, PolicyCommand};

const LONG_ABOUT: &str = "\
PAR, the Pixell Agent Runtime, takes one agent package, puts its Python code into a WebAssembly
sandbox that can do what was granted and nothing else, and serves it on three surfaces:

  REST  REST_PORT (8080)   the agent's HTTP routes below BASE_PATH, and /health
  A2A   A2A_PORT (50051)   the agent's actions over gRPC
  UI    REST_PORT or, with MULTIPLEXED=false, UI_PORT (3000)   the agent's pages below {BASE_PATH}/ui

It is configured by environment variables; AGENT_APP_ID is required. The page docs/configuration.md
lists them all. TERM or INT drains requests in flight and ends it; a second one ends it at once.";

const EXAMPLES: &str = "\
Examples:
  AGENT_APP_ID=my-agent par run ./my-agent
      Serve the agent in a directory. http://localhost:8080/health says when it is ready.

  AGENT_APP_ID=my-agent REST_PORT=9000 BASE_PATH=/agents/my-agent par run my-agent-1.0.0.apkg
      Serve a built package on another port and below a prefix.

  par check my-agent-1.0.0.apkg
      Read a package and its manifest, say what it has and needs, run nothing.

  par grants my-agent-1.0.0.apkg --policy policy.yaml --html -o review.html
      One page for a security review: which hosts, secrets, files, variables, limits, and why.

  par policy diff old.yaml new.yaml
      Say what became wider, and exit with 2 if anything did.

  par lock ./my-agent
      Pin every wheel with its digest; from then on nothing is resolved.

  WHEELHOUSE_DIR=/var/wheels par wheelhouse add ./my-agent
      Fetch the wheels an agent needs, for starts without a package index.

  AGENT_APP_ID=my-agent AGENT_PACKAGE_PATH=/app/agent.apkg par
      The same from variables alone, as in a container.

Exit codes: 0 after a signal, 1 when anything failed (10 to 19 by class with PAR_EXIT_CODES=by_class), 2 and 3 for findings of `par grants` and
`par policy`, 64 for wrong arguments, 130 and 143 when a second signal cut the end short. docs/errors.md explains the messages.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "par", version, about = "Run one agent package in a sandbox, on REST, A2A and UI.")]
#[command(long_about = LONG_ABOUT, after_long_help = EXAMPLES, after_help = "`par --help` has more, with examples.")]
pub struct Arguments {
    /// What to do; without it, the package at AGENT_PACKAGE_PATH is run.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// What the log on standard output looks like.
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run an agent package until a signal comes.
    Run {
        /// A package file or an agent's directory. Without it, AGENT_PACKAGE_PATH.
        package: Option<PathBuf>,
        /// Show each use and each denial of a capability on standard error as it happens, and which line of the
        /// policy would allow what was denied.
        #[arg(long)]
        watch: bool,
    },
    /// Check a package and say what it has and needs. Runs nothing.
    Check {
        /// A package file, an agent's directory, or an `https://` or `s3://` URL.
        package: PathBuf,
        /// Resolve what it requires, look into every wheel and at every import, and say where it runs and why.
        #[arg(long)]
        verdict: bool,
        /// The verdict as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the `pylock.toml` that pins every wheel a package needs.
    Lock {
        /// A package file or an agent's directory.
        package: PathBuf,
        /// Where to write it; for a directory, `pylock.toml` inside it. `-` is standard output.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Write what an agent is made of, every wheel with its digest, as CycloneDX.
    Sbom {
        /// A package file or an agent's directory.
        package: PathBuf,
        /// Where to write it. Without it, standard output.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Look at the wheels that are tried before the package index, add some, remove them.
    Wheelhouse {
        /// What to do.
        #[command(subcommand)]
        command: Wheelhouse,
        /// The directory. Without it, WHEELHOUSE_DIR.
        #[arg(long, global = true)]
        directory: Option<PathBuf>,
    },
    /// Say what a package may touch under a policy, and why. Runs nothing. Exits with 2 when it asks for more
    /// than the policy allows.
    Grants(GrantsArguments),
    /// Try policies out, compare them, compare packages.
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Ask the process in this container how it is: exits with 0 when `/health` on `REST_PORT` answers 200, else with 1.
    Healthcheck,
    /// Confine this process and become a program: how the native backend starts the process of an agent.
    #[command(hide = true)]
    Confined {
        /// What to give up, as JSON.
        confinement: String,
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// PAR has no control plane to ask; use `/health`.
    #[command(hide = true)]
    Status,
}

/// What to do with the wheelhouse.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Wheelhouse {
    /// List its wheels: distribution, version, file.
    List,
    /// Say how many wheels it has and how much room they take.
    Info,
    /// Add wheels: of files, of requirements with all they need, or of what a package needs.
    Add {
        /// `thing-1.0-py3-none-any.whl`, `"httpx>=0.27"`, or a package: a path, or an `https://` or `s3://` URL.
        #[arg(required = true)]
        what: Vec<String>,
    },
    /// Remove every wheel, and nothing else.
    Clear,
}

/// What the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Text for `par run` at a terminal, else JSON.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Arguments {
    /// Reads the arguments of the process.
    ///
    /// # Errors
    /// With the exit code, when they ask for help or are wrong; the text is printed.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Exit> {
        Self::try_parse_from(arguments).map_err(|error| {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // Nobody is left to tell when this fails.
            let _ = error.print();
            exit
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn read(arguments: &[&str]) -> Arguments {
        let arguments = std::iter::once("par").chain(arguments.iter().copied()).map(OsString::from);
        Arguments::read(arguments).unwrap()
    }

    #[test]
    fn the_commands_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_a_command_the_package_comes_from_the_environment() {
        assert_eq!(read(&[]).command, None);
        assert_eq!(read(&["run"]).command, Some(Command::Run { package: None, watch: false }));
        assert_eq!(
            read(&["run", "a.apkg"]).command,
            Some(Command::Run { package: Some("a.apkg".into()), watch: false })
        );
    }

    #[test]
    fn the_log_format_may_stand_anywhere() {
        assert_eq!(read(&["run", "a.apkg", "--log-format", "json"]).log_format, LogFormat::Json);
        assert_eq!(read(&["--log-format=text"]).log_format, LogFormat::Text);
        assert_eq!(read(&[]).log_format, LogFormat::Auto);
    }

    #[test]
    fn help_has_examples_the_surfaces_and_the_page_of_the_variables() {
        let help = Arguments::command().render_long_help().to_string();

        for word in
            ["Examples:", "REST_PORT", "A2A_PORT", "UI_PORT", "AGENT_APP_ID", "docs/configuration.md", "par check"]
        {
            assert!(help.contains(word), "`par --help` lacks {word}");
        }
        assert!(help.lines().all(|line| line.len() <= 100), "a line is too long for a terminal");
    }
}
