//! Writes basic blocks as the blocks and loops of WebAssembly.
//!
//! The way is that of N. Ramsey, "Beyond Relooper" (ICFP 2022): a block is written within the block that dominates it, one that
//! several lead to after a `block` around all of these, and the head of a loop in a `loop`. It needs no loop that is entered
//! in two places, and compilers write none.

use std::collections::HashMap;

use wasm_encoder::{BlockType, InstructionSink};

use super::flow::{Exit, Flow, Node};

/// What the writer of a function does itself.
pub(crate) trait Body<'a> {
    /// Where instructions go.
    fn sink(&mut self) -> InstructionSink<'_>;

    /// Writes the instructions of a block.
    fn straight(&mut self, node: Node) -> Result<(), crate::LinkError>;

    /// Writes what leaves the part of the function that is written for `node`.
    fn leave(&mut self, node: Node) -> Result<(), crate::LinkError>;
}

/// A part of a function, entered at one block.
pub(crate) struct Part {
    /// Its blocks, in reverse postorder.
    order: Vec<Node>,
    /// The place of each in that order.
    place: HashMap<Node, usize>,
    /// For each place, the blocks written after the one there, the last one first.
    after: Vec<Vec<usize>>,
    is_head: Vec<bool>,
    has_label: Vec<bool>,
}

/// What a jump may lead to, from the outside in.
enum Label {
    Block(usize),
    Loop(usize),
    /// One that nobody jumps to.
    Case,
}

impl Part {
    /// The blocks that can be reached from `first` without leaving those for which `belongs` holds.
    pub(crate) fn of(flow: &Flow<'_>, first: Node, belongs: impl Fn(Node) -> bool) -> Self {
        let order = flow.order(first, |_, target| belongs(target));
        let place: HashMap<_, _> = order.iter().enumerate().map(|(place, &node)| (node, place)).collect();
        let mut forward = vec![Vec::new(); order.len()];
        let (mut is_head, mut has_label) = (vec![false; order.len()], vec![false; order.len()]);
        for (from, &node) in order.iter().enumerate() {
            let exit = &flow.blocks[node].exit;
            let inside = exit.each().filter_map(|target| place.get(&target).copied());
            for to in inside {
                if to <= from {
                    is_head[to] = true;
                } else {
                    has_label[to] |= matches!(exit, Exit::Table(_)) || !forward[to].is_empty();
                    forward[to].push(from);
                }
            }
        }
        let mut dominator: Vec<usize> = vec![0; order.len()];
        for to in 1..order.len() {
            dominator[to] =
                forward[to].iter().copied().reduce(|one, other| common(&dominator, one, other)).unwrap_or(0);
        }
        let mut after = vec![Vec::new(); order.len()];
        for to in (1..order.len()).rev() {
            if has_label[to] {
                after[dominator[to]].push(to);
            }
        }
        Self { order, place, after, is_head, has_label }
    }

    /// Whether it has a loop.
    pub(crate) fn has_loop(&self) -> bool {
        self.is_head.contains(&true)
    }

    /// Writes all of it.
    pub(crate) fn write<'a>(&self, flow: &Flow<'a>, body: &mut impl Body<'a>) -> Result<(), crate::LinkError> {
        self.tree(flow, body, 0, &mut Vec::new())?;
        body.sink().unreachable().end();
        Ok(())
    }

    /// Writes the block at `place` and all that it dominates.
    fn tree<'a>(
        &self,
        flow: &Flow<'a>,
        body: &mut impl Body<'a>,
        place: usize,
        labels: &mut Vec<Label>,
    ) -> Result<(), crate::LinkError> {
        if self.is_head[place] {
            body.sink().loop_(BlockType::Empty);
            labels.push(Label::Loop(place));
        }
        for &after in &self.after[place] {
            body.sink().block(BlockType::Empty);
            labels.push(Label::Block(after));
        }
        self.block(flow, body, place, labels)?;
        for &after in self.after[place].iter().rev() {
            body.sink().end();
            labels.pop();
            self.tree(flow, body, after, labels)?;
        }
        if self.is_head[place] {
            body.sink().end();
            labels.pop();
        }
        Ok(())
    }

    fn block<'a>(
        &self,
        flow: &Flow<'a>,
        body: &mut impl Body<'a>,
        place: usize,
        labels: &mut Vec<Label>,
    ) -> Result<(), crate::LinkError> {
        let node = self.order[place];
        body.straight(node)?;
        match &flow.blocks[node].exit {
            Exit::Jump(target) => self.go(flow, body, place, *target, labels),
            Exit::Branch { taken, otherwise } if taken == otherwise => {
                body.sink().drop();
                self.go(flow, body, place, *taken, labels)
            }
            Exit::Branch { taken, otherwise } => {
                if let Some(depth) = self.label(place, *taken, labels) {
                    body.sink().br_if(depth);
                } else {
                    body.sink().if_(BlockType::Empty);
                    labels.push(Label::Case);
                    self.go(flow, body, place, *taken, labels)?;
                    labels.pop();
                    body.sink().end();
                }
                self.go(flow, body, place, *otherwise, labels)
            }
            Exit::Table(targets) => {
                let depths: Option<Vec<_>> = targets.iter().map(|&target| self.label(place, target, labels)).collect();
                let depths = depths.ok_or_else(|| crate::unexpected("a table that leads out of a part"))?;
                let (last, others) = depths.split_last().ok_or_else(|| crate::unexpected("an empty table"))?;
                body.sink().br_table(others.iter().copied(), *last);
                Ok(())
            }
            Exit::Return => {
                body.sink().return_();
                Ok(())
            }
            Exit::Trap => {
                body.sink().unreachable();
                Ok(())
            }
        }
    }

    /// Goes from the block at `place` to `target`: by a jump, by writing it here, or by leaving.
    fn go<'a>(
        &self,
        flow: &Flow<'a>,
        body: &mut impl Body<'a>,
        place: usize,
        target: Node,
        labels: &mut Vec<Label>,
    ) -> Result<(), crate::LinkError> {
        if let Some(depth) = self.label(place, target, labels) {
            body.sink().br(depth);
            return Ok(());
        }
        match self.place.get(&target) {
            Some(&to) if to > place => self.tree(flow, body, to, labels),
            Some(_) => Err(crate::unexpected("a loop that is entered in two places")),
            None => body.leave(target),
        }
    }

    /// How many labels out a jump from the block at `place` leads to `target`, if it has one.
    fn label(&self, place: usize, target: Node, labels: &[Label]) -> Option<u32> {
        let to = *self.place.get(&target)?;
        if to > place && !self.has_label[to] {
            return None;
        }
        let depth = labels.iter().rev().position(|label| match *label {
            Label::Block(label) => to > place && label == to,
            Label::Loop(label) => to <= place && label == to,
            Label::Case => false,
        })?;
        u32::try_from(depth).ok()
    }
}

/// The block that dominates two blocks, where those before them are known.
fn common(dominator: &[usize], mut one: usize, mut other: usize) -> usize {
    while one != other {
        if one > other {
            one = dominator[one];
        } else {
            other = dominator[other];
        }
    }
    one
}
