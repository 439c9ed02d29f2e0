//! How code that computes is interrupted.
//!
//! The guest's code has safepoints: `par-link` puts them where code that runs for ever must pass again and again, and
//! every few ten thousand of them the guest calls the host ([ADR 19](../../../../docs/adr/0019-safepoints.md)).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmparser::{Operator, Parser, Payload};

use crate::StartError;

/// The custom section by which a core module says that its code has safepoints.
pub const INTERRUPTIBLE: &str = "par.interruptible";

/// Since when an instance computes, in ticks of the engine.
pub(crate) struct Turn {
    ticks: Arc<AtomicU64>,
    seen: u64,
}

impl Turn {
    pub(crate) fn new(ticks: Arc<AtomicU64>) -> Self {
        let seen = ticks.load(Ordering::Relaxed);
        Self { ticks, seen }
    }

    /// At each tick the guest steps aside once, so that timers and other instances run. Whoever wants to stop it
    /// drops it then.
    pub(crate) async fn safepoint(&mut self) {
        let now = self.ticks.load(Ordering::Relaxed);
        if now != self.seen {
            self.seen = now;
            tokio::task::yield_now().await;
        }
    }
}

/// That the code of the component `wasm` can be stopped: each of its core modules says so, or has nothing in it
/// that could take long.
pub(crate) fn must_be_interruptible(wasm: &[u8]) -> Result<(), StartError> {
    // Modules may be nested in components, and there is a verdict for each.
    let mut open = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| StartError::engine(error.into()))? {
            Payload::Version { .. } => open.push(Module::default()),
            Payload::CustomSection(section) if section.name() == INTERRUPTIBLE => {
                if let Some(module) = open.last_mut() {
                    module.says_so = true;
                }
            }
            Payload::CodeSectionEntry(body) => {
                let mut endless = false;
                for operator in body.get_operators_reader().map_err(|error| StartError::engine(error.into()))? {
                    let operator = operator.map_err(|error| StartError::engine(error.into()))?;
                    endless |= matches!(operator, Operator::Loop { .. } | Operator::Call { .. });
                }
                if let Some(module) = open.last_mut() {
                    module.endless |= endless;
                }
            }
            Payload::End(_) => {
                let module = open.pop().unwrap_or_default();
                if module.endless && !module.says_so {
                    return Err(StartError::Uninterruptible);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What was read of a module.
#[derive(Default)]
struct Module {
    /// It has a loop or calls, with which code can run for ever.
    endless: bool,
    says_so: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Result<(), StartError> {
        must_be_interruptible(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn code_that_nothing_could_stop_is_refused() {
        for endless in ["(func (loop br 0))", "(func $f call $f)"] {
            let refused = verdict(&format!("(component (core module) (core module {endless}))")).unwrap_err();
            assert!(matches!(refused, StartError::Uninterruptible), "{refused}");
            let nested = verdict(&format!("(component (component (core module {endless})))")).unwrap_err();
            assert!(matches!(nested, StartError::Uninterruptible), "{nested}");
            verdict(&format!("(component (core module {endless} (@custom \"par.interruptible\" \"\")))")).unwrap();
        }
        // What one module says is not said for another.
        let two = "(component (core module (@custom \"par.interruptible\" \"\")) (core module (func (loop br 0))))";
        assert!(matches!(verdict(two), Err(StartError::Uninterruptible)));
        verdict("(component (core module (func nop)))").unwrap();
    }

    #[tokio::test]
    async fn an_instance_steps_aside_once_in_each_tick() {
        let ticks = Arc::new(AtomicU64::new(0));
        let mut turn = Turn::new(Arc::clone(&ticks));
        let mut aside = || {
            let mut safepoint = Box::pin(turn.safepoint());
            std::future::Future::poll(safepoint.as_mut(), &mut std::task::Context::from_waker(std::task::Waker::noop()))
                .is_pending()
        };
        assert_eq!([aside(), aside()], [false, false]);
        ticks.fetch_add(1, Ordering::Relaxed);
        assert_eq!([aside(), aside()], [true, false]);
    }
}
