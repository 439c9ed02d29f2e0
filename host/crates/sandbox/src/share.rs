//! How much of a core an instance takes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use par_policy::CpuShare;
use tokio::time::{Sleep, sleep};

/// Time an instance that waited can use at once: imports and bursts are not slowed down.
const BURST: Duration = Duration::from_millis(200);

/// A future that is polled for its share of the time and no longer.
///
/// A guest runs inside `poll` and steps aside at each tick of the engine, so one poll lasts
/// about a tick at most. What it took is measured; once the share is used up, the next poll
/// waits until the time it took has passed often enough.
pub(crate) struct Share<F> {
    inner: Pin<Box<F>>,
    part: f64,
    budget: f64,
    settled: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<F> Share<F> {
    pub(crate) fn new(inner: F, share: CpuShare) -> Self {
        Self {
            inner: Box::pin(inner),
            part: f64::from(share.percent()) / 100.0,
            budget: BURST.as_secs_f64(),
            settled: Instant::now(),
            pause: None,
        }
    }

    /// Books `spent`, and says how long to pause.
    fn book(&mut self, spent: Duration, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.settled).as_secs_f64();
        self.settled = now;
        self.budget = (self.budget + passed * self.part).min(BURST.as_secs_f64()) - spent.as_secs_f64();
        (self.budget < 0.0).then(|| Duration::from_secs_f64(-self.budget / self.part))
    }
}

impl<F: Future> Future for Share<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // All of a core is what one thread has anyway.
        if self.part >= 1.0 {
            return self.inner.as_mut().poll(cx);
        }
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let start = Instant::now();
        let polled = self.inner.as_mut().poll(cx);
        let now = Instant::now();
        if polled.is_pending()
            && let Some(pause) = self.book(now.saturating_duration_since(start), now)
        {
            let mut pause = Box::pin(sleep(pause));
            if pause.as_mut().poll(cx).is_pending() {
                self.pause = Some(pause);
            } else {
                cx.waker().wake_by_ref();
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> Share<std::future::Ready<()>> {
        let limits = par_policy::LimitKey::parse("cpu_percent").unwrap();
        let mut settings = par_policy::LimitSettings::default();
        let line = par_policy::policy::Line { rule: par_policy::RuleId::new("limits.cpu_percent"), value: 50 };
        assert!(settings.set(limits, line));
        let base =
            par_policy::Limits::default_with(par_policy::InstanceCount::one_per_core(std::num::NonZeroUsize::MIN));
        Share::new(std::future::ready(()), settings.over(base).cpu)
    }

    #[test]
    fn a_burst_is_free_and_then_each_slice_costs_as_much_again() {
        let mut share = half();
        let start = share.settled;
        let at = |milliseconds| start + Duration::from_millis(milliseconds);

        assert_eq!(share.book(Duration::from_millis(200), at(0)), None);
        let pause = share.book(Duration::from_millis(10), at(0)).unwrap();
        assert!((pause.as_secs_f64() - 0.020).abs() < 1e-6, "{pause:?}");
        assert_eq!(share.book(Duration::ZERO, at(20)), None);
        assert!(share.book(Duration::from_millis(10), at(20)).is_some());
    }

    #[test]
    fn a_long_wait_saves_up_no_more_than_a_burst() {
        let mut share = half();
        let later = share.settled + Duration::from_secs(3600);

        assert_eq!(share.book(BURST, later), None);
        assert!(share.book(Duration::from_millis(1), later).is_some());
    }
}
