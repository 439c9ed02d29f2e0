//! How much memory an instance may hold, and when it has grown so much that a fresh one is better.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use par_policy::DenialCode;
use wasmtime::{ResourceLimiter, StoreLimits};

use crate::audit::{self, AuditSink};

/// What an instance holds, counted as it grows: memory of a guest is never given back.
#[derive(Debug)]
pub(crate) struct Memory {
    held: AtomicUsize,
    /// What it held when it was ready; until then nothing counts as growth.
    ready: AtomicUsize,
    most_growth: usize,
}

impl Memory {
    /// Nothing held yet. `most_growth` is in bytes.
    pub(crate) fn new(most_growth: usize) -> Self {
        Self { held: AtomicUsize::new(0), ready: AtomicUsize::new(usize::MAX), most_growth }
    }

    /// What was measured.
    pub(crate) fn holds(&self, bytes: usize) {
        self.held.store(bytes, Ordering::Relaxed);
    }

    /// From here on it counts.
    pub(crate) fn is_ready(&self) {
        self.ready.store(self.held.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether the instance has grown by more than it may.
    pub(crate) fn has_grown(&self) -> bool {
        let (held, ready) = (self.held.load(Ordering::Relaxed), self.ready.load(Ordering::Relaxed));
        held.saturating_sub(ready) > self.most_growth
    }
}

/// wasmtime's limits, with a count of what was granted and a record of every time it was refused.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: StoreLimits,
    memory: Arc<Memory>,
    audit: Arc<dyn AuditSink>,
    /// The size at which growth was refused, if it was refused once: the guest's allocator asks
    /// twice before it gives up, which is one denial.
    refused: Option<usize>,
}

impl Limiter {
    pub(crate) fn new(limits: StoreLimits, memory: Arc<Memory>, audit: Arc<dyn AuditSink>) -> Self {
        Self { limits, memory, audit, refused: None }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let granted = self.limits.memory_growing(current, desired, maximum)?;
        if granted {
            self.memory.held.fetch_add(desired.saturating_sub(current), Ordering::Relaxed);
        } else if self.refused.take() != Some(current) {
            self.refused = Some(current);
            audit::limit(&*self.audit, DenialCode::MemoryExhausted, "an instance", None);
        }
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// hostile 87: what an instance holds when it is ready is not growth.
    #[test]
    fn growth_counts_from_ready_on() {
        let memory = Memory::new(100);
        memory.held.fetch_add(1_000_000, Ordering::Relaxed);
        assert!(!memory.has_grown());

        memory.is_ready();
        memory.held.fetch_add(100, Ordering::Relaxed);
        assert!(!memory.has_grown());
        memory.held.fetch_add(1, Ordering::Relaxed);
        assert!(memory.has_grown());
    }
}
