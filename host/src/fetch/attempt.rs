//! One attempt to have a package: what came of it, and whether it is worth another one.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;

use super::address;
use super::error::FetchError;
use super::settings::ATTEMPTS;

/// Where the next attempt goes on, and of which object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    /// The strong entity tag of the object the first bytes came from.
    pub(super) tag: String,
    /// How many bytes of it are here.
    pub(super) received: u64,
}

/// A server that is about to send the package.
#[derive(Debug)]
pub(super) struct Answer {
    /// Position of the first byte that comes.
    pub(super) begins: u64,
    /// Size of the whole package, if the server says it.
    pub(super) total: Option<u64>,
    /// Its strong entity tag.
    pub(super) tag: Option<String>,
    /// What comes.
    pub(super) body: Body,
}

/// The bytes of a package on their way.
pub(super) enum Body {
    Https(reqwest::Response),
    S3(aws_sdk_s3::primitives::ByteStream),
}

impl Body {
    /// The next bytes; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Https(response) => response.chunk().await.map_err(|error| Failure::passing(error.without_url())),
            Self::S3(stream) => stream.next().await.transpose().map_err(Failure::passing),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Body")
    }
}

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What happened.
    pub(super) because: Because,
    /// How many attempts, this one included, are worth it.
    pub(super) worth: u32,
    /// The pause the server asks for.
    pub(super) pause: Option<Duration>,
}

#[derive(Debug)]
pub(super) enum Because {
    /// Something of the network, the same for every package.
    Transport(Box<dyn Error + Send + Sync>),
    /// Something of this package.
    Package(FetchError),
}

impl Failure {
    /// What may pass by itself.
    pub(super) fn passing(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { because: Because::Transport(error.into()), worth: ATTEMPTS, pause: None }
    }

    /// What will be the same the next time.
    pub(super) const fn lasting(error: FetchError) -> Self {
        Self { because: Because::Package(error), worth: 1, pause: None }
    }

    /// An error of the client before there was an answer.
    pub(super) fn of_client(url: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        if let Some(refused) = address::refusal(&*error) {
            let (host, denial) = (refused.host.clone(), refused.denial.clone());
            return Self::lasting(FetchError::Address { url: url.to_owned(), host, denial });
        }
        if is_about_certificates(&*error) {
            return Self::lasting(FetchError::Certificate { url: url.to_owned(), source: error });
        }
        Self::passing(error)
    }
}

/// A server that answered, and not with the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server answered {0}")]
pub(super) struct Unavailable(pub(super) u16);

/// A body that ended before all of it was here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended after {received} of {total} bytes")]
pub(super) struct Truncated {
    pub(super) received: u64,
    pub(super) total: u64,
}

/// Whether a status may be another one the next time.
pub(super) const fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// The tag of an entity whose bytes are always the same. Weak tags (`W/`) are of entities that
/// are only about the same.
pub(super) fn strong(tag: &str) -> Option<String> {
    (tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"')).then(|| tag.to_owned())
}

/// Certificates do not get better by asking again.
pub(crate) fn is_about_certificates(error: &(dyn Error + 'static)) -> bool {
    if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
        return true;
    }
    // An error of the system does not call what it wraps its source.
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inner.is_some_and(|inner| is_about_certificates(inner)) || error.source().is_some_and(is_about_certificates)
}
