//! The host's side of the world: the alarm, calls in flight, and the log.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;
use wasmtime::component::{Access, Accessor, HasSelf, Linker};

use crate::alarm::Alarm;
use crate::audit::Accounted;
use crate::bindings::Agent;
use crate::bindings::pixell::agent::{calls, clock, failure, interruption, log};
use crate::files::Files;
use crate::flight::Flight;
use crate::outbound::Outbound;
use crate::store::State;
use crate::ways_out::Exchanges;

/// Wakes that are remembered for waits to come. The guest has at most one for each call in
/// flight; one that makes up tokens must not fill the host's memory.
const REMEMBERED_WAKES: usize = 64 * 1024;

/// What the imports of one instance share.
pub(crate) struct HostState {
    alarm: Arc<Alarm>,
    parked: HashMap<u64, Arc<Notify>>,
    flights: HashMap<u64, Arc<Flight>>,
    account: Arc<Accounted>,
    pub(crate) exchanges: Exchanges,
}

impl HostState {
    /// The state of an instance that begins, with its way out, and what wants to know which request it serves.
    pub(crate) fn new(outbound: Arc<Outbound>, account: Arc<Accounted>) -> Self {
        Self {
            alarm: Arc::default(),
            parked: HashMap::new(),
            flights: HashMap::new(),
            account,
            exchanges: Exchanges::new(outbound),
        }
    }

    /// The call the guest names, while it runs.
    pub(crate) fn flight(&self, call: u64) -> Option<Arc<Flight>> {
        self.flights.get(&call).cloned()
    }

    /// Makes a call known to the guest under its id.
    pub(crate) fn begin(&mut self, id: u64, flight: Arc<Flight>) {
        self.flights.insert(id, flight);
        self.tell_account();
    }

    /// Forgets a call; whoever waits for its end is woken.
    pub(crate) fn end(&mut self, id: u64) {
        if let Some(flight) = self.flights.remove(&id) {
            flight.end();
        }
        self.tell_account();
    }

    fn tell_account(&self) {
        let mut flights = self.flights.values();
        let only = flights.next().filter(|_| flights.next().is_none());
        self.account.serves_only(only.map(|flight| flight.request_name()));
    }

    /// Marks every response that is still being written: the instance is lost.
    pub(crate) fn break_all(&mut self) {
        for flight in self.flights.values() {
            flight.mark_reply_broken();
        }
    }

    fn parked(&mut self, token: u64) -> Arc<Notify> {
        Arc::clone(self.parked.entry(token).or_default())
    }
}

/// Links WASI 0.2 and our own interfaces, and nothing else.
///
/// wasmtime-wasi's sockets are linked because CPython's libc imports them; the context built
/// by `build_store` refuses every use.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    // The file system once more, with the quota before it.
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::bindings::filesystem::types::add_to_linker::<State, Files>(linker, State::files)?;
    wasmtime_wasi::p2::bindings::filesystem::preopens::add_to_linker::<State, Files>(linker, State::files)?;
    linker.allow_shadowing(false);
    Agent::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

impl failure::Host for State {}
impl clock::Host for State {}
impl calls::Host for State {}
impl log::Host for State {}

impl interruption::Host for State {
    async fn safepoint(&mut self) {
        self.turn.safepoint().await;
    }
}

impl clock::HostWithStore<State> for HasSelf<State> {
    fn set_alarm(mut store: Access<'_, State, Self>, delay: u64) {
        store.get().host.alarm.set(delay);
    }

    async fn alarm(store: &Accessor<State, Self>) {
        let alarm = store.with(|mut store| Arc::clone(&store.get().host.alarm));
        alarm.rings().await;
    }
}

impl calls::HostWithStore<State> for HasSelf<State> {
    async fn park(store: &Accessor<State, Self>, token: u64) {
        let notify = store.with(|mut store| store.get().host.parked(token));
        notify.notified().await;
        store.with(|mut store| store.get().host.parked.remove(&token));
    }

    fn wake(mut store: Access<'_, State, Self>, token: u64) {
        let host = &mut store.get().host;
        if host.parked.len() < REMEMBERED_WAKES || host.parked.contains_key(&token) {
            host.parked(token).notify_one();
        }
    }

    async fn ended(store: &Accessor<State, Self>, id: u64) {
        let flight = store.with(|mut store| store.get().host.flights.get(&id).cloned());
        if let Some(flight) = flight {
            flight.ended().await;
        }
    }

    fn broken(mut store: Access<'_, State, Self>, id: u64) {
        if let Some(flight) = store.get().host.flights.get(&id) {
            flight.mark_reply_broken();
        }
    }

    fn is_complete(mut store: Access<'_, State, Self>, id: u64) -> bool {
        store.get().host.flights.get(&id).is_some_and(|flight| !flight.request_is_broken())
    }
}

impl log::HostWithStore<State> for HasSelf<State> {
    fn emit(mut store: Access<'_, State, Self>, entry: log::Entry) {
        let flight = entry.call.and_then(|call| store.get().host.flights.get(&call));
        crate::output::log_entry(&entry, flight.map(|flight| flight.request()));
    }
}
