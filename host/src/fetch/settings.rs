//! What the operator decides about fetching, and the fixed limits.

use std::path::PathBuf;
use std::time::Duration;

use par_apkg::digest::Sha256;

use super::credentials::CredentialSource;
use super::signature::Trust;
use crate::redact::RedactedUrl;

/// How often one package is asked for, all reasons to ask again together.
pub const ATTEMPTS: u32 = 4;

/// Redirects that are followed, one after the other.
pub const MOST_REDIRECTS: usize = 5;

/// How a package is had. Everything here comes from the operator, nothing from the package.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// What the package must be.
    pub demands: Demands,
    /// Who may have signed it; nobody has to when this is `None`.
    pub trust: Option<Trust>,
    /// Where packages with a known digest are kept. Source: the cache directory.
    pub cache: PathBuf,
    /// How long to wait, and how often.
    pub patience: Patience,
    /// Hosts that may have private addresses, in the form URLs give them (`PACKAGE_INTERNAL_HOSTS`).
    pub internal_hosts: Vec<String>,
    /// How objects of S3 are asked for.
    pub s3: S3Settings,
}

/// What a package must be before anybody reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demands {
    /// Its digest (`PACKAGE_SHA256`).
    pub digest: Option<Sha256>,
    /// Most bytes of its file (`MAX_PACKAGE_SIZE_MB`).
    pub max_bytes: u64,
}

/// How long to wait, and how often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// Longest time until the package is here, all attempts together (`FETCH_TIMEOUT_SEC`).
    pub total: Duration,
    /// Longest silence of a server, the connection included (`FETCH_IDLE_TIMEOUT_SEC`).
    pub idle: Duration,
    /// Pause after the first attempt that failed. It doubles each time, and half of it is
    /// left to chance, so that a fleet that failed together does not come back together.
    pub pause: Duration,
    /// Longest pause a server may ask for.
    pub longest_pause: Duration,
}

impl Patience {
    /// Patience with the default pauses.
    #[must_use]
    pub const fn new(total: Duration, idle: Duration) -> Self {
        Self { total, idle, pause: Duration::from_millis(300), longest_pause: Duration::from_secs(10) }
    }

    /// The pause after an attempt; the first is 1.
    pub(super) fn pause_after(&self, attempt: u32, asked_for: Option<Duration>) -> Duration {
        let doubled = self.pause.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
        let jittered = doubled.mul_f64(0.5 + fastrand::f64() / 2.0);
        jittered.max(asked_for.unwrap_or_default()).min(self.longest_pause)
    }
}

/// How objects of S3 are asked for.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// Region of the bucket (`AWS_REGION`).
    pub region: String,
    /// Another store than Amazon's (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`).
    pub endpoint: Option<RedactedUrl>,
    /// Bucket packages are expected in (`S3_BUCKET`); another one is remarked upon.
    pub bucket: String,
    /// Account the bucket must belong to (`S3_BUCKET_OWNER`).
    pub bucket_owner: Option<String>,
    /// Where credentials come from.
    pub credentials: CredentialSource,
    /// Certificates to trust instead of the system's (`AWS_CA_BUNDLE`).
    pub ca_bundle: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hostile 15: a server that asks for a pause of years gets one of seconds.
    #[test]
    fn pauses_double_with_jitter_and_have_an_end() {
        let patience = Patience::new(Duration::from_secs(60), Duration::from_secs(10));

        for (attempt, least, most) in [(1, 150, 300), (2, 300, 600), (3, 600, 1200), (40, 5000, 10_000)] {
            let pause = patience.pause_after(attempt, None).as_millis();
            assert!((least..=most).contains(&pause), "{attempt}: {pause}");
        }
        assert_eq!(patience.pause_after(1, Some(Duration::from_secs(1_000_000_000))), Duration::from_secs(10));
        assert_eq!(patience.pause_after(1, Some(Duration::from_secs(2))), Duration::from_secs(2));
    }
}
