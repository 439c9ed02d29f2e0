//! Libraries that are added to the optimised code.
//!
//! The optimiser takes minutes of a core for a large library. One that few agents use is left as its compiler made it: the
//! code that is optimised imports what it calls of such a library, and exports what that calls of it. Neither is
//! there any more when both are one module.

use std::collections::{BTreeSet, HashMap, HashSet};

use wasmparser::{ElementItems, FuncType, Operator, TypeRef};

use super::graph::Kind;
use super::reach::Root;
use super::renumber::GlobalTarget;
use super::resolve::{Item, Linker, Spaces};
use super::{LinkError, unexpected};

/// What functions of an added library are imported from until it is there.
pub(crate) const MODULE: &str = "added";

/// What the optimised code and the added libraries have of each other.
#[derive(Default)]
pub(crate) struct Borders {
    /// The functions of added libraries that the rest calls or puts into a table; the n-th is imported as `n`.
    pub(crate) called: Vec<Item>,
    /// What the added libraries use of the rest, and the name it is exported by.
    pub(crate) exports: Vec<(Item, Kind, String)>,
}

impl Borders {
    /// `gone` are the globals that the merged module has no use for.
    pub(crate) fn of<'a>(
        linker: &Linker<'_, 'a>,
        spaces: &Spaces,
        roots: &[Root<'a>],
        reachable: &BTreeSet<Item>,
        gone: impl Fn(&Item) -> bool,
    ) -> Result<Self, LinkError> {
        if linker.is_added.iter().all(|added| !added) {
            return Ok(Self::default());
        }
        let mut called: BTreeSet<Item> =
            roots.iter().filter(|root| root.kind == Kind::Function).map(|root| root.item).collect();
        let (mut functions, mut globals) = (BTreeSet::new(), BTreeSet::new());
        for item in reachable {
            let &Item::Own { instance, index } = item else { continue };
            let space = &spaces.members[&instance];
            for operator in linker.module(instance)?.0.bodies[index as usize].get_operators_reader()? {
                match operator? {
                    Operator::Call { function_index }
                    | Operator::ReturnCall { function_index }
                    | Operator::RefFunc { function_index } => {
                        let function = space.functions[function_index as usize];
                        let uses = if linker.is_added[instance] { &mut functions } else { &mut called };
                        uses.insert(function);
                    }
                    Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } => {
                        let global = space.globals[global_index as usize];
                        match (linker.is_added[instance], linker.adds(global)) {
                            _ if gone(&global) => {}
                            (true, false) => _ = globals.insert(global),
                            (false, true) => return Err(unexpected("a use of a global of an added library")),
                            _ => {}
                        }
                    }
                    _ => {}
                }
            }
        }
        for &instance in &linker.members {
            for element in &linker.module(instance)?.0.elements {
                let ElementItems::Functions(indices) = &element.items else {
                    return Err(unexpected("a table of anything but functions"));
                };
                let space = &spaces.members[&instance].functions;
                for index in indices.clone() {
                    let function = space[index? as usize];
                    let uses = if linker.is_added[instance] { &mut functions } else { &mut called };
                    uses.insert(function);
                }
            }
        }
        called.retain(|&item| linker.adds(item));
        functions.retain(|&item| matches!(item, Item::Own { .. }) && !linker.adds(item));
        let functions = functions.into_iter().map(|item| (item, Kind::Function));
        let exports = functions.chain(globals.into_iter().map(|item| (item, Kind::Global)));
        let exports = exports.enumerate().map(|(number, (item, kind))| (item, kind, format!("{MODULE} {number}")));
        Ok(Self { called: called.into_iter().collect(), exports: exports.collect() })
    }
}

/// A function as an added library knows it.
pub(crate) enum Target {
    /// An import of the merged module.
    Outside { name: String, ty: FuncType },
    /// It is in the optimised code, which exports it by this name.
    Exported(String),
    /// The so manyth function of the added libraries.
    Own(usize),
}

/// A global as an added library knows it.
pub(crate) enum Global {
    Known(GlobalTarget),
    Exported(String),
    Own(usize),
}

/// One added library.
pub(crate) struct Member<'a> {
    pub(crate) instance: usize,
    pub(crate) types: Vec<FuncType>,
    pub(crate) functions: Vec<Option<Target>>,
    pub(crate) globals: Vec<Global>,
    /// How many tables and memories it knows; there is one of each.
    pub(crate) tables: usize,
    pub(crate) memories: usize,
    pub(crate) elements: Vec<wasmparser::Element<'a>>,
}

/// The added libraries, ready to be joined to the optimised code.
#[derive(Default)]
pub(crate) struct Added<'a> {
    pub(crate) members: Vec<Member<'a>>,
    /// For each function: its member, type and body there, and its name.
    pub(crate) functions: Vec<(usize, u32, wasmparser::FunctionBody<'a>, Option<&'a str>)>,
    pub(crate) globals: Vec<(usize, wasmparser::Global<'a>)>,
    /// Those of the functions that the code imports, in the order of their names.
    pub(crate) called: Vec<usize>,
}

impl<'a> Added<'a> {
    /// `imported` are the functions of the component that the merged module imports, `constants` and `unread` the
    /// globals that are gone.
    pub(crate) fn of(
        linker: &Linker<'_, 'a>,
        spaces: &Spaces,
        reachable: &BTreeSet<Item>,
        borders: &Borders,
        imported: &[u32],
        (constants, unread): (&HashMap<Item, i32>, &HashSet<Item>),
    ) -> Result<Self, LinkError> {
        let mut added = Self::default();
        let exported: HashMap<(Kind, Item), &str> =
            borders.exports.iter().map(|(item, kind, name)| ((*kind, *item), name.as_str())).collect();
        let own: Vec<Item> = reachable.iter().copied().filter(|&item| linker.adds(item)).collect();
        let position: HashMap<Item, usize> = own.iter().enumerate().map(|(index, &item)| (item, index)).collect();
        let outside: HashMap<u32, usize> = imported.iter().enumerate().map(|(name, &index)| (index, name)).collect();
        let mut globals: HashMap<Item, usize> = HashMap::new();
        for &instance in linker.members.iter().filter(|&&instance| linker.is_added[instance]) {
            let (module, _) = linker.module(instance)?;
            if !module.tables.is_empty() || !module.memories.is_empty() {
                return Err(unexpected("an added library with a table or a memory of its own"));
            }
            for (index, global) in module.globals.iter().enumerate() {
                let item = Item::Own { instance, index: index as u32 };
                if !constants.contains_key(&item) && !unread.contains(&item) {
                    globals.insert(item, added.globals.len());
                    added.globals.push((added.members.len(), global.clone()));
                }
            }
            let space = &spaces.members[&instance];
            let mut imports = module.imported(Kind::Function);
            let functions = space.functions.iter().map(|item| {
                let ty = imports.next().map(|import| import.ty);
                match (*item, ty) {
                    (Item::Outside(index), Some(TypeRef::Func(ty))) => outside
                        .get(&index)
                        .map(|name| Target::Outside { name: name.to_string(), ty: module.types[ty as usize].clone() }),
                    _ if linker.adds(*item) => position.get(item).map(|&index| Target::Own(index)),
                    _ => exported.get(&(Kind::Function, *item)).map(|&name| Target::Exported(name.to_owned())),
                }
            });
            let functions = functions.collect();
            let known =
                space.globals.iter().map(|item| match (constants.get(item), exported.get(&(Kind::Global, *item))) {
                    (Some(&value), _) => Ok(Global::Known(GlobalTarget::Constant(value))),
                    (None, Some(&name)) => Ok(Global::Exported(name.to_owned())),
                    (None, None) => match globals.get(item) {
                        Some(&index) => Ok(Global::Own(index)),
                        // What no code of it reads is not exported either.
                        None => Ok(Global::Known(GlobalTarget::Unread)),
                    },
                });
            added.members.push(Member {
                instance,
                types: module.types.clone(),
                functions,
                globals: known.collect::<Result<_, LinkError>>()?,
                tables: space.tables.len(),
                memories: space.memories.len(),
                elements: module.elements.clone(),
            });
        }
        for &item in &own {
            let Item::Own { instance, index } = item else { continue };
            let member = added.members.iter().position(|member| member.instance == instance);
            let member = member.ok_or_else(|| unexpected("no added library"))?;
            let (module, _) = linker.module(instance)?;
            let name = module.names.get(&(index + module.imported(Kind::Function).count() as u32)).copied();
            let index = index as usize;
            added.functions.push((member, module.functions[index], module.bodies[index].clone(), name));
        }
        added.called = borders.called.iter().map(|item| position[item]).collect();
        Ok(added)
    }
}
