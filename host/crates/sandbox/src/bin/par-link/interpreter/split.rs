//! Writes a module with its interpreter in parts.

use std::borrow::Cow;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ElementSection, Elements, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, InstructionSink, MemArg, Module, NameMap, NameSection, RefType, TableSection, TableType,
    TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, ElementSectionReader, ExportSectionReader, FunctionBody, FunctionSectionReader,
    GlobalSectionReader, Name, Operator, Parser, TableSectionReader, TypeSectionReader,
};

use super::cut::Interpreter;
use super::flow::Node;
use super::structured::{Body, Part};
use super::{EXHAUSTED, PARTS};
use crate::graph::Kind;
use crate::module::Module as Parsed;
use crate::{LinkError, unexpected};

/// The functions that interpret.
const INTERPRETERS: [&str; 1] = ["_PyEval_EvalFrameDefault"];

/// The core module `code`, with each function that interprets made into many. The calls between them are by a table, which
/// is exported until [`super::settled`] has seen it.
pub(crate) fn split(code: &[u8]) -> Result<Vec<u8>, LinkError> {
    let parsed = Parsed::parse(code)?;
    let imported = parsed.imported(Kind::Function).count();
    let first = (imported + parsed.functions.len()) as u32;
    for (index, body) in parsed.bodies.iter().enumerate() {
        let function = (imported + index) as u32;
        let Some(name) = parsed.names.get(&function).filter(|name| INTERPRETERS.contains(name)) else { continue };
        let signature = &parsed.types[parsed.functions[index] as usize];
        let mut same = Same;
        let mut variables = Vec::new();
        for &ty in signature.params() {
            variables.push(same.val_type(ty)?);
        }
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            variables.extend(vec![same.val_type(ty)?; count as usize]);
        }
        let results = signature.results().iter().map(|&ty| same.val_type(ty)).collect::<Result<Vec<_>, _>>()?;
        let cut = Interpreter::of(body, variables, signature.params().len() as u32)?;
        let mut split = Split {
            cut,
            interpreter: function,
            name,
            results,
            types: parsed.types.len() as u32,
            tables: parsed.tables.len() as u32,
            globals: parsed.globals.len() as u32,
            functions: first,
            function: imported as u32,
        };
        let mut module = Module::new();
        split.parse_core_module(&mut module, Parser::new(0), code)?;
        return Ok(module.finish());
    }
    Ok(code.to_vec())
}

/// Writes the module with its interpreter in parts.
struct Split<'a> {
    cut: Interpreter<'a>,
    /// The function it is.
    interpreter: u32,
    name: &'a str,
    results: Vec<ValType>,
    /// How many of each there were.
    types: u32,
    tables: u32,
    globals: u32,
    functions: u32,
    /// The function that is written.
    function: u32,
}

impl Split<'_> {
    /// The blocks at which the functions begin that it is made into, but for itself.
    fn parts(&self) -> &[Node] {
        &self.cut.parts[1..]
    }

    /// The place of a function among those.
    fn part(&self, node: Node) -> Result<u32, LinkError> {
        let place = self.parts().iter().position(|&part| part == node);
        place.map(|place| place as u32).ok_or_else(|| unexpected("a jump into the middle of a part"))
    }

    /// The place of the function that asks the host, after all others.
    fn asking(&self) -> u32 {
        self.parts().len() as u32
    }

    /// The function at a place, and its type.
    fn signature(&self, place: u32) -> Vec<ValType> {
        // Asking changes nothing.
        let node = self.parts().get(place as usize).copied().unwrap_or(self.cut.dispatch);
        self.cut.given(node).iter().map(|&variable| self.cut.types[variable as usize]).collect()
    }

    /// Asks the host and goes on with the next instruction.
    fn ask(&self) -> Result<Function, LinkError> {
        let mut function = Function::new([]);
        let mut code = function.instructions();
        code.i32_const(0).global_set(self.globals);
        for parameter in 0..self.signature(self.asking()).len() as u32 {
            code.local_get(parameter);
        }
        let dispatch = self.part(self.cut.dispatch)?;
        code.i32_const(dispatch as i32).return_call_indirect(self.tables, self.types + dispatch).end();
        Ok(function)
    }
}

impl Reencode for Split<'_> {
    type Error = LinkError;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_type_section(self, types, section)?;
        for place in 0..=self.asking() {
            types.ty().function(self.signature(place), self.results.iter().copied());
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_function_section(self, functions, section)?;
        for place in 0..=self.asking() {
            functions.function(self.types + place);
        }
        Ok(())
    }

    fn parse_table_section(
        &mut self,
        tables: &mut TableSection,
        section: TableSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_table_section(self, tables, section)?;
        let size = u64::from(self.asking()) + 1;
        let element_type = RefType::FUNCREF;
        tables.table(TableType { element_type, table64: false, minimum: size, maximum: Some(size), shared: false });
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_global_section(self, globals, section)?;
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i32_const(0));
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_export_section(self, exports, section)?;
        exports.export(PARTS, ExportKind::Table, self.tables);
        exports.export(EXHAUSTED, ExportKind::Global, self.globals);
        Ok(())
    }

    fn parse_element_section(
        &mut self,
        elements: &mut ElementSection,
        section: ElementSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_element_section(self, elements, section)?;
        let functions: Vec<u32> = (0..=self.asking()).map(|place| self.functions + place).collect();
        elements.active(Some(self.tables), &ConstExpr::i32_const(0), Elements::Functions(Cow::Owned(functions)));
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        utils::parse_code_section(self, code, section)?;
        for &node in self.parts() {
            code.function(&Writer::write(self, node).map_err(Error::UserError)?);
        }
        code.function(&self.ask().map_err(Error::UserError)?);
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result<(), Error<LinkError>> {
        let function = self.function;
        self.function += 1;
        if function == self.interpreter {
            code.function(&Writer::write(self, 0).map_err(Error::UserError)?);
            return Ok(());
        }
        utils::parse_function_body(self, code, body)
    }

    fn parse_custom_name_subsection(
        &mut self,
        names: &mut NameSection,
        section: Name<'_>,
    ) -> Result<(), Error<LinkError>> {
        let Name::Function(functions) = section else {
            return utils::parse_custom_name_subsection(self, names, section);
        };
        let mut map = NameMap::new();
        for naming in functions {
            let naming = naming?;
            map.append(naming.index, naming.name);
        }
        for place in 0..=self.asking() {
            map.append(self.functions + place, &format!("{}.{place}", self.name));
        }
        names.functions(&map);
        Ok(())
    }
}

/// A number of 32 bits in memory.
fn at(offset: u64) -> MemArg {
    MemArg { offset, align: 2, memory_index: 0 }
}

/// Nothing is numbered anew but variables.
struct Same;

impl Reencode for Same {
    type Error = LinkError;
}

/// Writes one function of an interpreter.
struct Writer<'w, 'a> {
    split: &'w Split<'a>,
    function: Function,
    /// For each variable of the interpreter, that of the function.
    variables: Vec<u32>,
}

impl<'w, 'a> Writer<'w, 'a> {
    /// The function that begins at `node`.
    fn write(split: &'w Split<'a>, node: Node) -> Result<Function, LinkError> {
        let cut = &split.cut;
        let part = Part::of(&cut.flow, node, |other| cut.belongs(node, other));
        let given = cut.given(node);
        // What the function does not use the optimiser takes away.
        let others = (0..cut.types.len() as u32).filter(|variable| !given.contains(variable));
        let order: Vec<u32> = given.iter().copied().chain(others).collect();
        let mut variables = vec![0; order.len()];
        for (place, &variable) in order.iter().enumerate() {
            variables[variable as usize] = place as u32;
        }
        let own = order[given.len()..].iter().map(|&variable| cut.types[variable as usize]);
        let function = Function::new_with_locals_types(own);
        let mut writer = Self { split, function, variables };
        if let Some(room) = cut.room {
            for (variable, place) in cut.left(node) {
                let variable = writer.variables[variable as usize];
                writer.sink().global_get(room.global).i32_load(at(place)).local_set(variable);
            }
        }
        part.write(&cut.flow, &mut writer)?;
        Ok(writer.function)
    }

    /// Gives the function that begins at `node` what it needs.
    fn hand_over(&mut self, node: Node) {
        let cut = &self.split.cut;
        if let Some(room) = cut.room {
            for (variable, place) in cut.left(node) {
                let variable = self.variables[variable as usize];
                self.sink().global_get(room.global).local_get(variable).i32_store(at(place));
            }
        }
        for variable in cut.given(node) {
            let variable = self.variables[variable as usize];
            self.sink().local_get(variable);
        }
    }
}

impl<'a> Body<'a> for Writer<'_, 'a> {
    fn sink(&mut self) -> InstructionSink<'_> {
        self.function.instructions()
    }

    fn straight(&mut self, node: Node) -> Result<(), LinkError> {
        let cut = &self.split.cut;
        if node == cut.dispatch {
            // What this part is given is what it has when it leads back here.
            let (exhausted, asking) = (self.split.globals, self.split.asking());
            self.sink().global_get(exhausted).if_(BlockType::Empty);
            self.hand_over(node);
            let (table, ty) = (self.split.tables, self.split.types + asking);
            self.sink().i32_const(asking as i32).return_call_indirect(table, ty).end();
        }
        for operator in &self.split.cut.flow.blocks[node].operators {
            let variables = &self.variables;
            match *operator {
                Operator::LocalGet { local_index } => {
                    let variable = variables[local_index as usize];
                    self.sink().local_get(variable);
                }
                Operator::LocalSet { local_index } => {
                    let variable = variables[local_index as usize];
                    self.sink().local_set(variable);
                }
                Operator::LocalTee { local_index } => {
                    let variable = variables[local_index as usize];
                    self.sink().local_tee(variable);
                }
                _ => {
                    let instruction = Same.instruction(operator.clone())?;
                    self.function.instruction(&instruction);
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, node: Node) -> Result<(), LinkError> {
        let place = self.split.part(node)?;
        let (table, ty) = (self.split.tables, self.split.types + place);
        self.hand_over(node);
        self.sink().i32_const(place as i32).return_call_indirect(table, ty);
        Ok(())
    }
}
