//! Which calls may lead back to the function that makes them.

use wasmparser::Operator;

use super::facts::Facts;

/// The calls without which nothing that is called by name would ever be called again from within.
pub(crate) struct Circles {
    imported: u32,
    /// For each function of its own, those it calls that are still being followed where the call was found.
    closing: Vec<Vec<u32>>,
}

/// How far the calls of a function were followed.
#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

impl Circles {
    /// Follows all calls, the first one first. One that leads to a function on the way to it closes a circle,
    /// and every circle has such a call.
    pub(crate) fn of(facts: &Facts) -> Self {
        let calls = &facts.calls;
        let mut state = vec![State::New; calls.len()];
        let mut closing = vec![Vec::new(); calls.len()];
        for root in 0..calls.len() {
            if state[root] != State::New {
                continue;
            }
            state[root] = State::Open;
            // Not by recursion: the way may be thousands of calls long.
            let mut way = vec![(root, calls[root].iter())];
            while let Some((function, left)) = way.last_mut() {
                let function = *function;
                let Some(&called) = left.next() else {
                    state[function] = State::Done;
                    way.pop();
                    continue;
                };
                let Some(own) = called.checked_sub(facts.imported).map(|own| own as usize) else { continue };
                match state[own] {
                    State::New => {
                        state[own] = State::Open;
                        way.push((own, calls[own].iter()));
                    }
                    State::Open => closing[function].push(called),
                    State::Done => {}
                }
            }
        }
        Self { imported: facts.imported, closing }
    }

    /// Whether `operator` of `function` may lead back to `function`. Of every circle, one call says so.
    pub(crate) fn may_return(&self, function: u32, operator: &Operator<'_>) -> bool {
        match operator {
            Operator::CallIndirect { .. } | Operator::ReturnCallIndirect { .. } | Operator::CallRef { .. } => true,
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                self.closing[(function - self.imported) as usize].binary_search(function_index).is_ok()
            }
            _ => false,
        }
    }
}
