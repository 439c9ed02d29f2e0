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

/// Distributions without Python code for what they do, and without which those who require them work but
/// for the part that needs them. Left out when only other distributions require them; an agent that
/// requires one itself is told that it cannot run. `just compat` tries each.
pub const DISPENSABLE: [StandIn; 7] = [
    StandIn { name: "cffi", because: "it calls native code; what requires it is left out or refused itself" },
    StandIn {
        name: "cryptography",
        because: "it is native code; signatures and encryption that need it fail when used",
    },
    StandIn { name: "fastuuid", because: "it is native code; its place is taken by `uuid`" },
    StandIn { name: "greenlet", because: "it is native code; only the asyncio extension of SQLAlchemy needs it" },
    StandIn { name: "hf-xet", because: "it is native code; downloads go over HTTP without it" },
    StandIn { name: "secretstorage", because: "there is no desktop to keep secrets on" },
    StandIn { name: "zstandard", because: "it is native code; what would be compressed with it is sent as it is" },
];

/// Why a distribution is left out when only others require it.
#[must_use]
pub(super) fn dispensable(name: &str) -> Option<&'static StandIn> {
    DISPENSABLE.iter().find(|dispensable| dispensable.name == name)
}
