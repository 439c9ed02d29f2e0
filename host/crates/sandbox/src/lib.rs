//! The only crate of PAR that names the WebAssembly engine.

pub mod call;
