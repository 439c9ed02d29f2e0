//! A clock that stands still and random numbers that repeat, for reviewers and tests.

use std::convert::Infallible;
use std::time::Duration;

use par_policy::policy::{FixedClock, FixedRandom};
use rand_core::TryRng;
use wasmtime_wasi::HostWallClock;

/// The date stands still. Durations go on: timers and timeouts work as ever.
pub(crate) struct StandingClock(pub(crate) FixedClock);

impl HostWallClock for StandingClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.0.0
    }
}

/// The same numbers for the same seed, by SplitMix64 (Steele, Lea and Flood 2014). Nothing made
/// of them is a secret.
pub(crate) struct RepeatedRandom(u64);

impl RepeatedRandom {
    pub(crate) const fn new(seed: FixedRandom) -> Self {
        Self(seed.0)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl TryRng for RepeatedRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_algorithm() {
        let mut random = RepeatedRandom::new(FixedRandom(1_234_567));

        assert_eq!(
            [(); 3].map(|()| random.next()),
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }
}
