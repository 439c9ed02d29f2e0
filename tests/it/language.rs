//! Python as a language: what its statements and calls do in the sandbox.

use par_tests::{Package, TestHost};

use crate::extensions::differences;

/// The linker cuts CPython's bytecode loop into functions; every kind of instruction does what it does outside of the sandbox. That
/// those answers are CPython's is tested beside the guest's Python.
#[tokio::test]
async fn bytecode_does_what_it_does_outside_of_the_sandbox() {
    let host = TestHost::agent(&Package::asgi(include_str!("python/battery.py"))).start().await;

    let (cases, wrong) = differences(&host, "language").await;

    assert_eq!(cases, 1);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
