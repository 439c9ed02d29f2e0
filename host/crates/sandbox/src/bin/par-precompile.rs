//! Compiles the guest: `par-precompile agent.wasm agent.cwasm`.

use std::process::ExitCode;

use par_sandbox::Engine;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            #[expect(clippy::print_stderr, reason = "the whole interface of this program")]
            {
                eprintln!("error: {message}");
            }
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "its messages name the paths")]
fn run() -> Result<(), String> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        return Err("expected two arguments, the component to read and the file to write".to_owned());
    };
    let wasm = std::fs::read(input).map_err(|error| format!("cannot read {}: {error}", input.display()))?;
    let engine = Engine::new().map_err(|error| error.to_string())?;
    let code = engine.precompile(&wasm).map_err(|error| chain(&error))?;
    std::fs::write(output, code).map_err(|error| format!("cannot write {}: {error}", output.display()))
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
