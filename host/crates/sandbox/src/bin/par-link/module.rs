//! One core module, taken apart.

use std::collections::HashMap;

use wasmparser::{
    Data, Element, Export, FuncType, FunctionBody, Global, Import, KnownCustom, MemoryType, Name, Parser, Payload,
    Table, TypeRef,
};

use super::graph::Kind;
use super::{LinkError, unexpected};

/// The sections of a core module that matter when it is linked.
#[derive(Default)]
pub(crate) struct Module<'a> {
    pub(crate) types: Vec<FuncType>,
    pub(crate) imports: Vec<Import<'a>>,
    /// Type index of each function the module defines.
    pub(crate) functions: Vec<u32>,
    pub(crate) tables: Vec<Table<'a>>,
    pub(crate) memories: Vec<MemoryType>,
    pub(crate) globals: Vec<Global<'a>>,
    pub(crate) exports: HashMap<&'a str, Export<'a>>,
    pub(crate) elements: Vec<Element<'a>>,
    pub(crate) bodies: Vec<FunctionBody<'a>>,
    pub(crate) data: Vec<Data<'a>>,
    /// The name section's names of functions, by index.
    pub(crate) names: HashMap<u32, &'a str>,
}

impl<'a> Module<'a> {
    /// Parses a module.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, LinkError> {
        let mut module = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        module.types.push(ty?);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        module.imports.push(import?);
                    }
                }
                Payload::FunctionSection(section) => module.functions = collect(section)?,
                Payload::TableSection(section) => module.tables = collect(section)?,
                Payload::MemorySection(section) => module.memories = collect(section)?,
                Payload::GlobalSection(section) => module.globals = collect(section)?,
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        module.exports.insert(export.name, export);
                    }
                }
                Payload::ElementSection(section) => module.elements = collect(section)?,
                Payload::DataSection(section) => module.data = collect(section)?,
                Payload::CodeSectionEntry(body) => module.bodies.push(body),
                Payload::StartSection { .. } => return Err(unexpected("a module with a start function")),
                Payload::TagSection(_) => return Err(unexpected("a module with exceptions")),
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(names) = section.as_known() {
                        module.read_names(names)?;
                    }
                }
                _ => {}
            }
        }
        Ok(module)
    }

    fn read_names(&mut self, section: wasmparser::NameSectionReader<'a>) -> Result<(), LinkError> {
        for name in section {
            if let Name::Function(map) = name? {
                for naming in map {
                    let naming = naming?;
                    self.names.insert(naming.index, naming.name);
                }
            }
        }
        Ok(())
    }

    /// The imports of one kind, in the order of their indices.
    pub(crate) fn imported(&self, kind: Kind) -> impl Iterator<Item = &Import<'a>> {
        self.imports.iter().filter(move |import| kind_of(import.ty) == Some(kind))
    }
}

fn kind_of(ty: TypeRef) -> Option<Kind> {
    match ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => Some(Kind::Function),
        TypeRef::Table(_) => Some(Kind::Table),
        TypeRef::Memory(_) => Some(Kind::Memory),
        TypeRef::Global(_) => Some(Kind::Global),
        TypeRef::Tag(_) => None,
    }
}

fn collect<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
) -> Result<Vec<T>, wasmparser::Error> {
    section.into_iter().collect()
}
