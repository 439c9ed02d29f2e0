//! How much memory an instance may hold.

use std::sync::Arc;

use par_policy::DenialCode;
use wasmtime::{ResourceLimiter, StoreLimits};

use crate::audit::{self, AuditSink};

/// wasmtime's limits, with a record of every time memory was refused.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: StoreLimits,
    audit: Arc<dyn AuditSink>,
}

impl Limiter {
    pub(crate) fn new(limits: StoreLimits, audit: Arc<dyn AuditSink>) -> Self {
        Self { limits, audit }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let granted = self.limits.memory_growing(current, desired, maximum)?;
        if !granted {
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
