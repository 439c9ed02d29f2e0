//! Why an exchange has no answer, in the words of `wit/outbound.wit`.

use par_policy::{Denial, DenialCode};

/// The kind of a failure: which exception the agent sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A rule or a limit said no.
    Denied,
    /// The name does not resolve.
    Dns,
    /// Nobody answers there.
    Connect,
    /// The other side is not who it should be.
    Tls,
    /// It took too long.
    Timeout,
    /// What was said is not HTTP, on either side.
    Protocol,
    /// A body is larger than allowed.
    TooLarge,
    /// It was abandoned.
    Cancelled,
}

/// Why an exchange failed. The sentence reaches the agent: it holds no query, header or value,
/// and of the network nothing but what the agent asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Its kind.
    pub reason: Reason,
    /// The stable code, for programs.
    pub code: &'static str,
    /// The sentence, for people.
    pub message: String,
}

impl Reason {
    /// The word for it, as in `wit/outbound.wit`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::TooLarge => "too-large",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Failure {
    /// What no rule can grant, because it is no HTTP request. Nothing is on the record about it.
    #[must_use]
    pub fn not_http(message: impl Into<String>) -> Self {
        Self { reason: Reason::Denied, code: "not_http", message: message.into() }
    }

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

    /// What is not HTTP.
    #[must_use]
    pub fn protocol(message: impl Into<String>) -> Self {
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
