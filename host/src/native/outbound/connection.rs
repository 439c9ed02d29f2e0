//! One connection of a native process, from its first byte to its last.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use par_sandbox::{Failure, Flight};
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::hello::{self, Spoken};
use super::{Flights, NativeOutbound, passing, requests, unseen};

/// How long a connection may be open without having said anything.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// What a process wants to be connected to, as its Python says it.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    pub(super) host: String,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) call: Option<u32>,
}

/// On whose behalf something is sent, as the process says it before it sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Behalf {
    call: Option<u32>,
    packages: Vec<String>,
}

/// Why there is no response, as the process is told.
#[derive(Debug, Serialize)]
struct Told<'a> {
    reason: &'static str,
    code: &'static str,
    message: &'a str,
}

/// Tells the process why its connection ends.
pub(super) fn tell(control: &OwnedFd, failure: &Failure) {
    let told = Told { reason: failure.reason.as_str(), code: failure.code, message: &failure.message };
    if let Ok(message) = serde_json::to_vec(&told) {
        passing::tell(control, &message);
    }
}

/// Most packages that are named for one request, and the longest name of one. Unit: bytes.
const PACKAGES: usize = 8;
const LONGEST_NAME: usize = 128;

/// A connection: where to, and the socket about it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) way: Arc<NativeOutbound>,
    pub(super) host: String,
    pub(super) port: u16,
    control: OwnedFd,
    flights: Arc<Flights>,
    behalf: Mutex<Behalf>,
}

impl Connection {
    pub(super) fn new(way: Arc<NativeOutbound>, wanted: Wanted, control: OwnedFd, flights: Arc<Flights>) -> Arc<Self> {
        let Wanted { host, port, call } = wanted;
        let behalf = Mutex::new(Behalf { call, packages: Vec::new() });
        Arc::new(Self { way, host, port, control, flights, behalf })
    }

    /// Serves it to its end.
    pub(super) async fn serve(self: Arc<Self>, mut stream: UnixStream) {
        let spoken = match timeout(SILENCE, hello::spoken(&mut stream)).await {
            Ok(Ok(Some(spoken))) => spoken,
            // Nothing was said.
            _ => return,
        };
        match spoken {
            Spoken::Plain(first) if !hello::begins_like_http(&first) => {
                self.tell(&Failure::not_http(requests::NOT_HTTP))
            }
            Spoken::Plain(first) => requests::plain(&self, first, stream).await,
            Spoken::Tls { first, name } if self.way.outbound.leaves_unseen(&self.host, self.port) => {
                unseen::pass(&self, first, name.as_deref(), stream).await;
            }
            Spoken::Tls { first, .. } => requests::secure(&self, first, stream).await,
        }
    }

    /// The request to the agent during which something is sent now, and the packages that send it.
    pub(super) fn behalf(&self) -> (Option<Arc<Flight>>, Vec<String>) {
        let mut behalf = self.behalf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = passing::latest(&self.control).and_then(|message| serde_json::from_slice(&message).ok()) {
            *behalf = said;
        }
        let names = behalf.packages.iter().filter(|name| name.len() <= LONGEST_NAME).take(PACKAGES);
        (self.flights.find(behalf.call), names.cloned().collect())
    }

    /// Tells the process why it gets no answer.
    pub(super) fn tell(&self, failure: &Failure) {
        // What is left unread when a socket is closed resets its other end, before this is read there.
        let _ = passing::latest(&self.control);
        tell(&self.control, failure);
    }
}
