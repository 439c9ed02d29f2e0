//! The host's side of `wit/outbound.wit`: exchanges of one instance, by the guest's numbers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use wasmtime::component::{Access, Accessor, HasSelf};

use crate::bindings::pixell::agent::outbound as world;
use crate::outbound::{Answer, Asked, AskedBody, Exchange, Failure, Outbound, Reason};
use crate::store::State;

/// Longest name of a package. Unit: bytes.
const LONGEST_NAME: usize = 128;

/// The exchanges of one instance, and the way out all instances share.
pub(crate) struct Exchanges {
    outbound: Arc<Outbound>,
    open: HashMap<u64, Arc<Exchange>>,
}

impl Exchanges {
    pub(crate) fn new(outbound: Arc<Outbound>) -> Self {
        Self { outbound, open: HashMap::new() }
    }

    fn get(&self, id: u64) -> Result<Arc<Exchange>, Failure> {
        self.open.get(&id).cloned().ok_or_else(|| Failure::protocol("there is no such exchange"))
    }

    fn end(&mut self, id: u64) {
        if let Some(exchange) = self.open.remove(&id) {
            exchange.abandon();
        }
    }

    /// What became of a wait; whatever has ended is forgotten.
    fn answered(&mut self, id: u64, outcome: Result<Answer, Failure>) -> Result<world::Response, world::Error> {
        if !matches!(&outcome, Ok(Answer { body: None, .. })) && !is_impatience(outcome.as_ref().err()) {
            self.end(id);
        }
        outcome.map(response).map_err(error)
    }

    fn pulled(&mut self, id: u64, outcome: Result<bytes::Bytes, Failure>) -> Result<Vec<u8>, world::Error> {
        let ended = outcome.as_ref().map_or_else(|failure| !is_impatience(Some(failure)), bytes::Bytes::is_empty);
        if ended {
            self.end(id);
        }
        outcome.map(Vec::from).map_err(error)
    }
}

fn is_impatience(failure: Option<&Failure>) -> bool {
    failure.is_some_and(|failure| *failure == Failure::impatient())
}

impl world::Host for State {
    async fn push_and_wait(&mut self, id: u64, chunk: Vec<u8>, timeout_ms: Option<u64>) -> Result<(), world::Error> {
        let exchange = self.host.exchanges.get(id).map_err(error)?;
        patiently(timeout_ms, exchange.push(chunk.into())).await.map_err(error)
    }

    async fn answer_and_wait(&mut self, id: u64, timeout_ms: Option<u64>) -> Result<world::Response, world::Error> {
        let exchange = self.host.exchanges.get(id).map_err(error)?;
        let outcome = patiently(timeout_ms, exchange.answer()).await;
        self.host.exchanges.answered(id, outcome)
    }

    async fn pull_and_wait(&mut self, id: u64, timeout_ms: Option<u64>) -> Result<Vec<u8>, world::Error> {
        let exchange = self.host.exchanges.get(id).map_err(error)?;
        let outcome = patiently(timeout_ms, exchange.pull()).await;
        self.host.exchanges.pulled(id, outcome)
    }
}

impl world::HostWithStore<State> for HasSelf<State> {
    fn start(mut store: Access<'_, State, Self>, id: u64, request: world::Request) {
        let host = &mut store.get().host;
        let flight = request.call.and_then(|call| host.flight(call));
        let exchanges = &mut host.exchanges;
        let most = exchanges.outbound.most_open();
        let exchange = if exchanges.open.len() < most {
            let body = match request.body {
                world::Body::Complete(bytes) => AskedBody::Complete(bytes.into()),
                world::Body::Pushed(length) => AskedBody::Pushed { length },
            };
            let packages = named(&request.packages);
            exchanges.outbound.begin(Asked { head: request.head, body, packages }, flight.as_deref())
        } else if exchanges.open.len() < most.saturating_mul(2) {
            exchanges.outbound.too_many(flight.as_deref())
        } else {
            // A guest that never asks for its answers gets none.
            return;
        };
        exchanges.end(id);
        exchanges.open.insert(id, Arc::new(exchange));
    }

    async fn push(store: &Accessor<State, Self>, id: u64, chunk: Vec<u8>) -> Result<(), world::Error> {
        let exchange = store.with(|mut store| store.get().host.exchanges.get(id)).map_err(error)?;
        exchange.push(chunk.into()).await.map_err(error)
    }

    fn finish(mut store: Access<'_, State, Self>, id: u64) {
        if let Ok(exchange) = store.get().host.exchanges.get(id) {
            exchange.finish();
        }
    }

    async fn answer(store: &Accessor<State, Self>, id: u64) -> Result<world::Response, world::Error> {
        let exchange = store.with(|mut store| store.get().host.exchanges.get(id)).map_err(error)?;
        let outcome = exchange.answer().await;
        store.with(|mut store| store.get().host.exchanges.answered(id, outcome))
    }

    async fn pull(store: &Accessor<State, Self>, id: u64) -> Result<Vec<u8>, world::Error> {
        let exchange = store.with(|mut store| store.get().host.exchanges.get(id)).map_err(error)?;
        let outcome = exchange.pull().await;
        store.with(|mut store| store.get().host.exchanges.pulled(id, outcome))
    }

    fn abandon(mut store: Access<'_, State, Self>, id: u64) {
        store.get().host.exchanges.end(id);
    }
}

/// Waits as long as the guest's own timeout says.
async fn patiently<T>(timeout_ms: Option<u64>, wait: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match timeout_ms {
        Some(limit) => timeout(Duration::from_millis(limit), wait).await.unwrap_or_else(|_| Err(Failure::impatient())),
        None => wait.await,
    }
}

/// The packages the guest names; no more than anybody needs.
fn named(joined: &[u8]) -> Vec<String> {
    const MOST: usize = 8;
    let names = joined.split(|byte| *byte == 0).filter(|name| !name.is_empty()).take(MOST);
    names.map(|name| String::from_utf8_lossy(&name[..name.len().min(LONGEST_NAME)]).into_owned()).collect()
}

fn response(answer: Answer) -> world::Response {
    let Answer { status, headers, body } = answer;
    world::Response { status: status.as_u16(), headers, body: body.map(Vec::from) }
}

fn error(failure: Failure) -> world::Error {
    let reason = match failure.reason {
        Reason::Denied => world::Reason::Denied,
        Reason::Dns => world::Reason::Dns,
        Reason::Connect => world::Reason::Connect,
        Reason::Tls => world::Reason::Tls,
        Reason::Timeout => world::Reason::Timeout,
        Reason::Protocol => world::Reason::Protocol,
        Reason::TooLarge => world::Reason::TooLarge,
        Reason::Cancelled => world::Reason::Cancelled,
    };
    world::Error { reason, code: failure.code.to_owned(), message: failure.message }
}
