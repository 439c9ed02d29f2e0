//! What installing asks of the sandbox: work with hostile code that no host may do.

use std::path::Path;
use std::time::Instant;

use futures::future::BoxFuture;

/// Jobs that run in a sandbox of their own, with no network and no environment.
///
/// An interface, because installing knows nothing of engines: the sandbox is given to it, and
/// tests of installing alone give none.
pub trait GuestJobs: Send + Sync {
    /// Compiles files of the layer in `layer`, which is not finished yet. Nothing is imported.
    ///
    /// `files` are relative to `site-packages`. `keep` gets each file's index in `files` and its
    /// bytecode, for those that can be compiled.
    fn compile<'a>(
        &'a self,
        layer: &'a Path,
        files: &'a [String],
        deadline: Instant,
        keep: &'a mut (dyn FnMut(usize, &[u8]) + Send),
    ) -> BoxFuture<'a, Result<(), JobError>>;

    /// Takes one step towards the wheel of a source distribution.
    fn build<'a>(&'a self, build: Build<'a>) -> BoxFuture<'a, Result<BuildStep, JobError>>;
}

/// A source distribution to build.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// Its archive.
    pub sdist: &'a Path,
    /// A new, empty directory: the only place the build may write to.
    pub directory: &'a Path,
    /// The deps layer with the build backend.
    pub layer: Option<&'a Path>,
    /// The requirements that layer was installed for.
    pub installed: &'a [String],
    /// When it must be done.
    pub deadline: Instant,
}

/// How far a build came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildStep {
    /// It needs more than is installed: all it is known to need, as it spelt it.
    Requires(Vec<String>),
    /// A wheel, as far as the build backend is believed, which is not at all.
    Wheel {
        /// The file name it gave.
        file: String,
        /// The bytes.
        content: Vec<u8>,
    },
}

/// Why a job has no result.
#[derive(Debug, thiserror::Error)]
#[error("{because}")]
pub struct JobError {
    /// What happened, as a sentence.
    pub because: String,
    /// The end of what was printed, for the log.
    pub output: String,
}
