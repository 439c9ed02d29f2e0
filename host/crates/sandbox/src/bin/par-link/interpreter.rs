//! Cuts CPython's bytecode loop into functions.
//!
//! The loop is one function: a table of jumps in a loop, and the code of every instruction around it, fifty thousand
//! instructions of machine code. Its few important variables are alive through all of them, and past thousands of calls. The
//! engine's allocator of registers gives such variables up: each use loads its variable from the stack, each change stores
//! it there, memory's own address included.
//!
//! Here one function chooses the next instruction and has the code of those that call nobody. The others, and the slow
//! ways of these, are functions of their own, and lead back to it. They call each other in the place of a return; the variables are
//! parameters, which are in registers.
//!
//! The functions are made before the optimiser sees the code ([`split()`]). It must not put one into another: it would make
//! an ordinary call of one in the place of a return, and the stack would grow with every instruction. So all of these
//! calls go through a table that somebody else might change, as far as it knows. Afterwards they name their function
//! ([`settled`]).

mod cut;
mod fixed;
mod flow;
mod live;
mod regions;
mod selectors;
mod settle;
mod split;
mod structured;

pub(crate) use settle::settled;
pub(crate) use split::split;

/// The export of the table of the functions an interpreter was made into.
const PARTS: &str = "interpreter.parts";

/// The export of a global that stands for the budget between [`split()`] and [`crate::safepoints`]: to read it takes one from the budget and says
/// whether it is used up, to write it asks the host.
pub(crate) const EXHAUSTED: &str = "interpreter.exhausted";
