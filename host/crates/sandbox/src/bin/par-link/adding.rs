//! Joins the added libraries to the optimised code.

use std::collections::HashMap;

use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    CodeSection, ElementSection, EntityType, ExportSection, FunctionSection, GlobalSection, ImportSection,
    MemorySection, NameMap, NameSection, TableSection, TypeSection,
};
use wasmparser::{Export, ExternalKind, FuncType, TypeRef};

use super::added::{Added, Global, MODULE, Member, Target};
use super::module::Module;
use super::renumber::{GlobalTarget, Renumber};
use super::{LinkError, unexpected};

impl Added<'_> {
    /// `code` with the added libraries in it.
    pub(crate) fn join(&self, code: &[u8]) -> Result<Vec<u8>, LinkError> {
        if self.members.is_empty() {
            return Ok(code.to_vec());
        }
        Joined::new(self, &Module::parse(code)?)?.encode()
    }
}

/// The index spaces of the module with both.
struct Joined<'j, 'a> {
    added: &'j Added<'a>,
    code: &'j Module<'j>,
    types: Vec<FuncType>,
    /// Name and type of each imported function.
    imports: Vec<(String, FuncType)>,
    /// The one table that only code calls through.
    table: u32,
    renumber: Renumber,
    /// For each added library.
    members: Vec<Renumber>,
}

impl<'j, 'a> Joined<'j, 'a> {
    fn new(added: &'j Added<'a>, code: &'j Module<'j>) -> Result<Self, LinkError> {
        let mut joined = Self {
            added,
            code,
            types: code.types.clone(),
            imports: Vec::new(),
            table: only_table(code)?,
            renumber: Renumber::default(),
            members: Vec::new(),
        };
        if code.memories.len() != 1 {
            return Err(unexpected("code without the one memory"));
        }
        for import in code.imports.iter().filter(|import| import.module != MODULE) {
            let TypeRef::Func(ty) = import.ty else { return Err(unexpected("an import that is no function")) };
            joined.imports.push((import.name.to_owned(), code.types[ty as usize].clone()));
        }
        for target in added.members.iter().flat_map(|member| &member.functions).flatten() {
            if let Target::Outside { name, ty } = target
                && joined.imports.iter().all(|(known, _)| known != name)
            {
                joined.imports.push((name.clone(), ty.clone()));
            }
        }
        joined.renumber = joined.of_code()?;
        joined.members =
            added.members.iter().map(|member| joined.of_member(member)).collect::<Result<_, LinkError>>()?;
        for (renumber, member) in joined.members.iter_mut().zip(&added.members) {
            let known: HashMap<&FuncType, u32> = joined.types.iter().zip(0..).collect();
            let missing: Vec<FuncType> = member.types.iter().filter(|ty| !known.contains_key(ty)).cloned().collect();
            joined.types.extend(missing);
            let known: HashMap<&FuncType, u32> = joined.types.iter().zip(0..).collect();
            renumber.types = member.types.iter().map(|ty| known[ty]).collect();
        }
        Ok(joined)
    }

    /// The place of a function that the code defines.
    fn own(&self, index: usize) -> u32 {
        (self.imports.len() + index) as u32
    }

    /// The place of a function of the added libraries.
    fn added(&self, index: usize) -> u32 {
        self.own(self.code.functions.len() + index)
    }

    fn import(&self, name: &str) -> Option<u32> {
        self.imports.iter().position(|(known, _)| known == name).map(|position| position as u32)
    }

    fn of_code(&self) -> Result<Renumber, LinkError> {
        let imported = self.code.imports.iter().map(|import| {
            if import.module != MODULE {
                return Ok(self.import(import.name));
            }
            let number = import.name.parse::<usize>().ok();
            let function = number.and_then(|number| self.added.called.get(number));
            let function = function.ok_or_else(|| unexpected(format!("an import of `{}`", import.name)))?;
            Ok(Some(self.added(*function)))
        });
        let own = (0..self.code.functions.len()).map(|index| Ok(Some(self.own(index))));
        Ok(Renumber {
            types: (0..self.code.types.len() as u32).collect(),
            functions: imported.chain(own).collect::<Result<_, LinkError>>()?,
            tables: (0..self.code.tables.len() as u32).map(Some).collect(),
            memories: vec![Some(0)],
            globals: (0..self.code.globals.len() as u32).map(GlobalTarget::Index).collect(),
        })
    }

    fn of_member(&self, member: &Member<'_>) -> Result<Renumber, LinkError> {
        let functions = member.functions.iter().map(|target| match target {
            None => Ok(None),
            Some(Target::Outside { name, .. }) => Ok(self.import(name)),
            Some(Target::Own(index)) => Ok(Some(self.added(*index))),
            Some(Target::Exported(name)) => {
                let index = self.exported(name, ExternalKind::Func)?;
                Ok(self.renumber.functions.get(index as usize).copied().flatten())
            }
        });
        let globals = member.globals.iter().map(|global| match global {
            Global::Known(target) => Ok(*target),
            Global::Own(index) => Ok(GlobalTarget::Index((self.code.globals.len() + index) as u32)),
            Global::Exported(name) => Ok(GlobalTarget::Index(self.exported(name, ExternalKind::Global)?)),
        });
        Ok(Renumber {
            types: Vec::new(),
            functions: functions.collect::<Result<_, LinkError>>()?,
            tables: vec![Some(self.table); member.tables],
            memories: vec![Some(0); member.memories],
            globals: globals.collect::<Result<_, LinkError>>()?,
        })
    }

    fn exported(&self, name: &str, kind: ExternalKind) -> Result<u32, LinkError> {
        let export = self.code.exports.get(name).filter(|export| export.kind == kind);
        export.map(|export| export.index).ok_or_else(|| unexpected(format!("code without its export `{name}`")))
    }

    fn encode(mut self) -> Result<Vec<u8>, LinkError> {
        let (mut types, mut imports, mut functions) =
            (TypeSection::new(), ImportSection::new(), FunctionSection::new());
        let (mut tables, mut memories, mut globals) = (TableSection::new(), MemorySection::new(), GlobalSection::new());
        let (mut exports, mut elements, mut code) = (ExportSection::new(), ElementSection::new(), CodeSection::new());
        for ty in &self.types {
            types.ty().func_type(&self.renumber.func_type(ty.clone())?);
        }
        for (name, ty) in &self.imports {
            let ty = self.types.iter().position(|known| known == ty).map(|index| index as u32);
            let ty = ty.ok_or_else(|| unexpected(format!("no type of the import `{name}`")))?;
            imports.import("", name, EntityType::Function(ty));
        }
        for (&ty, body) in self.code.functions.iter().zip(&self.code.bodies) {
            functions.function(ty);
            self.renumber.parse_function_body(&mut code, body.clone())?;
        }
        for (member, ty, body, _) in &self.added.functions {
            let renumber = &mut self.members[*member];
            functions.function(renumber.type_index(*ty)?);
            renumber.parse_function_body(&mut code, body.clone())?;
        }
        for table in &self.code.tables {
            self.renumber.parse_table(&mut tables, table.clone())?;
        }
        for &memory in &self.code.memories {
            memories.memory(self.renumber.memory_type(memory)?);
        }
        for global in &self.code.globals {
            self.renumber.parse_global(&mut globals, global.clone())?;
        }
        for (member, global) in &self.added.globals {
            self.members[*member].parse_global(&mut globals, global.clone())?;
        }
        let mut kept: Vec<&Export<'_>> =
            self.code.exports.values().filter(|export| !export.name.starts_with(MODULE)).collect();
        kept.sort_unstable_by_key(|export| export.name);
        for export in kept {
            self.renumber.parse_export(&mut exports, *export)?;
        }
        for element in &self.code.elements {
            self.renumber.parse_element(&mut elements, element.clone())?;
        }
        for (renumber, member) in self.members.iter_mut().zip(&self.added.members) {
            for element in &member.elements {
                renumber.parse_element(&mut elements, element.clone())?;
            }
        }
        let mut naming = NameSection::new();
        naming.functions(&self.names());
        let mut module = wasm_encoder::Module::new();
        module.section(&types).section(&imports).section(&functions).section(&tables).section(&memories);
        module.section(&globals).section(&exports).section(&elements).section(&code).section(&naming);
        Ok(module.finish())
    }

    /// The names of the functions, by which traps and profiles are read.
    fn names(&self) -> NameMap {
        let imported = self.code.functions.len();
        let imported = self.renumber.functions.len() - imported;
        let of_code = self.code.names.iter().filter(|(index, _)| **index as usize >= imported);
        let of_code = of_code.map(|(&index, &name)| (self.own(index as usize - imported), name));
        let of_added = self.added.functions.iter().enumerate();
        let of_added = of_added.filter_map(|(index, (.., name))| Some((self.added(index), (*name)?)));
        let mut names: Vec<(u32, &str)> = of_code.chain(of_added).collect();
        names.sort_unstable();
        let mut map = NameMap::new();
        for (index, name) in names {
            map.append(index, name);
        }
        map
    }
}

/// The table of `code` that only code calls through. The other one, of the host's functions, is exported.
fn only_table(code: &Module<'_>) -> Result<u32, LinkError> {
    let exported =
        |table: &u32| code.exports.values().any(|export| export.kind == ExternalKind::Table && export.index == *table);
    let mut own = (0..code.tables.len() as u32).filter(|table| !exported(table));
    match (own.next(), own.next()) {
        (Some(table), None) => Ok(table),
        _ => Err(unexpected("code without the one table that only code calls through")),
    }
}
