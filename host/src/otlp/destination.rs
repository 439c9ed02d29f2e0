//! Where a signal goes.

use std::time::Duration;

use http::HeaderMap;

use crate::redact::{RedactedUrl, Secret};

/// One endpoint of a collector.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// The whole URL, `/v1/traces` included.
    pub url: RedactedUrl,
    /// Headers of every request, which is where collectors want to see keys.
    pub headers: Secret<HeaderMap>,
    /// Longest time one request may take.
    pub timeout: Duration,
}
