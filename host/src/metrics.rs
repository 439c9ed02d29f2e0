//! What Prometheus reads: numbers of the process, in its text format.
//!
//! Counting costs an atomic addition a request. Everything else is looked up when somebody asks.
//! Names are for dashboards and alerts: a changed name is a breaking change.

mod exposition;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use par_sandbox::Counts as InstanceCounts;

use crate::audit::Audit;
use crate::backend::Backend;
use crate::boot::BootTimes;
use crate::health::{Health, SurfaceName};
use crate::memory::{self, Memory};
use crate::otlp::{Counts, Export};
use exposition::{Exposition, Kind};

/// Upper bounds of the times that are told apart, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// The client asked for something there is not, or wrongly.
    ClientError,
    /// The agent or PAR failed.
    ServerError,
    /// The client left before there was an answer.
    Abandoned,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Ok, Self::ClientError, Self::ServerError, Self::Abandoned];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Abandoned => "abandoned",
        }
    }
}

const SURFACES: [SurfaceName; 3] = [SurfaceName::Rest, SurfaceName::A2a, SurfaceName::Ui];

/// The numbers of the process. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    surfaces: [Requests; SURFACES.len()],
    agent: OnceLock<(Arc<Backend>, BootTimes)>,
}

/// The requests of one surface.
#[derive(Debug, Default)]
struct Requests {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    /// Requests no slower than each bound and slower than the one before; the last is for the rest.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
    in_flight: AtomicU64,
}

/// A request that is answered, until its answer is over.
#[derive(Debug)]
pub struct InFlight {
    shared: Arc<Shared>,
    surface: SurfaceName,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.surfaces[self.surface as usize].in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts a request as in flight until what is returned is dropped.
    #[must_use]
    pub fn in_flight(&self, surface: SurfaceName) -> InFlight {
        self.shared.surfaces[surface as usize].in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { shared: Arc::clone(&self.shared), surface }
    }

    /// Counts one request, whose answer began after `took`.
    pub fn request(&self, surface: SurfaceName, outcome: Outcome, took: Duration) {
        let requests = &self.shared.surfaces[surface as usize];
        let bucket = BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound).unwrap_or(BOUNDS.len());
        requests.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
        requests.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        requests.microseconds.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The agent is up. A second call changes nothing.
    pub fn agent(&self, backend: Arc<Backend>, times: BootTimes) {
        let _ = self.shared.agent.set((backend, times));
    }

    /// Everything, as Prometheus reads it. Blocks for a moment: it looks at files of the system.
    #[must_use]
    pub fn text(&self, health: &Health, audit: &Audit, export: &Export) -> String {
        let mut page = Exposition::default();
        page.family("par_build_info", Kind::Gauge, "The version that runs; always 1.");
        page.sample("", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.family("par_ready", Kind::Gauge, "Whether health answers 200.");
        page.sample("", &[], f64::from(u8::from(health.look().is_ok())));
        self.requests(&mut page);
        self.of_the_agent(&mut page);
        of_the_memory(&mut page);
        page.family(
            "par_capability_events_total",
            Kind::Counter,
            "Uses and denials of capabilities, and limits that were reached.",
        );
        for ((capability, decision, code), count) in audit.totals() {
            let labels = [("capability", capability), ("decision", decision), ("code", code)];
            page.sample("", &labels, count as f64);
        }
        sent(&mut page, export);
        page.finish()
    }

    fn requests(&self, page: &mut Exposition) {
        let surfaces = || SURFACES.into_iter().zip(&self.shared.surfaces);
        page.family("par_requests_total", Kind::Counter, "Requests, by surface and by how they went.");
        for (surface, requests) in surfaces() {
            for (outcome, count) in Outcome::ALL.into_iter().zip(&requests.outcomes) {
                let labels = [("surface", surface.as_str()), ("outcome", outcome.as_str())];
                page.sample("", &labels, number(count));
            }
        }
        page.family("par_requests_in_flight", Kind::Gauge, "Requests whose answer is not over, by surface.");
        for (surface, requests) in surfaces() {
            page.sample("", &[("surface", surface.as_str())], number(&requests.in_flight));
        }
        page.family("par_request_duration_seconds", Kind::Histogram, "Time until the head of the answer.");
        for (surface, requests) in surfaces() {
            let surface = ("surface", surface.as_str());
            let mut below = 0.0;
            for (bound, count) in
                BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]).zip(&requests.buckets)
            {
                below += number(count);
                page.sample("_bucket", &[surface, ("le", &bound)], below);
            }
            page.sample("_sum", &[surface], number(&requests.microseconds) / 1e6);
            page.sample("_count", &[surface], below);
        }
    }

    fn of_the_agent(&self, page: &mut Exposition) {
        let agent = self.shared.agent.get();
        let counts = agent.map_or_else(InstanceCounts::default, |(backend, _)| backend.counts());
        page.family("par_instances_ready", Kind::Gauge, "Instances that take requests.");
        page.sample("", &[], counts.ready as f64);
        page.family("par_instances_replaced_total", Kind::Counter, "Instances that were replaced, and why.");
        for (reason, count) in [("lost", counts.lost), ("worn", counts.worn), ("grown", counts.grown)] {
            page.sample("", &[("reason", reason)], count as f64);
        }
        page.family("par_requests_waiting", Kind::Gauge, "Requests that wait for a place in an instance.");
        page.sample("", &[], counts.waiting as f64);
        page.family("par_boot_seconds", Kind::Gauge, "How long the boot took, by phase.");
        if let Some((_, times)) = agent {
            for (phase, ms) in times.phases_ms().chain([("total", times.total_ms())]) {
                page.sample("", &[("phase", phase)], ms / 1e3);
            }
        }
    }
}

fn of_the_memory(page: &mut Exposition) {
    page.family("par_memory_resident_bytes", Kind::Gauge, "What the process has resident.");
    page.sample("", &[], memory::resident() as f64);
    page.family("par_memory_limit_bytes", Kind::Gauge, "The tightest limit of the control group and the machine.");
    if let Some(memory) = Memory::look() {
        page.sample("", &[], memory.limit as f64);
    }
}

/// What became of spans and log records for collectors.
fn sent(page: &mut Exposition, export: &Export) {
    page.family("par_telemetry_delivered_total", Kind::Counter, "Spans and log records a collector took.");
    for (signal, counts) in export.counts() {
        page.sample("", &[("signal", signal)], counts.delivered as f64);
    }
    page.family("par_telemetry_dropped_total", Kind::Counter, "Spans and log records no collector has, and why.");
    for (signal, counts) in export.counts() {
        let Counts { no_room, not_delivered, refused, .. } = counts;
        for (reason, count) in [("no_room", no_room), ("not_delivered", not_delivered), ("refused", refused)] {
            page.sample("", &[("signal", signal), ("reason", reason)], count as f64);
        }
    }
}

fn number(count: &AtomicU64) -> f64 {
    count.load(Ordering::Relaxed) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_one_bucket_and_all_above_it() {
        let metrics = Metrics::default();
        metrics.request(SurfaceName::Rest, Outcome::Ok, Duration::from_millis(3));
        metrics.request(SurfaceName::Rest, Outcome::ServerError, Duration::from_secs(60));
        let in_flight = metrics.in_flight(SurfaceName::Ui);
        drop(metrics.in_flight(SurfaceName::Rest));
        let mut page = Exposition::default();

        metrics.requests(&mut page);
        drop(in_flight);

        let text = page.finish();
        for line in [
            "par_requests_in_flight{surface=\"rest\"} 0",
            "par_requests_in_flight{surface=\"ui\"} 1",
            "par_requests_total{surface=\"rest\",outcome=\"ok\"} 1",
            "par_requests_total{surface=\"rest\",outcome=\"server_error\"} 1",
            "par_requests_total{surface=\"a2a\",outcome=\"ok\"} 0",
            "par_request_duration_seconds_bucket{surface=\"rest\",le=\"0.0025\"} 0",
            "par_request_duration_seconds_bucket{surface=\"rest\",le=\"0.005\"} 1",
            "par_request_duration_seconds_bucket{surface=\"rest\",le=\"30\"} 1",
            "par_request_duration_seconds_bucket{surface=\"rest\",le=\"+Inf\"} 2",
            "par_request_duration_seconds_sum{surface=\"rest\"} 60.003",
            "par_request_duration_seconds_count{surface=\"rest\"} 2",
        ] {
            assert!(text.lines().any(|other| other == line), "no `{line}` in\n{text}");
        }
    }
}
