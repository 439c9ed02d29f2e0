//! A package over the network: attempts, and in each the bytes as they come.

use std::fmt;
use std::time::Duration;

use par_apkg::digest::Sha256;

use super::attempt::{Answer, Because, Failure, Pin, Truncated};
use super::error::FetchError;
use super::https::Https;
use super::s3::S3;
use super::settings::Patience;
use super::sink::{Ended, Sink};
use super::url::{self, S3Object};
use crate::redact::RedactedUrl;
use crate::telemetry::events;

/// Where one file is, and who is asked for it.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Https(Https, RedactedUrl),
    S3(S3, S3Object),
}

impl Origin {
    /// Where the detached signature of this one is.
    pub(super) fn signature(&self) -> Self {
        match self {
            Self::Https(https, url) => Self::Https(https.clone(), url::signature(url)),
            Self::S3(s3, object) => Self::S3(s3.clone(), object.signature()),
        }
    }

    async fn ask(&self, pin: Option<&Pin>) -> Result<Answer, Failure> {
        match self {
            Self::Https(https, url) => https.ask(url, pin).await,
            Self::S3(s3, object) => s3.ask(object, pin).await,
        }
    }

    const fn asking(&self) -> &'static str {
        match self {
            Self::Https(..) => events::PACKAGE_DOWNLOADING,
            Self::S3(..) => events::PACKAGE_DOWNLOADING_S3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(_, url) => url.fmt(formatter),
            Self::S3(_, object) => object.fmt(formatter),
        }
    }
}

/// How far a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are here.
    pub bytes: u64,
    /// Of how many, if the server says it.
    pub total: Option<u64>,
}

/// One transfer and what it is bound by.
pub(super) struct Transfer<'a> {
    pub(super) origin: &'a Origin,
    /// What messages call it.
    pub(super) name: &'a str,
    pub(super) patience: Patience,
    pub(super) max_bytes: u64,
    pub(super) progress: &'a (dyn Fn(Progress) + Send + Sync),
}

/// What came, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) digest: Sha256,
    pub(super) bytes: u64,
    pub(super) attempts: u32,
}

impl Transfer<'_> {
    /// Brings the package into `sink`.
    pub(super) async fn run(&self, mut sink: Sink) -> Result<Received, FetchError> {
        let mut pin = None;
        let mut attempt = 1;
        loop {
            tracing::info!(url = %self.origin, attempt, "{}", self.origin.asking());
            let failure = match self.attempt(&mut sink, &mut pin).await {
                Ok(()) => break,
                Err(Stopped::Failure(failure)) => failure,
                Err(Stopped::Written) => return Err(self.cannot_write(sink).await),
            };
            if attempt >= failure.worth {
                return Err(self.give_up(failure, attempt));
            }
            let pause = self.patience.pause_after(attempt, failure.pause);
            log_failure(&failure, attempt, pause);
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
        let bytes = sink.received();
        let digest = sink.finish().await.map_err(|source| FetchError::Write { name: self.name.to_owned(), source })?;
        Ok(Received { digest, bytes, attempts: attempt })
    }

    async fn attempt(&self, sink: &mut Sink, pin: &mut Option<Pin>) -> Result<(), Stopped> {
        if let Some(pin) = pin {
            pin.received = sink.received();
        }
        let mut answer = self.origin.ask(pin.as_ref()).await?;
        if let (Some(pin), Some(tag)) = (&*pin, &answer.tag)
            && pin.tag != *tag
        {
            return Err(Failure::lasting(FetchError::Replaced { url: self.origin.to_string() }).into());
        }
        if answer.begins != sink.received() {
            sink.restart().await?;
        }
        if let Some(total) = answer.total.filter(|total| *total > self.max_bytes) {
            let name = self.name.to_owned();
            return Err(Failure::lasting(FetchError::TooLarge { name, bytes: total, limit: self.max_bytes }).into());
        }
        *pin = answer.tag.take().map(|tag| Pin { tag, received: sink.received() });
        let total = answer.total;
        (self.progress)(Progress { bytes: sink.received(), total });
        while let Some(bytes) = answer.body.next().await? {
            if sink.received() + bytes.len() as u64 > self.max_bytes {
                let name = self.name.to_owned();
                return Err(Failure::lasting(FetchError::TooLong { name, limit: self.max_bytes }).into());
            }
            sink.add(bytes).await?;
            (self.progress)(Progress { bytes: sink.received(), total });
        }
        match total {
            Some(total) if total != sink.received() => {
                Err(Failure::passing(Truncated { received: sink.received(), total }).into())
            }
            _ => Ok(()),
        }
    }

    fn give_up(&self, failure: Failure, attempts: u32) -> FetchError {
        match failure.because {
            Because::Package(error) => error,
            Because::Transport(source) => FetchError::GaveUp { url: self.origin.to_string(), attempts, source },
        }
    }

    async fn cannot_write(&self, sink: Sink) -> FetchError {
        let source = sink.finish().await.err().unwrap_or_else(|| std::io::Error::other("the writer ended"));
        FetchError::Write { name: self.name.to_owned(), source }
    }
}

enum Stopped {
    Failure(Failure),
    /// The disk takes no more.
    Written,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Ended> for Stopped {
    fn from(Ended: Ended) -> Self {
        Self::Written
    }
}

fn log_failure(failure: &Failure, attempt: u32, pause: Duration) {
    let error: &(dyn std::error::Error + 'static) = match &failure.because {
        Because::Transport(error) => &**error,
        Because::Package(error) => error,
    };
    tracing::warn!(attempt, error, pause_ms = crate::boot::milliseconds(pause), "{}", events::FETCH_ATTEMPT_FAILED);
}
