//! Distributions that a sandboxed agent may ask for and that PAR answers itself.

/// One distribution that is not installed, and why nobody misses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandIn {
    /// Normalised name of the distribution.
    pub name: &'static str,
    /// What takes its place, as the end of the sentence "`name` is not installed: ...".
    pub because: &'static str,
}

/// Every stand-in. Each line is a promise about the platform, so the list stays short.
pub const STAND_INS: [StandIn; 5] = [
    StandIn { name: "grpcio", because: "the guest carries an importable `grpc`, and the host speaks gRPC" },
    StandIn { name: "grpcio-tools", because: "it generates code at build time and is native code" },
    StandIn { name: "httptools", because: "the host parses HTTP; uvicorn runs without it" },
    StandIn { name: "uvloop", because: "the host runs the event loop; uvicorn runs without it" },
    StandIn { name: "watchfiles", because: "a package never changes while it runs; uvicorn runs without it" },
];

/// The stand-in for a distribution, by normalised name.
#[must_use]
pub(super) fn stand_in(name: &str) -> Option<&'static StandIn> {
    STAND_INS.iter().find(|stand_in| stand_in.name == name)
}
