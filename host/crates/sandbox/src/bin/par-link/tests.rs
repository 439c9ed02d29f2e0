use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, Linker, TypedFunc};
use wasmtime::{Engine, Store};

use super::{code, join, short};

/// Two libraries, linked as componentize-py links: `answer` finds its number through a global
/// of the environment and adds to it what the other library says.
const LINKED: &str = r#"
    (component
        (import "pixell:agent/interruption@0.1.0" (instance $interruption (export "safepoint" (func))))
        (core func $safepoint (canon lower (func $interruption "safepoint")))
        (core module $environment
            (memory (export "memory") 1)
            (table (export "table") 4 funcref)
            (global (export "base") i32 (i32.const 8))
            (global (export "counter") (mut i32) (i32.const 1))
            (data (i32.const 12) "\28\00\00\00"))
        (core module $one
            (import "env" "counter" (global $counter (mut i32)))
            (global $heap (mut i32) (i32.const 5000))
            (func (export "count") (result i32)
                (global.set $heap (i32.const 6000))
                (global.set $counter (i32.add (global.get $counter) (i32.const 1)))
                (global.get $counter))
            (func (export "unused") (result i32) (i32.const 9)))
        (core module $two
            (import "env" "memory" (memory 1))
            (import "env" "table" (table 4 funcref))
            (import "env" "base" (global $base i32))
            (import "env" "count" (func $count (result i32)))
            (import "env" "safepoint" (func $safepoint))
            (global $place i32 (i32.add (global.get $base) (i32.const 4)))
            (type $number (func (result i32)))
            (func $stored (type $number) (i32.load (global.get $place)))
            (elem (i32.const 2) $stored $safepoint)
            (func (export "answer") (result i32)
                (i32.add (call $count) (call_indirect (type $number) (i32.const 2)))))
        (core instance $e (instantiate $environment))
        (core instance $to-one (export "counter" (global $e "counter")))
        (core instance $1 (instantiate $one (with "env" (instance $to-one))))
        (core instance $to-two
            (export "memory" (memory $e "memory"))
            (export "table" (table $e "table"))
            (export "base" (global $e "base"))
            (export "count" (func $1 "count"))
            (export "safepoint" (func $safepoint)))
        (core instance $2 (instantiate $two (with "env" (instance $to-two))))
        (func (export "answer") (result u32) (canon lift (core func $2 "answer"))))
"#;

/// What the names of libraries begin with that are added to the optimised code.
pub(super) const ADDED: &str = "/4/";

pub(super) fn linked(text: &str) -> Vec<u8> {
    let component = wat::parse_str(text).unwrap();
    join(&component, ADDED, &code(&component, ADDED).unwrap()).unwrap()
}

fn answers(component: &[u8]) -> [u32; 2] {
    let mut running = Running::of(component, || Ok(()));
    [running.answer().unwrap(), running.answer().unwrap()]
}

/// A component with one function, in an engine that could not stop it.
pub(super) struct Running {
    store: Store<()>,
    answer: TypedFunc<(), (u32,)>,
}

impl Running {
    /// `safepoint` is what the host does at one.
    pub(super) fn of(component: &[u8], safepoint: impl Fn() -> wasmtime::Result<()> + Send + Sync + 'static) -> Self {
        let engine = Engine::default();
        let component = Component::new(&engine, component).unwrap();
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let mut interruption = linker.instance("pixell:agent/interruption@0.1.0").unwrap();
        interruption.func_wrap("safepoint", move |_, ()| safepoint()).unwrap();
        let instance = linker.instantiate(&mut store, &component).unwrap();
        let answer = instance.get_typed_func::<(), (u32,)>(&mut store, "answer").unwrap();
        Self { store, answer }
    }

    pub(super) fn answer(&mut self) -> wasmtime::Result<u32> {
        Ok(self.answer.call(&mut self.store, ())?.0)
    }
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
    let short = 2; // copies and fills
    let safepoints = 2; // the budget is used up, and rounds of loops
    let budget = 1;
    assert_eq!(
        (modules, globals, functions),
        (1, 1 + budget, 3 + short + safepoints),
        "`unused` and every constant are gone"
    );
}

#[test]
fn the_code_holds_nothing_of_the_memory() {
    let code = code(&wat::parse_str(LINKED).unwrap(), ADDED).unwrap();
    let has_data = Parser::new(0).parse_all(&code).any(|payload| matches!(payload.unwrap(), Payload::DataSection(_)));
    assert!(!has_data);
    let other = LINKED
        .replace("\\28", "\\29")
        .replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 7)")
        .replace("(i32.const 5000)", "(i32.const 7000)");
    assert_eq!(code, super::code(&wat::parse_str(&other).unwrap(), ADDED).unwrap());
    let pages = |component: &[u8]| {
        let memories = Parser::new(0).parse_all(component).find_map(|payload| match payload.unwrap() {
            Payload::MemorySection(section) => Some(section.into_iter().next().unwrap().unwrap().initial),
            _ => None,
        });
        memories.unwrap()
    };
    assert_eq!((pages(&code), pages(&linked(LINKED)), pages(&linked(&other))), (1, 1, 7));
    assert_eq!(answers(&linked(&other)), [43, 44]);
}

#[test]
fn what_is_linked_otherwise_is_refused() {
    let refused =
        |text: &str| code(&wat::parse_str(text).unwrap(), ADDED).expect_err("not linked that way").to_string();
    let expected = "expected a component linked by componentize-py, got ";
    assert_eq!(refused("(module)"), format!("{expected}a core module"));
    assert_eq!(
        refused("(component (core module (func $f) (start $f)))"),
        format!("{expected}a module with a start function")
    );
    let twice = "(component (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))";
    assert_eq!(refused(twice), format!("{expected}two instances of module 0"));
    let never = LINKED.replace("(export \"safepoint\" (func))", "(export \"other\" (func))");
    let never = never.replace("$interruption \"safepoint\"", "$interruption \"other\"");
    assert_eq!(refused(&never), format!("{expected}no use of `pixell:agent/interruption.safepoint`"));
}

/// A memory with one letter in each byte, and the two instructions as functions.
const BYTES: &str = r#"
    (module
        (memory (export "memory") 1)
        (func (export "copy") (param i32 i32 i32)
            (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "fill") (param i32 i32 i32)
            (memory.fill (local.get 0) (local.get 1) (local.get 2)))
        (func (export "known") (param i32 i32)
            (memory.copy (local.get 0) (local.get 1) (i32.const 5))))
"#;

/// `module` in an engine, its first bytes all different.
struct Memory {
    store: Store<()>,
    instance: wasmtime::Instance,
    memory: wasmtime::Memory,
}

impl Memory {
    fn of(module: &[u8]) -> Self {
        let engine = Engine::default();
        let module = wasmtime::Module::new(&engine, module).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        for (byte, value) in memory.data_mut(&mut store)[..256].iter_mut().zip(0..=u8::MAX) {
            *byte = value;
        }
        Self { store, instance, memory }
    }

    fn call(&mut self, name: &str, arguments: (i32, i32, i32)) -> Result<(), wasmtime::Error> {
        let function = self.instance.get_typed_func::<(i32, i32, i32), ()>(&mut self.store, name).unwrap();
        function.call(&mut self.store, arguments)
    }

    fn bytes(&self) -> &[u8] {
        &self.memory.data(&self.store)[..512]
    }
}

#[test]
fn copies_and_fills_of_every_length_are_those_of_the_engine() {
    let module = wat::parse_str(BYTES).unwrap();
    let (mut ours, mut engines) = (Memory::of(&short::in_code(&module).unwrap()), Memory::of(&module));
    for length in 0..=130 {
        // Apart, overlapping from both sides, and onto itself.
        for (to, from) in [(300, 3), (10, 7), (7, 10), (40, 7), (9, 9)] {
            for memory in [&mut ours, &mut engines] {
                memory.call("copy", (to, from, length)).unwrap();
            }
            assert_eq!(ours.bytes(), engines.bytes(), "copy of {length} from {from} to {to}");
        }
        for memory in [&mut ours, &mut engines] {
            memory.call("fill", (20, 0x1a5 + length, length)).unwrap();
        }
        assert_eq!(ours.bytes(), engines.bytes(), "fill of {length}");
    }
}

#[test]
fn copies_and_fills_outside_the_memory_are_refused() {
    let mut memory = Memory::of(&short::in_code(&wat::parse_str(BYTES).unwrap()).unwrap());
    for length in [1, 2, 5, 9, 31, 64, 65] {
        let last = 0x1_0000 - length;
        for name in ["copy", "fill"] {
            memory.call(name, (last, 0, length)).unwrap();
            let trap = memory.call(name, (last + 1, 0, length)).unwrap_err();
            assert_eq!(trap.downcast_ref(), Some(&wasmtime::Trap::MemoryOutOfBounds), "{name} of {length}");
        }
        memory.call("copy", (0, last, length)).unwrap();
        memory.call("copy", (0, last + 1, length)).unwrap_err();
    }
}

#[test]
fn a_copy_the_engine_does_itself_is_left_to_it() {
    let module = short::in_code(&wat::parse_str(BYTES).unwrap()).unwrap();
    let mut copies = Vec::new();
    for payload in Parser::new(0).parse_all(&module) {
        if let Payload::CodeSectionEntry(body) = payload.unwrap() {
            let is_copy = |operator| matches!(operator, Ok(wasmparser::Operator::MemoryCopy { .. }));
            copies.push(body.get_operators_reader().unwrap().into_iter().filter(|o| is_copy(o.clone())).count());
        }
    }
    assert_eq!(copies, [0, 0, 1, 1, 0], "`known`, and what is long in the function for short ones");
}
