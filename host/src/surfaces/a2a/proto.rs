//! The types and the service generated from `proto/pixell_agent.proto`.

#![expect(clippy::allow_attributes_without_reason, reason = "generated code brings its own attributes")]

tonic::include_proto!("pixell.agent");
