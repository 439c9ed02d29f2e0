//! Links the core modules of the guest into one, in two steps with an optimiser between them:
//!
//! ```text
//! par-link code component.wasm ADDED code.wasm
//! wasm-opt -O3 ... code.wasm -o optimized.wasm
//! par-link join component.wasm ADDED optimized.wasm linked.wasm
//! ```
//!
//! componentize-py links Python, libc and the extensions as a dynamic loader does: each stays a
//! module of its own, finds its data through globals and calls the others through imports. Once
//! the guest is initialised none of that can change any more. In one module calls are direct,
//! addresses are constants, and an optimiser sees the whole.
//!
//! The code is written without the memory's size and contents: it only depends on the libraries,
//! so it need not be optimised again when nothing but Python code has changed. Libraries whose names begin with ADDED are
//! not in it: `join` adds them as they are.
#![expect(clippy::cast_possible_truncation, reason = "a WebAssembly module counts its items in 32 bits")]

mod added;
mod adding;
mod circles;
mod facts;
mod graph;
mod interpreter;
mod join;
mod layout;
mod module;
mod outside;
mod reach;
mod renumber;
mod resolve;
mod rewrite;
mod safepoints;
mod shape;
mod short;

#[cfg(test)]
mod interpreted;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod joined;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::process::ExitCode;

use graph::Graph;
use layout::Merged;

/// Why a component could not be linked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The input is not a WebAssembly component.
    #[error("the component cannot be read: {0}")]
    Parse(#[from] wasmparser::Error),
    /// A part of it could not be written again.
    #[error("the component cannot be written: {0}")]
    Encode(String),
    /// It is valid, but not linked the way componentize-py links.
    #[error("expected a component linked by componentize-py, got {0}")]
    Unexpected(String),
}

impl From<wasm_encoder::reencode::Error<LinkError>> for LinkError {
    fn from(error: wasm_encoder::reencode::Error<LinkError>) -> Self {
        match error {
            wasm_encoder::reencode::Error::UserError(error) => error,
            other => Self::Encode(other.to_string()),
        }
    }
}

pub(crate) fn unexpected(what: impl Into<String>) -> LinkError {
    LinkError::Unexpected(what.into())
}

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

fn run() -> Result<(), String> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.iter().map(std::ffi::OsString::as_os_str).collect::<Vec<_>>().as_slice() {
        [step, component, added, output] if *step == "code" => {
            let component = read(component)?;
            let code = code(&component, text(added)?).map_err(|error| error.to_string())?;
            write(output, &code)
        }
        [step, component, added, code, output] if *step == "join" => {
            let (component, code) = (read(component)?, read(code)?);
            let linked = join(&component, text(added)?, &code).map_err(|error| error.to_string())?;
            write(output, &linked)
        }
        _ => Err("expected `code COMPONENT ADDED OUTPUT` or `join COMPONENT ADDED CODE OUTPUT`".to_owned()),
    }
}

fn text(argument: &OsStr) -> Result<&str, String> {
    argument.to_str().ok_or_else(|| format!("expected the beginning of names, got {}", argument.display()))
}

#[expect(clippy::disallowed_methods, reason = "its message names the path")]
fn read(path: &OsStr) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "its message names the path")]
fn write(path: &OsStr, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// As many core modules of `component` as possible as one, without what is in its memory and without libraries whose
/// names begin with `added`.
fn code(component: &[u8], added: &str) -> Result<Vec<u8>, LinkError> {
    interpreter::split(&Merged::link(&Graph::parse(component)?, added)?.code)
}

/// `component` with those modules and libraries replaced by `code`, what became of [`code`]'s result.
fn join(component: &[u8], added: &str, code: &[u8]) -> Result<Vec<u8>, LinkError> {
    let graph = Graph::parse(component)?;
    let merged = Merged::link(&graph, added)?;
    let code = merged.added.join(&interpreter::settled(code)?)?;
    let code = safepoints::in_code(&short::in_code(&code)?, &merged.surroundings)?;
    let module = join::with_memory(&code, &merged.memory, &merged.data)?;
    rewrite::rewrite(component, &graph, &merged, &module)
}
