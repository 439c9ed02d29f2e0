//! What holds of libraries that are added to the optimised code.

use std::sync::atomic::{AtomicU32, Ordering};

use super::graph::Graph;
use super::layout::Merged;
use super::module::Module;
use super::tests::{ADDED, Running, linked};
use super::{code, join};

/// Three libraries, the one below `/4/` added: it calls another by name and through the table, and the host, is called by name and
/// through the table, has a type, a global and copies of its own. Its data is one number, and what it does is for ever when that is not 3.
const WITH_ADDED: &str = r#"
    (component
        (import "pixell:agent/interruption@0.1.0" (instance $interruption (export "safepoint" (func))))
        (core func $safepoint (canon lower (func $interruption "safepoint")))
        (core module $environment
            (memory (export "memory") 1)
            (table (export "table") 4 funcref)
            (global (export "/3/two.so:memory_base") i32 (i32.const 8))
            (global (export "/4/three.so:memory_base") i32 (i32.const 16))
            (global (export "counter") (mut i32) (i32.const 1))
            (data (i32.const 12) "\28\00\00\00\03\00\00\00"))
        (core module $two
            (import "env" "memory" (memory 1))
            (import "env" "table" (table 4 funcref))
            (import "env" "__memory_base" (global $base i32))
            (import "env" "counter" (global $counter (mut i32)))
            (type $number (func (result i32)))
            (func (export "count") (type $number)
                (global.set $counter (i32.add (global.get $counter) (i32.const 1)))
                (global.get $counter))
            (func $stored (type $number) (i32.load offset=4 (global.get $base)))
            (elem (i32.const 1) $stored)
            (func (export "indirect") (param i32) (result i32) (call_indirect (type $number) (local.get 0))))
        (core module $three
            (import "env" "memory" (memory 1))
            (import "env" "table" (table 4 funcref))
            (import "env" "__memory_base" (global $base i32))
            (import "env" "counter" (global $counter (mut i32)))
            (import "env" "count" (func $count (result i32)))
            (import "env" "indirect" (func $indirect (param i32) (result i32)))
            (import "env" "safepoint" (func $safepoint))
            (global $calls (mut i32) (i32.const 0))
            (type $number (func (result i32)))
            (type $mine (func (param i64 f32) (result i32)))
            (func $own (type $mine)
                (loop $l (br_if $l (i32.ne (i32.const 3) (i32.load (global.get $base)))))
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (memory.fill (i32.const 100) (global.get $calls) (i32.load (global.get $base)))
                (i32.load8_u (i32.add (i32.const 99) (i32.load (global.get $base)))))
            (func $hundred (type $number) (call $safepoint)
                (i32.mul (i32.const 100) (call $own (i64.const 1) (f32.const 2))))
            (elem (i32.const 2) $hundred)
            (func (export "three") (result i32)
                (i32.add (i32.mul (i32.const 1000) (global.get $counter))
                    (i32.add (call $indirect (i32.const 2)) (call $count)))))
        (core module $main
            (import "env" "table" (table 4 funcref))
            (import "env" "three" (func $three (result i32)))
            (import "env" "indirect" (func $indirect (param i32) (result i32)))
            (elem (i32.const 3) $three)
            (func (export "answer") (result i32)
                (i32.add (i32.mul (i32.const 100000) (call $indirect (i32.const 1)))
                    (i32.add (call $three) (call $indirect (i32.const 3))))))
        (core instance $e (instantiate $environment))
        (core instance $to-two
            (export "memory" (memory $e "memory"))
            (export "table" (table $e "table"))
            (export "__memory_base" (global $e "/3/two.so:memory_base"))
            (export "counter" (global $e "counter")))
        (core instance $2 (instantiate $two (with "env" (instance $to-two))))
        (core instance $to-three
            (export "memory" (memory $e "memory"))
            (export "table" (table $e "table"))
            (export "__memory_base" (global $e "/4/three.so:memory_base"))
            (export "counter" (global $e "counter"))
            (export "count" (func $2 "count"))
            (export "indirect" (func $2 "indirect"))
            (export "safepoint" (func $safepoint)))
        (core instance $3 (instantiate $three (with "env" (instance $to-three))))
        (core instance $to-main
            (export "table" (table $e "table"))
            (export "three" (func $3 "three"))
            (export "indirect" (func $2 "indirect")))
        (core instance $4 (instantiate $main (with "env" (instance $to-main))))
        (func (export "answer") (result u32) (canon lift (core func $4 "answer"))))
"#;

#[test]
fn a_component_with_an_added_library_answers_as_before() {
    let before = wat::parse_str(WITH_ADDED).unwrap();
    for component in [before, linked(WITH_ADDED)] {
        let mut running = Running::of(&component, || Ok(()));
        assert_eq!(running.answer().unwrap(), 4_000_000 + 1_102 + 2_203);
        assert_eq!(running.answer().unwrap(), 4_000_000 + 3_304 + 4_405);
    }
}

#[test]
fn what_is_optimised_has_nothing_of_an_added_library() {
    let component = wat::parse_str(WITH_ADDED).unwrap();
    let count = |module: &[u8]| {
        let module = Module::parse(module).unwrap();
        let missing = module.imports.iter().filter(|import| import.module == "added").count();
        let exported = module.exports.keys().filter(|name| name.starts_with("added")).count();
        (module.bodies.len(), module.globals.len(), missing, exported)
    };
    let optimized = code(&component, ADDED).unwrap();
    assert_eq!(count(&optimized), (4, 1, 1, 3), "`three` is missing, `count`, `indirect` and the counter are for it");
    let merged = Merged::link(&Graph::parse(&component).unwrap(), ADDED).unwrap();
    assert_eq!(count(&merged.added.join(&optimized).unwrap()), (7, 2, 0, 0));

    // Its name decides.
    assert_eq!(count(&code(&component, "/5/").unwrap()), (7, 2, 0, 0));
    // What the optimiser must keep has to be there.
    let lost = join(&component, ADDED, &code(&component, "/5/").unwrap()).unwrap_err().to_string();
    assert!(lost.ends_with("got code without its export `added 0`"), "{lost}");
}

#[test]
fn an_added_library_that_computes_for_ever_is_stopped() {
    let endless = WITH_ADDED.replace("\\03", "\\04");
    assert_ne!(endless, WITH_ADDED);
    let asked = AtomicU32::new(0);
    let mut running = Running::of(&linked(&endless), move || {
        // It calls the host once by itself.
        if asked.fetch_add(1, Ordering::Relaxed) < 3 { Ok(()) } else { Err(wasmtime::Error::msg("enough")) }
    });
    let end = running.answer().unwrap_err();
    assert_eq!(end.root_cause().to_string(), "enough");
}
