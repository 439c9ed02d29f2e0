//! Why an exchange has no answer, in the words of `wit/outbound.wit`.

use par_policy::{Denial, DenialCode};

/// The kind of a failure: which exception the agent sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Denied,
    Dns,
    Connect,
    Tls,
    Timeout,
    Protocol,
    TooLarge,
    Cancelled,
}

/// Why an exchange failed. The sentence reaches the agent: it holds no query, header or value,
/// and of the network nothing but what the agent asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Failure {
    /// What a rule or a limit said.
    pub(crate) fn denied(denial: &Denial) -> Self {
        let reason = match denial.code() {
            DenialCode::OutboundTimeout => Reason::Timeout,
            DenialCode::OutboundRequestTooLarge | DenialCode::OutboundResponseTooLarge => Reason::TooLarge,
            _ => Reason::Denied,
        };
        Self { reason, code: denial.code().as_str(), message: denial.sentence().to_owned() }
    }

    pub(crate) fn dns(host: &str) -> Self {
        Self { reason: Reason::Dns, code: "dns_failed", message: format!("the name `{host}` does not resolve") }
    }

    pub(crate) fn connect(host: &str) -> Self {
        let message = format!("no connection to `{host}` could be made");
        Self { reason: Reason::Connect, code: "connect_failed", message }
    }

    pub(crate) fn tls(host: &str, because: &str) -> Self {
        let message = format!("no TLS with `{host}`: {because}");
        Self { reason: Reason::Tls, code: "tls_failed", message }
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self { reason: Reason::Protocol, code: "protocol_error", message: message.into() }
    }

    pub(crate) fn cancelled() -> Self {
        let message = "the request was abandoned".to_owned();
        Self { reason: Reason::Cancelled, code: "cancelled", message }
    }

    /// The caller's own patience, not a limit: nothing is on the record about it.
    pub(crate) fn impatient() -> Self {
        let message = "timed out".to_owned();
        Self { reason: Reason::Timeout, code: "client_timeout", message }
    }
}
