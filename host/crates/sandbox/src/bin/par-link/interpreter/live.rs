//! Which variables a block still needs.

use wasmparser::Operator;

use super::flow::{Block, Flow, Node};

/// A set of variables, each a bit.
pub(crate) type Variables = u128;

/// How many variables a set has room for.
pub(crate) const MOST: u32 = Variables::BITS;

pub(crate) fn one(variable: u32) -> Variables {
    1 << variable
}

/// The variables of a set, in order.
pub(crate) fn each(variables: Variables) -> impl Iterator<Item = u32> {
    (0..MOST).filter(move |&variable| variables & one(variable) != 0)
}

/// For each block, the variables whose values at its beginning may be read, there or later.
pub(crate) fn live(flow: &Flow<'_>) -> Vec<Variables> {
    let own: Vec<(Variables, Variables)> = flow.blocks.iter().map(read_and_written).collect();
    let mut order = flow.order(0, |_, _| true);
    order.reverse();
    let mut live = vec![0; flow.blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for &node in &order {
            let (read, written) = own[node];
            let after = flow.blocks[node].exit.each().fold(0, |after, target: Node| after | live[target]);
            let before = read | (after & !written);
            changed |= before != live[node];
            live[node] = before;
        }
    }
    live
}

/// The variables that are read before the block writes them, and those it writes.
fn read_and_written(block: &Block<'_>) -> (Variables, Variables) {
    let (mut read, mut written) = (0, 0);
    for operator in &block.operators {
        match *operator {
            Operator::LocalGet { local_index } => read |= one(local_index) & !written,
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => written |= one(local_index),
            _ => {}
        }
    }
    (read, written)
}
