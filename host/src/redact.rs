//! Values that must not be printed. Their `Display` and `Debug` are safe to log.

use std::fmt;

use url::Url;

/// What stands in for a value nobody may read in a log.
pub const REDACTED: &str = "[REDACTED]";

/// A value that never shows up in a log, however it is formatted.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that uses it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

/// A URL that may carry a password or a signature.
///
/// `Display` and `Debug` show scheme, host, port and path: never user information, query or
/// fragment, which is where presigned URLs and index tokens keep their secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct RedactedUrl(Url);

impl RedactedUrl {
    /// Parses an absolute URL.
    ///
    /// # Errors
    /// [`NotAUrl`], whose text does not repeat the input.
    pub fn parse(text: &str) -> Result<Self, NotAUrl> {
        Url::parse(text).map(Self).map_err(NotAUrl)
    }

    /// Wraps a URL.
    #[must_use]
    pub const fn new(url: Url) -> Self {
        Self(url)
    }

    /// The complete URL, for the one place that dials it.
    #[must_use]
    pub const fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.0.scheme())?;
        if let Some(host) = self.0.host_str() {
            formatter.write_str(host)?;
        }
        if let Some(port) = self.0.port() {
            write!(formatter, ":{port}")?;
        }
        formatter.write_str(self.0.path())
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

/// A text that is not an absolute URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an absolute URL")]
pub struct NotAUrl(#[source] url::ParseError);

/// Masks what may be secret in a text that should have been a URL, so that a mistake in it
/// can be reported.
#[must_use]
pub fn mask_url(text: &str) -> String {
    if let Ok(url) = RedactedUrl::parse(text)
        && url.expose().has_host()
    {
        return url.to_string();
    }
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (shown, cut) = text.split_at(end);
    let masked = match shown.rfind('@') {
        Some(at) => format!("{REDACTED}{}", &shown[at..]),
        None => shown.to_owned(),
    };
    if cut.is_empty() { masked } else { format!("{masked}{}{REDACTED}", &cut[..1]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presigned_url_shows_neither_signature_nor_user() {
        let url =
            RedactedUrl::parse("https://user:pa55@bucket.example:8443/a/b.apkg?X-Amz-Signature=5ec4e7#frag").unwrap();

        assert_eq!(url.to_string(), "https://bucket.example:8443/a/b.apkg");
        assert_eq!(format!("{url:?}"), "\"https://bucket.example:8443/a/b.apkg\"");
        assert_eq!(url.expose().query(), Some("X-Amz-Signature=5ec4e7"));
    }

    #[test]
    fn an_s3_url_reads_as_bucket_and_key() {
        let url = RedactedUrl::parse("s3://agents/weather-0.3.0.apkg?versionId=1").unwrap();

        assert_eq!(url.to_string(), "s3://agents/weather-0.3.0.apkg");
    }

    #[test]
    fn a_broken_url_is_masked_before_it_is_reported() {
        assert_eq!(mask_url("https://user:pa55@"), "[REDACTED]@");
        assert_eq!(mask_url("htps//x/y?token=5ec4e7"), "htps//x/y?[REDACTED]");
        assert_eq!(mask_url("ftp://user:pa55@host/x?sig=5ec4e7"), "ftp://host/x");
        assert_eq!(mask_url("weather.apkg"), "weather.apkg");
    }

    #[test]
    fn a_secret_prints_as_nothing_but_a_mark() {
        let secret = Secret::new("5ec4e7".to_owned());

        assert_eq!(format!("{secret} {secret:?}"), "[REDACTED] [REDACTED]");
        assert_eq!(secret.expose(), "5ec4e7");
    }
}
