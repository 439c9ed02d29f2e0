//! Where the agent package comes from, and what it must be.

use std::path::{Path, PathBuf};

use par_apkg::digest::Sha256;

use super::mistake::Expected;
use super::reader::{Reader, positive_duration, whole};
use super::variables as v;
use super::{aws, places};
use crate::fetch::{Demands, FetchSettings, PackageUrl, Patience, Trust, TrustedKeys, canonical_host};

/// Sizes above this are accepted and remarked upon.
const REMARKABLE_MIB: u64 = 10_000;

/// Where the agent package comes from.
#[derive(Debug, Clone)]
pub struct Package {
    /// `AGENT_PACKAGE_PATH`: a file or a directory. Wins over the URL.
    pub path: Option<PathBuf>,
    /// `PACKAGE_URL`: `https` or `s3`.
    pub url: Option<PackageUrl>,
    /// What it must be, and how it is had.
    pub fetch: FetchSettings,
}

impl Package {
    pub(super) fn read(reader: &mut Reader<'_>, cache_dir: Option<&Path>) -> Option<Self> {
        let path = reader.optional(&v::AGENT_PACKAGE_PATH, places::directory);
        let url = reader.optional(&v::PACKAGE_URL, package_url);
        let digest = reader.optional(&v::PACKAGE_SHA256, digest);
        let max_mib = reader.value(&v::MAX_PACKAGE_SIZE_MB, |text| whole(text, 1, u64::MAX >> 20));
        let trust = trust(reader);
        let total = reader.value(&v::FETCH_TIMEOUT_SEC, |text| positive_duration(text, 1.0));
        let idle = reader.value(&v::FETCH_IDLE_TIMEOUT_SEC, |text| positive_duration(text, 1.0));
        let internal_hosts = reader.optional(&v::PACKAGE_INTERNAL_HOSTS, hosts);
        let s3 = aws::s3(reader);

        if let Some(mib) = max_mib.filter(|mib| *mib > REMARKABLE_MIB) {
            reader.remark(&v::MAX_PACKAGE_SIZE_MB, mib.to_string(), "packages this large are unusual");
        }
        let fetch = FetchSettings {
            demands: Demands { digest: digest?, max_bytes: max_mib? << 20 },
            trust: trust?,
            cache: cache_dir?.to_owned(),
            patience: Patience::new(total?, idle?),
            internal_hosts: internal_hosts?.unwrap_or_default(),
            s3: s3?,
        };
        Some(Self { path: path?, url: url?, fetch })
    }
}

fn trust(reader: &mut Reader<'_>) -> Option<Option<Trust>> {
    let keys = reader.optional(&v::PACKAGE_TRUSTED_KEYS, |text| {
        TrustedKeys::parse(text).map_err(|expected| Expected::new(expected.to_string()))
    });
    let signature = reader.optional(&v::PACKAGE_SIGNATURE, |text| Ok(text.to_owned()));
    let (keys, signature) = (keys?, signature?);
    if keys.is_none() && signature.is_some() {
        reader.refuse(&v::PACKAGE_TRUSTED_KEYS, String::new(), "the key the signature was made with");
        return None;
    }
    Some(keys.map(|keys| Trust { keys, signature }))
}

fn package_url(text: &str) -> Result<PackageUrl, Expected> {
    PackageUrl::parse(text.trim()).map_err(|expected| Expected::new(expected.to_string()))
}

fn digest(text: &str) -> Result<Sha256, Expected> {
    text.trim().parse().map_err(|_| Expected::new("64 hex digits"))
}

fn hosts(text: &str) -> Result<Vec<String>, Expected> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let hosts: Option<Vec<String>> = names.map(canonical_host).collect();
    hosts.ok_or_else(|| Expected::new("host names or addresses, separated by commas, without scheme and port"))
}
