//! Random numbers for TLS, gathered before somebody waits for them.
//!
//! The library behind TLS seeds its generator once in a process, from the jitter of the processor: twenty milliseconds
//! of work, for which the first encrypted connection would wait.

use std::sync::Once;

/// Begins to gather, on a thread of its own. Whoever needs random numbers meanwhile waits for what is left of it.
pub fn gather() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        // Without a thread the first connection takes longer, and nothing else.
        let _ = std::thread::Builder::new().name("randomness".to_owned()).spawn(|| {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            let _ = provider.secure_random.fill(&mut [0]);
        });
    });
}
