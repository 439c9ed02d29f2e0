//! What safepoints have to know of a module before it is written again.

use wasmparser::{ExternalKind, Operator, Parser, Payload};

use super::interpreter::EXHAUSTED;
use super::safepoints::Surroundings;
use super::shape::Always;
use super::{LinkError, unexpected};

/// A module, as far as it takes to put safepoints into it.
pub(crate) struct Facts {
    /// For each type, how many parameters it has.
    pub(crate) parameters: Vec<u32>,
    /// How many functions are imported.
    pub(crate) imported: u32,
    /// How many globals there are.
    pub(crate) globals: u32,
    /// The import that calls the host.
    pub(crate) safepoint: u32,
    /// The functions during which the host must not be called.
    pub(crate) undisturbed: Vec<u32>,
    /// For each function of its own, which it calls by name: each once, in order. One that asks for itself whether the
    /// budget is used up whenever it is called is left out.
    pub(crate) calls: Vec<Vec<u32>>,
    /// The global it asks by, of an interpreter in parts.
    pub(crate) exhausted: Option<u32>,
    /// For each function of its own, its type.
    signatures: Vec<u32>,
}

impl Facts {
    pub(crate) fn of(code: &[u8], surroundings: &Surroundings) -> Result<Self, LinkError> {
        let mut facts = Self {
            parameters: Vec::new(),
            imported: 0,
            globals: 0,
            safepoint: u32::MAX,
            undisturbed: Vec::new(),
            calls: Vec::new(),
            exhausted: None,
            signatures: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(code) {
            match payload? {
                Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        facts.parameters.push(ty?.params().len() as u32);
                    }
                }
                Payload::ImportSection(section) => {
                    // Only functions are imported; `layout` sees to that.
                    for import in section.into_imports() {
                        if import?.name == surroundings.safepoint {
                            facts.safepoint = facts.imported;
                        }
                        facts.imported += 1;
                    }
                }
                Payload::FunctionSection(section) => {
                    facts.signatures = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::GlobalSection(section) => facts.globals = section.count(),
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.name == EXHAUSTED {
                            facts.exhausted = Some(export.index);
                        }
                        let is_function = matches!(export.kind, ExternalKind::Func);
                        if is_function && surroundings.undisturbed.contains(export.name) {
                            facts.undisturbed.push(export.index);
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let mut calls = Vec::new();
                    let mut always = Always::default();
                    let mut asks = false;
                    for operator in body.get_operators_reader()? {
                        let operator = operator?;
                        facts.read(&operator, &mut calls)?;
                        asks |= always.holds(&operator) && facts.asks(&operator);
                    }
                    if asks {
                        calls.clear();
                    }
                    calls.sort_unstable();
                    calls.dedup();
                    facts.calls.push(calls);
                }
                _ => {}
            }
        }
        facts.undisturbed.sort_unstable();
        facts.undisturbed.dedup();
        if facts.safepoint == u32::MAX {
            return Err(unexpected("code without the import that calls the host"));
        }
        if facts.globals == 0 {
            return Err(unexpected("code without a global"));
        }
        if facts.undisturbed.iter().any(|&function| function < facts.imported) {
            return Err(unexpected("an import in the place of a function for memory"));
        }
        Ok(facts)
    }

    fn read(&self, operator: &Operator<'_>, calls: &mut Vec<u32>) -> Result<(), LinkError> {
        match *operator {
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => calls.push(function_index),
            Operator::Loop { blockty: wasmparser::BlockType::FuncType(ty) } if self.parameters[ty as usize] > 0 => {
                return Err(unexpected("a loop with parameters"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether `operator` asks whether the budget is used up.
    pub(crate) fn asks(&self, operator: &Operator<'_>) -> bool {
        matches!(operator, Operator::GlobalGet { global_index } if Some(*global_index) == self.exhausted)
    }

    /// How many functions there are, imported ones among them.
    pub(crate) fn functions(&self) -> u32 {
        self.imported + self.signatures.len() as u32
    }

    /// The type of a function of its own.
    pub(crate) fn signature(&self, function: u32) -> u32 {
        self.signatures[(function - self.imported) as usize]
    }

    /// How many parameters a function of its own has.
    pub(crate) fn parameters_of(&self, function: u32) -> u32 {
        self.parameters[self.signature(function) as usize]
    }
}
