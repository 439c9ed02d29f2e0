//! What runs the agent. Surfaces see this module and nothing below it.

pub use par_sandbox::call::{
    ActionCall, BodyBroken, CallError, HttpCall, HttpReply, Parameters, ReplyBody, RequestBody, Surface,
};
