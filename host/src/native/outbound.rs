//! The way out of a native process: it has no sockets, and asks for each connection over one it inherited.
//!
//! For each it gets one end of a pair of sockets and believes to be connected. At the other end the host reads what is
//! said: HTTP is taken request by request through the [`Outbound`] of the sandbox, which judges, resolves, dials,
//! puts secrets in and writes the record. TLS is ended by the host with a certificate of its own (`authority.rs`),
//! so that the same holds for `https`; where rules grant a host whatever is said to it, the agent speaks TLS with
//! the host itself. `docs/native.md` tells the story.

mod authority;
mod connection;
mod hello;
mod passing;
mod requests;
#[cfg(test)]
mod tests;
mod unseen;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use par_sandbox::{Flight, Outbound};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

pub use authority::{Authority, NoAuthority};
pub use passing::pair;

use connection::{Connection, Wanted};

/// The calls of one process, by its numbers: so that the record names the request during which something left.
#[derive(Debug, Default)]
pub struct Flights(Mutex<HashMap<u32, Weak<Flight>>>);

impl Flights {
    /// A call begins.
    pub fn begin(&self, call: u32, flight: &Arc<Flight>) {
        self.lock().insert(call, Arc::downgrade(flight));
    }

    /// A call is over.
    pub fn end(&self, call: u32) {
        self.lock().remove(&call);
    }

    fn find(&self, call: Option<u32>) -> Option<Arc<Flight>> {
        self.lock().get(&call?)?.upgrade()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Weak<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way out for the processes of one agent.
#[derive(Debug)]
pub struct NativeOutbound {
    outbound: Outbound,
    authority: Authority,
}

/// The task that serves the connections of one process; dropping it ends them all.
#[derive(Debug)]
pub struct Serving(AbortHandle);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl NativeOutbound {
    /// The way out by the rules of `outbound`, with an authority for the hosts it ends TLS for.
    #[must_use]
    pub const fn new(outbound: Outbound, authority: Authority) -> Self {
        Self { outbound, authority }
    }

    /// Returns when every exchange is on the record, or a second has passed.
    pub async fn recorded(&self) {
        self.outbound.recorded().await;
    }

    /// Serves what a process asks for over `socket`, the host's end of a [`pair`].
    ///
    /// # Errors
    /// When the system cannot wait for it.
    pub fn serve(self: &Arc<Self>, socket: OwnedFd, flights: Arc<Flights>) -> io::Result<Serving> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let socket = UnixStream::from_std(socket)?;
        let task = tokio::spawn(Arc::clone(self).listen(socket, flights));
        Ok(Serving(task.abort_handle()))
    }

    async fn listen(self: Arc<Self>, socket: UnixStream, flights: Arc<Flights>) {
        let open = Arc::new(Semaphore::new(self.outbound.most_open().min(Semaphore::MAX_PERMITS)));
        let mut connections = JoinSet::new();
        while let Ok(asked) = passing::receive(&socket).await {
            while connections.try_join_next().is_some() {}
            // What nobody can read, or comes without a way to answer, gets no answer.
            let Some((message, control)) = asked else { continue };
            let Ok(wanted) = serde_json::from_slice::<Wanted>(&message) else { continue };
            let Ok(place) = Arc::clone(&open).try_acquire_owned() else {
                let flight = flights.find(wanted.call);
                let refused = self.outbound.too_many(flight.as_deref()).answer().await;
                refused.err().iter().for_each(|failure| connection::tell(&control, failure));
                continue;
            };
            let Ok((here, there)) = UnixStream::pair() else { continue };
            let Ok(there) = there.into_std() else { continue };
            if passing::send(&control, b"{}", there.into()).is_err() {
                continue;
            }
            let connection = Connection::new(Arc::clone(&self), wanted, control, Arc::clone(&flights));
            connections.spawn(async move {
                connection.serve(here).await;
                drop(place);
            });
        }
    }
}
