//! Why a package cannot be had, or is not the one that was demanded.

use std::error::Error;
use std::io;

use par_apkg::digest::Sha256;
use par_policy::Denial;

use super::settings::MOST_REDIRECTS;

/// A package that cannot be had, or is not the one that was demanded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It cannot be opened or read.
    #[error("cannot open package `{name}`")]
    Open {
        /// Its name.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Its file is too large.
    #[error("`{name}` has {bytes} bytes, more than the {limit} of `MAX_PACKAGE_SIZE_MB`")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// More came than may come, whatever the server announced.
    #[error("`{name}` has more than the {limit} bytes of `MAX_PACKAGE_SIZE_MB`; stopped there")]
    TooLong {
        /// Its name.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// It is another package.
    #[error("digest mismatch for `{name}`: expected {expected}, got {got}")]
    Digest {
        /// Its name.
        name: String,
        /// The digest that was demanded.
        expected: Sha256,
        /// The one it has.
        got: Sha256,
    },
    /// A digest was demanded of something that has none.
    #[error("`{name}` is a directory and cannot have the digest {expected}")]
    NoDigest {
        /// Its name.
        name: String,
        /// The digest that was demanded.
        expected: Sha256,
    },
    /// The server does not give it.
    #[error("cannot fetch `{url}`: the server answered {status}{}", .code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Status {
        /// Where it should be.
        url: String,
        /// The status.
        status: u16,
        /// What S3 calls it.
        code: Option<String>,
    },
    /// The bucket is in another region.
    #[error("cannot fetch `{url}`: its bucket is not in the region `{region}`")]
    Region {
        /// Where it should be.
        url: String,
        /// The region that was asked.
        region: String,
        /// The region the bucket is in, where S3 says it.
        actual: Option<String>,
    },
    /// The server, or what it redirects to, is a machine packages are not fetched from.
    #[error("cannot fetch `{url}`: `{host}` is refused")]
    Address {
        /// Where it should be.
        url: String,
        /// The host with that address.
        host: String,
        /// What is wrong with its address.
        #[source]
        denial: Denial,
    },
    /// A redirect leads where packages are not fetched from.
    #[error("cannot fetch `{url}`: {fault}")]
    Redirect {
        /// Where it should be.
        url: String,
        /// What is wrong with the redirect.
        fault: RedirectFault,
    },
    /// The certificate of the server is not one that is trusted.
    #[error("cannot fetch `{url}`: the certificate of the server is not trusted")]
    Certificate {
        /// Where it should be.
        url: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server sends it in another form than bytes.
    #[error("cannot fetch `{url}`: the server sends it as `{encoding}`, and packages are taken as they are")]
    Encoded {
        /// Where it should be.
        url: String,
        /// The encoding.
        encoding: String,
    },
    /// It was replaced between two attempts.
    #[error("cannot fetch `{url}`: it was replaced while it was fetched")]
    Replaced {
        /// Where it should be.
        url: String,
    },
    /// It did not come, however often it was asked for.
    #[error("cannot fetch `{url}`: no success after {attempts} attempt(s)")]
    GaveUp {
        /// Where it should be.
        url: String,
        /// How often it was asked for.
        attempts: u32,
        /// The last reason.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It did not come in time.
    #[error("cannot fetch `{url}`: not here after {seconds} s (`FETCH_TIMEOUT_SEC`)")]
    TimedOut {
        /// Where it should be.
        url: String,
        /// The time.
        seconds: f64,
    },
    /// There is nothing to sign requests with.
    #[error("cannot fetch `{url}`: there are no credentials for S3")]
    NoCredentials {
        /// Where it should be.
        url: String,
    },
    /// The credentials of the task cannot be had.
    #[error("cannot fetch `{url}`: the credentials of the task cannot be had")]
    Credentials {
        /// Where it should be.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The client cannot be set up, for want of certificates for example.
    #[error("cannot set up the client that fetches packages")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    /// It cannot be written down.
    #[error("cannot write package `{name}` to the cache directory")]
    Write {
        /// Its name.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A signature was demanded, and there is none.
    #[error("`{name}` is not signed: there is no signature at `{place}`")]
    Unsigned {
        /// Its name.
        name: String,
        /// Where the signature should be.
        place: String,
        /// Why it cannot be had.
        #[source]
        source: Option<Box<FetchError>>,
    },
    /// The signature is not one of a trusted key over this package.
    #[error("`{name}` is not signed by a trusted key: {fault}")]
    Signature {
        /// Its name.
        name: String,
        /// What is wrong with the signature.
        fault: SignatureFault,
    },
}

/// What is wrong with a redirect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectFault {
    /// It leads away from `https`.
    #[error("it redirects to `{0}`, which is not `https`")]
    Plain(String),
    /// It names a user.
    #[error("it redirects to a URL with user and password")]
    Credentials,
    /// There are too many.
    #[error("more than {MOST_REDIRECTS} redirects")]
    TooMany,
    /// It says not where to.
    #[error("it redirects, and does not say where to")]
    Nowhere,
}

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// It is no minisign signature.
    #[error("the signature is not one of minisign")]
    Malformed,
    /// It is of the form that is not over a digest.
    #[error("the signature is of the old form, which is not over a digest")]
    Legacy,
    /// None of the trusted keys made it.
    #[error("the signature was made with another key")]
    OtherKey,
    /// It does not belong to these bytes.
    #[error("the signature is of other bytes")]
    OtherBytes,
}

impl FetchError {
    /// A way out.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoDigest { .. } => "unset `PACKAGE_SHA256`, or run a package file",
            Self::TooLarge { .. } | Self::TooLong { .. } => {
                "raise `MAX_PACKAGE_SIZE_MB` if the package is meant to be this large"
            }
            Self::Status { code: Some(code), .. } if code == "RequestTimeTooSkewed" => "set the clock of this machine",
            Self::Status { status: 401 | 403, .. } => {
                "the role of the task needs `s3:GetObject` on the object; a presigned URL may have expired"
            }
            Self::Region { actual: Some(actual), .. } => return Some(format!("set `AWS_REGION` to `{actual}`")),
            Self::Region { .. } => "set `AWS_REGION` to the region of the bucket",
            Self::Address { .. } => "an operator may name the host in `PACKAGE_INTERNAL_HOSTS`",
            Self::Certificate { .. } => {
                "an own certificate authority is named by `SSL_CERT_FILE`, or `AWS_CA_BUNDLE` for S3"
            }
            Self::TimedOut { .. } => "raise `FETCH_TIMEOUT_SEC` if the network is this slow",
            Self::NoCredentials { .. } => {
                "give the task a role, or set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`"
            }
            Self::Unsigned { .. } => "sign it with `minisign -S -m PACKAGE`, or set `PACKAGE_SIGNATURE`",
            _ => return None,
        };
        Some(text.to_owned())
    }
}
