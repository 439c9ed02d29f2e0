//! Puts safepoints into code: the places at which the host may interrupt it.
//!
//! The engine's own way, the epoch, is checked at every entry of a function and at every head of a loop, and
//! CPython calls tens of thousands of small functions in a request: an eighth of its time. Less is enough.
//! Code that runs for ever passes one of these again and again:
//!
//! - the head of a loop, or the jumps back to it,
//! - a call through a table, which may lead anywhere,
//! - a call that closes a circle of functions that call each other by name (`circles.rs`).
//!
//! An interpreter in parts says by itself where it asks, once for each of its instructions ([`EXHAUSTED`]).
//!
//! Each takes from a budget. It is a global of the module, out of reach of the memory an agent's code can write to. When it
//! is used up the host is called, and decides.

use std::collections::HashSet;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, BranchHint, BranchHints, CodeSection, ConstExpr, Function, FunctionSection, GlobalSection, GlobalType,
    InstructionSink, Module, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, FunctionBody, FunctionSectionReader, GlobalSectionReader, Operator, Parser, TypeSectionReader,
};

use super::LinkError;
use super::circles::Circles;
use super::facts::Facts;
use super::interpreter::EXHAUSTED;
use super::shape::{Blocks, Shape};

/// What there is between two calls of the host.
const BUDGET: i32 = 20_000;

/// What a call of the host costs, which may take as long as it likes.
const CALL_OF_THE_HOST: i32 = BUDGET / 8;

/// Rounds of its loops a function counts by itself, where it costs least, before it takes them from the budget.
const ROUNDS: i32 = 255;

/// Copying so many bytes, as a power of two, costs one.
const COPIED: i32 = 10;

/// What the safepoints of a module have to know of the component around it.
pub(crate) struct Surroundings {
    /// The name of the import that calls the host.
    pub(crate) safepoint: String,
    /// The exports the host calls while it must not be called itself. They find memory or give it back, and are
    /// through before the host could be needed.
    pub(crate) undisturbed: HashSet<String>,
}

/// Code with safepoints.
pub(crate) struct Interruptible {
    pub(crate) code: Vec<u8>,
    /// That their branches are rarely taken.
    pub(crate) hints: BranchHints,
}

/// The core module `code` with safepoints.
pub(crate) fn in_code(code: &[u8], surroundings: &Surroundings) -> Result<Interruptible, LinkError> {
    let facts = Facts::of(code, surroundings)?;
    let circles = Circles::of(&facts);
    let mut pass = Safepoints { function: facts.imported, facts, circles, hints: BranchHints::new() };
    let mut module = Module::new();
    pass.parse_core_module(&mut module, Parser::new(0), code)?;
    Ok(Interruptible { code: module.finish(), hints: pass.hints })
}

struct Safepoints {
    facts: Facts,
    circles: Circles,
    hints: BranchHints,
    /// The function that is written.
    function: u32,
}

impl Reencode for Safepoints {
    type Error = LinkError;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([], []);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_function_section(self, functions, section)?;
        let own = self.facts.parameters.len() as u32;
        functions.function(own).function(own);
        for &wrapped in &self.facts.undisturbed {
            functions.function(self.facts.signature(wrapped));
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_global_section(self, globals, section)?;
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i32_const(BUDGET));
        Ok(())
    }

    fn parse_export(
        &mut self,
        exports: &mut wasm_encoder::ExportSection,
        export: wasmparser::Export<'_>,
    ) -> Result<(), Error<LinkError>> {
        if export.name == EXHAUSTED {
            return Ok(());
        }
        let wrapped = self.facts.undisturbed.iter().position(|&function| function == export.index);
        if let (wasmparser::ExternalKind::Func, Some(position)) = (export.kind, wrapped) {
            exports.export(export.name, wasm_encoder::ExportKind::Func, self.first_wrapper() + position as u32);
            return Ok(());
        }
        utils::parse_export(self, exports, export)
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.ask()).function(&self.settle());
        for &wrapped in &self.facts.undisturbed {
            code.function(&self.undisturbed(wrapped));
        }
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result<(), Error<LinkError>> {
        let function = self.function;
        self.function += 1;
        // A call in the place of a return is the last thing a function does, wherever it is written.
        let may_return = |operator: &Operator<'_>| {
            !matches!(operator, Operator::ReturnCall { .. } | Operator::ReturnCallIndirect { .. })
                && self.circles.may_return(function, operator)
        };
        let shape = Shape::of(&body, may_return, |operator| self.facts.asks(operator))?;
        let mut locals = Vec::new();
        let mut next = self.facts.parameters_of(function);
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            locals.push((count, self.val_type(ty)?));
            next += count;
        }
        // How many rounds the loops of this call made, and what a copy is long.
        let (rounds, length) = (next, next + 1);
        if shape.counts() || shape.copies {
            locals.push((2, ValType::I32));
        }
        let written = Function::new(locals);
        let mut writer = Writer {
            pass: self,
            function: written,
            hints: Vec::new(),
            rounds,
            length,
            after_constant: false,
            asked: false,
        };
        if shape.may_return_in_loop {
            writer.safepoint();
        }
        let mut blocks = Blocks::default();
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            let is_last = matches!(operator, Operator::ReturnCall { .. } | Operator::ReturnCallIndirect { .. });
            if (is_last || !shape.may_return_in_loop) && writer.pass.circles.may_return(function, &operator) {
                writer.safepoint();
            }
            writer.instruction(operator.clone(), &shape, &blocks)?;
            blocks.pass(&operator);
        }
        let Writer { function: written, hints, .. } = writer;
        if !hints.is_empty() {
            self.hints.function_hints(function, hints);
        }
        code.function(&written);
        Ok(())
    }
}

impl Safepoints {
    /// The function that asks the host when the budget is used up.
    fn asking(&self) -> u32 {
        self.facts.functions()
    }

    /// The function that takes rounds from the budget.
    fn settling(&self) -> u32 {
        self.facts.functions() + 1
    }

    fn first_wrapper(&self) -> u32 {
        self.facts.functions() + 2
    }

    fn ask(&self) -> Function {
        let mut function = Function::new([]);
        function.instructions().call(self.facts.safepoint).i32_const(BUDGET).global_set(self.facts.globals).end();
        function
    }

    fn settle(&self) -> Function {
        let budget = self.facts.globals;
        let mut function = Function::new([]);
        let mut code = function.instructions();
        code.global_get(budget).i32_const(ROUNDS).i32_sub().global_set(budget);
        code.global_get(budget).i32_const(0).i32_lt_s().if_(BlockType::Empty).call(self.asking()).end().end();
        function
    }

    /// A function that calls `wrapped` with a budget nobody uses up.
    fn undisturbed(&self, wrapped: u32) -> Function {
        let (budget, parameters) = (self.facts.globals, self.facts.parameters_of(wrapped));
        let mut function = Function::new([(1, ValType::I32)]);
        let mut code = function.instructions();
        code.global_get(budget).local_set(parameters).i32_const(i32::MAX).global_set(budget);
        for parameter in 0..parameters {
            code.local_get(parameter);
        }
        code.call(wrapped).local_get(parameters).global_set(budget).end();
        function
    }
}

/// Writes one function.
struct Writer<'p> {
    pass: &'p mut Safepoints,
    function: Function,
    hints: Vec<BranchHint>,
    rounds: u32,
    length: u32,
    /// The last instruction put a constant on the stack: what is copied by it is short.
    after_constant: bool,
    /// The last instruction left on the stack whether the budget is used up.
    asked: bool,
}

impl Writer<'_> {
    /// `operator`, with what it costs.
    fn instruction(&mut self, operator: Operator<'_>, shape: &Shape, blocks: &Blocks) -> Result<(), Error<LinkError>> {
        let is_constant = matches!(operator, Operator::I32Const { .. });
        let after_constant = std::mem::replace(&mut self.after_constant, is_constant);
        if std::mem::take(&mut self.asked) && matches!(operator, Operator::If { .. } | Operator::BrIf { .. }) {
            self.rarely();
        }
        match operator {
            Operator::GlobalGet { .. } if self.pass.facts.asks(&operator) => {
                self.spend(|code| {
                    code.i32_const(1);
                });
                self.asked = true;
                return Ok(());
            }
            Operator::GlobalSet { global_index } if Some(global_index) == self.pass.facts.exhausted => {
                self.function.instructions().drop().call(self.pass.asking());
                return Ok(());
            }
            Operator::Loop { .. } if shape.at_head(blocks) => {
                let instruction = self.pass.instruction(operator)?;
                self.function.instruction(&instruction);
                self.round(shape);
                return Ok(());
            }
            Operator::BrIf { relative_depth } if shape.at_jump(blocks, &operator) => {
                self.function.instructions().if_(BlockType::Empty);
                self.round(shape);
                self.function.instructions().br(relative_depth + 1).end();
                return Ok(());
            }
            Operator::Br { .. } | Operator::BrTable { .. } if shape.at_jump(blocks, &operator) => self.round(shape),
            Operator::Call { function_index } if function_index < self.pass.facts.imported => {
                self.take(|code| {
                    code.i32_const(CALL_OF_THE_HOST);
                });
            }
            Operator::MemoryCopy { .. } | Operator::MemoryFill { .. } if !after_constant => {
                let length = self.length;
                self.function.instructions().local_set(length);
                self.take(|code| {
                    code.local_get(length).i32_const(COPIED).i32_shr_u();
                });
                self.function.instructions().local_get(length);
            }
            _ => {}
        }
        let instruction = self.pass.instruction(operator)?;
        self.function.instruction(&instruction);
        Ok(())
    }

    /// Takes one from the budget.
    fn safepoint(&mut self) {
        self.take(|code| {
            code.i32_const(1);
        });
    }

    /// Takes what `cost` puts on the stack from the budget, and asks the host when it is used up.
    fn take(&mut self, cost: impl Fn(&mut InstructionSink<'_>)) {
        self.spend(cost);
        self.rarely();
        self.function.instructions().if_(BlockType::Empty).call(self.pass.asking()).end();
    }

    /// Takes what `cost` puts on the stack from the budget, and leaves there whether it is used up.
    fn spend(&mut self, cost: impl Fn(&mut InstructionSink<'_>)) {
        let budget = self.pass.facts.globals;
        let mut code = self.function.instructions();
        code.global_get(budget);
        cost(&mut code);
        code.i32_sub().global_set(budget).global_get(budget).i32_const(0).i32_lt_s();
    }

    /// Counts one round of a loop.
    fn round(&mut self, shape: &Shape) {
        if shape.is_interpreter() {
            self.safepoint();
            return;
        }
        let mut code = self.function.instructions();
        code.local_get(self.rounds).i32_const(1).i32_add().local_tee(self.rounds).i32_const(ROUNDS).i32_gt_u();
        self.rarely();
        let mut code = self.function.instructions();
        code.if_(BlockType::Empty).call(self.pass.settling()).i32_const(0).local_set(self.rounds).end();
    }

    /// Says of the branch that comes next that it is rarely taken.
    fn rarely(&mut self) {
        self.hints.push(BranchHint { branch_func_offset: self.function.byte_len() as u32, branch_hint_value: 0 });
    }
}
