//! Where a package is, read from `PACKAGE_URL`.

use std::fmt;

use crate::redact::RedactedUrl;

/// Longest key of an S3 object. Unit: bytes. Source: the S3 user guide, "Naming Amazon S3 objects".
const LONGEST_KEY: usize = 1024;

/// A URL a package may be fetched from. `Display` and `Debug` hide what signs a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageUrl {
    /// `https://`.
    Https(RedactedUrl),
    /// `s3://bucket/key`.
    S3(S3Object),
}

/// One object of an S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Object {
    /// The bucket: a name, never an ARN.
    pub bucket: String,
    /// The key, exactly as written: nothing in it is decoded or resolved.
    pub key: String,
    /// The version, where one was named.
    pub version: Option<String>,
}

/// A text no package can be fetched from. Displays as what it should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPackageUrl {
    /// Another scheme, or no URL at all.
    #[error("a URL that begins with `https://` or `s3://`")]
    Scheme,
    /// User and password in the URL, which end up in other people's logs.
    #[error("a URL without user and password")]
    Credentials,
    /// Not the name of a bucket: an ARN or an access point, for example.
    #[error("`s3://bucket/key` with the name of a bucket")]
    Bucket,
    /// Not the key of an object.
    #[error("`s3://bucket/key` with a key that has neither `.` or `..` as a part nor control characters")]
    Key,
    /// Something else than a version after `?`.
    #[error("`s3://bucket/key`, with nothing but `versionId=` after a `?`")]
    Query,
}

impl PackageUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`NotAPackageUrl`], whose text does not repeat the input.
    pub fn parse(text: &str) -> Result<Self, NotAPackageUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAPackageUrl::Scheme)?;
        if scheme.eq_ignore_ascii_case("s3") {
            return S3Object::parse(rest).map(Self::S3);
        }
        let url = RedactedUrl::parse(text).map_err(|_| NotAPackageUrl::Scheme)?;
        let parsed = url.expose();
        if parsed.scheme() != "https" || parsed.host_str().is_none_or(str::is_empty) {
            return Err(NotAPackageUrl::Scheme);
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(NotAPackageUrl::Credentials);
        }
        Ok(Self::Https(url))
    }

    /// What messages call the package: the last part of the path.
    #[must_use]
    pub fn name(&self) -> String {
        let last = match self {
            Self::Https(url) => url.expose().path_segments().and_then(Iterator::last),
            Self::S3(object) => object.key.rsplit('/').next(),
        };
        last.filter(|name| !name.is_empty()).unwrap_or("package").to_owned()
    }
}

impl fmt::Display for PackageUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(url) => url.fmt(formatter),
            Self::S3(object) => object.fmt(formatter),
        }
    }
}

impl fmt::Display for S3Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.key)
    }
}

impl S3Object {
    /// The object with the detached signature of this one.
    pub(super) fn signature(&self) -> Self {
        Self { bucket: self.bucket.clone(), key: format!("{}.minisig", self.key), version: None }
    }

    fn parse(rest: &str) -> Result<Self, NotAPackageUrl> {
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        if bucket.contains('@') {
            return Err(NotAPackageUrl::Credentials);
        }
        if !is_bucket(bucket) {
            return Err(NotAPackageUrl::Bucket);
        }
        let is_object = !key.is_empty() && !key.ends_with('/') && key.len() <= LONGEST_KEY;
        if !is_object || key.split('/').any(|part| matches!(part, "." | "..")) || key.contains(char::is_control) {
            return Err(NotAPackageUrl::Key);
        }
        let version = match query {
            None => None,
            Some(query) => {
                let version = query.strip_prefix("versionId=").ok_or(NotAPackageUrl::Query)?;
                let is_version = !version.is_empty()
                    && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
                Some(version.to_owned()).filter(|_| is_version).ok_or(NotAPackageUrl::Query)?.into()
            }
        };
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned(), version })
    }
}

/// The URL with the detached signature of a package.
pub(super) fn signature(package: &RedactedUrl) -> RedactedUrl {
    let mut beside = package.expose().clone();
    beside.set_path(&format!("{}.minisig", beside.path()));
    RedactedUrl::new(beside)
}

/// Whether a text can be the name of a bucket. Everything that could be an address, a path or
/// an ARN cannot.
#[must_use]
pub fn is_bucket(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends =
        bytes.first().is_some_and(|byte| alphanumeric(*byte)) && bytes.last().is_some_and(|byte| alphanumeric(*byte));
    (3..=63).contains(&bytes.len())
        && ends
        && bytes.iter().all(|byte| alphanumeric(*byte) || matches!(byte, b'.' | b'-'))
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(text: &str) -> S3Object {
        match PackageUrl::parse(text) {
            Ok(PackageUrl::S3(object)) => object,
            other => panic!("{text} became {other:?}"),
        }
    }

    /// Hostile 1: schemes that are neither encrypted nor signed, and what is no URL.
    #[test]
    fn only_https_and_s3_are_packages() {
        for text in
            ["http://host/a.apkg", "file:///a.apkg", "ftp://host/a", "data:application/zip;base64,UEs=", "a.apkg", ""]
        {
            assert_eq!(PackageUrl::parse(text), Err(NotAPackageUrl::Scheme), "{text}");
        }
        assert!(PackageUrl::parse("https://host.example/a.apkg").is_ok());
        assert!(PackageUrl::parse("S3://agents/a.apkg").is_ok());
        assert!(PackageUrl::parse("HTTPS://host.example/a.apkg").is_ok());
    }

    /// Hostile 6: a URL with user and password.
    #[test]
    fn a_url_with_user_and_password_is_refused() {
        for text in ["https://user:pa55@host/a.apkg", "https://user@host/a.apkg", "s3://user:pa55@agents/a.apkg"] {
            assert_eq!(PackageUrl::parse(text), Err(NotAPackageUrl::Credentials), "{text}");
        }
        assert!(PackageUrl::parse("https://host/a@b.apkg").is_ok());
    }

    /// Hostile 9: `..`, an empty key, an ARN, an access point.
    #[test]
    fn an_s3_url_names_one_object_of_one_bucket() {
        for text in [
            "s3://arn:aws:s3:us-east-2:123456789012:accesspoint/ap/a.apkg",
            "s3://Agents/a.apkg",
            "s3:///a.apkg",
            "s3://a..b/a.apkg",
            "s3://10.0.0.1/a.apkg",
            "s3://ab/a.apkg",
        ] {
            assert_eq!(PackageUrl::parse(text), Err(NotAPackageUrl::Bucket), "{text}");
        }
        for text in [
            "s3://agents",
            "s3://agents/",
            "s3://agents/a/",
            "s3://agents/a/../b",
            "s3://agents/./b",
            "s3://agents/a\nb",
        ] {
            assert_eq!(PackageUrl::parse(text), Err(NotAPackageUrl::Key), "{text:?}");
        }
        for text in ["s3://agents/a?x=1", "s3://agents/a?versionId=", "s3://agents/a?versionId=1&x=2"] {
            assert_eq!(PackageUrl::parse(text), Err(NotAPackageUrl::Query), "{text}");
        }
    }

    #[test]
    fn a_key_is_taken_as_it_is_written() {
        let object =
            s3("s3://pixell-agent-packages/4906/a b%20c/..x/package.apkg?versionId=3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY");

        assert_eq!(object.bucket, "pixell-agent-packages");
        assert_eq!(object.key, "4906/a b%20c/..x/package.apkg");
        assert_eq!(object.version.as_deref(), Some("3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY"));
    }

    #[test]
    fn the_signature_lies_beside_the_package() {
        assert_eq!(s3("s3://agents/a.apkg?versionId=1").signature(), s3("s3://agents/a.apkg.minisig"));
        let package = RedactedUrl::parse("https://host/a.apkg?token=5ec4e7").unwrap();
        assert_eq!(signature(&package).expose().as_str(), "https://host/a.apkg.minisig?token=5ec4e7");
    }

    /// Hostile 7: what signs a request is in neither form of a URL.
    #[test]
    fn a_presigned_url_shows_no_signature() {
        let url = PackageUrl::parse("https://host/w.apkg?X-Amz-Signature=5ec4e7").unwrap();

        assert_eq!(url.to_string(), "https://host/w.apkg");
        assert!(!format!("{url:?}").contains("5ec4e7"));
        assert_eq!(url.name(), "w.apkg");
    }
}
