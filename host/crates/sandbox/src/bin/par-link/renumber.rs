//! Writes the code of a member with the indices of the merged module.

use wasm_encoder::Instruction;
use wasm_encoder::reencode::{Error, Reencode};
use wasmparser::Operator;

use super::{LinkError, unexpected};

/// Where the indices of one member are in the merged module.
#[derive(Default)]
pub(crate) struct Renumber {
    pub(crate) types: Vec<u32>,
    pub(crate) functions: Vec<Option<u32>>,
    pub(crate) tables: Vec<Option<u32>>,
    pub(crate) memories: Vec<Option<u32>>,
    pub(crate) globals: Vec<GlobalTarget>,
}

/// What reading a global means in the merged module.
#[derive(Clone, Copy)]
pub(crate) enum GlobalTarget {
    /// It is still a global.
    Index(u32),
    /// It never changes; this is its value.
    Constant(i32),
    /// It is written and never read.
    Unread,
}

fn at(map: &[Option<u32>], index: u32, what: &str) -> Result<u32, Error<LinkError>> {
    let target = map.get(index as usize).copied().flatten();
    target.ok_or_else(|| Error::UserError(unexpected(format!("a use of {what} {index}, which was not linked"))))
}

impl Reencode for Renumber {
    type Error = LinkError;

    fn type_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        self.types.get(index as usize).copied().ok_or_else(|| Error::UserError(unexpected(format!("no type {index}"))))
    }

    fn function_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        at(&self.functions, index, "function")
    }

    fn table_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        at(&self.tables, index, "table")
    }

    fn memory_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        at(&self.memories, index, "memory")
    }

    fn global_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        match self.globals.get(index as usize) {
            Some(GlobalTarget::Index(index)) => Ok(*index),
            _ => Err(Error::UserError(unexpected(format!("a write to global {index}, which never changes")))),
        }
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error<Self::Error>> {
        if let Operator::GlobalGet { global_index } = operator
            && let Some(GlobalTarget::Constant(value)) = self.globals.get(global_index as usize)
        {
            return Ok(Instruction::I32Const(*value));
        }
        if let Operator::GlobalSet { global_index } = operator
            && let Some(GlobalTarget::Unread) = self.globals.get(global_index as usize)
        {
            return Ok(Instruction::Drop);
        }
        wasm_encoder::reencode::utils::instruction(self, operator)
    }
}
