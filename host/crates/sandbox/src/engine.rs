//! The engine: how guest code is compiled and stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::{Config, Engine as Wasmtime, OptLevel};

use crate::StartError;
use crate::interruption::{Turn, must_be_interruptible};

/// How often running guest code is interrupted to let others run.
///
/// Deadlines reach a guest that never yields only at a tick, so this bounds how far one can
/// be overrun; a shorter tick costs throughput.
pub const TICK: Duration = Duration::from_millis(10);

/// Stack for guest frames.
///
/// Python counts the stack it keeps in the guest's memory and raises `RecursionError` at 1 MiB of it, 16 bytes at least for
/// each call in C. The frames of the machine code are the host's: those 65 536 calls take 18 MiB of them while JSON is
/// read, and a stack that ended before would make a trap of a document of twenty thousand brackets, which anybody can
/// send. It is address space until it is used, and given back after the call.
const WASM_STACK_BYTES: usize = 32 << 20;

/// Room for host functions called at the far end of the guest's stack.
const HOST_STACK_BYTES: usize = 1 << 20;

/// Compiles and runs components, all under the same rules.
#[derive(Clone)]
pub struct Engine {
    wasmtime: Wasmtime,
    ticker: Arc<Ticker>,
}

impl Engine {
    /// Creates the engine of the process and starts its clock.
    ///
    /// # Errors
    /// [`StartError::Engine`] when the machine lacks what the configuration needs.
    pub fn new() -> Result<Self, StartError> {
        let wasmtime = Wasmtime::new(&config()).map_err(StartError::engine)?;
        let ticker = Arc::new(Ticker::start()?);
        Ok(Self { wasmtime, ticker })
    }

    pub(crate) fn wasmtime(&self) -> &Wasmtime {
        &self.wasmtime
    }

    /// The view one instance has of the engine's clock.
    pub(crate) fn turn(&self) -> Turn {
        Turn::new(Arc::clone(&self.ticker.ticks))
    }

    /// Compiles a component to what [`Guest::component`](crate::Guest::component) names.
    ///
    /// # Errors
    /// [`StartError::Engine`] when `wasm` is not a valid component, or holds code that nothing could stop.
    pub fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, StartError> {
        must_be_interruptible(wasm)?;
        self.wasmtime.precompile_component(wasm).map_err(StartError::engine)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("ticking", &!self.ticker.stop.load(Ordering::Relaxed)).finish_non_exhaustive()
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    // Neither epochs nor fuel: the guest comes with safepoints (`interruption.rs`), whose branches
    // these hints keep out of the way.
    config.wasm_branch_hinting(true);
    // Inlining across the component was measured: slower by 10 % on FastAPI, and twice the code.
    config.cranelift_opt_level(OptLevel::Speed);
    // Python calls through tables all the time; filling them at instantiation saves the
    // check at each call.
    config.table_lazy_init(false);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.async_stack_size(WASM_STACK_BYTES + HOST_STACK_BYTES);
    config
}

/// The thread that counts the ticks; it ends with the last clone of the engine.
struct Ticker {
    ticks: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start() -> Result<Self, StartError> {
        let ticks = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (counter, stopped) = (Arc::clone(&ticks), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("ticks".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(TICK);
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .map_err(StartError::Thread)?;
        Ok(Self { ticks, stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
