//! Compiles the gRPC service, without a protobuf compiler on the machine, and lists the Python files of the native
//! backend.
#![expect(clippy::disallowed_methods, reason = "a build script has its own environment and files")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const PROTO: &str = "proto/pixell_agent.proto";

/// What the native backend runs beside the agent: the guest's own package, and the stand-ins that are no part of a
/// sandbox.
const PYTHON: [(&str, &str); 3] = [
    ("../guest-python/src/par_guest", "par_guest"),
    ("../guest-python/platform/grpc", "stand_ins/grpc"),
    ("../guest-python/platform/pixell_runtime", "stand_ins/pixell_runtime"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    tonic_prost_build::configure()
        // Sorted, so that handlers see parameters in one order.
        .btree_map(".")
        .codec_path("crate::surfaces::a2a::codec::AgentCodec")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    python()
}

/// Writes the list of Python files with their texts.
fn python() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let mut found = Vec::new();
    for (place, name) in PYTHON {
        collect(&root.join(place), name, &mut found)?;
    }
    found.sort();
    let mut list = String::from("[\n");
    for (name, path) in &found {
        writeln!(list, "    ({name:?}, include_str!({path:?})),")?;
    }
    list.push_str("]\n");
    std::fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("python_files.rs"), list)?;
    Ok(())
}

fn collect(directory: &Path, name: &str, found: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", directory.display());
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|file| file.to_str()) else { continue };
        let name = format!("{name}/{file}");
        if path.is_dir() && file != "__pycache__" {
            collect(&path, &name, found)?;
        } else if file.ends_with(".py") {
            found.push((name, path));
        }
    }
    Ok(())
}
