//! What one connection has been doing, so that slow and idle clients can be told apart.
//!
//! The timer built into the HTTP library is one for both: a client that takes ten seconds over
//! its headers is an attack, a kept-alive connection that rests for ten seconds is not (and a
//! load balancer in front needs it to rest for longer than its own idle time). It also costs a
//! timer for each request; here a connection looks at its clock once in a while.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Limits;
use super::farewell::Farewell;

/// Relaxed is enough throughout: the alarm reads late values at worst one period later.
const ORDER: Ordering = Ordering::Relaxed;

/// Times are milliseconds since `start`, 0 for "not now".
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    in_flight: AtomicUsize,
    head_since: AtomicU64,
    idle_since: AtomicU64,
    write_blocked_since: AtomicU64,
    multiplexed: AtomicBool,
    /// Whether the head that is due has begun to arrive.
    in_head: AtomicBool,
    answered: AtomicU32,
    abandoned: AtomicU32,
    abandons: Notify,
    /// Of each answer on its way, when its client was last ready to take more of it.
    stalls: Mutex<Vec<Arc<AtomicU64>>>,
}

/// What the alarm found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well until then.
    LookAgain(Instant),
    /// Nothing has happened for the idle time.
    Idle,
    /// Some answers are not being read, and others are: nothing new begins here. Look again then.
    Stalls(Instant),
    /// The client takes too long over a request head, or over reading an answer.
    Stuck,
}

impl Clock {
    /// The clock of a connection accepted now. Its first head is due at once.
    pub(super) fn start() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            in_flight: AtomicUsize::new(0),
            head_since: AtomicU64::new(1),
            idle_since: AtomicU64::new(1),
            write_blocked_since: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
            in_head: AtomicBool::new(false),
            answered: AtomicU32::new(0),
            abandoned: AtomicU32::new(0),
            abandons: Notify::new(),
            stalls: Mutex::default(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn bytes_read(&self, bytes: &[u8]) {
        // HTTP/2 opens with `PRI * HTTP/2.0`; its streams are bounded by the idle time alone.
        if self.head_since.load(ORDER) == 1 && bytes.starts_with(b"PRI") {
            self.multiplexed.store(true, ORDER);
            self.head_since.store(0, ORDER);
        } else if self.in_flight.load(ORDER) == 0 && !self.multiplexed.load(ORDER) {
            self.in_head.store(true, ORDER);
            if self.head_since.load(ORDER) == 0 {
                self.head_since.store(self.now(), ORDER);
            }
        }
    }

    /// A request begins; it ends when the guard goes, which is with the body of its answer.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, ORDER);
        self.head_since.store(0, ORDER);
        self.in_head.store(false, ORDER);
        InFlight(Arc::clone(self))
    }

    /// Returns how many requests the client gave up beyond those it let be answered, once that is more than `allowed`;
    /// then again after each further one.
    pub(super) async fn given_up(&self, allowed: u32) -> u32 {
        loop {
            self.abandons.notified().await;
            let given_up = self.abandoned.load(ORDER).saturating_sub(self.answered.load(ORDER));
            if given_up > allowed {
                return given_up;
            }
        }
    }

    /// How many answers nobody has taken more of for `longest`.
    fn stalled(&self, now: u64, longest: Duration) -> usize {
        let mut stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls.retain(|since| Arc::strong_count(since) > 1);
        let is_stalled = |since: u64| since != 0 && Duration::from_millis(now.saturating_sub(since)) >= longest;
        stalls.iter().filter(|since| is_stalled(since.load(ORDER))).count()
    }

    /// Whether no request is in flight, and no answer on its way.
    pub(super) fn is_resting(&self) -> bool {
        self.in_flight.load(ORDER) == 0 && self.write_blocked_since.load(ORDER) == 0
    }

    /// Whether it carries many requests at once, and says itself which of them it has seen.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(ORDER)
    }

    /// Whether the connection of a port that is being left can be told to end without losing a request.
    pub(super) fn may_part(&self, farewell: &Farewell) -> bool {
        self.is_multiplexed() || (self.is_resting() && !self.in_head.load(ORDER) && farewell.is_quiet())
    }

    /// Judges the connection.
    pub(super) fn verdict(&self, limits: &Limits) -> Verdict {
        let now = self.now();
        let since = |moment: u64| Duration::from_millis(now.saturating_sub(moment));
        let at = |moment: u64, span: Duration| self.start + Duration::from_millis(moment) + span;

        let blocked = self.write_blocked_since.load(ORDER);
        if blocked != 0 && since(blocked) >= limits.write_stall {
            return Verdict::Stuck;
        }
        let soon = at(now, limits.shortest());
        let in_flight = self.in_flight.load(ORDER);
        if in_flight > 0 {
            return match self.stalled(now, limits.write_stall) {
                0 => Verdict::LookAgain(soon),
                stalled if stalled < in_flight => Verdict::Stalls(soon),
                _ => Verdict::Stuck,
            };
        }
        let head = self.head_since.load(ORDER);
        if head != 0 {
            return if since(head) >= limits.head_time {
                Verdict::Stuck
            } else {
                Verdict::LookAgain(at(head, limits.head_time).min(soon))
            };
        }
        let idle = self.idle_since.load(ORDER);
        if since(idle) >= limits.idle_time {
            Verdict::Idle
        } else {
            Verdict::LookAgain(at(idle, limits.idle_time).min(soon))
        }
    }
}

/// One request that is being served.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Clock>);

impl InFlight {
    /// The request waits for its answer; a client that does not wait for it gives it up.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting { clock: Arc::clone(&self.0), answered: false }
    }

    /// Notes when the client takes more of the answer. It has not taken any yet.
    pub(super) fn stall(&self) -> Stall {
        /// Answers that are over and still listed.
        const MANY: usize = 64;
        let since = Arc::new(AtomicU64::new(self.0.now()));
        let mut stalls = self.0.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        if stalls.len() > MANY + 2 * self.0.in_flight.load(ORDER) {
            stalls.retain(|since| Arc::strong_count(since) > 1);
        }
        stalls.push(Arc::clone(&since));
        drop(stalls);
        Stall { clock: Arc::clone(&self.0), since }
    }
}

/// A request without an answer so far.
#[derive(Debug)]
pub(super) struct Waiting {
    clock: Arc<Clock>,
    answered: bool,
}

impl Waiting {
    /// It has its answer.
    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.answered {
            self.clock.answered.fetch_add(1, ORDER);
        } else {
            self.clock.abandoned.fetch_add(1, ORDER);
            self.clock.abandons.notify_one();
        }
    }
}

/// How long one answer of a multiplexed connection has not been read. Windows of HTTP/2 hold back single answers, which
/// writing to the socket does not show.
#[derive(Debug)]
pub(super) struct Stall {
    clock: Arc<Clock>,
    since: Arc<AtomicU64>,
}

impl Stall {
    /// The client is ready for more; `pending` says that the agent is not.
    pub(super) fn polled(&self, pending: bool) {
        self.since.store(if pending { 0 } else { self.clock.now() }, ORDER);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), ORDER);
        self.0.in_flight.fetch_sub(1, ORDER);
    }
}

/// A connection that tells its clock.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) stream: TcpStream,
    pub(super) clock: Arc<Clock>,
}

impl Timed {
    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        let blocked = &self.clock.write_blocked_since;
        match &result {
            Poll::Pending if blocked.load(ORDER) == 0 => blocked.store(self.clock.now(), ORDER),
            Poll::Ready(_) if blocked.load(ORDER) != 0 => blocked.store(0, ORDER),
            _ => {}
        }
        result
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(fresh) = buffer.filled().get(before..)
            && !fresh.is_empty()
        {
            self.clock.bytes_read(fresh);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
