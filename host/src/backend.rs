//! What runs the agent. Surfaces see this module and nothing below it.

pub use par_sandbox::call::{
    ActionCall, BodyBroken, CallError, HttpCall, HttpReply, Parameters, ReplyBody, RequestBody, Surface,
};

/// What answers the calls of the surfaces.
#[derive(Debug)]
pub enum Backend {
    /// Answers written down by a unit test of the surfaces.
    #[cfg(test)]
    Scripted(scripted::Script),
}

impl Backend {
    /// Serves one HTTP request. Dropping the future cancels the call.
    ///
    /// # Errors
    /// [`CallError`] when the agent has no answer.
    pub async fn http(&self, call: HttpCall) -> Result<HttpReply, CallError> {
        let _ = &call;
        match *self {
            #[cfg(test)]
            Self::Scripted(ref script) => (script.http)(call).await,
        }
    }

    /// Runs one action; the result is `str()` of what its handler returned. Dropping the
    /// future cancels the call.
    ///
    /// # Errors
    /// [`CallError`] when the agent has no answer, or raised.
    pub async fn act(&self, call: ActionCall) -> Result<String, CallError> {
        let _ = &call;
        match *self {
            #[cfg(test)]
            Self::Scripted(ref script) => (script.act)(call).await,
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

        #[expect(dead_code, reason = "the tests of the A2A surface are next")]
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
