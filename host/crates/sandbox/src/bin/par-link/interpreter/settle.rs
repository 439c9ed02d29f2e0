//! Names the functions that calls through the table of [`super::split()`] lead to.

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, ElementSection, ExportSection, Function, Module, TableSection};
use wasmparser::{Element, ElementItems, ElementKind, Export, FunctionBody, Operator, Parser, TableSectionReader};

use super::PARTS;
use crate::module::Module as Parsed;
use crate::{LinkError, unexpected};

/// The core module `code` after the optimiser has seen it: the table is gone, and each call through it is one by name.
pub(crate) fn settled(code: &[u8]) -> Result<Vec<u8>, LinkError> {
    let parsed = Parsed::parse(code)?;
    if !parsed.exports.contains_key(PARTS) {
        return Ok(code.to_vec());
    }
    // The last one, and not the one whose number is exported: some optimisers write zero there.
    let table = (parsed.tables.len() as u32).checked_sub(1).ok_or_else(|| unexpected("parts without a table"))?;
    let functions = functions(&parsed, table)?;
    let mut module = Module::new();
    Settle { table, functions }.parse_core_module(&mut module, Parser::new(0), code)?;
    Ok(module.finish())
}

/// What is in a table that nobody changes.
fn functions(parsed: &Parsed<'_>, table: u32) -> Result<Vec<u32>, LinkError> {
    let mut functions = Vec::new();
    for element in &parsed.elements {
        let ElementKind::Active { table_index, .. } = element.kind else { continue };
        if table_index.unwrap_or(0) != table {
            continue;
        }
        match &element.items {
            ElementItems::Functions(items) => {
                for function in items.clone() {
                    functions.push(function?);
                }
            }
            ElementItems::Expressions(_, items) => {
                for item in items.clone() {
                    let mut operators = item?.get_operators_reader();
                    match operators.read()? {
                        Operator::RefFunc { function_index } => functions.push(function_index),
                        other => return Err(unexpected(format!("{other:?} in a table of instructions"))),
                    }
                }
            }
        }
    }
    Ok(functions)
}

struct Settle {
    table: u32,
    functions: Vec<u32>,
}

impl Settle {
    /// The function that `number` leads to, where `operator` calls it in the place of a return.
    fn named(&self, number: i32, operator: &Operator<'_>) -> Option<u32> {
        let Operator::ReturnCallIndirect { table_index, .. } = operator else { return None };
        let place = usize::try_from(number).ok().filter(|_| *table_index == self.table)?;
        self.functions.get(place).copied()
    }
}

impl Reencode for Settle {
    type Error = LinkError;

    fn parse_export(&mut self, exports: &mut ExportSection, export: Export<'_>) -> Result<(), Error<LinkError>> {
        if export.name == PARTS {
            return Ok(());
        }
        utils::parse_export(self, exports, export)
    }

    fn parse_table_section(
        &mut self,
        tables: &mut TableSection,
        section: TableSectionReader<'_>,
    ) -> Result<(), Error<LinkError>> {
        for table in section.into_iter().take(self.table as usize) {
            self.parse_table(tables, table?)?;
        }
        Ok(())
    }

    fn parse_element(&mut self, elements: &mut ElementSection, element: Element<'_>) -> Result<(), Error<LinkError>> {
        if matches!(element.kind, ElementKind::Active { table_index: Some(table), .. } if table == self.table) {
            return Ok(());
        }
        utils::parse_element(self, elements, element)
    }

    fn table_index(&mut self, table: u32) -> Result<u32, Error<LinkError>> {
        if table == self.table {
            return Err(Error::UserError(unexpected("a part that is called by a number nobody knows")));
        }
        Ok(table)
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result<(), Error<LinkError>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut constant = None;
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            if let Some(number) = constant.take() {
                if let Some(named) = self.named(number, &operator) {
                    function.instructions().return_call(named);
                    continue;
                }
                function.instructions().i32_const(number);
            }
            if let Operator::I32Const { value } = operator {
                constant = Some(value);
                continue;
            }
            let instruction = self.instruction(operator)?;
            Function::instruction(&mut function, &instruction);
        }
        code.function(&function);
        Ok(())
    }
}
