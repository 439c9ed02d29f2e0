//! What waits to be sent: bounded, and never waited for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

/// Most things that wait, and most bytes of them.
const MOST: usize = 4_096;
const MOST_BYTES: usize = 8 << 20;

/// Most things that are sent at once.
const BATCH: usize = 512;

/// How long the first of a batch waits for others.
const COLLECTING: Duration = Duration::from_secs(1);

/// What became of the things that were handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// The collector took them.
    pub delivered: u64,
    /// They found no room.
    pub no_room: u64,
    /// The collector could not be reached, or had no answer.
    pub not_delivered: u64,
    /// The collector did not want them.
    pub refused: u64,
}

/// A queue with many who push and one who takes.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Notify,
    closed: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    given_up: AtomicBool,
    delivered: AtomicU64,
    no_room: AtomicU64,
    not_delivered: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    /// Taken, and nobody knows yet what became of them.
    under_way: u64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State { waiting: VecDeque::new(), bytes: 0, under_way: 0 }),
            arrived: Notify::new(),
            closed: watch::channel(false).0,
            ended: watch::channel(false).0,
            given_up: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            no_room: AtomicU64::new(0),
            not_delivered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over one thing of about `bytes`; counted and left out where there is no room.
    pub(super) fn push(&self, thing: T, bytes: usize) {
        let mut state = self.lock();
        if state.waiting.len() >= MOST || state.bytes.saturating_add(bytes) > MOST_BYTES {
            drop(state);
            self.no_room.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.bytes += bytes;
        state.waiting.push_back((thing, bytes));
        let waiting = state.waiting.len();
        drop(state);
        if waiting == 1 || waiting == BATCH {
            self.arrived.notify_one();
        }
    }

    /// Waits for things to send; nothing once the queue is closed and empty. What is taken has to be accounted for
    /// before the next call.
    pub(super) async fn batch(&self) -> Option<Vec<T>> {
        self.until(1, None).await;
        self.until(BATCH, Some(Instant::now() + COLLECTING)).await;
        let mut state = self.lock();
        let many = state.waiting.len().min(BATCH);
        let mut freed = 0;
        let batch: Vec<T> = state.waiting.drain(..many).map(|(thing, bytes)| (freed += bytes, thing).1).collect();
        state.bytes -= freed;
        state.under_way = batch.len() as u64;
        (!batch.is_empty()).then_some(batch)
    }

    /// Waits until so many wait, the queue is closed, or the time has come.
    async fn until(&self, many: usize, deadline: Option<Instant>) {
        let mut closed = self.closed.subscribe();
        let enough = async {
            while self.lock().waiting.len() < many {
                self.arrived.notified().await;
            }
        };
        let enough = async {
            tokio::select! {
                () = enough => {}
                _ = closed.wait_for(|closed| *closed) => {}
            }
        };
        match deadline {
            Some(deadline) => drop(timeout_at(deadline, enough).await),
            None => enough.await,
        }
    }

    /// What was taken last is with the collector, which did not want `refused` of it.
    pub(super) fn delivered(&self, refused: u64) {
        let many = std::mem::take(&mut self.lock().under_way);
        let refused = refused.min(many);
        self.delivered.fetch_add(many - refused, Ordering::Relaxed);
        self.refused.fetch_add(refused, Ordering::Relaxed);
    }

    /// The collector wants nothing of what was taken last.
    pub(super) fn refused(&self) {
        let many = std::mem::take(&mut self.lock().under_way);
        self.refused.fetch_add(many, Ordering::Relaxed);
    }

    /// What was taken last is lost.
    pub(super) fn not_delivered(&self) {
        let many = std::mem::take(&mut self.lock().under_way);
        self.not_delivered.fetch_add(many, Ordering::Relaxed);
    }

    /// What waits is sent at once, and then the sending ends.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Returns when the queue is closed.
    pub(super) async fn closing(&self) {
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// The sending has ended.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Returns when the sending has ended.
    pub(super) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Nobody sends any more: what waits or is under way counts as not delivered.
    pub(super) fn give_up(&self) {
        if self.given_up.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.lock();
        let lost = state.waiting.len() as u64 + std::mem::take(&mut state.under_way);
        state.waiting.clear();
        state.bytes = 0;
        drop(state);
        self.not_delivered.fetch_add(lost, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            delivered: number(&self.delivered),
            no_room: number(&self.no_room),
            not_delivered: number(&self.not_delivered),
            refused: number(&self.refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn things_are_taken_in_order_and_in_batches() {
        let queue = Queue::new();
        for number in 0..BATCH + 2 {
            queue.push(number, 1);
        }

        let first = queue.batch().await.unwrap();
        queue.delivered(2);
        queue.close();
        let rest = queue.batch().await.unwrap();
        queue.refused();

        assert_eq!((first.len(), first[0], rest), (BATCH, 0, vec![BATCH, BATCH + 1]));
        assert_eq!(queue.batch().await, None::<Vec<usize>>);
        let counts = Counts { delivered: BATCH as u64 - 2, refused: 4, ..Counts::default() };
        assert_eq!(queue.counts(), counts);
    }

    #[tokio::test]
    async fn a_lonely_thing_waits_for_others_and_not_for_ever() {
        let queue = Queue::new();
        queue.push('a', 1);
        let begun = Instant::now();

        assert_eq!(queue.batch().await, Some(vec!['a']));

        assert!(begun.elapsed() >= COLLECTING);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let queue = Queue::new();
        for _ in 0..MOST + 3 {
            queue.push((), 1);
        }
        assert_eq!(queue.counts().no_room, 3);

        let queue = Queue::new();
        for _ in 0..3 {
            queue.push((), MOST_BYTES / 2);
        }
        assert_eq!(queue.counts().no_room, 1);
        queue.give_up();
        queue.give_up();
        assert_eq!(queue.counts(), Counts { no_room: 1, not_delivered: 2, ..Counts::default() });
    }
}
