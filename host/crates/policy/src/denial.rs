//! A no, with the code programs match and the sentence people read.

use std::fmt;

use crate::{LimitKey, RuleId};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal,)*) => {
        /// Why something was denied. The codes are stable: programs, alarms and tests match them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum DenialCode {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl DenialCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as it is written in answers, logs and audit events.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }
        }
    };
}

codes! {
    /// The text is not an absolute URL, or has a character no URL may have.
    InvalidUrl = "invalid_url",
    /// The URL is longer than any server accepts.
    UrlTooLong = "url_too_long",
    /// A scheme other than `http` and `https`.
    UnsupportedScheme = "unsupported_scheme",
    /// User information in the URL: `https://user:password@host`.
    UrlCredentials = "url_credentials",
    /// A host that is neither a name nor an address.
    InvalidHost = "invalid_host",
    /// Port 0.
    InvalidPort = "invalid_port",
    /// A method that is not a token.
    InvalidMethod = "invalid_method",
    /// `CONNECT`, `TRACE` and the like, which no rule can grant.
    ForbiddenMethod = "forbidden_method",
    /// A rule under `deny` matches.
    DeniedByPolicy = "denied_by_policy",
    /// No rule names the host.
    HostNotGranted = "host_not_granted",
    /// The host is granted, with the other scheme.
    SchemeNotGranted = "scheme_not_granted",
    /// The host is granted, at another port.
    PortNotGranted = "port_not_granted",
    /// The host is granted, for other methods.
    MethodNotGranted = "method_not_granted",
    /// The host is granted, under other paths.
    PathNotGranted = "path_not_granted",
    /// The host is granted under a path, and two servers could read this path differently.
    AmbiguousPath = "ambiguous_path",
    /// The address hands out credentials or configuration of the machine. Never grantable.
    MetadataAddress = "metadata_address",
    /// `127.0.0.0/8`, `::1`.
    LoopbackAddress = "loopback_address",
    /// `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`, `fc00::/7`, `fec0::/10`.
    PrivateAddress = "private_address",
    /// `169.254.0.0/16`, `fe80::/10`.
    LinkLocalAddress = "link_local_address",
    /// `100.64.0.0/10`, shared between a provider and its customers.
    SharedAddress = "shared_address",
    /// `224.0.0.0/4`, `ff00::/8`.
    MulticastAddress = "multicast_address",
    /// `0.0.0.0/8`, `::`.
    UnspecifiedAddress = "unspecified_address",
    /// `255.255.255.255`.
    BroadcastAddress = "broadcast_address",
    /// Addresses for documentation and for benchmarks.
    DocumentationAddress = "documentation_address",
    /// An address that carries an IPv4 address through a tunnel: 6to4, Teredo, local NAT64.
    TunnelAddress = "tunnel_address",
    /// An address no public server has.
    ReservedAddress = "reserved_address",
    /// No secret of that name is granted.
    SecretNotGranted = "secret_not_granted",
    /// The secret is granted, for other hosts. Raises an alarm: a placeholder was on its way to
    /// somebody who must not have the value.
    SecretNotBound = "secret_not_bound",
    /// A response held the value of a secret. The agent sees asterisks in its place.
    SecretReflected = "secret_reflected",
    /// One request to the agent made more outbound requests than it may.
    OutboundRequestsExhausted = "outbound_requests_exhausted",
    /// More outbound requests at a time than the agent may have.
    OutboundBusy = "outbound_busy",
    /// The body of an outbound request is larger than allowed.
    OutboundRequestTooLarge = "outbound_request_too_large",
    /// The body of a response is larger than allowed.
    OutboundResponseTooLarge = "outbound_response_too_large",
    /// An outbound request took longer than allowed.
    OutboundTimeout = "outbound_timeout",
    /// A package asks for more than the policy allows.
    AbovePolicy = "above_policy",
    /// A package asks for what a rule under `deny` names.
    AskedForDenied = "asked_for_denied",
    /// A variable is not granted. The agent sees it as not set.
    VariableNotGranted = "variable_not_granted",
    /// The scratch directory holds as much as it may. The agent sees `ENOSPC`.
    ScratchFull = "scratch_full",
    /// A header an outbound request may not set, or one with characters no header may have.
    ForbiddenHeader = "forbidden_header",
    /// An instance asked for more memory than it may hold. The agent sees a `MemoryError`.
    MemoryExhausted = "memory_exhausted",
    /// A request to the agent took longer than allowed.
    CallTimeout = "call_timeout",
    /// More requests to the agent than may be served and wait.
    Overloaded = "overloaded",
    /// The agent wrote lines faster than they are taken; the others were left out.
    LogLinesDropped = "log_lines_dropped",
    /// An instance broke in a way Python cannot: an exhausted stack, an abort.
    InstanceTrapped = "instance_trapped",
    /// An instance served as many requests as it may, and was replaced.
    InstanceWorn = "instance_worn",
    /// The memory of an instance grew by as much as it may, and it was replaced.
    InstanceGrown = "instance_grown",
    /// Instances trapped again and again: requests to the agent are refused for a while.
    CircuitOpen = "circuit_open",
    /// An instance has as many files open as it may.
    OpenFilesExhausted = "open_files_exhausted",
    /// A file or directory outside of what the agent has.
    FileNotGranted = "file_not_granted",
    /// Writing to what is read-only.
    ReadOnly = "read_only",
    /// A part of the confinement of a native agent cannot be applied, and the policy wants all of it.
    NotConfined = "not_confined",
}

impl DenialCode {
    /// Whether `mode: observe` lets the request happen. It lends what no rule grants; it does
    /// not touch rules that deny, addresses and limits.
    #[must_use]
    pub const fn may_be_observed(self) -> bool {
        matches!(
            self,
            Self::HostNotGranted
                | Self::SchemeNotGranted
                | Self::PortNotGranted
                | Self::MethodNotGranted
                | Self::PathNotGranted
                | Self::AmbiguousPath
        )
    }
}

impl DenialCode {
    /// The key of the limit that was reached, if it was a limit and there is one for the code. Where there are
    /// several, the denial names the one that decided: [`Denial::by_limit`].
    #[must_use]
    pub const fn limit(self) -> Option<&'static str> {
        Some(match self {
            Self::MemoryExhausted => "memory_mib",
            Self::CallTimeout => "request_timeout_ms",
            Self::LogLinesDropped => "log_lines_per_second",
            Self::InstanceWorn => "requests_per_instance",
            Self::InstanceGrown => "memory_growth_mib",
            Self::OpenFilesExhausted => "open_files",
            Self::OutboundRequestsExhausted => "outbound_requests_per_request",
            Self::OutboundRequestTooLarge => "outbound_request_mib",
            Self::OutboundResponseTooLarge => "outbound_response_mib",
            _ => return None,
        })
    }
}

impl fmt::Display for DenialCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A no. Displays as one sentence about what was asked for; never repeats a query, a header or
/// a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Denial {
    code: DenialCode,
    sentence: String,
    rule: Option<RuleId>,
}

impl Denial {
    /// A no without a rule behind it: deny is what holds where nothing was granted.
    #[must_use]
    pub fn new(code: DenialCode, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), rule: None }
    }

    /// A no because of this rule.
    #[must_use]
    pub fn by_rule(code: DenialCode, sentence: impl Into<String>, rule: RuleId) -> Self {
        Self { code, sentence: sentence.into(), rule: Some(rule) }
    }

    /// A no because a limit was reached, and this key sets it.
    #[must_use]
    pub fn by_limit(code: DenialCode, sentence: impl Into<String>, key: LimitKey) -> Self {
        Self::by_rule(code, sentence, RuleId::of_limit(key.as_str()))
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> DenialCode {
        self.code
    }

    /// The sentence, for people.
    #[must_use]
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The rule that decided, if one did.
    #[must_use]
    pub const fn rule(&self) -> Option<&RuleId> {
        self.rule.as_ref()
    }
}
