//! Gives optimised code its memory back: how large it is and what is in it.

use std::borrow::Cow;

use par_sandbox::INTERRUPTIBLE;
use wasm_encoder::{CustomSection, DataSection, MemorySection, Module, RawSection};
use wasmparser::{Parser, Payload};

use super::safepoints::Interruptible;
use super::{LinkError, unexpected};

const MEMORY_SECTION: u8 = 5;
const CODE_SECTION: u8 = 10;

/// `code` with `memory` in the place of its own, and with `data` where the data section of a module is: after its
/// code. It says that it can be interrupted.
pub(crate) fn with_memory(
    code: &Interruptible,
    memory: &MemorySection,
    data: &DataSection,
) -> Result<Vec<u8>, LinkError> {
    let Interruptible { code, hints } = code;
    let mut module = Module::new();
    module.section(&CustomSection { name: Cow::Borrowed(INTERRUPTIBLE), data: Cow::Borrowed(&[]) });
    let mut joined = false;
    for payload in Parser::new(0).parse_all(code) {
        let payload = payload?;
        if matches!(payload, Payload::DataSection(_) | Payload::ModuleSection { .. }) {
            return Err(unexpected("code that has data of its own"));
        }
        let Some((id, range)) = payload.as_section() else { continue };
        if id == MEMORY_SECTION {
            module.section(memory);
            continue;
        }
        if id == CODE_SECTION {
            module.section(hints);
        }
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
