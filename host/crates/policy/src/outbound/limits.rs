//! How much an agent may send and receive.

use std::time::Duration;

/// The limits of outbound requests. Source: `limits` in the policy; enforced where requests
/// leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboundLimits {
    /// Most outbound requests while one request to the agent is served, redirects included.
    pub requests_per_request: u32,
    /// Most outbound requests of the agent at a time.
    pub concurrent_requests: u32,
    /// Largest body that is sent. Unit: bytes.
    pub request_bytes: u64,
    /// Largest body that is received. Unit: bytes.
    pub response_bytes: u64,
    /// Longest time until a connection stands, TLS included.
    pub connect_timeout: Duration,
    /// Longest time in which nothing arrives.
    pub idle_timeout: Duration,
    /// Longest time from the request to the end of its response.
    pub total_timeout: Duration,
}

impl OutboundLimits {
    /// What an agent gets when nobody sets a limit. Generous for calls of models, which think
    /// for a minute before the first byte; tight enough that a loop ends.
    pub const DEFAULT: Self = Self {
        requests_per_request: 100,
        concurrent_requests: 64,
        request_bytes: 64 << 20,
        response_bytes: 64 << 20,
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        total_timeout: Duration::from_secs(300),
    };
}

impl Default for OutboundLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
