//! One listening socket and everything that happens on it: accepting, limits, draining.
//!
//! The loop is ours because a ready-made one sets no header timeout, no idle time and no
//! connection cap, and dies or spins when the process runs out of descriptors.

mod clock;
mod farewell;
mod tracked;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, unconstrained};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use clock::{Clock, Timed, Verdict};
use farewell::{Farewell, HANDSHAKE, QUIET, turn_away_newcomers};
use tracked::Tracked;

/// Connections waiting to be accepted. Unit: connections; the kernel caps it at `somaxconn`.
const BACKLOG: u32 = 1024;

/// How long accepting rests when the process is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accept errors in a row, each after a pause, that mean the socket itself is gone.
const ACCEPT_FAILURES: u32 = 200;

/// Streams of one HTTP/2 connection that may be reset before anybody looked at them.
const RESET_UNSEEN: usize = 20;

/// Streams of one HTTP/2 connection that may break the protocol.
const RESET_BY_US: usize = 128;

/// How long a connection that was asked to close may take over it.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Both ends of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The address of the client.
    pub client: SocketAddr,
    /// Our address.
    pub server: SocketAddr,
}

/// Answers requests.
pub trait Serve: Send + Sync + 'static {
    /// The body of its answers.
    type Body: http_body::Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Unpin + Send + 'static;

    /// The answer to one request. Dropping the future means that the client went away.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Which protocols a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, and HTTP/2 for clients that begin with its preface.
    Http,
    /// HTTP/2 alone, as gRPC needs it.
    Grpc,
}

/// What one socket puts up with.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: u32,
    /// Longest time for one request head.
    pub head_time: Duration,
    /// Longest rest between requests. More than the 60 s a load balancer rests, so that it
    /// is never ours that closes while it is about to send.
    pub idle_time: Duration,
    /// Longest time a client may refuse to take bytes.
    pub write_stall: Duration,
    /// Request head in all, in bytes. Also the size of the read buffer.
    pub head_bytes: usize,
    /// Streams at once on one HTTP/2 connection.
    pub streams: u32,
    /// Requests a client may give up on one HTTP/2 connection beyond as many as it let be answered: each has cost the
    /// agent something, and a load balancer that puts many clients on one connection passes their
    /// impatience on. After as many more the connection is cut.
    pub given_up: u32,
}

impl Limits {
    /// How often a connection looks at its clock at least.
    fn shortest(&self) -> Duration {
        self.head_time.min(self.idle_time).min(self.write_stall)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: connection_budget(),
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            write_stall: Duration::from_secs(60),
            head_bytes: 64 * 1024,
            streams: 256,
            given_up: 256,
        }
    }
}

/// Three quarters of the descriptors of the process, at most 16 384: the rest is for the agent's
/// files and outbound connections.
fn connection_budget() -> u32 {
    const MOST: u64 = 16_384;
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let budget = descriptors.unwrap_or(MOST).saturating_mul(3) / 4;
    u32::try_from(budget.clamp(16, MOST)).unwrap_or(16)
}

/// A port could not be had. There is no second choice of port.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}` for {surface}")]
pub struct BindError {
    /// Which surface asked.
    pub surface: &'static str,
    /// The address that was refused.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// A socket that served stopped accepting on its own.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The kernel keeps refusing to hand out connections.
    #[error("{surface} cannot accept connections any more")]
    Accept {
        /// Which surface.
        surface: &'static str,
        /// The last refusal.
        #[source]
        source: io::Error,
    },
    /// The accepting task ended without being asked to.
    #[error("the accept loop of {surface} ended unasked")]
    Ended {
        /// Which surface.
        surface: &'static str,
    },
}

/// A port that is ours and not yet served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    surface: &'static str,
}

impl Bound {
    /// Binds exactly `address` and logs it.
    ///
    /// # Errors
    /// [`BindError`] when the port is taken or not allowed.
    pub fn bind(surface: &'static str, address: SocketAddr) -> Result<Self, BindError> {
        let refused = |source| BindError { surface, address, source };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(refused)?;
        // Lets a restarted process have the port back while old connections linger in the
        // kernel; a port somebody listens on is refused all the same.
        socket.set_reuseaddr(true).map_err(refused)?;
        socket.bind(address).map_err(refused)?;
        let listener = socket.listen(BACKLOG).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        tracing::info!(surface, address = %address, "Listening");
        Ok(Self { listener, address, surface })
    }

    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the port until [`Server::drain`], or until the server is dropped.
    #[must_use]
    pub fn serve<S: Serve>(self, service: Arc<S>, protocol: Protocol, limits: Limits) -> Server {
        let (stage, watched) = watch::channel(Stage::Serving);
        let slots = Arc::new(Semaphore::new(limits.connections as usize));
        let connections = limits.connections;
        let farewell = Arc::new(Farewell::new());
        let (address, surface) = (self.address, self.surface);
        let accepting = Accepting {
            builder: Arc::new(builder(protocol, &limits)),
            service,
            limits: Arc::new(limits),
            slots: Arc::clone(&slots),
            stage: watched,
            farewell: Arc::clone(&farewell),
        };
        let accept = tokio::spawn(accepting.run(self.listener, surface));
        Server { address, surface, connections, slots, stage, farewell, accept }
    }
}

/// What every connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    Draining,
    Cut,
}

/// A port that is being served. Dropping it closes the port and cuts its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    surface: &'static str,
    connections: u32,
    slots: Arc<Semaphore>,
    stage: watch::Sender<Stage>,
    farewell: Arc<Farewell>,
    accept: JoinHandle<Result<(), ServeError>>,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy at the deadline and were cut.
    pub cut: usize,
}

impl Server {
    /// The address that is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the server to fail. Pending for as long as all is well; cancel-safe.
    pub async fn failed(&mut self) -> ServeError {
        match (&mut self.accept).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => ServeError::Ended { surface: self.surface },
        }
    }

    /// Stops accepting, lets requests in flight finish until `deadline`, then cuts the rest.
    ///
    /// Who was connecting already is let in. HTTP/1 answers say `connection: close`, HTTP/2 connections get GOAWAY; connections
    /// that rest are closed as soon as nobody has asked for anything for a moment.
    pub async fn drain(mut self, deadline: Instant) -> Drained {
        self.farewell.begin();
        self.stage.send_replace(Stage::Draining);
        let _ = (&mut self.accept).await;
        let every = Arc::clone(&self.slots);
        let mut cut = 0;
        if timeout_at(deadline, every.acquire_many(self.connections)).await.is_err() {
            cut = (self.connections as usize).saturating_sub(self.slots.available_permits());
            tracing::warn!(surface = self.surface, cut, "Drain deadline passed, cutting connections");
            self.stage.send_replace(Stage::Cut);
            let _ = every.acquire_many(self.connections).await;
        }
        Drained { cut }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Cut);
        self.accept.abort();
    }
}

type Builder = auto::Builder<TokioExecutor>;

fn builder(protocol: Protocol, limits: &Limits) -> Builder {
    let mut builder = Builder::new(TokioExecutor::new());
    if protocol == Protocol::Grpc {
        builder = builder.http2_only();
    }
    builder.http1().header_read_timeout(None).max_buf_size(limits.head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(128 * 1024)
        .max_pending_accept_reset_streams(RESET_UNSEEN)
        .max_local_error_reset_streams(RESET_BY_US)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

struct Accepting<S> {
    builder: Arc<Builder>,
    service: Arc<S>,
    limits: Arc<Limits>,
    slots: Arc<Semaphore>,
    stage: watch::Receiver<Stage>,
    farewell: Arc<Farewell>,
}

impl<S: Serve> Accepting<S> {
    async fn run(mut self, listener: TcpListener, surface: &'static str) -> Result<(), ServeError> {
        let mut failures = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = self.stage.changed() => {
                    self.last_ones(&listener, surface).await;
                    return Ok(());
                }
                accepted = accept(&listener, &self.slots) => accepted,
            };
            match accepted {
                Ok((stream, client, slot)) => {
                    failures = 0;
                    self.connect(stream, client, slot);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(source) => {
                    failures += 1;
                    if failures == 1 {
                        tracing::warn!(surface, error = %source, "Cannot accept, trying again");
                    }
                    if failures >= ACCEPT_FAILURES {
                        return Err(ServeError::Accept { surface, source });
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Lets in who has connected, or is about to, before the socket is closed.
    async fn last_ones(&self, listener: &TcpListener, surface: &'static str) {
        if let Err(error) = turn_away_newcomers(listener) {
            tracing::debug!(surface, error = %error, "Whoever connects right now may be refused");
        }
        sleep(HANDSHAKE).await;
        while let Some(Ok((stream, client, slot))) = unconstrained(accept(listener, &self.slots)).now_or_never() {
            self.connect(stream, client, slot);
        }
    }

    fn connect(&self, stream: TcpStream, client: SocketAddr, slot: OwnedSemaphorePermit) {
        // An error here means that the client is gone already.
        let (Ok(()), Ok(server)) = (stream.set_nodelay(true), stream.local_addr()) else { return };
        let connection = Connection {
            builder: Arc::clone(&self.builder),
            service: Arc::clone(&self.service),
            limits: Arc::clone(&self.limits),
            stage: self.stage.clone(),
            farewell: Arc::clone(&self.farewell),
            peer: Peer { client, server },
        };
        tokio::spawn(async move {
            connection.run(stream).await;
            drop(slot);
        });
    }
}

/// Takes a place first: at the cap, connections wait in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, client) = listener.accept().await?;
    Ok((stream, client, slot))
}

/// The client gave up between connecting and being accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

struct Connection<S> {
    builder: Arc<Builder>,
    service: Arc<S>,
    limits: Arc<Limits>,
    stage: watch::Receiver<Stage>,
    farewell: Arc<Farewell>,
    peer: Peer,
}

impl<S: Serve> Connection<S> {
    async fn run(mut self, stream: TcpStream) {
        let clock = Clock::start();
        let transport = TokioIo::new(Timed { stream, clock: Arc::clone(&clock) });
        let (service, peer, requests) = (self.service, self.peer, Arc::clone(&clock));
        let farewell = Arc::clone(&self.farewell);
        let answers = service_fn(move |request: Request<Incoming>| {
            let in_flight = requests.request();
            farewell.request();
            let service = Arc::clone(&service);
            let (version, farewell) = (request.version(), Arc::clone(&farewell));
            async move {
                let waiting = in_flight.waiting();
                let mut response = service.answer(request, peer).await;
                waiting.answered();
                // A client must not send another request on a connection that is about to be closed.
                if version < Version::HTTP_2 && farewell.has_begun() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                let stall = (version == Version::HTTP_2).then(|| in_flight.stall());
                Ok::<_, Infallible>(response.map(|body| Tracked::new(body, in_flight, stall)))
            }
        });
        let mut connection = pin!(self.builder.serve_connection(transport, answers));
        let mut alarm = pin!(sleep_until(Instant::now() + self.limits.shortest()));
        let mut closing = false;
        // Who is let in at the last moment does not hear of a change.
        let mut leaving = *self.stage.borrow_and_update() != Stage::Serving;
        if leaving {
            alarm.as_mut().reset(Instant::now() + QUIET);
        }
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(client = %peer.client, error = %error, "Connection broke off");
                    }
                    return;
                }
                changed = self.stage.changed() => {
                    if changed.is_err() || *self.stage.borrow_and_update() == Stage::Cut {
                        return;
                    }
                    leaving = true;
                    alarm.as_mut().reset(Instant::now() + if clock.is_multiplexed() { Duration::ZERO } else { QUIET });
                }
                given_up = clock.given_up(self.limits.given_up) => {
                    tracing::debug!(client = %peer.client, given_up, "Client gives up its requests");
                    if given_up > self.limits.given_up.saturating_mul(2) {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                }
                () = alarm.as_mut() => match clock.verdict(&self.limits) {
                    // A client that does not acknowledge the end holds it up no longer than the grace.
                    Verdict::LookAgain(_) if leaving && !closing && clock.may_part(&self.farewell) => {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                        alarm.as_mut().reset(Instant::now() + CLOSE_GRACE);
                    }
                    Verdict::LookAgain(at) if leaving && !closing => {
                        alarm.as_mut().reset(at.min(Instant::now() + QUIET));
                    }
                    Verdict::LookAgain(_) if closing && clock.is_resting() => return,
                    Verdict::LookAgain(at) => alarm.as_mut().reset(at),
                    Verdict::Stalls(at) => {
                        connection.as_mut().graceful_shutdown();
                        alarm.as_mut().reset(at);
                    }
                    Verdict::Idle if !closing => {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                        alarm.as_mut().reset(Instant::now() + CLOSE_GRACE);
                    }
                    Verdict::Idle | Verdict::Stuck => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
