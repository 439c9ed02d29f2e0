//! The types and the service generated from `proto/pixell_agent.proto`.

tonic::include_proto!("pixell.agent");
