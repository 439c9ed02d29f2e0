//! How a port is left without losing anybody who is on the way.
//!
//! A load balancer learns that an instance goes from what the instance does. Two moments lose requests:
//! a listening socket that is closed resets whoever the kernel has let in and nobody accepted, and a connection of
//! HTTP/1 that is closed while it rests may have a request on its way. HTTP/2 says which requests it has seen.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// So long nobody must have asked for anything on the port before connections that rest are closed. A load balancer
/// takes less from one request to the next while it still believes in this instance.
pub(super) const QUIET: Duration = Duration::from_millis(100);

/// Connections are closed after this although requests still come.
const LONGEST: Duration = Duration::from_secs(5);

/// What a handshake that has begun needs to its end, to a load balancer in another zone.
pub(super) const HANDSHAKE: Duration = Duration::from_millis(20);

/// Relaxed is enough: who reads late looks again.
const ORDER: Ordering = Ordering::Relaxed;

/// The end of one port, which all of its connections know. Times are milliseconds since `start`.
#[derive(Debug)]
pub(super) struct Farewell {
    start: Instant,
    begun: AtomicBool,
    since: AtomicU64,
    last_request: AtomicU64,
}

impl Farewell {
    /// Of a port that is opened now.
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            begun: AtomicBool::new(false),
            since: AtomicU64::new(0),
            last_request: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The port is being left.
    pub(super) fn begin(&self) {
        let now = self.now();
        self.since.store(now, ORDER);
        self.last_request.store(now, ORDER);
        self.begun.store(true, Ordering::Release);
    }

    /// Whether it is being left.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Somebody asks for something.
    pub(super) fn request(&self) {
        if self.has_begun() {
            self.last_request.store(self.now(), ORDER);
        }
    }

    /// Whether connections that rest may be closed.
    pub(super) fn is_quiet(&self) -> bool {
        let now = self.now();
        let since = |moment: &AtomicU64| Duration::from_millis(now.saturating_sub(moment.load(ORDER)));
        since(&self.last_request) >= QUIET || since(&self.since) >= LONGEST
    }
}

/// From here on nobody begins to connect; who has begun is let in. A client that is turned away so asks again a second later and
/// is refused then, or goes elsewhere at once.
///
/// # Errors
/// Where the kernel has no filters for sockets.
pub(super) fn turn_away_newcomers(listener: &TcpListener) -> io::Result<()> {
    /// `linux/bpf_common.h`
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// RFC 9293: where the flags of a segment are, and two of them.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}
