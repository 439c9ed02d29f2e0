//! How much anybody may write: the length of a text, the rate of lines.

use std::time::Instant;

use std::sync::{Mutex, PoisonError};

/// Shortens a text to about `most` bytes. The end stays longer than the beginning: the last
/// lines of a traceback say what happened.
pub(super) fn shortened(text: &str, most: usize) -> Option<String> {
    if text.len() <= most {
        return None;
    }
    let head = text.floor_char_boundary(most / 4);
    let tail = text.ceil_char_boundary(text.len() - (most - most / 4));
    Some(format!("{} [{} bytes left out] {}", &text[..head], tail - head, &text[tail..]))
}

/// A bucket of lines that refills with time.
#[derive(Debug)]
pub(crate) struct RateLimit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    per_second: u32,
    burst: u32,
    tokens: f64,
    refilled: Instant,
    dropped: u64,
}

impl RateLimit {
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let state = State { per_second, burst, tokens: f64::from(burst), refilled: now, dropped: 0 };
        Self { state: Mutex::new(state) }
    }

    /// Whether one more line may be written now; if so, how many were refused since the last.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.refilled);
        let refill = passed.as_secs_f64() * f64::from(state.per_second);
        state.tokens = (state.tokens + refill).min(f64::from(state.burst));
        state.refilled = now;
        if state.tokens < 1.0 {
            state.dropped += 1;
            return None;
        }
        state.tokens -= 1.0;
        Some(std::mem::take(&mut state.dropped))
    }

    /// How many lines were refused since the last that was not.
    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).dropped)
    }

    /// Another rate and burst from now on.
    pub(super) fn change(&self, per_second: u32, burst: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.per_second, state.burst) = (per_second, burst);
        state.tokens = state.tokens.min(f64::from(burst));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds_and_refused_lines_are_counted() {
        let start = Instant::now();
        let limit = RateLimit::new(10, 3, start);

        assert_eq!([(); 5].map(|()| limit.admit(start)), [Some(0), Some(0), Some(0), None, None]);

        let later = start + Duration::from_millis(150);
        assert_eq!([(); 2].map(|()| limit.admit(later)), [Some(2), None]);
        assert_eq!((limit.take_dropped(), limit.take_dropped()), (1, 0));
    }

    #[test]
    fn another_rate_holds_from_the_next_line_on() {
        let start = Instant::now();
        let limit = RateLimit::new(10, 3, start);

        limit.change(1, 1);

        assert_eq!([(); 2].map(|()| limit.admit(start)), [Some(0), None]);
        let later = start + Duration::from_millis(999);
        assert_eq!((limit.admit(later), limit.admit(start + Duration::from_secs(1))), (None, Some(2)));
    }

    #[test]
    fn a_long_pause_saves_up_no_more_than_a_burst() {
        let start = Instant::now();
        let limit = RateLimit::new(10, 3, start);
        let later = start + Duration::from_secs(3600);

        let admitted = (0..10).filter(|_| limit.admit(later).is_some()).count();

        assert_eq!(admitted, 3);
    }

    #[test]
    fn long_texts_keep_their_beginning_and_more_of_their_end() {
        let text = format!("begin{}end", "é".repeat(1000));

        let short = shortened(&text, 100).unwrap();

        assert!(short.starts_with("begin") && short.ends_with("end"), "{short}");
        assert!(short.contains(" bytes left out] "), "{short}");
        assert!(short.len() < 140, "{}", short.len());
        assert_eq!(shortened("short", 100), None);
    }
}
