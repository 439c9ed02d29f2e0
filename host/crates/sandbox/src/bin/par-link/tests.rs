use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use super::{code, join};

/// Two libraries, linked as componentize-py links: `answer` finds its number through a global
/// of the environment and adds to it what the other library says.
const LINKED: &str = r#"
    (component
        (core module $environment
            (memory (export "memory") 1)
            (table (export "table") 4 funcref)
            (global (export "base") i32 (i32.const 8))
            (global (export "counter") (mut i32) (i32.const 1))
            (data (i32.const 12) "\28\00\00\00"))
        (core module $one
            (import "env" "counter" (global $counter (mut i32)))
            (func (export "count") (result i32)
                (global.set $counter (i32.add (global.get $counter) (i32.const 1)))
                (global.get $counter))
            (func (export "unused") (result i32) (i32.const 9)))
        (core module $two
            (import "env" "memory" (memory 1))
            (import "env" "table" (table 4 funcref))
            (import "env" "base" (global $base i32))
            (import "env" "count" (func $count (result i32)))
            (global $place i32 (i32.add (global.get $base) (i32.const 4)))
            (type $number (func (result i32)))
            (func $stored (type $number) (i32.load (global.get $place)))
            (elem (i32.const 2) $stored)
            (func (export "answer") (result i32)
                (i32.add (call $count) (call_indirect (type $number) (i32.const 2)))))
        (core instance $e (instantiate $environment))
        (core instance $to-one (export "counter" (global $e "counter")))
        (core instance $1 (instantiate $one (with "env" (instance $to-one))))
        (core instance $to-two
            (export "memory" (memory $e "memory"))
            (export "table" (table $e "table"))
            (export "base" (global $e "base"))
            (export "count" (func $1 "count")))
        (core instance $2 (instantiate $two (with "env" (instance $to-two))))
        (func (export "answer") (result u32) (canon lift (core func $2 "answer"))))
"#;

fn linked(text: &str) -> Vec<u8> {
    let component = wat::parse_str(text).unwrap();
    join(&component, &code(&component).unwrap()).unwrap()
}

fn answers(component: &[u8]) -> [u32; 2] {
    let engine = Engine::default();
    let component = Component::new(&engine, component).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
    let answer = instance.get_typed_func::<(), (u32,)>(&mut store, "answer").unwrap();
    [answer.call(&mut store, ()).unwrap().0, answer.call(&mut store, ()).unwrap().0]
}

#[test]
fn a_linked_component_answers_as_before() {
    let before = wat::parse_str(LINKED).unwrap();
    assert_eq!(answers(&before), [42, 43]);
    assert_eq!(answers(&linked(LINKED)), [42, 43]);
}

#[test]
fn one_module_is_left_and_only_the_global_that_changes() {
    let component = linked(LINKED);
    let (mut modules, mut globals, mut functions) = (0, 0, 0);
    for payload in Parser::new(0).parse_all(&component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } => modules += 1,
            Payload::GlobalSection(section) => globals += section.count(),
            Payload::FunctionSection(section) => functions += section.count(),
            _ => {}
        }
    }
    assert_eq!((modules, globals, functions), (1, 1, 3), "`unused` and every constant are gone");
}

#[test]
fn the_code_holds_nothing_of_the_memory() {
    let code = code(&wat::parse_str(LINKED).unwrap()).unwrap();
    let has_data = Parser::new(0).parse_all(&code).any(|payload| matches!(payload.unwrap(), Payload::DataSection(_)));
    assert!(!has_data);
    assert_eq!(code, super::code(&wat::parse_str(LINKED.replace("\\28", "\\29")).unwrap()).unwrap());
}

#[test]
fn what_is_linked_otherwise_is_refused() {
    let refused = |text: &str| code(&wat::parse_str(text).unwrap()).expect_err("not linked that way").to_string();
    let expected = "expected a component linked by componentize-py, got ";
    assert_eq!(refused("(module)"), format!("{expected}a core module"));
    assert_eq!(
        refused("(component (core module (func $f) (start $f)))"),
        format!("{expected}a module with a start function")
    );
    let twice = "(component (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))";
    assert_eq!(refused(twice), format!("{expected}two instances of module 0"));
}
