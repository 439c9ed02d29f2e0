//! Cuts an interpreter into regions that are entered at one place each.

use super::flow::{Flow, Node};

/// The parts of an interpreter that may become functions.
pub(crate) struct Regions {
    /// For each block, the first one of its region.
    pub(crate) of: Vec<Node>,
    /// The first blocks but that of `dispatch`, in the order of the code.
    pub(crate) entries: Vec<Node>,
}

impl Regions {
    /// The largest regions that begin at the first block, at `dispatch`, where instructions begin, and wherever else two of
    /// them meet.
    pub(crate) fn of(flow: &Flow<'_>, begins: &[Node], dispatch: Node) -> Self {
        let order = flow.order(0, |_, _| true);
        let sources = flow.sources();
        let mut is_entry = vec![false; flow.blocks.len()];
        for &entry in begins.iter().chain([&0, &dispatch]) {
            is_entry[entry] = true;
        }
        loop {
            let mut of = vec![usize::MAX; flow.blocks.len()];
            let mut met = false;
            for &node in &order {
                // The sources that are not known yet lead back, from a loop this block is the head of.
                let mut known = sources[node].iter().map(|&source| of[source]).filter(|&region| region != usize::MAX);
                let first = known.next().filter(|&region| known.all(|other| other == region));
                of[node] = match first {
                    Some(region) if !is_entry[node] => region,
                    _ => {
                        met |= !is_entry[node];
                        is_entry[node] = true;
                        node
                    }
                };
            }
            for &node in &order {
                if !is_entry[node] && sources[node].iter().any(|&source| of[source] != of[node]) {
                    is_entry[node] = true;
                    met = true;
                }
            }
            if !met {
                let entries = order.into_iter().filter(|&node| node != dispatch && is_entry[node]).collect();
                return Self { of, entries };
            }
        }
    }
}
