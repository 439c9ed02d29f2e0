//! Writes the merged module.

use std::collections::{BTreeSet, HashMap, HashSet};

use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    CodeSection, DataSection, ElementSection, EntityType, ExportSection, FunctionSection, GlobalSection, ImportSection,
    MemorySection, MemoryType, NameMap, NameSection, TableSection, TypeSection,
};
use wasmparser::FuncType;

use super::added::{self, Added, Borders};
use super::graph::{Graph, Kind, Origin};
use super::reach::Root;
use super::renumber::{GlobalTarget, Renumber};
use super::resolve::{Item, Linker, Spaces};
use super::safepoints::Surroundings;
use super::{LinkError, unexpected};

/// The name of each export of the merged module, by the member and the name it had there.
pub(crate) type Exports<'a> = HashMap<(usize, &'a str), String>;

/// The one module that takes the place of its members.
pub(crate) struct Merged<'a> {
    /// Which instances of the component are part of it, by index.
    pub(crate) is_member: Vec<bool>,
    /// The module without its data, whose memory begins with one page, and without the libraries that are added.
    pub(crate) code: Vec<u8>,
    /// Those libraries.
    pub(crate) added: Added<'a>,
    /// How large its memory really is in the beginning.
    pub(crate) memory: MemorySection,
    /// What its memory begins with.
    pub(crate) data: DataSection,
    /// The functions it imports, as indices of the component; the n-th is called `n`.
    pub(crate) imports: Vec<u32>,
    /// The name of each export, by the member and the name it had there.
    pub(crate) exports: Exports<'a>,
    /// What its safepoints have to know of it.
    pub(crate) surroundings: Surroundings,
}

impl<'a> Merged<'a> {
    /// Links the core modules of `graph`. Libraries whose names begin with `added` are added to the code later.
    pub(crate) fn link(graph: &Graph<'a>, added: &str) -> Result<Self, LinkError> {
        let linker = Linker::new(graph, added)?;
        let spaces = Spaces::resolve(&linker)?;
        let roots = linker.roots()?;
        let reachable = linker.reachable(&spaces, &roots)?;
        let constants = linker.constants(&spaces, &roots, &reachable)?;
        let unread = linker.unread(&spaces, &roots, &reachable)?;
        let gone = |global: &Item| constants.contains_key(global) || unread.contains(global);
        let borders = Borders::of(&linker, &spaces, &roots, &reachable, gone)?;
        let layout = Layout::new(&linker, &spaces, &reachable, &borders, &constants, &unread)?;
        let added = Added::of(&linker, &spaces, &reachable, &borders, &layout.imported, (&constants, &unread))?;
        layout.encode(&roots, &borders, added)
    }
}

/// The index spaces of the merged module.
struct Layout<'l, 'g, 'a> {
    linker: &'l Linker<'g, 'a>,
    types: TypeSection,
    imports: ImportSection,
    imported: Vec<u32>,
    functions: HashMap<Item, u32>,
    tables: HashMap<Item, u32>,
    memories: HashMap<Item, u32>,
    globals: HashMap<Item, u32>,
    order: Vec<Item>,
    renumber: HashMap<usize, Renumber>,
}

impl<'l, 'g, 'a> Layout<'l, 'g, 'a> {
    fn new(
        linker: &'l Linker<'g, 'a>,
        spaces: &Spaces,
        reachable: &BTreeSet<Item>,
        borders: &Borders,
        constants: &HashMap<Item, i32>,
        unread: &HashSet<Item>,
    ) -> Result<Self, LinkError> {
        let mut layout = Self {
            linker,
            types: TypeSection::new(),
            imports: ImportSection::new(),
            imported: Vec::new(),
            functions: HashMap::new(),
            tables: HashMap::new(),
            memories: HashMap::new(),
            globals: HashMap::new(),
            order: Vec::new(),
            renumber: HashMap::new(),
        };
        let mut known_types: HashMap<FuncType, u32> = HashMap::new();
        for &instance in &linker.members {
            let (module, _) = linker.module(instance)?;
            let mut types = Vec::new();
            for ty in &module.types {
                let next = known_types.len() as u32;
                let index = *known_types.entry(ty.clone()).or_insert(next);
                if index == next {
                    layout.types.ty().func_type(&Renumber::default().func_type(ty.clone())?);
                }
                types.push(index);
            }
            layout.renumber.insert(instance, Renumber { types, ..Renumber::default() });
        }
        // Outside functions come first in the index space, in the order of the component.
        for &item in reachable {
            if let Item::Outside(index) = item {
                layout.functions.insert(item, layout.imported.len() as u32);
                layout.imported.push(index);
            }
        }
        let mut signature: HashMap<Item, u32> = HashMap::new();
        for &instance in &linker.members {
            let (module, _) = linker.module(instance)?;
            for (import, &item) in module.imported(Kind::Function).zip(&spaces.members[&instance].functions) {
                if let (wasmparser::TypeRef::Func(ty), Item::Outside(_)) = (import.ty, item) {
                    signature.insert(item, layout.renumber[&instance].types[ty as usize]);
                }
            }
        }
        for (name, &index) in layout.imported.iter().enumerate() {
            let ty = signature.get(&Item::Outside(index)).copied();
            let ty = ty.ok_or_else(|| unexpected(format!("no use of function {index}")))?;
            layout.imports.import("", &name.to_string(), EntityType::Function(ty));
        }
        for (number, &item) in borders.called.iter().enumerate() {
            let Item::Own { instance, index } = item else { continue };
            let ty = linker.module(instance)?.0.functions[index as usize];
            let ty = layout.renumber[&instance].types[ty as usize];
            layout.functions.insert(item, layout.imports.len());
            layout.imports.import(added::MODULE, &number.to_string(), EntityType::Function(ty));
        }
        for &item in reachable {
            if matches!(item, Item::Own { .. }) && !linker.adds(item) {
                layout.functions.insert(item, layout.imports.len() + layout.order.len() as u32);
                layout.order.push(item);
            }
        }
        for &instance in &linker.members {
            let (module, _) = linker.module(instance)?;
            let own = |count: usize| (0..count as u32).map(move |index| Item::Own { instance, index });
            for item in own(module.tables.len()) {
                let next = layout.tables.len() as u32;
                layout.tables.insert(item, next);
            }
            for item in own(module.memories.len()) {
                let next = layout.memories.len() as u32;
                layout.memories.insert(item, next);
            }
            for item in own(module.globals.len()).filter(|&item| !linker.adds(item)) {
                if !constants.contains_key(&item) && !unread.contains(&item) {
                    let next = layout.globals.len() as u32;
                    layout.globals.insert(item, next);
                }
            }
        }
        for &instance in &linker.members {
            let space = &spaces.members[&instance];
            let functions = space.functions.iter().map(|item| layout.functions.get(item).copied()).collect();
            let tables = space.tables.iter().map(|item| layout.tables.get(item).copied()).collect();
            let memories = space.memories.iter().map(|item| layout.memories.get(item).copied()).collect();
            let globals = space
                .globals
                .iter()
                .map(|item| match constants.get(item) {
                    Some(&value) => Ok(GlobalTarget::Constant(value)),
                    None if linker.is_added[instance] => Ok(GlobalTarget::Unread),
                    None if unread.contains(item) => Ok(GlobalTarget::Unread),
                    None => layout.globals.get(item).map(|&index| GlobalTarget::Index(index)).ok_or(()),
                })
                .collect::<Result<_, ()>>()
                .map_err(|()| unexpected("a global no member defines"))?;
            if let Some(renumber) = layout.renumber.get_mut(&instance) {
                *renumber = Renumber { functions, tables, memories, globals, ..std::mem::take(renumber) };
            }
        }
        Ok(layout)
    }

    fn encode(mut self, roots: &[Root<'a>], borders: &Borders, added: Added<'a>) -> Result<Merged<'a>, LinkError> {
        let mut functions = FunctionSection::new();
        let mut code = CodeSection::new();
        let mut names = NameMap::new();
        for &item in &self.order {
            let Item::Own { instance, index } = item else { continue };
            let (module, _) = self.linker.module(instance)?;
            let renumber = self.renumber.get_mut(&instance).ok_or_else(|| unexpected("no member"))?;
            functions.function(renumber.type_index(module.functions[index as usize])?);
            renumber.parse_function_body(&mut code, module.bodies[index as usize].clone())?;
            let imported = module.imported(Kind::Function).count() as u32;
            if let Some(name) = module.names.get(&(index + imported)) {
                names.append(self.functions[&item], name);
            }
        }
        let mut tables = TableSection::new();
        let (mut memories, mut small) = (MemorySection::new(), MemorySection::new());
        let mut globals = GlobalSection::new();
        let mut elements = ElementSection::new();
        let mut data = DataSection::new();
        for &instance in &self.linker.members {
            let (module, _) = self.linker.module(instance)?;
            let renumber = self.renumber.get_mut(&instance).ok_or_else(|| unexpected("no member"))?;
            for table in &module.tables {
                // No code grows it, and a table that cannot grow is cheaper to call through.
                let mut fixed = table.clone();
                fixed.ty.maximum = Some(fixed.ty.initial);
                renumber.parse_table(&mut tables, fixed)?;
            }
            for memory in &module.memories {
                let memory = renumber.memory_type(*memory)?;
                memories.memory(memory);
                small.memory(MemoryType { minimum: 1, ..memory });
            }
            for (index, global) in module.globals.iter().enumerate() {
                if self.globals.contains_key(&Item::Own { instance, index: index as u32 }) {
                    renumber.parse_global(&mut globals, global.clone())?;
                }
            }
            for element in module.elements.iter().filter(|_| !self.linker.is_added[instance]) {
                renumber.parse_element(&mut elements, element.clone())?;
            }
            for segment in &module.data {
                renumber.parse_data(&mut data, segment.clone())?;
            }
        }
        let (exports, mut section) = self.exports(roots)?;
        for (item, kind, name) in &borders.exports {
            let space = if *kind == Kind::Function { &self.functions } else { &self.globals };
            let index = *space.get(item).ok_or_else(|| unexpected("a use of what is nowhere defined"))?;
            section.export(name, (*kind).into(), index);
        }
        let surroundings = self.surroundings(&exports)?;
        let mut naming = NameSection::new();
        naming.functions(&names);
        let mut module = wasm_encoder::Module::new();
        module.section(&self.types).section(&self.imports).section(&functions).section(&tables).section(&small);
        module.section(&globals).section(&section).section(&elements).section(&code).section(&naming);
        Ok(Merged {
            is_member: self.linker.is_member.clone(),
            code: module.finish(),
            added,
            memory: memories,
            data,
            imports: self.imported,
            exports,
            surroundings,
        })
    }

    fn surroundings(&self, exports: &Exports<'a>) -> Result<Surroundings, LinkError> {
        let graph = self.linker.graph;
        let safepoint =
            graph.safepoint.and_then(|safepoint| self.imported.iter().position(|&index| index == safepoint));
        let safepoint = safepoint.ok_or_else(|| unexpected("no use of `pixell:agent/interruption.safepoint`"))?;
        let mut undisturbed = HashSet::new();
        for &function in &graph.undisturbed {
            if let Origin::Export { instance, name } = graph.origin(Kind::Function, function)?
                && let Some(name) = exports.get(&(instance, name))
            {
                undisturbed.insert(name.clone());
            }
        }
        Ok(Surroundings { safepoint: safepoint.to_string(), undisturbed })
    }

    fn exports(&self, roots: &[Root<'a>]) -> Result<(Exports<'a>, ExportSection), LinkError> {
        let mut names = HashMap::new();
        let mut section = ExportSection::new();
        for (number, root) in roots.iter().enumerate() {
            let space = match root.kind {
                Kind::Function => &self.functions,
                Kind::Table => &self.tables,
                Kind::Memory => &self.memories,
                Kind::Global => &self.globals,
            };
            let index = *space.get(&root.item).ok_or_else(|| unexpected(format!("no item `{}`", root.name)))?;
            let name = number.to_string();
            section.export(&name, root.kind.into(), index);
            names.insert((root.instance, root.name), name);
        }
        Ok((names, section))
    }
}
