//! A package by `s3`: GetObject and nothing else, over the client of `https`.

use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region, ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;

use super::address::Addresses;
use super::attempt::{Answer, Because, Body, Failure, Pin, Unavailable, may_pass, strong};
use super::error::FetchError;
use super::https::range;
use super::settings::FetchSettings;
use super::transport::Transport;
use super::url::S3Object;
use super::{client, credentials};

/// How often an object is asked for that may not be read. A role that was just made takes a
/// moment to be known everywhere; one more attempt after a pause covers that and harms nobody.
const ATTEMPTS_WHEN_FORBIDDEN: u32 = 2;

/// Asks S3, or a store that speaks like it, for objects.
#[derive(Debug, Clone)]
pub(super) struct S3 {
    client: aws_sdk_s3::Client,
    region: String,
    owner: Option<String>,
}

impl S3 {
    pub(super) async fn new(settings: &FetchSettings, url: &str) -> Result<Self, FetchError> {
        let s3 = &settings.s3;
        let credentials = credentials::obtain(&s3.credentials, settings.patience.idle, url).await?;
        // The service of the region, or the store the operator named: in many networks either
        // has a private address.
        let service = match &s3.endpoint {
            Some(endpoint) => endpoint.expose().host_str().unwrap_or_default().to_owned(),
            None => format!("s3.{}.amazonaws.com", s3.region),
        };
        let addresses = Addresses::new(settings.internal_hosts.iter().cloned()).with_service(service);
        let client = client::for_packages(&addresses, settings.patience.idle, s3.ca_bundle.as_deref())?;
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(s3.region.clone()))
            .credentials_provider(credentials)
            .http_client(Transport::new(client, addresses))
            // Attempts and time are counted in one place, and that is not here.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // The digest is over the whole package; a checksum beside it would be one of parts.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // Directory buckets would need another call to open a session.
            .disable_s3_express_session_auth(true);
        if let Some(endpoint) = &s3.endpoint {
            // Stores other than Amazon's have one name and the bucket in the path.
            config = config.endpoint_url(endpoint.expose().as_str()).force_path_style(true);
        }
        let client = aws_sdk_s3::Client::from_conf(config.build());
        Ok(Self { client, region: s3.region.clone(), owner: s3.bucket_owner.clone() })
    }

    /// Asks for an object, or for the rest of the one that was begun.
    pub(super) async fn ask(&self, object: &S3Object, pin: Option<&Pin>) -> Result<Answer, Failure> {
        let url = object.to_string();
        let rest = pin.filter(|pin| pin.received > 0).map(|pin| format!("bytes={}-", pin.received));
        let asked = self
            .client
            .get_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(object.version.clone())
            .set_expected_bucket_owner(self.owner.clone())
            .set_if_match(pin.map(|pin| pin.tag.clone()))
            .set_range(rest)
            .send()
            .await
            .map_err(|error| self.failure(&url, error))?;
        let begun = asked.content_range().and_then(range);
        let length = asked.content_length().and_then(|length| u64::try_from(length).ok());
        let (begins, total) = begun.unwrap_or((0, length));
        if begins > 0 && Some(begins) != pin.map(|pin| pin.received) {
            return Err(Failure::passing(Unavailable(206)));
        }
        if let Some(encoding) = asked.content_encoding().filter(|encoding| !is_plain(encoding)) {
            return Err(Failure::lasting(FetchError::Encoded { url, encoding: encoding.to_owned() }));
        }
        let tag = asked.e_tag().and_then(strong);
        Ok(Answer { begins, total, tag, body: Body::S3(asked.body) })
    }

    fn failure(&self, url: &str, error: SdkError<GetObjectError>) -> Failure {
        let Some(response) = error.raw_response() else {
            return Failure::of_client(url, error);
        };
        let status = response.status().as_u16();
        let code = error.code().map(str::to_owned);
        let package = |error| Failure { because: Because::Package(error), worth: 1, pause: None };
        if may_pass(status) {
            let seconds = response.headers().get("retry-after").and_then(|seconds| seconds.trim().parse().ok());
            return Failure { pause: seconds.map(Duration::from_secs), ..Failure::passing(Unavailable(status)) };
        }
        if status == 412 {
            return package(FetchError::Replaced { url: url.to_owned() });
        }
        let actual = response.headers().get("x-amz-bucket-region").map(str::to_owned);
        if matches!(status, 301 | 307)
            || (status == 400 && actual.as_ref().is_some_and(|actual| *actual != self.region))
        {
            return package(FetchError::Region { url: url.to_owned(), region: self.region.clone(), actual });
        }
        let worth = if status == 403 { ATTEMPTS_WHEN_FORBIDDEN } else { 1 };
        Failure { worth, ..package(FetchError::Status { url: url.to_owned(), status, code }) }
    }
}

/// S3 stores what it was told on upload; `aws-chunked` is how it was uploaded.
fn is_plain(encoding: &str) -> bool {
    encoding.split(',').all(|part| matches!(part.trim(), "" | "identity" | "aws-chunked"))
}
