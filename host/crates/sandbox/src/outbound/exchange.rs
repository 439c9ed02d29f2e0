//! One exchange as the guest drives it: push, answer, pull, abandon.

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::AbortHandle;

use super::body::Pushes;
use super::failure::Failure;

/// The head of a response, and its body when that has arrived already.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Names and values, with zero bytes between them.
    pub headers: Vec<u8>,
    /// The body; `None` when it follows, by [`Exchange::pull`].
    pub body: Option<Bytes>,
}

/// The ends of the channels between the guest and the task that sends.
///
/// Everything may be called at any time and in any order: the guest decides. Dropping it ends
/// the task.
#[derive(Debug)]
pub struct Exchange {
    answer: Mutex<oneshot::Receiver<Result<Answer, Failure>>>,
    chunks: Mutex<mpsc::Receiver<Result<Bytes, Failure>>>,
    pushes: std::sync::Mutex<Option<Pushes>>,
    task: Option<AbortHandle>,
}

impl Exchange {
    pub(super) fn new(
        answer: oneshot::Receiver<Result<Answer, Failure>>,
        chunks: mpsc::Receiver<Result<Bytes, Failure>>,
        pushes: Option<Pushes>,
        task: AbortHandle,
    ) -> Self {
        Self {
            answer: Mutex::new(answer),
            chunks: Mutex::new(chunks),
            pushes: std::sync::Mutex::new(pushes),
            task: Some(task),
        }
    }

    /// An exchange that ended before it began.
    pub(super) fn failed(failure: Failure) -> Self {
        let (sender, answer) = oneshot::channel();
        let _ = sender.send(Err(failure));
        let (_, chunks) = mpsc::channel(1);
        Self { answer: Mutex::new(answer), chunks: Mutex::new(chunks), pushes: std::sync::Mutex::default(), task: None }
    }

    /// Sends a piece of the body, when there is room for it.
    ///
    /// # Errors
    /// [`Failure`] when there is nothing to come.
    pub async fn push(&self, piece: Bytes) -> Result<(), Failure> {
        let admitted = self.pushes().as_ref().map(|pushes| pushes.admit(&piece));
        match admitted {
            Some(Ok(room)) => room.send(piece).await.map_err(|_| Failure::cancelled()),
            Some(Err(refused)) => {
                self.abandon();
                Err(refused.failure())
            }
            None => Err(Failure::cancelled()),
        }
    }

    /// The body is complete. One that is shorter than declared never is.
    pub fn finish(&self) {
        let pushes = self.pushes().take();
        if pushes.is_some_and(|pushes| !pushes.is_complete()) {
            self.abandon();
        }
    }

    fn pushes(&self) -> std::sync::MutexGuard<'_, Option<Pushes>> {
        self.pushes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for the head of the response.
    ///
    /// # Errors
    /// [`Failure`] when there is nothing to come.
    pub async fn answer(&self) -> Result<Answer, Failure> {
        let mut answer = self.answer.lock().await;
        if answer.is_terminated() {
            return Err(Failure::protocol("the response was asked for twice"));
        }
        (&mut *answer).await.unwrap_or_else(|_| Err(Failure::cancelled()))
    }

    /// Waits for more of the body; empty at its end.
    ///
    /// # Errors
    /// [`Failure`] when there is nothing to come.
    pub async fn pull(&self) -> Result<Bytes, Failure> {
        self.chunks.lock().await.recv().await.unwrap_or_else(|| Err(Failure::cancelled()))
    }

    /// Ends it; whoever waits hears so.
    pub fn abandon(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.abandon();
    }
}
