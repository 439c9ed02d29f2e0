//! Compiles the gRPC service, without a protobuf compiler on the machine.

use std::error::Error;

const PROTO: &str = "proto/pixell_agent.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    tonic_prost_build::configure()
        // Sorted, so that handlers see parameters in one order.
        .btree_map(".")
        .codec_path("crate::surfaces::a2a::codec::AgentCodec")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
