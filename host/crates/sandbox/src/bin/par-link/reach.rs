//! What of the members is still needed, and which of their globals never change.

use std::collections::{BTreeSet, HashMap, HashSet};

use wasmparser::{ElementItems, Operator};

use super::LinkError;
use super::graph::{Kind, Origin};
use super::resolve::{Item, Linker, Spaces};

impl<'a> Linker<'_, 'a> {
    /// What the rest of the component takes from the members, and under which names.
    pub(crate) fn roots(&self) -> Result<Vec<Root<'a>>, LinkError> {
        let mut roots = Vec::new();
        let mut seen = HashSet::new();
        for (kind, index) in self.graph.used_outside(&self.is_member) {
            if let Origin::Export { instance, name } = self.graph.origin(kind, index)?
                && self.is_member[instance]
                && seen.insert((instance, name))
            {
                roots.push(Root { instance, name, kind, item: self.resolve_export(instance, name)? });
            }
        }
        Ok(roots)
    }

    /// Every function that an export or a table leads to.
    pub(crate) fn reachable(&self, spaces: &Spaces, roots: &[Root<'a>]) -> Result<BTreeSet<Item>, LinkError> {
        let mut open: Vec<Item> =
            roots.iter().filter(|root| root.kind == Kind::Function).map(|root| root.item).collect();
        open.extend(self.graph.safepoint.map(Item::Outside));
        for &instance in &self.members {
            let functions = &spaces.members[&instance].functions;
            for element in &self.module(instance)?.0.elements {
                match &element.items {
                    ElementItems::Functions(indices) => {
                        for index in indices.clone() {
                            open.push(functions[index? as usize]);
                        }
                    }
                    ElementItems::Expressions(_, expressions) => {
                        for expression in expressions.clone() {
                            for operator in expression?.get_operators_reader() {
                                if let Operator::RefFunc { function_index } = operator? {
                                    open.push(functions[function_index as usize]);
                                }
                            }
                        }
                    }
                }
            }
        }
        let mut reached = BTreeSet::new();
        while let Some(item) = open.pop() {
            if !reached.insert(item) {
                continue;
            }
            let Item::Own { instance, index } = item else { continue };
            let functions = &spaces.members[&instance].functions;
            let body = &self.module(instance)?.0.bodies[index as usize];
            for operator in body.get_operators_reader()? {
                match operator? {
                    Operator::Call { function_index }
                    | Operator::ReturnCall { function_index }
                    | Operator::RefFunc { function_index } => open.push(functions[function_index as usize]),
                    _ => {}
                }
            }
        }
        Ok(reached)
    }

    /// The value of every global that no reachable function sets and nobody outside sees.
    pub(crate) fn constants(
        &self,
        spaces: &Spaces,
        roots: &[Root<'a>],
        reachable: &BTreeSet<Item>,
    ) -> Result<HashMap<Item, i32>, LinkError> {
        let mut changing: HashSet<Item> =
            roots.iter().filter(|root| root.kind == Kind::Global).map(|root| root.item).collect();
        for item in reachable {
            let &Item::Own { instance, index } = item else { continue };
            for operator in self.module(instance)?.0.bodies[index as usize].get_operators_reader()? {
                if let Operator::GlobalSet { global_index } = operator? {
                    changing.insert(spaces.members[&instance].globals[global_index as usize]);
                }
            }
        }
        let mut constants = HashMap::new();
        for &instance in &self.members {
            for &item in &spaces.members[&instance].globals {
                self.evaluate(spaces, &changing, item, &mut constants)?;
            }
        }
        Ok(constants)
    }

    /// Every global whose value makes no difference: what it begins with, the end of the heap for one,
    /// must not make other code of it.
    pub(crate) fn unread(
        &self,
        spaces: &Spaces,
        roots: &[Root<'a>],
        reachable: &BTreeSet<Item>,
    ) -> Result<HashSet<Item>, LinkError> {
        let mut read: HashSet<Item> =
            roots.iter().filter(|root| root.kind == Kind::Global).map(|root| root.item).collect();
        for item in reachable {
            let &Item::Own { instance, index } = item else { continue };
            for operator in self.module(instance)?.0.bodies[index as usize].get_operators_reader()? {
                if let Operator::GlobalGet { global_index } = operator? {
                    read.insert(spaces.members[&instance].globals[global_index as usize]);
                }
            }
        }
        let mut unread = HashSet::new();
        for &instance in &self.members {
            let module = self.module(instance)?.0;
            let globals = &spaces.members[&instance].globals;
            // What else is initialised with a global may be anything: it counts as read.
            for global in &module.globals {
                for operator in global.init_expr.get_operators_reader() {
                    if let Operator::GlobalGet { global_index } = operator? {
                        read.insert(globals[global_index as usize]);
                    }
                }
            }
            unread.extend(globals.iter().copied());
        }
        unread.retain(|item| !read.contains(item));
        Ok(unread)
    }

    fn evaluate(
        &self,
        spaces: &Spaces,
        changing: &HashSet<Item>,
        item: Item,
        known: &mut HashMap<Item, i32>,
    ) -> Result<Option<i32>, LinkError> {
        if let Some(&value) = known.get(&item) {
            return Ok(Some(value));
        }
        let Item::Own { instance, index } = item else { return Ok(None) };
        if changing.contains(&item) {
            return Ok(None);
        }
        let mut stack = Vec::new();
        for operator in self.module(instance)?.0.globals[index as usize].init_expr.get_operators_reader() {
            let value = match operator? {
                Operator::I32Const { value } => value,
                Operator::GlobalGet { global_index } => {
                    let global = spaces.members[&instance].globals[global_index as usize];
                    match self.evaluate(spaces, changing, global, known)? {
                        Some(value) => value,
                        None => return Ok(None),
                    }
                }
                Operator::I32Add => match (stack.pop(), stack.pop()) {
                    (Some(a), Some(b)) => i32::wrapping_add(a, b),
                    _ => return Ok(None),
                },
                Operator::End => break,
                _ => return Ok(None),
            };
            stack.push(value);
        }
        if let [value] = stack[..] {
            known.insert(item, value);
            return Ok(Some(value));
        }
        Ok(None)
    }
}

/// An export of a member that the rest of the component uses.
pub(crate) struct Root<'a> {
    pub(crate) instance: usize,
    pub(crate) name: &'a str,
    pub(crate) kind: Kind,
    pub(crate) item: Item,
}
