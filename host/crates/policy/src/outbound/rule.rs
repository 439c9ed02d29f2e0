//! One rule about outbound requests.

use std::collections::BTreeSet;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use super::host::Host;
use super::method::Method;
use super::path;
use super::target::{OutboundTarget, Scheme};

/// Labels a wildcard needs behind it. One would be a whole top-level domain.
const WILDCARD_LABELS: usize = 2;

/// A text that is no rule. Displays as what is wrong; [`NotARule::hint`] is a way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{because}")]
pub struct NotARule {
    because: String,
    hint: Option<String>,
}

impl NotARule {
    /// What to write instead, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Which hosts a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host.
    Exact(Host),
    /// `*.example.com`: every name below `example.com`, at any depth, and not `example.com`
    /// itself. Holds what stands behind the `*.`.
    Below(String),
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, NotARule> {
        let Some(suffix) = text.strip_prefix("*.") else {
            if text.contains('*') {
                return Err(wrong("`*` stands for the first labels of a host only", "write `*.example.com`"));
            }
            return canonical(text).map(Self::Exact);
        };
        match canonical(suffix)? {
            Host::Name(name) if name.split('.').count() >= WILDCARD_LABELS => Ok(Self::Below(name)),
            Host::Name(_) => Err(wrong("`*` here would name a whole top-level domain", "write `*.example.com`")),
            Host::V4(_) | Host::V6(_) => Err(wrong("`*` before an address names nothing", "name the addresses")),
        }
    }

    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(own), host) => own == host,
            (Self::Below(suffix), Host::Name(name)) => is_subdomain(name, suffix),
            (Self::Below(_), Host::V4(_) | Host::V6(_)) => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Below(suffix), Self::Below(other)) => suffix == other || is_subdomain(other, suffix),
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }
}

fn is_subdomain(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(formatter, "{host}"),
            Self::Below(suffix) => write!(formatter, "*.{suffix}"),
        }
    }
}

/// A host as a reviewer must be able to read it: in its canonical spelling. International names
/// look like others, and an odd spelling of an address looks like nothing.
fn canonical(text: &str) -> Result<Host, NotARule> {
    let host = Host::parse(text)
        .ok_or_else(|| wrong("the host is neither a name nor an address", "write for example `api.example.com`"))?;
    let spelt = host.to_string();
    if spelt != text.to_ascii_lowercase() {
        return Err(wrong("the host has a canonical spelling, which is another one", format!("write `{spelt}`")));
    }
    Ok(host)
}

/// What a rule may hold only encoded; with it a rule reads back as the same rule.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'*')
    .add(b';')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// One rule: `https://host[:port][/path-prefix]`, for all methods or for some.
///
/// A rule that grants names its scheme and means the scheme's port unless it names another. A
/// rule that denies may be a bare host, for every scheme and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboundRule {
    /// Scheme and port; `None` in a rule that denies every one.
    endpoint: Option<(Scheme, u16)>,
    host: HostPattern,
    /// As [`path::plain`] makes it; `None` for every path.
    prefix: Option<String>,
    /// Never empty; `None` for every method.
    methods: Option<BTreeSet<Method>>,
}

/// How well a rule fits a target; the order is from worse to better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    OtherScheme,
    OtherPort,
    OtherPath,
    /// The rule has a path, and two servers could read this one differently.
    AmbiguousPath,
    OtherMethod,
    /// The rule is about this target.
    Whole,
}

impl OutboundRule {
    /// Parses a rule that grants, with the methods it is for; no methods means all.
    ///
    /// # Errors
    /// [`NotARule`] for a text outside the grammar.
    pub fn parse(text: &str, methods: &[&str]) -> Result<Self, NotARule> {
        let hint = "write `https://host`, `https://host:port/path` or `https://*.example.com`";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("the scheme is missing", hint))?;
        let scheme = Scheme::parse(scheme).ok_or_else(|| wrong("the scheme is neither `https` nor `http`", hint))?;
        if text.contains(['?', '#', '@', '\\'])
            || text.contains(|character: char| character.is_control() || character.is_whitespace())
        {
            return Err(wrong("a rule has no query, fragment, user name or space", hint));
        }
        let (authority, prefix) = match rest.find('/') {
            Some(slash) => (&rest[..slash], Some(&rest[slash..])),
            None => (rest, None),
        };
        let (host, port) = match authority.rsplit_once(':').filter(|(_, after)| !after.contains(']')) {
            Some((host, digits)) => (host, port(digits)?),
            None => (authority, scheme.default_port()),
        };
        Ok(Self {
            endpoint: Some((scheme, port)),
            host: HostPattern::parse(host)?,
            prefix: prefix.map(path_prefix).transpose()?.filter(|prefix| prefix != "/"),
            methods: parse_methods(methods)?,
        })
    }

    /// Parses a rule that denies: as [`OutboundRule::parse`], or a bare `host` or
    /// `*.example.com`.
    ///
    /// # Errors
    /// [`NotARule`] for a text outside the grammar.
    pub fn parse_denying(text: &str, methods: &[&str]) -> Result<Self, NotARule> {
        if text.contains("://") {
            return Self::parse(text, methods);
        }
        Ok(Self { endpoint: None, host: HostPattern::parse(text)?, prefix: None, methods: parse_methods(methods)? })
    }

    /// Which hosts it is about.
    #[must_use]
    pub const fn host(&self) -> &HostPattern {
        &self.host
    }

    /// The rule without its methods: scheme, host, port where it is not the scheme's own, path.
    #[must_use]
    pub fn place(&self) -> String {
        Self { methods: None, ..self.clone() }.to_string()
    }

    /// The methods it is for; `None` for every method.
    #[must_use]
    pub const fn methods(&self) -> Option<&BTreeSet<Method>> {
        self.methods.as_ref()
    }

    /// Whether every request this rule could be about is one `other` is about too.
    #[must_use]
    pub fn is_covered_by(&self, other: &Self) -> bool {
        let endpoint = other.endpoint.is_none() || other.endpoint == self.endpoint;
        let path = match (&self.prefix, &other.prefix) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(other)) => path::is_below(own, other),
        };
        let methods = match (&self.methods, &other.methods) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(other)) => own.is_subset(other),
        };
        endpoint && path && methods && other.host.covers(&self.host)
    }

    /// How well the rule fits, for a rule that grants; `None` if the host is another.
    pub(super) fn fit(&self, target: &OutboundTarget) -> Option<Fit> {
        if !self.host.matches(target.host()) {
            return None;
        }
        if let Some((scheme, port)) = self.endpoint {
            if scheme != target.scheme() {
                return Some(Fit::OtherScheme);
            }
            if port != target.port() {
                return Some(Fit::OtherPort);
            }
        }
        if let Some(prefix) = &self.prefix {
            match target.plain_path() {
                None => return Some(Fit::AmbiguousPath),
                Some(path) if !path::is_below(path, prefix) => return Some(Fit::OtherPath),
                Some(_) => {}
            }
        }
        if self.methods.as_ref().is_some_and(|methods| !methods.contains(target.method())) {
            return Some(Fit::OtherMethod);
        }
        Some(Fit::Whole)
    }

    /// Whether the rule is about scheme, host and port of the target, for some path or method at least.
    #[must_use]
    pub fn reaches(&self, target: &OutboundTarget) -> bool {
        self.fit(target).is_some_and(|fit| !matches!(fit, Fit::OtherScheme | Fit::OtherPort))
    }

    /// Whether the rule is about every path and every method.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.prefix.is_none() && self.methods.is_none()
    }

    /// Whether the rule is about the target.
    #[must_use]
    pub fn is_for(&self, target: &OutboundTarget) -> bool {
        self.fit(target) == Some(Fit::Whole)
    }

    /// Whether a rule that denies is about the target. Where two servers could disagree about
    /// the path, it is.
    pub(super) fn denies(&self, target: &OutboundTarget) -> bool {
        match self.fit(target) {
            Some(Fit::Whole) => true,
            Some(Fit::AmbiguousPath) => self.methods.as_ref().is_none_or(|methods| methods.contains(target.method())),
            _ => false,
        }
    }
}

fn port(digits: &str) -> Result<u16, NotARule> {
    let port = digits.parse().ok().filter(|port: &u16| *port > 0 && port.to_string() == digits);
    port.ok_or_else(|| wrong("the port is not a number from 1 to 65535", "write for example `https://host:8443`"))
}

fn path_prefix(text: &str) -> Result<String, NotARule> {
    let because = "the path is not in the form it is sent in";
    let hint = "write it without `.`, `..`, `//`, `*`, `;` and encoded separators";
    let sent = Url::parse(&format!("https://host{text}")).map_err(|_| wrong(because, hint))?;
    if sent.path() != text || text.contains(['*', ';']) {
        return Err(wrong(because, hint));
    }
    path::plain(text).ok_or_else(|| wrong(because, hint))
}

fn parse_methods(methods: &[&str]) -> Result<Option<BTreeSet<Method>>, NotARule> {
    let parse = |text: &&str| match Method::parse(text) {
        Ok(method) if method.as_str() == *text => Ok(method),
        Ok(method) => Err(wrong("a method is in upper case", format!("write `{method}`"))),
        Err(denial) => Err(NotARule { because: denial.sentence().to_owned(), hint: None }),
    };
    let methods: BTreeSet<Method> = methods.iter().map(parse).collect::<Result<_, _>>()?;
    Ok((!methods.is_empty()).then_some(methods))
}

fn wrong(because: impl Into<String>, hint: impl Into<String>) -> NotARule {
    NotARule { because: because.into(), hint: Some(hint.into()) }
}

/// The rule as it is written, with its methods in front.
impl fmt::Display for OutboundRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(methods) = &self.methods {
            let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
            write!(formatter, "{} ", methods.join(","))?;
        }
        match self.endpoint {
            Some((scheme, port)) if port == scheme.default_port() => write!(formatter, "{scheme}://{}", self.host)?,
            Some((scheme, port)) => write!(formatter, "{scheme}://{}:{port}", self.host)?,
            None => write!(formatter, "{}", self.host)?,
        }
        write!(formatter, "{}", utf8_percent_encode(self.prefix.as_deref().unwrap_or_default(), ENCODED))
    }
}
