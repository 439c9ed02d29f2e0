//! The binary `par`: the life of the process.

use std::process::ExitCode;
use std::time::Instant;

use par_host::app;
use par_host::cli::{Arguments, Command};

fn main() -> ExitCode {
    let started = Instant::now();
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let Arguments { command, log_format } = arguments;
    let exit = match command {
        None => app::run(app::Order { package: None, interactive: false, watch: false, log_format, started }),
        Some(Command::Run { package, watch }) => {
            app::run(app::Order { package, interactive: true, watch, log_format, started })
        }
        Some(Command::Check { package, verdict, json }) => app::check(&package, verdict, json),
        Some(Command::Sbom { package, output }) => app::sbom(&package, output.as_deref()),
        Some(Command::Lock { package, output }) => app::lock(&package, output.as_deref()),
        Some(Command::Wheelhouse { command, directory }) => app::wheelhouse(&command, directory),
        Some(Command::Grants(arguments)) => app::grants(&arguments),
        Some(Command::Policy { command }) => app::policy(&command),
        Some(Command::Healthcheck) => app::healthcheck(),
        Some(Command::Confined { confinement, command }) => {
            par_host::native::confinement::confine(&confinement, &command)
        }
        Some(Command::Status) => app::status(),
    };
    exit.into()
}
