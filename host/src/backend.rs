//! What runs the agent. Surfaces see this module and nothing below it.

pub mod choice;

use std::sync::Arc;
use std::time::Instant;

pub use par_sandbox::call::{
    ActionCall, BodyBroken, CallError, HttpCall, HttpReply, Parameters, ReplyBody, ReplyChunks, RequestBody, Surface,
};
pub use par_sandbox::trace;
use par_sandbox::{Counts, Sandbox};

use tokio::sync::watch;

use crate::native::Native;

/// The one agent of this process, wherever it runs.
#[derive(Debug)]
pub enum Backend {
    /// In the WebAssembly sandbox.
    Sandbox(Sandbox),
    /// In processes of the host's CPython.
    Native(Native),
    /// Answers written down by a unit test of the surfaces.
    #[cfg(test)]
    Scripted(scripted::Script),
}

impl Backend {
    /// The word for the sandbox on the record.
    pub const SANDBOX: &'static str = "sandbox";

    /// The word for processes outside of it.
    pub const NATIVE: &'static str = "native";

    /// The word for this one.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Sandbox(_) => Self::SANDBOX,
            Self::Native(_) => Self::NATIVE,
            #[cfg(test)]
            Self::Scripted(_) => Self::SANDBOX,
        }
    }

    /// How many processes may be called, and when that changes. `None` for the sandbox, which replaces an instance
    /// in the time a request waits.
    #[must_use]
    pub fn processes(&self) -> Option<watch::Receiver<usize>> {
        match self {
            Self::Native(native) => Some(native.count()),
            Self::Sandbox(_) => None,
            #[cfg(test)]
            Self::Scripted(_) => None,
        }
    }

    /// Serves one HTTP request. Dropping the future tells the agent that the client left.
    ///
    /// # Errors
    /// [`CallError`] when the agent has no answer.
    pub async fn http(&self, call: HttpCall) -> Result<HttpReply, CallError> {
        match self {
            Self::Sandbox(sandbox) => sandbox.http(call).await,
            Self::Native(native) => native.http(call).await,
            #[cfg(test)]
            Self::Scripted(script) => (script.http)(call).await,
        }
    }

    /// Runs one action; the result is `str()` of what its handler returned.
    ///
    /// # Errors
    /// [`CallError`] when the agent has no answer, or raised.
    pub async fn act(&self, call: ActionCall) -> Result<String, CallError> {
        match self {
            Self::Sandbox(sandbox) => sandbox.act(call).await,
            Self::Native(native) => native.act(call).await,
            #[cfg(test)]
            Self::Scripted(script) => (script.act)(call).await,
        }
    }

    /// The instances in numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match self {
            Self::Sandbox(sandbox) => sandbox.counts(),
            Self::Native(native) => native.counts(),
            #[cfg(test)]
            Self::Scripted(_) => Counts::default(),
        }
    }

    /// Returns with the reason when the agent is lost and cannot be restarted.
    pub async fn failed(&self) -> Arc<str> {
        match self {
            Self::Sandbox(sandbox) => sandbox.failed().await,
            Self::Native(native) => native.failed().await,
            #[cfg(test)]
            Self::Scripted(_) => std::future::pending().await,
        }
    }

    /// Runs the agent's shutdown hooks and ends it, at the latest at `deadline`.
    pub async fn stop(&self, deadline: Instant) {
        match self {
            Self::Sandbox(sandbox) => sandbox.stop(deadline).await,
            Self::Native(native) => native.stop(deadline).await,
            #[cfg(test)]
            Self::Scripted(_) => {}
        }
    }
}

#[cfg(test)]
pub(crate) mod scripted {
    //! Closures in the place of an agent, for tests of what surrounds it.

    use std::fmt;

    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::{ActionCall, CallError, HttpCall, HttpReply};

    type Answer<C, R> = Box<dyn Fn(C) -> BoxFuture<'static, Result<R, CallError>> + Send + Sync>;

    /// What to answer.
    pub struct Script {
        pub(super) http: Answer<HttpCall, HttpReply>,
        pub(super) act: Answer<ActionCall, String>,
    }

    impl Script {
        pub(crate) fn http<F>(answer: impl Fn(HttpCall) -> F + Send + Sync + 'static) -> Self
        where
            F: Future<Output = Result<HttpReply, CallError>> + Send + 'static,
        {
            Self {
                http: Box::new(move |call| answer(call).boxed()),
                act: Box::new(|_| futures::future::ready(Err(CallError::Unavailable)).boxed()),
            }
        }

        pub(crate) fn act<F>(answer: impl Fn(ActionCall) -> F + Send + Sync + 'static) -> Self
        where
            F: Future<Output = Result<String, CallError>> + Send + 'static,
        {
            Self {
                http: Box::new(|_| futures::future::ready(Err(CallError::Unavailable)).boxed()),
                act: Box::new(move |call| answer(call).boxed()),
            }
        }
    }

    impl fmt::Debug for Script {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("Script")
        }
    }
}
