//! What safepoints promise: code that runs for ever meets the host, and all other code does as before.

use std::collections::HashSet;

use wasmparser::{BinaryReader, BranchHintSectionReader, FunctionBody, Operator, Parser, Payload};
use wasmtime::{Engine, Instance, Linker, Module, Store};

use super::safepoints::{Interruptible, Surroundings, in_code};

/// Imports the host, has a memory, a table and a global, and counts in it what `$did` is called for.
fn module(text: &str) -> Vec<u8> {
    // More jumps to one place than other functions have.
    let text = text.replace("JUMPS", &"(br_if $next (i32.eqz (local.get 0)))".repeat(40));
    let text = format!(
        r#"(module
            (import "" "0" (func $safepoint))
            (import "" "1" (func $host))
            (memory 2)
            (type $number (func (param i32) (result i32)))
            (table 4 funcref)
            (global $done (export "done") (mut i32) (i32.const 0))
            (func $did (global.set $done (i32.add (global.get $done) (i32.const 1))))
            {text})"#
    );
    wat::parse_str(text).unwrap()
}

fn with_safepoints(text: &str) -> Interruptible {
    let undisturbed = HashSet::from(["undisturbed".to_owned()]);
    in_code(&module(text), &Surroundings { safepoint: "0".to_owned(), undisturbed }).unwrap()
}

/// The host was asked as often as it was ready to be.
#[derive(Debug, thiserror::Error)]
#[error("enough")]
struct Enough;

/// What the host saw.
#[derive(Default)]
struct Host {
    asked: u32,
    called: u32,
}

struct Running {
    store: Store<Host>,
    instance: Instance,
}

impl Running {
    /// `code` in an engine that could not stop it; the host ends it when it is asked for the `patience`th time.
    fn of(code: &[u8], patience: u32) -> Self {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("", "0", move |mut caller: wasmtime::Caller<'_, Host>| {
                caller.data_mut().asked += 1;
                if caller.data().asked == patience { Err(wasmtime::Error::new(Enough)) } else { Ok(()) }
            })
            .unwrap();
        linker.func_wrap("", "1", |mut caller: wasmtime::Caller<'_, Host>| caller.data_mut().called += 1).unwrap();
        let mut store = Store::new(&engine, Host::default());
        let instance = linker.instantiate(&mut store, &Module::new(&engine, code).unwrap()).unwrap();
        Self { store, instance }
    }

    fn call(&mut self, name: &str, argument: i32) -> wasmtime::Result<i32> {
        self.instance.get_typed_func::<i32, i32>(&mut self.store, name)?.call(&mut self.store, argument)
    }

    fn done(&mut self) -> i32 {
        self.instance.get_global(&mut self.store, "done").unwrap().get(&mut self.store).i32().unwrap()
    }
}

/// Ways to compute without end. Each counts its rounds or calls, and ends for the arguments 0 and 1.
const ENDLESS: [(&str, &str); 9] = [
    (
        "a jump back",
        "(func (export \"f\") (param i32) (result i32)
            (loop $l (call $did) (if (i32.gt_s (local.get 0) (i32.const 1)) (then (br $l)))) (local.get 0))",
    ),
    (
        "a jump back on a condition",
        "(func (export \"f\") (param i32) (result i32)
            (loop $l (call $did) (br_if $l (i32.gt_s (local.get 0) (i32.const 1)))) (local.get 0))",
    ),
    (
        "a jump back by a table",
        "(func (export \"f\") (param i32) (result i32)
            (block $b (loop $l (call $did) (br_table $b $b $l (local.get 0)))) (local.get 0))",
    ),
    (
        "a jump back out of the inner loop, which makes one round only",
        "(func (export \"f\") (param i32) (result i32) (local $i i32)
            (loop $outer (local.set $i (i32.const 0)) (call $did)
                (loop $inner
                    (br_if $inner (i32.eqz (local.tee $i (i32.sub (i32.const 1) (local.get $i)))))
                    (br_if $outer (i32.gt_s (local.get 0) (i32.const 1))))) (local.get 0))",
    ),
    (
        "an interpreter of instructions without end",
        "(func (export \"f\") (param i32) (result i32)
            (block $end (loop $next (call $did)
                (br_if $end (i32.le_s (local.get 0) (i32.const 1)))
                JUMPS
                (br $next))) (local.get 0))",
    ),
    (
        "a function that calls itself twice",
        "(func $f (export \"f\") (param i32) (result i32)
            (call $did)
            (if (i32.gt_s (local.get 0) (i32.const 1)) (then
                (drop (call $f (i32.sub (local.get 0) (i32.const 1))))
                (drop (call $f (i32.sub (local.get 0) (i32.const 1)))))) (local.get 0))",
    ),
    (
        "two functions that call each other twice",
        "(func $f (export \"f\") (param i32) (result i32)
            (call $did)
            (if (i32.gt_s (local.get 0) (i32.const 1)) (then
                (drop (call $g (i32.sub (local.get 0) (i32.const 1))))
                (drop (call $g (i32.sub (local.get 0) (i32.const 1)))))) (local.get 0))
        (func $g (param i32) (result i32) (call $f (local.get 0)))",
    ),
    (
        "a function that calls itself through a table",
        "(elem (i32.const 1) $f)
        (func $f (export \"f\") (param i32) (result i32)
            (call $did)
            (if (i32.gt_s (local.get 0) (i32.const 1)) (then
                (drop (call_indirect (type $number) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
                (drop (call_indirect (type $number) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))))
            (local.get 0))",
    ),
    (
        "one that does so within a loop of two rounds",
        "(elem (i32.const 1) $f)
        (func $f (export \"f\") (param i32) (result i32) (local $i i32)
            (call $did)
            (if (i32.gt_s (local.get 0) (i32.const 1)) (then
                (loop $l
                    (drop (call_indirect (type $number) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
                    (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 2))))))
            (local.get 0))",
    ),
];

#[test]
fn code_that_runs_for_ever_meets_the_host() {
    for (what, text) in ENDLESS {
        let code = with_safepoints(text).code;
        let mut running = Running::of(&code, 3);
        // Two to the power of a hundred calls are for ever.
        let end = running.call("f", 100).unwrap_err();
        assert!(end.is::<Enough>(), "{what}: {end}");
        // Between two questions are no more than so many rounds or calls.
        assert!((1..=3 * 20_600).contains(&running.done()), "{what}: {}", running.done());

        // What ends, ends as before, and the host hears nothing of it.
        for argument in [0, 1] {
            let mut running = Running::of(&code, 1);
            assert_eq!((running.call("f", argument).unwrap(), running.done()), (argument, 1), "{what}");
            assert_eq!(running.store.data().asked, 0, "{what}");
        }
    }
}

#[test]
fn long_copies_and_calls_of_the_host_meet_it_sooner() {
    let rounds = |body: &str| {
        let text = format!(
            "(func (export \"f\") (param i32) (result i32) (loop $l (call $did) {body} (br $l)) (i32.const 0))"
        );
        let mut running = Running::of(&with_safepoints(&text).code, 1);
        assert!(running.call("f", 0).unwrap_err().is::<Enough>());
        running.done()
    };
    let length = "(local.get 0) (i32.add (local.get 0) (i32.const 65536))";
    assert!((300..=330).contains(&rounds(&format!("(memory.copy (i32.const 9) {length})"))), "64 KiB each");
    assert!((300..=330).contains(&rounds(&format!("(memory.fill (i32.const 9) {length})"))));
    assert!((8..=9).contains(&rounds("(call $host)")));
}

#[test]
fn the_host_is_not_called_while_it_must_not_be() {
    let counts = "(param i32) (result i32)
        (loop $l (call $did) (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 7)";
    let text = format!("(func (export \"undisturbed\") {counts}) (func (export \"f\") {counts})");
    let mut running = Running::of(&with_safepoints(&text).code, u32::MAX);
    assert_eq!(running.call("undisturbed", 1_000_000).unwrap(), 7);
    assert_eq!((running.done(), running.store.data().asked), (1_000_000, 0));
    // What it did costs nothing afterwards, and the other one, which does the same, is interrupted.
    running.call("f", 15_000).unwrap();
    assert_eq!(running.store.data().asked, 0);
    running.call("f", 1_000_000).unwrap();
    assert!((49..=51).contains(&running.store.data().asked), "{}", running.store.data().asked);
}

#[test]
fn what_code_computes_is_the_same_with_safepoints() {
    let text = "(func $gcd (param i32 i32) (result i32)
            (if (result i32) (local.get 1)
                (then (call $gcd (local.get 1) (i32.rem_u (local.get 0) (local.get 1))))
                (else (local.get 0))))
        (func (export \"f\") (param $n i32) (result i32) (local $sum i32) (local $i i32)
            (block $end
                (loop $next
                    (br_if $end (i32.ge_u (local.get $i) (local.get $n)))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (local.set $sum (i32.add (local.get $sum) (call $gcd (local.get $n) (local.get $i))))
                    (block $odd (block $even (br_table $even $odd $next (i32.rem_u (local.get $i) (i32.const 3))))
                        (local.set $sum (i32.mul (local.get $sum) (i32.const 5))))
                    (br $next)))
            (local.get $sum))";
    let (mut before, mut after) =
        (Running::of(&module(text), u32::MAX), Running::of(&with_safepoints(text).code, u32::MAX));
    for argument in [0, 1, 2, 3, 10, 255, 256, 257, 1000, 9973] {
        assert_eq!(before.call("f", argument).unwrap(), after.call("f", argument).unwrap(), "{argument}");
    }
    assert!(after.store.data().asked > 0, "none of it is long enough to show that it goes on after a safepoint");
}

#[test]
fn every_safepoint_is_said_to_be_rarely_taken() {
    for (what, text) in ENDLESS {
        let Interruptible { code, hints } = with_safepoints(text);
        let mut section = Vec::new();
        wasm_encoder::Encode::encode(&hints, &mut section);
        let mut hinted = hints_of(&section);
        let mut branches = Vec::new();
        let (mut function, mut own) = (2, 0);
        for payload in Parser::new(0).parse_all(&code) {
            match payload.unwrap() {
                Payload::FunctionSection(section) => own = section.count(),
                Payload::CodeSectionEntry(body) => {
                    // The last two are the functions a safepoint calls.
                    if function < own {
                        branches.extend(safepoints_of(function, &body, [own, own + 1]));
                    }
                    function += 1;
                }
                _ => {}
            }
        }
        hinted.sort_unstable();
        branches.sort_unstable();
        assert!(!branches.is_empty(), "{what}");
        assert_eq!(hinted, branches, "{what}");
    }
}

/// The functions and offsets a custom section has hints for.
fn hints_of(section: &[u8]) -> Vec<(u32, u32)> {
    let mut reader = BinaryReader::new(section, 0);
    reader.read_var_u32().unwrap();
    assert_eq!(reader.read_string().unwrap(), "metadata.code.branch_hint");
    let mut hints = Vec::new();
    for function in BranchHintSectionReader::new(reader).unwrap() {
        let function = function.unwrap();
        for hint in function.hints {
            let hint = hint.unwrap();
            assert!(!hint.taken);
            hints.push((function.func, hint.func_offset));
        }
    }
    hints
}

/// Where in `body` a branch leads to one of `called`.
fn safepoints_of(function: u32, body: &FunctionBody<'_>, called: [u32; 2]) -> Vec<(u32, u32)> {
    let start = body.range().start;
    let operators: Vec<_> = body.get_operators_reader().unwrap().into_iter_with_offsets().map(Result::unwrap).collect();
    let pairs = operators.windows(2).filter(|pair| {
        matches!(pair[0].0, Operator::If { .. })
            && matches!(pair[1].0, Operator::Call { function_index } if called.contains(&function_index))
    });
    pairs.map(|pair| (function, (pair[0].1 - start) as u32)).collect()
}
