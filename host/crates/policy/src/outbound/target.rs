//! What a request wants to reach, parsed once from text nobody trusts.

use std::fmt;

use url::Url;

use super::host::Host;
use super::method::Method;
use super::path;
use crate::{Denial, DenialCode};

/// Longest URL that is parsed. Unit: bytes. Servers give up at 8 or 16 KiB.
const LONGEST_URL: usize = 16 * 1024;

/// How a connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    /// As it stands in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is given.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A request that wants to leave: where to, and with which method.
///
/// What is judged is what is sent: [`OutboundTarget::url`] is the canonical URL, and nothing of
/// the text it came from is kept. `Display` and `Debug` show no query, which is where tokens
/// travel.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboundTarget {
    method: Method,
    scheme: Scheme,
    host: Host,
    port: u16,
    /// The path as rules compare it; `None` if servers could disagree about it.
    plain_path: Option<String>,
    url: Url,
}

impl OutboundTarget {
    /// Parses method and absolute URL of a request.
    ///
    /// # Errors
    /// A [`Denial`] with the code of the first thing that is wrong. Its sentence does not
    /// repeat the URL, which may hold secrets.
    pub fn parse(method: &str, url: &str) -> Result<Self, Denial> {
        let method = Method::parse(method)?;
        check_text(url)?;
        let url = Url::parse(url)
            .map_err(|error| denial(DenialCode::InvalidUrl, format!("the URL of the request is not valid: {error}")))?;
        Self::of(method, url)
    }

    /// The target a redirect leads to: `location` may be relative to this one.
    ///
    /// # Errors
    /// As [`OutboundTarget::parse`].
    pub fn redirected(&self, method: &str, location: &str) -> Result<Self, Denial> {
        let method = Method::parse(method)?;
        check_text(location)?;
        let url = self.url.join(location).map_err(|error| {
            denial(DenialCode::InvalidUrl, format!("the location of the redirect is not valid: {error}"))
        })?;
        Self::of(method, url)
    }

    fn of(method: Method, mut url: Url) -> Result<Self, Denial> {
        let scheme = Scheme::parse(url.scheme()).ok_or_else(|| {
            denial(DenialCode::UnsupportedScheme, "the URL of the request is neither `http` nor `https`")
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(denial(
                DenialCode::UrlCredentials,
                "the URL of the request carries a user name or a password: use a header",
            ));
        }
        let invalid_host =
            || denial(DenialCode::InvalidHost, "the host of the URL of the request is neither a name nor an address");
        let host = url.host().and_then(Host::of).ok_or_else(invalid_host)?;
        // Without its trailing dot the name is the same, and the certificate fits.
        if let Host::Name(name) = &host {
            url.set_host(Some(name)).map_err(|_| invalid_host())?;
        }
        let port = url.port().unwrap_or(scheme.default_port());
        if port == 0 {
            return Err(denial(DenialCode::InvalidPort, "the port of the URL of the request is 0"));
        }
        url.set_fragment(None);
        let plain_path = path::plain(url.path());
        Ok(Self { method, scheme, host, port, plain_path, url })
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: what is resolved, dialled, and named in the certificate.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, also where the URL has none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The path, percent-encoded, as it is sent.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Path and query: the target of the request line.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// Host, and port where it is not the scheme's own: the value of `Host` and `:authority`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::AfterPort]
    }

    /// The canonical URL, query included. May hold secrets: not for logs.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn plain_path(&self) -> Option<&str> {
        self.plain_path.as_deref()
    }
}

/// `METHOD scheme://host:port/path`, without the query.
impl fmt::Display for OutboundTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}://{}{}", self.method, self.scheme, self.authority(), self.path())
    }
}

impl fmt::Debug for OutboundTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

/// Refuses what the URL parser would quietly drop or turn into something else: control
/// characters, spaces and backslashes.
fn check_text(url: &str) -> Result<(), Denial> {
    if url.len() > LONGEST_URL {
        let sentence = format!("the URL of the request is longer than {} KiB", LONGEST_URL >> 10);
        return Err(denial(DenialCode::UrlTooLong, sentence));
    }
    if url.contains(|character: char| character.is_control() || character.is_whitespace() || character == '\\') {
        return Err(denial(
            DenialCode::InvalidUrl,
            "the URL of the request has a space, a backslash or a control character: encode it",
        ));
    }
    Ok(())
}

fn denial(code: DenialCode, sentence: impl Into<String>) -> Denial {
    Denial::new(code, sentence)
}
