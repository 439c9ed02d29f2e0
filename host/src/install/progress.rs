//! What happens while a layer is made, for whoever waits.

use std::path::Path;
use std::time::Duration;

use super::{DepsLayer, Settled};

/// What happens while a layer is made, for a progress bar or a log.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The layer exists already; nothing else happens.
    Reused {
        /// It.
        layer: &'a DepsLayer,
    },
    /// A requirement is met by the platform instead of a distribution.
    StandIn {
        /// The distribution.
        name: &'a str,
        /// What takes its place.
        because: &'static str,
    },
    /// The wheelhouse is not there; the index alone is asked.
    NoWheelhouse {
        /// Where it was said to be.
        directory: &'a Path,
    },
    /// The package says itself what is installed; nothing is resolved.
    Locked {
        /// Distributions it names.
        distributions: usize,
    },
    /// The lock was made by another release, so its tree is not compared; its wheels are.
    TreeNotCompared,
    /// A source distribution is built in the sandbox.
    Building {
        /// Its file name.
        sdist: &'a str,
    },
    /// The guest compiles the files of the layer. Nobody waits for it.
    Compiling {
        /// How many.
        files: usize,
    },
    /// All of them have bytecode that can have it.
    Compiled {
        /// What was done.
        settled: Settled,
    },
    /// The resolver runs.
    Resolving {
        /// How many requirements the package has.
        requirements: usize,
    },
    /// The resolver is done.
    Resolved {
        /// Distributions to unpack.
        distributions: usize,
        /// Distributions the guest carries ready-made.
        carried: usize,
        /// How long it took.
        spent: Duration,
    },
    /// Bytes of a wheel arrived.
    Downloading {
        /// File name of the wheel.
        wheel: &'a str,
        /// So far.
        bytes: u64,
        /// Of how many, if the server says.
        total: Option<u64>,
    },
    /// A wheel was unpacked.
    Unpacking {
        /// File name of the wheel.
        wheel: &'a str,
        /// What all wheels so far unpacked to. Unit: bytes.
        bytes: u64,
    },
    /// A file of a wheel is not installed.
    LeftOut {
        /// File name of the wheel.
        wheel: &'a str,
        /// The file.
        path: &'a str,
        /// Why.
        because: &'static str,
    },
    /// The layer is complete.
    Ready {
        /// It.
        layer: &'a DepsLayer,
        /// How long it took to make.
        times: Times,
        /// Size of its wheels, wherever they came from. Unit: bytes.
        fetched: u64,
        /// Size of its files. Unit: bytes.
        unpacked: u64,
    },
}

/// How long the parts of an installation took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Resolving, or finding what is pinned.
    pub decide: Duration,
    /// Fetching and verifying the wheels.
    pub obtain: Duration,
    /// Checking and unpacking them.
    pub unpack: Duration,
    /// Giving the layer its name.
    pub finish: Duration,
}
