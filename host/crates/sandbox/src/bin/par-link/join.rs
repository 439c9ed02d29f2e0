//! Gives optimised code its memory's contents back.

use wasm_encoder::{DataSection, Module, RawSection};
use wasmparser::{Parser, Payload};

use super::{LinkError, unexpected};

const CODE_SECTION: u8 = 10;

/// `code` with `data` where the data section of a module is: after its code.
pub(crate) fn with_data(code: &[u8], data: &DataSection) -> Result<Vec<u8>, LinkError> {
    let mut module = Module::new();
    let mut joined = false;
    for payload in Parser::new(0).parse_all(code) {
        let payload = payload?;
        if matches!(payload, Payload::DataSection(_) | Payload::ModuleSection { .. }) {
            return Err(unexpected("code that has data of its own"));
        }
        let Some((id, range)) = payload.as_section() else { continue };
        module.section(&RawSection { id, data: &code[range] });
        if id == CODE_SECTION {
            module.section(data);
            joined = true;
        }
    }
    if !joined {
        return Err(unexpected("code without a function"));
    }
    Ok(module.finish())
}
