//! Follows every import of a member to the definition behind it.

use std::collections::{HashMap, HashSet};

use super::graph::{Arguments, CoreInstance, Graph, Kind, Origin};
use super::module::Module;
use super::{LinkError, unexpected};

/// What a library calls the address of its data, and what that is called by who knows all libraries, after the name of one.
const MEMORY_BASE: &str = "__memory_base";
const MEMORY_BASE_OF_A_LIBRARY: &str = ":memory_base";

/// An item of a member, after imports were followed to where it is defined.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Item {
    /// A function of the component that no member defines.
    Outside(u32),
    /// The `index`-th item of its kind that member `instance` defines itself.
    Own { instance: usize, index: u32 },
}

/// The members of one component and where their imports lead.
pub(crate) struct Linker<'g, 'a> {
    pub(crate) graph: &'g Graph<'a>,
    /// Which instances of the component are members, by index.
    pub(crate) is_member: Vec<bool>,
    /// The indices of those.
    pub(crate) members: Vec<usize>,
    /// Which of them are libraries that are added to the optimised code, by index.
    pub(crate) is_added: Vec<bool>,
}

impl<'g, 'a> Linker<'g, 'a> {
    /// A linker of every instance of `graph` that does not need the memory of another one to exist. Libraries whose
    /// names begin with `added` are added later.
    pub(crate) fn new(graph: &'g Graph<'a>, added: &str) -> Result<Self, LinkError> {
        let instances = graph.instances.iter().zip(graph.late());
        let is_member: Vec<bool> =
            instances.map(|(instance, late)| matches!(instance, CoreInstance::Module { .. }) && !late).collect();
        let members: Vec<usize> = (0..is_member.len()).filter(|&index| is_member[index]).collect();
        let mut linker = Self { graph, is_added: vec![false; is_member.len()], is_member, members };
        linker.refuse_second_instances()?;
        for member in linker.members.clone() {
            linker.is_added[member] = linker.library(member)?.is_some_and(|name| name.starts_with(added));
        }
        Ok(linker)
    }

    /// The name of the library that `instance` is of. Each is told where its data is by a global with its name.
    fn library(&self, instance: usize) -> Result<Option<&'a str>, LinkError> {
        let (module, arguments) = self.module(instance)?;
        let Some(base) = module.imported(Kind::Global).find(|import| import.name == MEMORY_BASE) else {
            return Ok(None);
        };
        let argument = arguments.iter().find(|(name, _)| *name == base.module).map(|&(_, index)| index);
        let Some(CoreInstance::Exports(exports)) = argument.map(|index| &self.graph.instances[index]) else {
            return Ok(None);
        };
        let global = exports.iter().find(|(name, kind, _)| *name == base.name && *kind == Kind::Global);
        let Some(&(_, kind, index)) = global else { return Ok(None) };
        match self.graph.origin(kind, index)? {
            Origin::Export { name, .. } => Ok(name.strip_suffix(MEMORY_BASE_OF_A_LIBRARY)),
            Origin::Canonical { .. } => Ok(None),
        }
    }

    /// Whether `item` is of a library that is added to the optimised code.
    pub(crate) fn adds(&self, item: Item) -> bool {
        matches!(item, Item::Own { instance, .. } if self.is_added[instance])
    }

    fn refuse_second_instances(&self) -> Result<(), LinkError> {
        let mut seen = HashSet::new();
        for &member in &self.members {
            if let CoreInstance::Module { module, .. } = self.graph.instances[member]
                && !seen.insert(module)
            {
                return Err(unexpected(format!("two instances of module {module}")));
            }
        }
        Ok(())
    }

    pub(crate) fn module(&self, instance: usize) -> Result<(&Module<'a>, &Arguments<'a>), LinkError> {
        match &self.graph.instances[instance] {
            CoreInstance::Module { module, arguments } => Ok((&self.graph.modules[*module], arguments)),
            CoreInstance::Exports(_) => Err(unexpected("an alias of gathered items")),
        }
    }

    /// Follows `index` in the index space of `instance` to its definition.
    pub(crate) fn resolve(&self, instance: usize, kind: Kind, index: u32) -> Result<Item, LinkError> {
        let (module, arguments) = self.module(instance)?;
        let imported = module.imported(kind).count() as u32;
        if index >= imported {
            return Ok(Item::Own { instance, index: index - imported });
        }
        let import = module.imported(kind).nth(index as usize).ok_or_else(|| unexpected("no such import"))?;
        let &(_, argument) = arguments
            .iter()
            .find(|(name, _)| *name == import.module)
            .ok_or_else(|| unexpected(format!("no argument `{}`", import.module)))?;
        match &self.graph.instances[argument] {
            CoreInstance::Module { .. } => self.resolve_export(argument, import.name),
            CoreInstance::Exports(exports) => {
                let &(_, kind, index) = exports
                    .iter()
                    .find(|(name, _, _)| *name == import.name)
                    .ok_or_else(|| unexpected(format!("no `{}` in argument `{}`", import.name, import.module)))?;
                self.resolve_core(kind, index)
            }
        }
    }

    pub(crate) fn resolve_export(&self, instance: usize, name: &str) -> Result<Item, LinkError> {
        let (module, _) = self.module(instance)?;
        let export = module.exports.get(name).ok_or_else(|| unexpected(format!("no export `{name}`")))?;
        self.resolve(instance, export.kind.try_into()?, export.index)
    }

    /// Follows an item of the component's own index space.
    fn resolve_core(&self, kind: Kind, index: u32) -> Result<Item, LinkError> {
        match self.graph.origin(kind, index)? {
            Origin::Export { instance, name } if self.is_member[instance] => self.resolve_export(instance, name),
            _ if kind == Kind::Function => Ok(Item::Outside(index)),
            _ => Err(unexpected(format!("a {kind:?} no member defines"))),
        }
    }
}

/// Every index of every member, resolved.
pub(crate) struct Spaces {
    pub(crate) members: HashMap<usize, Space>,
}

/// The index spaces of one member.
pub(crate) struct Space {
    pub(crate) functions: Vec<Item>,
    pub(crate) tables: Vec<Item>,
    pub(crate) memories: Vec<Item>,
    pub(crate) globals: Vec<Item>,
}

impl Spaces {
    pub(crate) fn resolve(linker: &Linker<'_, '_>) -> Result<Self, LinkError> {
        let mut members = HashMap::new();
        for &instance in &linker.members {
            let (module, _) = linker.module(instance)?;
            let items = |kind, defined: usize| {
                (0..module.imported(kind).count() + defined)
                    .map(|index| linker.resolve(instance, kind, index as u32))
                    .collect::<Result<Vec<Item>, LinkError>>()
            };
            let space = Space {
                functions: items(Kind::Function, module.functions.len())?,
                tables: items(Kind::Table, module.tables.len())?,
                memories: items(Kind::Memory, module.memories.len())?,
                globals: items(Kind::Global, module.globals.len())?,
            };
            members.insert(instance, space);
        }
        Ok(Self { members })
    }
}
