//! Whether denials hold.

/// Whether denials hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// What is denied does not happen.
    #[default]
    Enforce,
    /// Outbound requests no rule grants happen, and are written down. For finding out what an
    /// agent needs. Addresses, limits and rules that deny hold all the same.
    Observe,
}
