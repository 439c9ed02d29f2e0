//! The world of `wit/` as Rust types. The only call of `bindgen!`.

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "agent",
    imports: { default: store },
    exports: { default: async | store },
});
