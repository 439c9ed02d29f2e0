//! What the parts of an interpreter promise: they do what it did, on a stack that does not grow, and can be interrupted.

use std::collections::HashSet;
use std::fmt::Write;

use proptest::prelude::*;
use wasmparser::{Operator, Parser, Payload};
use wasmtime::{Engine, Instance, Memory, Module, Store};

use super::interpreter::{settled, split};
use super::safepoints::{Surroundings, in_code};

/// Where programs are in memory.
const PROGRAM: usize = 4096;

/// Instructions of two bytes, the second one a number `n`.
const ADD: u8 = 1;
/// Goes back by `n` instructions, as often as the counter says.
const LOOP: u8 = 2;
/// Calls the interpreter with the program `n` instructions further on.
const CALL: u8 = 3;
const RETURN: u8 = 4;
/// Sets the counter.
const COUNT: u8 = 5;
/// Both end in the same way.
const DOUBLE: u8 = 6;
const NEGATE: u8 = 7;
/// The next instruction, with more in its number.
const EXTEND: u8 = 8;
/// As after an exception: begins anew `n` instructions further on.
const RAISE: u8 = 9;
/// A table of its own.
const CHOOSE: u8 = 10;
/// Goes back by `n` instructions, always.
const BACK: u8 = 11;
/// What the interpreter does not know.
const UNKNOWN: u8 = 200;

/// An interpreter the way compilers write them: a frame on the stack in memory, what never changes computed once before the
/// loop, and a number that says where a loop with two entries begins.
fn interpreter() -> Vec<u8> {
    let cases = 12;
    let mut table = String::new();
    for number in 0..=256 {
        write!(table, " {}", if (1..cases).contains(&number) { number } else { 0 }).unwrap();
    }
    let blocks =
        |from: i32, to: i32| (from..to).rev().fold(String::new(), |text, case| text + &format!("(block $case{case} "));
    let text = format!(
        r#"(module
        (import "" "0" (func $safepoint))
        (memory (export "memory") 2)
        (table 1 funcref)
        (global $stack (mut i32) (i32.const 4000))
        (global $other (mut i32) (i32.const 0))
        (elem (i32.const 0) func $_PyEval_EvalFrameDefault)
        (export "run" (func $_PyEval_EvalFrameDefault))
        (func $_PyEval_EvalFrameDefault (param $program i32) (param $value i32) (result i32)
            (local $frame i32) (local $copy i32) (local $at i32) (local $word i32) (local $number i32)
            (local $counter i32) (local $selector i32) (local $far i32) (local $near i32) (local $read i32)
            (local.set $copy (local.tee $frame (i32.sub (global.get $stack) (i32.const 32))))
            (global.set $stack (local.get $frame))
            (i32.store offset=8 (local.get $copy) (i32.const 0))
            (local.set $far (i32.or (i32.const 96) (i32.const 4)))
            (local.set $near (i32.add (local.get $copy) (i32.const 16)))
            (local.set $read (i32.load8_u (local.get $program)))
            (i32.store (local.get $near) (local.get $read))
            (local.set $at (local.get $program))
            (block $out
                (local.set $selector (i32.const 1))
                (loop $again
                    (block $begin
                        (block $raised
                            (br_table $raised $begin $begin (local.get $selector)))
                        (local.set $at (i32.add (local.get $at) (i32.shl (local.get $number) (i32.const 1))))
                        (local.set $value (i32.add (local.get $value) (local.get $far)))
                        (local.set $selector (i32.const 1))
                        (br $again))
                    (local.set $word (i32.load16_u (local.get $at)))
                    (local.set $number (i32.shr_u (local.get $word) (i32.const 8)))
                    (loop $next
                        (block $shared
                        {open}
                            (br_table{table} (i32.and (local.get $word) (i32.const 255))))
                        ;; unknown
                        (local.set $value (i32.const -1))
                        (br $out))
                        ;; add
                        (local.set $value (i32.add (local.get $value) (local.get $number)))
                        (local.set $word (i32.load16_u (local.tee $at (i32.add (local.get $at) (i32.const 2)))))
                        (local.set $number (i32.shr_u (local.get $word) (i32.const 8)))
                        (br $next))
                        ;; loop
                        (local.set $counter (i32.load offset=8 (local.get $copy)))
                        (block $done
                            (br_if $done (i32.eqz (local.get $counter)))
                            (i32.store offset=8 (local.get $copy) (i32.sub (local.get $counter) (i32.const 1)))
                            (local.set $word (i32.load16_u (local.tee $at (i32.sub (local.get $at) (i32.shl (local.get $number) (i32.const 1))))))
                            (local.set $number (i32.shr_u (local.get $word) (i32.const 8)))
                            (br $next))
                        (local.set $value (i32.add (local.get $value) (i32.load (local.get $near))))
                        (br $shared))
                        ;; call
                        (local.set $value (i32.add (local.get $value)
                            (call_indirect (param i32 i32) (result i32)
                                (i32.add (i32.add (local.get $at) (i32.const 2)) (i32.shl (local.get $number) (i32.const 1)))
                                (local.get $read) (i32.const 0))))
                        (br $shared))
                        ;; return
                        (br $out))
                        ;; count
                        (i32.store offset=8 (local.get $copy) (local.get $number))
                        (br $shared))
                        ;; double
                        (local.set $value (i32.shl (local.get $value) (i32.const 1)))
                        (br $shared))
                        ;; negate
                        (local.set $value (i32.sub (i32.const 0) (local.get $value)))
                        (br $shared))
                        ;; extend
                        (local.set $word (i32.load16_u (local.tee $at (i32.add (local.get $at) (i32.const 2)))))
                        (local.set $number (i32.or (i32.shl (local.get $number) (i32.const 8)) (i32.shr_u (local.get $word) (i32.const 8))))
                        (br $next))
                        ;; raise
                        (local.set $number (i32.add (local.get $number) (i32.const 1)))
                        (local.set $selector (i32.const 0))
                        (br $again))
                        ;; choose
                        (block $three (block $two (block $one
                            (br_table $one $two $three (local.get $number)))
                            (local.set $value (i32.add (local.get $value) (local.get $program)))
                            (br $shared))
                            (local.set $value (i32.xor (local.get $value) (local.get $near)))
                            (br $shared))
                        (loop $count
                            (local.set $value (i32.add (local.get $value) (i32.const 3)))
                            (br_if $count (local.tee $number (i32.sub (local.get $number) (i32.const 1)))))
                        (br $shared))
                        ;; back
                        (local.set $word (i32.load16_u (local.tee $at (i32.sub (local.get $at) (i32.shl (local.get $number) (i32.const 1))))))
                        (local.set $number (i32.shr_u (local.get $word) (i32.const 8)))
                        (br $next))
                        ;; what several share
                        (local.set $value (i32.add (local.get $value) (i32.load (local.get $near))))
                        (local.set $word (i32.load16_u (local.tee $at (i32.add (local.get $at) (i32.const 2)))))
                        (local.set $number (i32.shr_u (local.get $word) (i32.const 8)))
                        (br $next))
                    (unreachable)))
            (global.set $stack (i32.add (local.get $copy) (i32.const 32)))
            (local.get $value)))"#,
        open = blocks(0, cases),
    );
    wat::parse_str(text).unwrap()
}

/// The parts, as the linker writes them, without an optimiser in between.
fn parts() -> Vec<u8> {
    settled(&split(&interpreter()).unwrap()).unwrap()
}

/// How a program ended: with a value, without fuel, or in a trap.
#[derive(Debug, PartialEq)]
enum End {
    Value(i32),
    OutOfFuel,
    Trap,
}

struct Machine {
    store: Store<u32>,
    instance: Instance,
    memory: Memory,
}

impl Machine {
    fn of(code: &[u8], fuel: u64) -> Self {
        let mut config = wasmtime::Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, code).unwrap();
        let mut store = Store::new(&engine, 0);
        store.set_fuel(fuel).unwrap();
        let mut linker = wasmtime::Linker::new(&engine);
        linker.func_wrap("", "0", |mut caller: wasmtime::Caller<'_, u32>| *caller.data_mut() += 1).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        Self { store, instance, memory }
    }

    fn run(&mut self, program: &[(u8, u8)], value: i32) -> End {
        let bytes: Vec<u8> = program.iter().flat_map(|&(instruction, number)| [instruction, number]).collect();
        self.memory.write(&mut self.store, PROGRAM, &bytes).unwrap();
        let run = self.instance.get_typed_func::<(i32, i32), i32>(&mut self.store, "run").unwrap();
        match run.call(&mut self.store, (PROGRAM as i32, value)) {
            Ok(value) => End::Value(value),
            Err(error) => match error.downcast_ref::<wasmtime::Trap>() {
                Some(wasmtime::Trap::OutOfFuel) => End::OutOfFuel,
                _ => End::Trap,
            },
        }
    }
}

const FUEL: u64 = 100_000;

fn instructions() -> impl Strategy<Value = Vec<(u8, u8)>> {
    let known = prop_oneof![
        (Just(ADD), any::<u8>()),
        (Just(LOOP), 1..6_u8),
        (Just(CALL), 1..6_u8),
        (Just(RETURN), any::<u8>()),
        (Just(COUNT), 0..4_u8),
        (Just(DOUBLE), any::<u8>()),
        (Just(NEGATE), any::<u8>()),
        (Just(EXTEND), 0..2_u8),
        (Just(RAISE), 0..3_u8),
        (Just(CHOOSE), 0..9_u8),
        (Just(UNKNOWN), any::<u8>()),
    ];
    proptest::collection::vec(known, 1..40)
}

proptest! {
    #[test]
    fn parts_do_what_the_interpreter_did(program in instructions(), value in any::<i32>()) {
        let expected = Machine::of(&interpreter(), FUEL).run(&program, value);
        prop_assume!(matches!(expected, End::Value(_)));
        // A call costs more than a jump does.
        let got = Machine::of(&parts(), 100 * FUEL).run(&program, value);
        prop_assert_eq!(expected, got);
    }
}

#[test]
fn every_instruction_does_what_it_did() {
    let program = [
        (ADD, 7),
        (COUNT, 3),
        (ADD, 2),
        (NEGATE, 0),
        (LOOP, 2),
        (DOUBLE, 0),
        (CHOOSE, 0),
        (CHOOSE, 1),
        (CHOOSE, 5),
        (CALL, 4),
        (EXTEND, 1),
        (ADD, 0),
        (RAISE, 0),
        (RETURN, 0),
        (ADD, 1),
        (RAISE, 1),
        (UNKNOWN, 0),
        (DOUBLE, 0),
        (RETURN, 0),
    ];
    let expected = Machine::of(&interpreter(), FUEL).run(&program, 5);
    assert!(matches!(expected, End::Value(value) if value != -1), "{expected:?}");
    assert_eq!(Machine::of(&parts(), FUEL).run(&program, 5), expected);
    assert_eq!(Machine::of(&parts(), FUEL).run(&[(UNKNOWN, 3)], 5), End::Value(-1));
}

#[test]
fn what_is_not_understood_is_refused() {
    let text = r#"(module
        (table 1 funcref)
        (func $_PyEval_EvalFrameDefault (param i32 i32 i32) (result i32)
            (if (local.get 0) (then (local.set 1 (i32.const 1))))
            (local.get 1)))"#;
    let error = split(&wat::parse_str(text).unwrap()).unwrap_err();
    let expected = "expected a component linked by componentize-py, got If { blockty: Empty } in an interpreter";
    assert_eq!(error.to_string(), expected);
    let other = wat::parse_str(text.replace("$_PyEval_EvalFrameDefault", "$another")).unwrap();
    assert_eq!(split(&other).unwrap(), other, "every other function stays what it is");
}

#[test]
fn the_stack_does_not_grow() {
    // A stack of half a megabyte has no room for so many calls.
    let program = [(ADD, 1), (BACK, 1)];
    assert_eq!(Machine::of(&parts(), 100_000_000).run(&program, 0), End::OutOfFuel);
}

#[test]
fn what_calls_is_in_functions_of_its_own() {
    let code = parts();
    let mut calls = Vec::new();
    for payload in Parser::new(0).parse_all(&code) {
        if let Payload::CodeSectionEntry(body) = payload.unwrap() {
            let operators: Vec<Operator<'_>> =
                body.get_operators_reader().unwrap().into_iter().collect::<Result<_, _>>().unwrap();
            let is_large =
                |operator: &Operator<'_>| matches!(operator, Operator::BrTable { targets } if targets.len() > 100);
            let is_call = |operator: &Operator<'_>| matches!(operator, Operator::CallIndirect { .. });
            let is_tail = |operator: &Operator<'_>| matches!(operator, Operator::ReturnCall { .. });
            let by_table = |operator: &Operator<'_>| matches!(operator, Operator::ReturnCallIndirect { .. });
            assert!(!operators.iter().any(by_table), "each call in the place of a return names its function");
            calls.push((operators.iter().any(is_large), operators.iter().any(is_call), operators.iter().any(is_tail)));
        }
    }
    assert_eq!(calls.iter().filter(|call| call.0).count(), 1, "one function chooses");
    assert!(calls.contains(&(true, false, true)), "it calls nobody, and leaves for those that do");
    assert!(calls.contains(&(false, true, true)), "which lead back");
}

#[test]
fn a_program_that_runs_for_ever_meets_the_host() {
    let surroundings = Surroundings { safepoint: "0".to_owned(), undisturbed: HashSet::new() };
    let code = in_code(&parts(), &surroundings).unwrap().code;
    for program in [&[(ADD, 1), (BACK, 1)][..], &[(BACK, 0)], &[(EXTEND, 0), (BACK, 1)]] {
        let mut machine = Machine::of(&code, 50_000_000);
        assert_eq!(machine.run(program, 0), End::OutOfFuel);
        assert!(*machine.store.data() > 10, "{program:?}: {}", machine.store.data());
    }
}
