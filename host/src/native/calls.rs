//! What a process was asked and has not answered yet.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use par_sandbox::call::{
    ActionCall, BodyBroken, CallError, HttpCall, HttpReply, Parameters, ReplyBody, ReplyChunks, RequestBody, Surface,
};
use par_sandbox::trace::RequestName;
use par_sandbox::{Flight, Job, Lost, head};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::frames::{self, A2A, Frame, From, PIECE, STREAMED, To, UI, WINDOW};
use super::outbound::Flights;

/// Chunks of a response the host holds for a slow client; then the process is given no more room.
const CHUNKS_IN_FLIGHT: usize = 4;

/// What a body sends to the process, from a task of its own.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) call: u32,
    pub(super) kind: To,
    pub(super) payload: Bytes,
}

/// A call that waits for its answer, or for the rest of it.
#[derive(Debug)]
struct Open {
    flight: Arc<Flight>,
    way_back: WayBack,
    /// Room for the body of the request, in bytes.
    room: Option<Arc<Semaphore>>,
}

#[derive(Debug)]
enum WayBack {
    Http(oneshot::Sender<Result<HttpReply, Lost<HttpCall>>>),
    Action(oneshot::Sender<Result<String, Lost<ActionCall>>>),
    /// The head of the response has gone; these follow.
    Chunks(mpsc::UnboundedSender<Result<Bytes, CallError>>),
}

/// What a process says about a failure.
#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) traceback: String,
}

impl Failure {
    pub(super) fn read(payload: &[u8]) -> Self {
        serde_json::from_slice(payload).unwrap_or_else(|_| Self {
            reason: "protocol".to_owned(),
            message: "the process of the agent sent a failure nobody can read".to_owned(),
            traceback: String::new(),
        })
    }

    fn into_call_error(self) -> CallError {
        let Self { reason, message, traceback } = self;
        match reason.as_str() {
            "action-not-found" => CallError::ActionNotFound(message),
            "protocol" => CallError::Protocol(message),
            _ => CallError::Raised { message, traceback },
        }
    }
}

/// Every call a process works on.
#[derive(Debug)]
pub(super) struct Calls {
    open: HashMap<u32, Open>,
    last: u32,
    aside: mpsc::UnboundedSender<Aside>,
    flights: Arc<Flights>,
}

impl Calls {
    /// No calls. Bodies send what they have over `aside`.
    pub(super) fn new(aside: mpsc::UnboundedSender<Aside>, flights: Arc<Flights>) -> Self {
        Self { open: HashMap::new(), last: 0, aside, flights }
    }

    pub(super) fn is_open(&self, call: u32) -> bool {
        self.open.contains_key(&call)
    }

    /// What the log calls the request during which something happened.
    pub(super) fn request(&self, call: u32) -> Option<&RequestName> {
        self.open.get(&call).map(|open| open.flight.request())
    }

    /// Begins an HTTP request. From here on no other process can take it.
    pub(super) fn http(&mut self, job: Job<HttpCall, HttpReply>, outbox: &mut BytesMut) -> (u32, Arc<Flight>) {
        let Job { call, flight, reply } = job;
        let number = self.next();
        let HttpCall { surface, head, body, root_path, client, server, .. } = call;
        let head = head::joined_head(&head, &root_path, client, server);
        let (complete, streamed) = match body {
            RequestBody::Complete(bytes) if bytes.len() <= PIECE => (bytes, None),
            RequestBody::Complete(bytes) => {
                let (sender, chunks) = mpsc::channel(1);
                // There is room for one.
                let _ = sender.try_send(Ok(bytes));
                (Bytes::new(), Some(chunks))
            }
            RequestBody::Streamed(chunks) => (Bytes::new(), Some(chunks)),
        };
        let surface = match surface {
            Surface::Rest => 0,
            Surface::Ui => UI,
            Surface::A2a => A2A,
        };
        let flags = surface | if streamed.is_some() { STREAMED } else { 0 };
        frames::put(outbox, To::Http, number, |payload| {
            payload.put_u8(flags);
            payload.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
            payload.put_slice(&head);
            payload.put_slice(&complete);
        });
        let room = streamed.map(|chunks| {
            let room = Arc::new(Semaphore::new(WINDOW));
            tokio::spawn(upload(number, chunks, Arc::clone(&room), Arc::clone(&flight), self.aside.clone()));
            room
        });
        self.flights.begin(number, &flight);
        self.open.insert(number, Open { flight: Arc::clone(&flight), way_back: WayBack::Http(reply), room });
        (number, flight)
    }

    /// Begins an action. From here on no other process can take it.
    pub(super) fn action(&mut self, job: Job<ActionCall, String>, outbox: &mut BytesMut) -> (u32, Arc<Flight>) {
        let Job { call, flight, reply } = job;
        let number = self.next();
        let parameters = match call.parameters {
            Parameters::Text(pairs) => json!(pairs.into_iter().collect::<HashMap<_, _>>()),
            // The text of an object, which stays as the caller wrote it.
            Parameters::Json(object) => json!(object),
        };
        let request = json!({"action": call.action, "parameters": parameters}).to_string();
        frames::put(outbox, To::Action, number, |payload| payload.put_slice(request.as_bytes()));
        self.flights.begin(number, &flight);
        self.open.insert(number, Open { flight: Arc::clone(&flight), way_back: WayBack::Action(reply), room: None });
        (number, flight)
    }

    /// Takes what a process says about a call. What it says about one that is over is nothing.
    pub(super) fn take(&mut self, frame: Frame) {
        let Frame { kind, call, payload } = frame;
        match kind {
            From::Response => self.responds(call, payload),
            From::Body => {
                if let Some(Open { way_back: WayBack::Chunks(chunks), .. }) = self.open.get(&call) {
                    // The forwarding task ends when the client has left; then nobody misses it.
                    let _ = chunks.send(Ok(payload));
                }
            }
            From::BodyEnd => drop(self.close(call)),
            From::BodyBroken => {
                if let Some(WayBack::Chunks(chunks)) = self.close(call) {
                    let broken = "the response ended before it was complete".to_owned();
                    let _ = chunks.send(Err(CallError::Protocol(broken)));
                }
            }
            From::Credit => {
                let Some(room) = self.open.get(&call).and_then(|open| open.room.as_ref()) else { return };
                let taken = payload.get(..4).map_or(0, |mut size| size.get_u32());
                let taken = usize::try_from(taken).unwrap_or(usize::MAX);
                room.add_permits(taken.min(WINDOW.saturating_sub(room.available_permits())));
            }
            From::Result => {
                if let Some(WayBack::Action(reply)) = self.close(call) {
                    let _ = reply.send(Ok(String::from_utf8_lossy(&payload).into_owned()));
                }
            }
            From::Failed => {
                let error = Failure::read(&payload).into_call_error();
                match self.close(call) {
                    Some(WayBack::Http(reply)) => drop(reply.send(Err(Lost::Failed(error)))),
                    Some(WayBack::Action(reply)) => drop(reply.send(Err(Lost::Failed(error)))),
                    Some(WayBack::Chunks(chunks)) => drop(chunks.send(Err(error))),
                    None => {}
                }
            }
            From::Loaded | From::Refused | From::Pong | From::Log | From::Stopped => {}
        }
    }

    /// The process is lost. Callers without an answer hear it from the pool; responses half-way break visibly.
    pub(super) fn lose(&mut self, cause: &Arc<str>) {
        for open in self.open.drain().map(|(_, open)| open) {
            if let WayBack::Chunks(chunks) = &open.way_back {
                let _ = chunks.send(Err(CallError::InstanceLost(Arc::clone(cause))));
            }
            open.flight.end();
        }
    }

    fn responds(&mut self, call: u32, payload: Bytes) {
        let Some(open) = self.open.get_mut(&call) else { return };
        let streamed = match (read_response(payload), &open.way_back) {
            (_, WayBack::Chunks(_) | WayBack::Action(_)) => return,
            (Err(error), _) => Err(error),
            (Ok((reply, false)), _) => Ok((reply, None)),
            (Ok((mut reply, true)), _) => {
                let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
                let (unbounded, arriving) = mpsc::unbounded_channel();
                tokio::spawn(forward(call, arriving, sender, Arc::clone(&open.flight), self.aside.clone()));
                *reply.body_mut() = ReplyBody::Streamed(ReplyChunks::new(chunks, Arc::clone(&open.flight)));
                Ok((reply, Some(unbounded)))
            }
        };
        match streamed {
            Ok((reply, Some(chunks))) => {
                if let WayBack::Http(way_back) = std::mem::replace(&mut open.way_back, WayBack::Chunks(chunks)) {
                    let _ = way_back.send(Ok(reply));
                }
            }
            Ok((reply, None)) => {
                if let Some(WayBack::Http(way_back)) = self.close(call) {
                    let _ = way_back.send(Ok(reply));
                }
            }
            Err(error) => {
                if let Some(WayBack::Http(way_back)) = self.close(call) {
                    let _ = way_back.send(Err(Lost::Failed(error)));
                }
            }
        }
    }

    /// Forgets a call. A response that still streams keeps its flight until the client has it.
    fn close(&mut self, call: u32) -> Option<WayBack> {
        let Open { flight, way_back, room } = self.open.remove(&call)?;
        self.flights.end(call);
        if let Some(room) = room {
            room.close();
        }
        if !matches!(way_back, WayBack::Chunks(_)) {
            flight.end();
        }
        Some(way_back)
    }

    fn next(&mut self) -> u32 {
        // Zero is no call; numbers come again after four thousand million.
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.open.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

/// Status, flags, length of the headers, headers, body. Says whether the body follows.
fn read_response(mut payload: Bytes) -> Result<(HttpReply, bool), CallError> {
    let short = || CallError::Protocol("the process of the agent sent a response nobody can read".to_owned());
    if payload.len() < 7 {
        return Err(short());
    }
    let (status, flags) = (payload.get_u16(), payload.get_u8());
    let length = usize::try_from(payload.get_u32()).unwrap_or(usize::MAX);
    if payload.len() < length {
        return Err(short());
    }
    let headers = payload.split_to(length);
    let mut reply = http::Response::new(ReplyBody::Complete(payload));
    *reply.status_mut() = head::status(status)?;
    *reply.headers_mut() = head::headers(headers.into())?;
    Ok((reply, flags & STREAMED != 0))
}

/// Sends the body of a request, as fast as the process takes it.
async fn upload(
    call: u32,
    mut chunks: mpsc::Receiver<Result<Bytes, BodyBroken>>,
    room: Arc<Semaphore>,
    flight: Arc<Flight>,
    aside: mpsc::UnboundedSender<Aside>,
) {
    let send = |kind, payload| aside.send(Aside { call, kind, payload });
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            () = flight.ended() => return,
        };
        let mut chunk = match chunk {
            Some(Ok(chunk)) => chunk,
            Some(Err(BodyBroken)) => return drop(send(To::BodyBroken, Bytes::new())),
            None => return drop(send(To::BodyEnd, Bytes::new())),
        };
        while !chunk.is_empty() {
            let piece = chunk.split_to(chunk.len().min(PIECE));
            let taken = tokio::select! {
                taken = room.acquire_many(u32::try_from(piece.len()).unwrap_or(u32::MAX)) => taken,
                () = flight.ended() => return,
            };
            // Closed: the call is over.
            let Ok(permit) = taken else { return };
            permit.forget();
            if send(To::Body, piece).is_err() {
                return;
            }
        }
    }
}

/// Passes the body of a response on, as fast as the client takes it, and gives the process room again.
async fn forward(
    call: u32,
    mut arriving: mpsc::UnboundedReceiver<Result<Bytes, CallError>>,
    client: mpsc::Sender<Result<Bytes, CallError>>,
    flight: Arc<Flight>,
    aside: mpsc::UnboundedSender<Aside>,
) {
    while let Some(chunk) = arriving.recv().await {
        let size = chunk.as_ref().map_or(0, Bytes::len);
        if client.send(chunk).await.is_err() {
            break;
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let credit = Bytes::copy_from_slice(&size.to_be_bytes());
        if aside.send(Aside { call, kind: To::Credit, payload: credit }).is_err() {
            break;
        }
    }
    flight.end();
}
