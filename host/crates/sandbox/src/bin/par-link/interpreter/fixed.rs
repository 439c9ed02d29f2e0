//! Finds another place for variables that are written once: nobody has to pass them on.

use wasm_encoder::ValType;
use wasmparser::{MemArg, Operator};

use super::flow::{Exit, Flow};
use super::live::{self, one};

/// The stack in memory is aligned to so many bytes.
const ALIGNMENT: usize = 16;

/// Room in the frame for variables that one function hands to the next.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// The global that says where the frame begins.
    pub(crate) global: u32,
    offset: u64,
}

/// So many variables have room.
const ROOM: usize = 16;

impl Room {
    /// The place of the variable that is handed over as the `number`th one, if there is one.
    pub(crate) fn place(&self, number: usize) -> Option<u64> {
        (number < ROOM).then_some(self.offset + 4 * number as u64)
    }
}

/// Where a function has its frame on the stack in memory.
struct Frame {
    /// The global that says where the stack ends. That is where the frame begins while the function runs.
    global: u32,
    /// The variable that says so, too.
    variable: u32,
    size: i32,
    /// How many instructions of the first block it takes to make it.
    made: usize,
}

/// Computes what can be computed again where it is read, and keeps other variables that are written once in the frame: `parameters` of
/// the function, and those of `types`. A function without a frame stays what it is.
pub(crate) fn settle(flow: &mut Flow<'_>, types: &[ValType], parameters: u32) -> Option<Room> {
    let frame = Frame::of(flow)?;
    let global = Operator::GlobalGet { global_index: frame.global };
    replace(flow, frame.made, frame.variable, std::slice::from_ref(&global));
    let unset = live::live(flow)[0];
    let mut kept = Vec::new();
    for (variable, ty) in (0..).zip(types) {
        let is_parameter = variable < parameters;
        let once = if is_parameter { writes(flow, variable) == 0 } else { writes(flow, variable) == 1 };
        if variable == frame.variable || !once || *ty != ValType::I32 || (!is_parameter && unset & one(variable) != 0) {
            continue;
        }
        match computation(flow, frame.global, variable) {
            Some(computation) => replace(flow, 0, variable, &computation),
            None => kept.push(variable),
        }
    }
    for (place, &variable) in kept.iter().enumerate() {
        let memarg = MemArg { align: 2, max_align: 2, offset: frame.offset(place), memory: 0 };
        replace(flow, frame.made, variable, &[global.clone(), Operator::I32Load { memarg }]);
        let keep = [global.clone(), Operator::LocalGet { local_index: variable }, Operator::I32Store { memarg }];
        if variable < parameters {
            let first = &mut flow.blocks[0].operators;
            first.splice(frame.made..frame.made, keep);
            continue;
        }
        for block in &mut flow.blocks {
            if let Some(write) = block.operators.iter().position(|operator| written(operator) == Some(variable)) {
                block.operators.splice(write + 1..write + 1, keep.clone());
            }
        }
    }
    frame.grow(flow, (4 * (kept.len() + ROOM)).next_multiple_of(ALIGNMENT) as i32);
    Some(Room { global: frame.global, offset: frame.offset(kept.len()) })
}

impl Frame {
    /// The frame of a function that makes it first of all, and gives it back where it returns.
    fn of(flow: &Flow<'_>) -> Option<Self> {
        let first = &flow.blocks[0].operators;
        let at = first.iter().position(|operator| matches!(operator, Operator::GlobalSet { .. }))?;
        let [
            Operator::GlobalGet { global_index: global },
            Operator::I32Const { value: size },
            Operator::I32Sub,
            set @ ..,
        ] = &first[..at]
        else {
            return None;
        };
        let is_variable = |operator: &Operator<'_>| {
            matches!(operator, Operator::LocalGet { .. } | Operator::LocalSet { .. } | Operator::LocalTee { .. })
        };
        let variable = set.iter().filter_map(written).find(|&variable| writes(flow, variable) == 1)?;
        let frame = Self { global: *global, variable, size: *size, made: at + 1 };
        let same = matches!(first[at], Operator::GlobalSet { global_index } if global_index == *global);
        (same && set.iter().all(is_variable) && frame.is_given_back(flow)).then_some(frame)
    }

    fn is_given_back(&self, flow: &Flow<'_>) -> bool {
        flow.blocks.iter().enumerate().all(|(node, block)| {
            let operators = &block.operators[if node == 0 { self.made } else { 0 }..];
            let sets = |operator: &Operator<'_>| matches!(operator, Operator::GlobalSet { global_index } if *global_index == self.global);
            let Some(at) = operators.iter().position(sets) else { return true };
            let gives_back = matches!(
                operators[..at],
                [.., Operator::LocalGet { local_index }, Operator::I32Const { value }, Operator::I32Add]
                    if local_index == self.variable && value == self.size
            );
            let reads = operators[at..].iter().any(|operator| read(operator) == Some(self.variable));
            gives_back && !reads && block.exit == Exit::Return
        })
    }

    /// Where the `number`th variable is after all that was in the frame.
    fn offset(&self, number: usize) -> u64 {
        u64::from(self.size.unsigned_abs()) + 4 * number as u64
    }

    /// Makes room for so many bytes after all others.
    fn grow(&self, flow: &mut Flow<'_>, bytes: i32) {
        for block in &mut flow.blocks {
            let ends: Vec<usize> = block
                .operators
                .iter()
                .enumerate()
                .filter_map(|(at, operator)| match operator {
                    Operator::GlobalSet { global_index } if *global_index == self.global => Some(at),
                    _ => None,
                })
                .collect();
            for end in ends {
                let size = block.operators[..end].iter_mut().rev().find_map(|operator| match operator {
                    Operator::I32Const { value } if *value == self.size => Some(value),
                    _ => None,
                });
                if let Some(size) = size {
                    *size += bytes;
                }
            }
        }
    }
}

fn written(operator: &Operator<'_>) -> Option<u32> {
    match *operator {
        Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => Some(local_index),
        _ => None,
    }
}

fn read(operator: &Operator<'_>) -> Option<u32> {
    match *operator {
        Operator::LocalGet { local_index } => Some(local_index),
        _ => None,
    }
}

fn writes(flow: &Flow<'_>, variable: u32) -> usize {
    flow.blocks.iter().flat_map(|block| &block.operators).filter(|operator| written(operator) == Some(variable)).count()
}

/// What a variable that is written once is computed by, when that is the same at any time.
fn computation<'a>(flow: &Flow<'a>, stack: u32, variable: u32) -> Option<Vec<Operator<'a>>> {
    let (operators, write) = flow.blocks.iter().find_map(|block| {
        let write = block.operators.iter().position(|operator| written(operator) == Some(variable))?;
        Some((&block.operators, write))
    })?;
    let mut wanted = 1;
    for first in (0..write).rev() {
        match operators[first] {
            Operator::I32Const { .. } => wanted -= 1,
            Operator::GlobalGet { global_index } if global_index == stack => wanted -= 1,
            Operator::I32Add | Operator::I32Sub | Operator::I32Or => wanted += 1,
            _ => return None,
        }
        if wanted == 0 {
            return Some(operators[first..write].to_vec());
        }
    }
    None
}

/// Puts `instead` in the place of each read of a variable, but for the first instructions of the first block.
fn replace<'a>(flow: &mut Flow<'a>, spared: usize, variable: u32, instead: &[Operator<'a>]) {
    for (node, block) in flow.blocks.iter_mut().enumerate() {
        let spared = if node == 0 { spared } else { 0 };
        let operators = std::mem::take(&mut block.operators);
        for (at, operator) in operators.into_iter().enumerate() {
            if at >= spared && read(&operator) == Some(variable) {
                block.operators.extend_from_slice(instead);
            } else {
                block.operators.push(operator);
            }
        }
    }
}
