//! Which traces are recorded.

use par_sandbox::trace::TraceParent;

/// Bits of a trace id that are compared: the last 56 are random by the standard.
const BITS: u32 = 56;

/// Which traces are recorded. Source: `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether whoever began the trace has decided already.
    pub by_parent: bool,
    /// What decides otherwise.
    pub root: Root,
}

/// What decides about a trace on its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Root {
    /// All of them.
    Always,
    /// None.
    Never,
    /// A share of them, from 0 to 1, the same ones everywhere.
    Share(f64),
}

impl Default for Sampler {
    /// `parentbased_always_on`, as the standard has it.
    fn default() -> Self {
        Self { by_parent: true, root: Root::Always }
    }
}

impl Sampler {
    /// Whether a request is recorded: it `came` with a trace, or begins the one with this context.
    pub(super) fn records(&self, came: Option<&TraceParent>, context: &TraceParent) -> bool {
        if let Some(came) = came.filter(|_| self.by_parent) {
            return came.is_sampled();
        }
        match self.root {
            Root::Always => true,
            Root::Never => false,
            Root::Share(share) => is_in(share, context.trace_id()),
        }
    }
}

/// Whether a trace is among the `share` of all with the largest ids.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the share is from 0 to 1")]
fn is_in(share: f64, trace_id: &str) -> bool {
    let last = trace_id.len().saturating_sub(BITS as usize / 4);
    let random = u64::from_str_radix(&trace_id[last..], 16).unwrap_or_default();
    let left_out = ((1.0 - share) * (1_u64 << BITS) as f64) as u64;
    random >= left_out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(by_parent: bool, root: Root) -> Sampler {
        Sampler { by_parent, root }
    }

    #[test]
    fn a_parent_decides_where_it_is_asked() {
        let context = TraceParent::new(1, 1, true);
        let (yes, no) = (TraceParent::new(1, 2, true), TraceParent::new(1, 2, false));

        for root in [Root::Always, Root::Never, Root::Share(0.5)] {
            assert!(sampler(true, root).records(Some(&yes), &context));
            assert!(!sampler(true, root).records(Some(&no), &context));
        }
        assert!(Sampler::default().records(None, &context));
        assert!(sampler(false, Root::Always).records(Some(&no), &context));
        assert!(!sampler(false, Root::Never).records(Some(&yes), &context));
    }

    #[test]
    fn a_share_is_of_the_ids_and_keeps_to_its_size() {
        let of = |share| {
            let sampler = sampler(false, Root::Share(share));
            let step = u128::from(u64::MAX >> 8) / 1_000;
            (0..1_000).filter(|at| sampler.records(None, &TraceParent::new(at * step + 1, 1, true))).count()
        };

        assert_eq!((of(0.0), of(1.0)), (0, 1_000));
        assert!((249..=251).contains(&of(0.25)), "{}", of(0.25));
    }
}
