//! The world of `wit/` as Rust types. The only call of `bindgen!`.

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "agent",
    imports: {
        // These block the instance: nothing else of it runs meanwhile.
        "pixell:agent/outbound.answer-and-wait": async,
        "pixell:agent/outbound.pull-and-wait": async,
        "pixell:agent/outbound.push-and-wait": async,
        "pixell:agent/interruption.safepoint": async,
        default: store,
    },
    exports: { default: async | store },
});
