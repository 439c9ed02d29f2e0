//! Refuses calls for a while when instances trap again and again.
//!
//! Each trap cuts off whoever else the instance served, and costs a start. An agent that traps in
//! every request would spend the machine on starts and answer nobody.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many traps within this time open the circuit.
const TRAPS: usize = 10;
const WITHIN: Duration = Duration::from_secs(30);

/// How long calls are refused at first; doubled by each trap that follows at once.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Counts traps, and says whether calls are let in.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    traps: VecDeque<Instant>,
    opened: Option<Opened>,
}

#[derive(Debug, Clone, Copy)]
struct Opened {
    until: Instant,
    pause: Duration,
}

impl Breaker {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An instance trapped. Returns for how long calls are refused from now on, if they are.
    pub fn trapped(&self, now: Instant) -> Option<Duration> {
        self.with(|state| {
            if let Some(opened) = state.opened {
                if now < opened.until {
                    return None;
                }
                if now < opened.until + WITHIN {
                    return Some(state.open(now, (opened.pause * 2).min(LONGEST_PAUSE)));
                }
                state.opened = None;
            }
            state.traps.push_back(now);
            while state.traps.front().is_some_and(|trap| now.saturating_duration_since(*trap) > WITHIN) {
                state.traps.pop_front();
            }
            (state.traps.len() >= TRAPS).then(|| state.open(now, FIRST_PAUSE))
        })
    }

    /// How long a call has to stay away, if it does.
    pub(crate) fn refuses(&self, now: Instant) -> Option<Duration> {
        let until = self.with(|state| state.opened).map(|opened| opened.until)?;
        Some(until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }
}

impl State {
    fn open(&mut self, now: Instant, pause: Duration) -> Duration {
        self.traps.clear();
        self.opened = Some(Opened { until: now + pause, pause });
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// hostile 86: traps in a row open the circuit, it closes by itself, and opens for longer each time.
    #[test]
    fn traps_in_a_row_refuse_calls_for_longer_and_longer() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for trap in 1..TRAPS {
            assert_eq!(breaker.trapped(start), None, "{trap}");
            assert_eq!(breaker.refuses(start), None);
        }

        assert_eq!(breaker.trapped(start), Some(FIRST_PAUSE));
        assert_eq!(breaker.refuses(start), Some(FIRST_PAUSE));
        assert_eq!(breaker.trapped(start), None, "traps of calls that were in before");
        let mut now = start + FIRST_PAUSE;
        assert_eq!(breaker.refuses(now), None);

        for pause in [2, 4, 8, 16, 30, 30].map(Duration::from_secs) {
            assert_eq!(breaker.trapped(now), Some(pause));
            now += pause;
            assert_eq!(breaker.refuses(now), None);
        }

        now += WITHIN;
        assert_eq!(breaker.trapped(now), None, "a quiet time starts the count anew");
    }

    #[test]
    fn traps_far_apart_refuse_nobody() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for trap in 0..10 * u32::try_from(TRAPS).unwrap() {
            assert_eq!(breaker.trapped(start + (WITHIN / 8) * trap + Duration::from_millis(1)), None, "{trap}");
        }
    }
}
