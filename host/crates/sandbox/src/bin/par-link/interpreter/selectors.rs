//! Undoes what compilers do to loops that are entered in several places.
//!
//! WebAssembly has no such loops. A compiler gives one a single head, which chooses by a number that whoever leads there has just put
//! into a variable. That number is known, and in parts the loop may be entered anywhere.

use wasmparser::Operator;

use super::flow::{Exit, Flow, Node};

/// Leads each block that sets the number to where it chooses.
pub(crate) fn thread(flow: &mut Flow<'_>) {
    for head in 0..flow.blocks.len() {
        let ([Operator::LocalGet { local_index }], Exit::Table(targets)) =
            (flow.blocks[head].operators.as_slice(), &flow.blocks[head].exit)
        else {
            continue;
        };
        let (variable, targets) = (*local_index, targets.clone());
        for block in &mut flow.blocks {
            if block.exit == Exit::Jump(head)
                && let Some(target) = chosen(&block.operators, variable, &targets)
            {
                block.exit = Exit::Jump(target);
            }
        }
    }
}

/// What is chosen after `operators`, if they say so.
fn chosen(operators: &[Operator<'_>], variable: u32, targets: &[Node]) -> Option<Node> {
    let writes = |operator: &Operator<'_>| match *operator {
        Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => local_index == variable,
        _ => false,
    };
    let last = operators.iter().rposition(writes)?;
    let (Operator::LocalSet { .. }, Some(Operator::I32Const { value })) =
        (&operators[last], last.checked_sub(1).map(|before| &operators[before]))
    else {
        return None;
    };
    let number = usize::try_from(*value).unwrap_or(usize::MAX);
    targets.get(number).or(targets.last()).copied()
}
