//! One interpreter, cut into the functions it becomes.

use wasm_encoder::ValType;
use wasmparser::{FunctionBody, Operator};

use super::fixed::{self, Room};
use super::flow::{Block, Exit, Flow, Node};
use super::live::{self, Variables, each, one};
use super::regions::Regions;
use super::selectors;
use super::structured::Part;
use crate::{LinkError, unexpected};

/// How many parameters the engine passes in registers.
const REGISTERS: usize = 4;

/// An interpreter in parts.
pub(crate) struct Interpreter<'a> {
    pub(crate) flow: Flow<'a>,
    /// The block that chooses the next instruction.
    pub(crate) dispatch: Node,
    /// The blocks at which its functions begin. The first is where the interpreter begins, the second is `dispatch`.
    pub(crate) parts: Vec<Node>,
    /// The type of each variable.
    pub(crate) types: Vec<ValType>,
    /// Where its functions find what does not fit into registers.
    pub(crate) room: Option<Room>,
    /// How many variables are parameters of the function.
    parameters: u32,
    regions: Regions,
    /// The instructions that are in the function of `dispatch`, as far as they call nobody.
    quick: Vec<Node>,
    /// The variables an instruction begins with, those first that most of them read.
    state: Vec<u32>,
    live: Vec<Variables>,
}

impl<'a> Interpreter<'a> {
    /// Cuts a function with variables of `types`, the first `parameters` of them its parameters.
    pub(crate) fn of(body: &FunctionBody<'a>, types: Vec<ValType>, parameters: u32) -> Result<Self, LinkError> {
        if types.len() > live::MOST as usize {
            return Err(unexpected(format!("an interpreter with {} variables", types.len())));
        }
        let mut flow = Flow::of(body)?;
        let dispatch = dispatch(&flow);
        let mut begins = flow.blocks[dispatch].exit.targets().to_vec();
        begins.sort_unstable();
        begins.dedup();
        selectors::thread(&mut flow);
        let room = fixed::settle(&mut flow, &types, parameters);
        label_cases(&mut flow);
        let regions = Regions::of(&flow, &begins, dispatch);
        let live = live::live(&flow);
        let mut state: Vec<u32> = each(live[dispatch]).collect();
        state.sort_by_key(|&variable| {
            std::cmp::Reverse(begins.iter().filter(|&&begin| live[begin] & one(variable) != 0).count())
        });
        let mut cut = Self {
            flow,
            dispatch,
            parts: vec![0, dispatch],
            types,
            room,
            parameters,
            regions,
            quick: Vec::new(),
            state,
            live,
        };
        cut.choose_parts(&begins);
        Ok(cut)
    }

    fn choose_parts(&mut self, begins: &[Node]) {
        let sources = self.flow.sources();
        let mut parts = Vec::new();
        for &entry in self.regions.entries.iter().filter(|&&entry| entry != 0) {
            let slow = self.slow(entry).filter(|_| begins.contains(&entry));
            let is_quick = slow.is_some();
            // Others may lead to an instruction, too, not only what chooses the next one.
            let elsewhere =
                |&source: &Node| self.regions.of[source] != entry && self.regions.of[source] != self.dispatch;
            if !is_quick || sources[entry].iter().any(elsewhere) {
                parts.push(entry);
            }
            parts.extend(slow.into_iter().flatten());
            if is_quick {
                self.quick.push(entry);
            }
        }
        self.parts.extend(parts);
    }

    /// Whether the function that begins at `part` has the code of `node`.
    pub(crate) fn belongs(&self, part: Node, node: Node) -> bool {
        let region = self.regions.of[node];
        if part == self.dispatch {
            return region == part || self.quick.contains(&region) && !self.calls(node);
        }
        region == self.regions.of[part]
    }

    /// The blocks with which the slow ways through a region begin, where there is a way without a call. What calls nobody
    /// stays with `dispatch`: the engine's allocator keeps its variables in registers.
    fn slow(&self, entry: Node) -> Option<Vec<Node>> {
        if self.calls(entry) {
            return None;
        }
        let inside = |node: Node| self.regions.of[node] == entry;
        let quick = self.flow.order(entry, |_, node| inside(node) && !self.calls(node));
        // A loop counts its rounds, and that is a call now and then.
        if Part::of(&self.flow, entry, |node| inside(node) && !self.calls(node)).has_loop() {
            return None;
        }
        let mut slow = Vec::new();
        let mut goes_on = false;
        for &node in &quick {
            for target in self.flow.blocks[node].exit.each() {
                goes_on |= target == self.dispatch;
                if inside(target) && self.calls(target) && !slow.contains(&target) {
                    slow.push(target);
                }
            }
        }
        goes_on.then_some(slow)
    }

    fn calls(&self, node: Node) -> bool {
        self.flow.blocks[node].operators.iter().any(|operator| {
            matches!(
                operator,
                Operator::Call { .. }
                    | Operator::CallIndirect { .. }
                    | Operator::MemoryCopy { .. }
                    | Operator::MemoryFill { .. }
            )
        })
    }

    /// The variables the function that begins at `node` is given as parameters, in their order.
    pub(crate) fn given(&self, node: Node) -> Vec<u32> {
        if node == 0 {
            return (0..self.parameters).collect();
        }
        let left = self.left(node);
        self.needed(node).into_iter().filter(|&variable| left.iter().all(|&(other, _)| other != variable)).collect()
    }

    /// The variables it finds in memory, and where: a parameter too many would be on the engine's own stack, and
    /// whoever calls such a function in the place of a return moves the frame there first.
    pub(crate) fn left(&self, node: Node) -> Vec<(u32, u64)> {
        let Some(room) = self.room.filter(|_| node != 0) else { return Vec::new() };
        let others = self.needed(node).into_iter().skip(REGISTERS);
        let others = others.filter(|&variable| self.types[variable as usize] == ValType::I32);
        others.enumerate().filter_map(|(number, variable)| Some((variable, room.place(number)?))).collect()
    }

    /// The variables whose values the code at `node` may read.
    fn needed(&self, node: Node) -> Vec<u32> {
        let live = self.live[node];
        let others = each(live).filter(|variable| !self.state.contains(variable));
        self.state.iter().copied().filter(|&variable| live & one(variable) != 0).chain(others).collect()
    }
}

/// The block that chooses the next instruction: it has the largest table.
fn dispatch(flow: &Flow<'_>) -> Node {
    (0..flow.blocks.len()).max_by_key(|&node| flow.blocks[node].exit.targets().len()).unwrap_or_default()
}

/// A block for each case of each table: what a table leads to has to be in the same function.
fn label_cases(flow: &mut Flow<'_>) {
    for node in 0..flow.blocks.len() {
        let Exit::Table(targets) = flow.blocks[node].exit.clone() else { continue };
        let mut cases: Vec<(Node, Node)> = Vec::new();
        let mut labelled = Vec::new();
        for target in targets {
            let case = cases.iter().find(|(known, _)| *known == target).map(|(_, case)| *case);
            let case = case.unwrap_or_else(|| {
                flow.blocks.push(Block { operators: Vec::new(), exit: Exit::Jump(target) });
                cases.push((target, flow.blocks.len() - 1));
                flow.blocks.len() - 1
            });
            labelled.push(case);
        }
        flow.blocks[node].exit = Exit::Table(labelled);
    }
}
