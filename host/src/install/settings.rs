//! What the operator decides about installing, and the fixed limits.

use std::path::PathBuf;
use std::time::Duration;

use par_apkg::archive::ArchiveLimits;

use crate::redact::{RedactedUrl, Secret};

/// The version of `uv` this release was tested with; any other is refused.
///
/// One place: `just tools` installs what the same file names, hashes checked.
pub const UV_VERSION: &str = pinned_version(include_str!("uv.txt"));

/// The version in a requirements file that begins with `uv==<version> `.
const fn pinned_version(file: &str) -> &str {
    let (_, rest) = file.split_at("uv==".len());
    let mut end = 0;
    while rest.as_bytes()[end] != b' ' {
        end += 1;
    }
    rest.split_at(end).0
}

/// The Python the guest carries, in the form of a directory name and of `--python-version`.
pub const PYTHON_VERSION: &str = "3.14";

/// The platform requirements are resolved for, whatever machine PAR runs on.
///
/// Packages with native parts publish wheels for this one if they publish any, so the
/// resolver does not fall back to an ancient pure version; whether the chosen wheel runs in
/// the sandbox is judged afterwards, by its content.
pub(crate) const RESOLVE_PLATFORM: &str = "x86_64-manylinux_2_28";

/// Raised whenever the same wheels would unpack into a different tree.
pub(crate) const RULE_VERSION: u32 = 2;

/// Variables of the operator's environment that the resolver inherits: where the
/// certificates are and which proxy leads out. Everything else is cleared.
pub const PASSED_TO_RESOLVER: [&str; 8] =
    ["SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];

/// How dependencies are installed. Everything here comes from the operator, nothing from the package.
#[derive(Debug, Clone)]
pub struct InstallSettings {
    /// Where layers, wheels and the resolver's own cache live. Source: the cache directory of the configuration.
    pub cache: PathBuf,
    /// The `uv` to run. Source: `PAR_UV`; unset: `<cache>/tools/uv-<version>/bin/uv`, then `search_path`.
    pub uv: Option<PathBuf>,
    /// The CPython that runs native agents. Source: `PAR_PYTHON`; unset: the first on `search_path` that is new enough.
    pub python: Option<PathBuf>,
    /// Directories to look for `uv` and for the interpreter `uv` insists on. Source: `PATH`.
    pub search_path: Option<String>,
    /// The package index; unset is the public one (`PAR_INDEX_URL`).
    pub index: Option<RedactedUrl>,
    /// Hosts of files that may have private addresses beside the index, in the form URLs give them
    /// (`PACKAGE_INTERNAL_HOSTS`).
    pub internal_hosts: Vec<String>,
    /// Local wheels that count as if the index had them. Source: `WHEELHOUSE_DIR`.
    pub wheelhouse: Option<PathBuf>,
    /// Never ask the index (`WHEELHOUSE_OFFLINE`). Default: ask it.
    pub offline: bool,
    /// Build distributions that have no wheel, in the sandbox (`PAR_BUILD_FROM_SOURCE`). Default: never.
    pub build_from_source: bool,
    /// The variables named in [`PASSED_TO_RESOLVER`], with their values.
    pub resolver_environment: Vec<(&'static str, Secret<String>)>,
    /// Longest time from the first look to the finished layer (`INSTALL_TIMEOUT_SEC`). Default: 300 s.
    pub timeout: Duration,
    /// Largest single wheel, in bytes of its file.
    pub max_wheel_bytes: u64,
    /// Largest sum over the files of all wheels of one layer, unpacked, in bytes.
    pub max_layer_bytes: u64,
}

impl InstallSettings {
    /// Settings with every default, for a cache directory.
    #[must_use]
    pub fn new(cache: PathBuf) -> Self {
        Self {
            cache,
            uv: None,
            python: None,
            search_path: None,
            index: None,
            internal_hosts: Vec::new(),
            wheelhouse: None,
            offline: false,
            build_from_source: false,
            resolver_environment: Vec::new(),
            timeout: Duration::from_secs(300),
            max_wheel_bytes: ArchiveLimits::WHEEL.archive_bytes,
            max_layer_bytes: 1 << 30,
        }
    }
}
