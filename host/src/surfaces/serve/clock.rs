//! What one connection has been doing, so that slow and idle clients can be told apart.
//!
//! The timer built into the HTTP library is one for both: a client that takes ten seconds over
//! its headers is an attack, a kept-alive connection that rests for ten seconds is not (and a
//! load balancer in front needs it to rest for longer than its own idle time). It also costs a
//! timer for each request; here a connection looks at its clock once in a while.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Limits;

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
}

/// What the alarm found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well until then.
    LookAgain(Instant),
    /// Nothing has happened for the idle time.
    Idle,
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
        } else if self.in_flight.load(ORDER) == 0 && self.head_since.load(ORDER) == 0 && !self.multiplexed.load(ORDER) {
            self.head_since.store(self.now(), ORDER);
        }
    }

    /// A request begins; it ends when the guard goes, which is with the body of its answer.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, ORDER);
        self.head_since.store(0, ORDER);
        InFlight(Arc::clone(self))
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
        if self.in_flight.load(ORDER) > 0 {
            return Verdict::LookAgain(soon);
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
