//! Keeps copies and fills of a few bytes in machine code.
//!
//! The engine calls the host for `memory.copy` and `memory.fill`, unless it knows a copy's length when it compiles. Python copies and fills a few
//! bytes all the time (the characters of a name, the fields of a new object), and the way to
//! the host and back costs more than they do. Each use of the two instructions becomes a call
//! of a function that does the short ones itself and leaves the long ones to the instruction.

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, Function, FunctionSection, ImportSection, Instruction, InstructionSink, MemArg, Module,
    TypeSection, ValType,
};
use wasmparser::{CodeSectionReader, FunctionSectionReader, ImportSectionReader, Operator, Parser, TypeSectionReader};

use super::LinkError;

/// What is longer, in bytes, is left to the host, which copies faster than this.
const LONGEST: i32 = 64;

/// Copies whose length is known and no longer than this, in bytes, the engine does itself.
const ENGINE_COPIES: u32 = 128;

/// The core module `code` with its short copies and fills in machine code.
pub(crate) fn in_code(code: &[u8]) -> Result<Vec<u8>, LinkError> {
    let mut module = Module::new();
    Shortened::default().parse_core_module(&mut module, Parser::new(0), code)?;
    Ok(module.finish())
}

#[derive(Default)]
struct Shortened {
    /// How many types and functions the module has of its own, and imports.
    types: u32,
    functions: u32,
    /// The length the instruction before this one put on the stack, when it is a constant.
    length: Option<u32>,
}

impl Shortened {
    fn copy(&self) -> u32 {
        self.functions
    }

    fn fill(&self) -> u32 {
        self.functions + 1
    }
}

impl Reencode for Shortened {
    type Error = LinkError;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_type_section(self, types, section)?;
        self.types = types.len();
        types.ty().function([ValType::I32; 3], []);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        // Only functions are imported; `layout` sees to that.
        utils::parse_import_section(self, imports, section)?;
        self.functions += imports.len();
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_function_section(self, functions, section)?;
        self.functions += functions.len();
        functions.function(self.types).function(self.types);
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_code_section(self, code, section)?;
        code.function(&copy()).function(&fill());
        Ok(())
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error<LinkError>> {
        let length = self.length.take();
        match operator {
            Operator::I32Const { value } => self.length = Some(value.cast_unsigned()),
            Operator::MemoryCopy { .. } if length.is_none_or(|length| length > ENGINE_COPIES) => {
                return Ok(Instruction::Call(self.copy()));
            }
            Operator::MemoryFill { .. } => return Ok(Instruction::Call(self.fill())),
            _ => {}
        }
        utils::instruction(self, operator)
    }
}

/// The parameters of both functions, as of both instructions.
const TO: u32 = 0;
const FROM: u32 = 1;
const VALUE: u32 = 1;
const LENGTH: u32 = 2;
/// What `fill` writes, sixteen and eight times.
const VECTOR: u32 = 3;
const WORD: u32 = 4;

/// One access to memory, by its size in bytes.
#[derive(Clone, Copy)]
enum Size {
    B1 = 1,
    B2 = 2,
    B4 = 4,
    B8 = 8,
    B16 = 16,
}

/// One access does as many bytes as it is large. One from the front and one up to the end,
/// which may overlap, do every length up to twice that.
const SIZES: [Size; 5] = [Size::B16, Size::B8, Size::B4, Size::B2, Size::B1];

/// Where an access is.
#[derive(Clone, Copy)]
enum Place {
    /// That many bytes after the first.
    Front(u64),
    /// That many bytes before the end.
    End(i32),
}

impl Place {
    /// Puts the address on the stack, without what `argument` adds.
    fn address(self, code: &mut InstructionSink<'_>, pointer: u32) {
        code.local_get(pointer);
        if let Self::End(bytes) = self {
            code.local_get(LENGTH).i32_add().i32_const(bytes).i32_sub();
        }
    }

    fn argument(self) -> MemArg {
        let offset = if let Self::Front(bytes) = self { bytes } else { 0 };
        MemArg { offset, align: 0, memory_index: 0 }
    }
}

impl Size {
    fn load(self, code: &mut InstructionSink<'_>, place: Place) {
        let argument = place.argument();
        match self {
            Self::B1 => code.i32_load8_u(argument),
            Self::B2 => code.i32_load16_u(argument),
            Self::B4 => code.i32_load(argument),
            Self::B8 => code.i64_load(argument),
            Self::B16 => code.v128_load(argument),
        };
    }

    fn store(self, code: &mut InstructionSink<'_>, place: Place) {
        let argument = place.argument();
        match self {
            Self::B1 => code.i32_store8(argument),
            Self::B2 => code.i32_store16(argument),
            Self::B4 => code.i32_store(argument),
            Self::B8 => code.i64_store(argument),
            Self::B16 => code.v128_store(argument),
        };
    }

    /// Puts what `fill` writes on the stack.
    fn repeated(self, code: &mut InstructionSink<'_>) {
        match self {
            Self::B16 => code.local_get(VECTOR),
            Self::B8 => code.local_get(WORD),
            Self::B4 | Self::B2 | Self::B1 => code.local_get(WORD).i32_wrap_i64(),
        };
    }
}

/// `memory.copy`. Both places may overlap, so all is read before anything is written.
fn copy() -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    if_longer_than(&mut code, LONGEST, |code| {
        code.local_get(TO).local_get(FROM).local_get(LENGTH).memory_copy(0, 0);
    });
    by_length(&mut code, |code, size, places| {
        for place in places {
            place.address(code, TO);
            place.address(code, FROM);
            size.load(code, *place);
        }
        for place in places.iter().rev() {
            size.store(code, *place);
        }
    });
    code.end();
    function
}

/// `memory.fill`.
fn fill() -> Function {
    let mut function = Function::new([(1, ValType::V128), (1, ValType::I64)]);
    let mut code = function.instructions();
    if_longer_than(&mut code, LONGEST, |code| {
        code.local_get(TO).local_get(VALUE).local_get(LENGTH).memory_fill(0);
    });
    code.local_get(VALUE).i8x16_splat().local_tee(VECTOR).i64x2_extract_lane(0).local_set(WORD);
    by_length(&mut code, |code, size, places| {
        for place in places {
            place.address(code, TO);
            size.repeated(code);
            size.store(code, *place);
        }
    });
    code.end();
    function
}

/// The accesses that together are as long as what is asked for, longest first.
fn by_length(code: &mut InstructionSink<'_>, access: impl Fn(&mut InstructionSink<'_>, Size, &[Place])) {
    if_longer_than(code, LONGEST / 2, |code| {
        access(code, Size::B16, &[Place::Front(0), Place::Front(16), Place::End(32), Place::End(16)]);
    });
    for size in SIZES {
        let bytes = size as i32;
        if_longer_than(code, bytes - 1, |code| access(code, size, &[Place::Front(0), Place::End(bytes)]));
    }
}

/// Does `this` and returns when more than so many bytes are asked for.
fn if_longer_than(code: &mut InstructionSink<'_>, bytes: i32, this: impl Fn(&mut InstructionSink<'_>)) {
    code.local_get(LENGTH).i32_const(bytes).i32_gt_u().if_(BlockType::Empty);
    this(code);
    code.return_().end();
}
