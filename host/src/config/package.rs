//! Where the agent package comes from.

use std::path::PathBuf;

use par_apkg::digest::Sha256;

use super::mistake::Expected;
use super::places;
use super::reader::{Reader, whole};
use super::variables as v;
use crate::redact::RedactedUrl;

/// Sizes above this are accepted and remarked upon.
const REMARKABLE_MIB: u64 = 10_000;

/// Where the agent package comes from.
#[derive(Debug, Clone)]
pub struct Package {
    /// `AGENT_PACKAGE_PATH`: a file or a directory. Wins over the URL.
    pub path: Option<PathBuf>,
    /// `PACKAGE_URL`: `https` or `s3`.
    pub url: Option<RedactedUrl>,
    /// The digest it must have.
    pub digest: Option<Sha256>,
    /// Largest package that is accepted, in bytes.
    pub max_bytes: u64,
    /// Region of the bucket.
    pub region: String,
    /// Bucket packages are expected in.
    pub bucket: String,
}

impl Package {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let path = reader.optional(&v::AGENT_PACKAGE_PATH, places::directory);
        let url = reader.optional(&v::PACKAGE_URL, package_url);
        let digest = reader.optional(&v::PACKAGE_SHA256, digest);
        let max_mib = reader.value(&v::MAX_PACKAGE_SIZE_MB, |text| whole(text, 1, u64::MAX >> 20));
        let region = reader.value(&v::AWS_REGION, |text| Ok(text.trim().to_owned()));
        let bucket = reader.value(&v::S3_BUCKET, bucket);

        if let Some(mib) = max_mib.filter(|mib| *mib > REMARKABLE_MIB) {
            reader.remark(&v::MAX_PACKAGE_SIZE_MB, mib.to_string(), "packages this large are unusual");
        }
        if let Some(region) = region.as_ref().filter(|region| !is_region(region)) {
            reader.remark(&v::AWS_REGION, region.clone(), "not of the form `us-east-2`; used as it is");
        }
        Some(Self {
            path: path?,
            url: url?,
            digest: digest?,
            max_bytes: max_mib? << 20,
            region: region?,
            bucket: bucket?,
        })
    }
}

fn package_url(text: &str) -> Result<RedactedUrl, Expected> {
    RedactedUrl::parse(text.trim())
        .ok()
        .filter(|url| matches!(url.expose().scheme(), "https" | "s3"))
        .filter(|url| url.expose().host_str().is_some_and(|host| !host.is_empty()))
        .ok_or_else(|| Expected::new("a URL that begins with `https://` or `s3://`"))
}

fn digest(text: &str) -> Result<Sha256, Expected> {
    text.trim().parse().map_err(|_| Expected::new("64 hex digits"))
}

/// `us-east-2`: two letters, a word, a number.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts[..], [country, area, number] if country.len() == 2 && letters(country) && letters(area) && digits(number))
}

fn bucket(text: &str) -> Result<String, Expected> {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends =
        bytes.first().is_some_and(|byte| alphanumeric(*byte)) && bytes.last().is_some_and(|byte| alphanumeric(*byte));
    let inside = bytes.iter().all(|byte| alphanumeric(*byte) || matches!(byte, b'.' | b'-'));
    if (3..=63).contains(&bytes.len()) && ends && inside {
        return Ok(text.to_owned());
    }
    Err(Expected::new("3 to 63 lower-case letters, digits, `.` and `-`, with a letter or digit at both ends"))
}
