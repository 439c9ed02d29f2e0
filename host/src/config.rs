//! The configuration: read once, checked as a whole, wrong nowhere.
//!
//! [`Environment`] holds what the process was started with, [`Config::parse`] turns it into
//! typed values or into all the [`Mistakes`] in it at once. [`variables`] is the one list of
//! variables, shared by the parser and the documentation.

mod aws;
mod base_path;
mod boot;
mod mistake;
mod otlp;
mod package;
mod places;
mod policy;
mod ports;
mod raw;
mod reader;
pub mod variables;

use std::path::PathBuf;
use std::time::Duration;

use par_policy::policy::{Confinement, Native};
use par_policy::{InstanceCount, Limits, MemoryLimit, OutOfRange, RequestTimeout};
use par_sandbox::Roots;

pub use base_path::BasePath;
pub use boot::{Boot, failures_of};
pub use mistake::{Mistake, Mistakes, Remark};
pub use package::Package;
pub use policy::{Observing, PolicySource};
pub use ports::{Port, Ports, rest_port_of};
pub use raw::{Environment, Places, operator_variable, variables_given_to_an_agent};

use crate::fetch::FetchSettings;
use crate::install::InstallSettings;
use crate::native::confinement::Part;
use crate::otlp::Settings as OtlpSettings;
use crate::telemetry::Level;
use mistake::Expected;
use reader::{Reader, boolean, duration, positive_duration, whole};
use variables as v;

/// Everything the operator decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who this is.
    pub identity: Identity,
    /// Where the surfaces listen.
    pub ports: Ports,
    /// The prefix of every route.
    pub base_path: BasePath,
    /// Whether the routes of the agent are served at `/` as well.
    pub serve_at_root: bool,
    /// Where the agent package comes from.
    pub package: Package,
    /// How long a boot may take, and what a failed one does.
    pub boot: Boot,
    /// Longest time requests in flight get to finish after a signal.
    pub drain_timeout: Duration,
    /// What one instance may use.
    pub limits: Limits,
    /// Where the operator's policy is.
    pub policy: Option<PolicySource>,
    /// Whether agents may leave the sandbox where no policy says it.
    pub native: Native,
    /// Whether native agents run where they cannot be confined completely.
    pub confinement: Confinement,
    /// Parts of the confinement that are left out, in tests.
    pub confinement_without: Vec<Part>,
    /// Whether that policy may only observe.
    pub observing: Observing,
    /// Where the record is kept, if not in the log.
    pub audit_file: Option<PathBuf>,
    /// Largest gRPC message, in bytes.
    pub a2a_message_bytes: usize,
    /// Directory of the guest.
    pub guest_dir: PathBuf,
    /// Directory of what is kept between starts.
    pub cache_dir: PathBuf,
    /// How much of it is kept (`PAR_CACHE_LIMIT_MB`). Unit: bytes.
    pub cache_limit: u64,
    /// How dependencies are installed.
    pub install: InstallSettings,
    /// Whose certificates outbound requests of the agent trust.
    pub roots: Roots,
    /// Least serious log lines that are written.
    pub log_level: Level,
    /// What is sent to collectors.
    pub otlp: OtlpSettings,
    /// Settings that are odd, and accepted.
    pub remarks: Vec<Remark>,
}

/// What the commands need that read packages or install, and do not run.
#[derive(Debug, Clone)]
pub struct Installing {
    /// What one instance may use.
    pub limits: Limits,
    /// Directory of the guest.
    pub guest_dir: PathBuf,
    /// Directory of what is kept between starts.
    pub cache_dir: PathBuf,
    /// How dependencies are installed.
    pub install: InstallSettings,
    /// How packages are fetched, and how large they may be.
    pub fetch: FetchSettings,
}

impl Installing {
    /// Checks the variables that have to do with packages and installing, and no others.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn parse(environment: &Environment) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(environment);
        let places = environment.places();
        let limits = limits(&mut reader, places);
        let guest_dir = reader.value_or(&v::PAR_GUEST_DIR, places::directory, || places.guest_dir());
        let cache_dir = reader.value_or(&v::PAR_CACHE_DIR, places::directory, || places.cache_dir());
        let fetch = Package::read(&mut reader, cache_dir.as_deref()).map(|package| package.fetch);
        let install = install(&mut reader, places, fetch.as_ref());
        match (limits, guest_dir, cache_dir, install, fetch) {
            (Some(limits), Some(guest_dir), Some(cache_dir), Some(install), Some(fetch))
                if reader.mistakes.is_empty() =>
            {
                Ok(Self { limits, guest_dir, cache_dir, install, fetch })
            }
            _ => Err(Mistakes(reader.mistakes)),
        }
    }
}

/// What the commands need that only judge.
#[derive(Debug, Clone)]
pub struct Reviewing {
    /// What one instance may use.
    pub limits: Limits,
    /// Where the operator's policy is.
    pub policy: Option<PolicySource>,
    /// How packages are fetched, and how large they may be.
    pub fetch: FetchSettings,
}

impl Reviewing {
    /// Checks the variables that have to do with limits, policy and packages, and no others.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn parse(environment: &Environment) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(environment);
        let limits = limits(&mut reader, environment.places());
        let policy = reader.optional(&v::PAR_POLICY, PolicySource::parse);
        let cache_dir = reader.value_or(&v::PAR_CACHE_DIR, places::directory, || environment.places().cache_dir());
        let fetch = Package::read(&mut reader, cache_dir.as_deref()).map(|package| package.fetch);
        match (limits, policy, fetch) {
            (Some(limits), Some(policy), Some(fetch)) if reader.mistakes.is_empty() => {
                Ok(Self { limits, policy, fetch })
            }
            _ => Err(Mistakes(reader.mistakes)),
        }
    }
}

/// Who this is, in every log line and in health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `AGENT_APP_ID`, exactly as given.
    pub app_id: String,
    /// `DEPLOYMENT_ID`.
    pub deployment_id: Option<String>,
}

impl Config {
    /// Checks the whole environment.
    ///
    /// # Errors
    /// Every mistake in it, not only the first.
    pub fn parse(environment: &Environment) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(environment);
        let config = Self::read(&mut reader, environment.places());
        match config {
            Some(config) if reader.mistakes.is_empty() => Ok(Self { remarks: reader.remarks, ..config }),
            _ => Err(Mistakes(reader.mistakes)),
        }
    }

    /// Reads every variable before it gives up on any, so that all mistakes are found.
    fn read(reader: &mut Reader<'_>, places: &Places) -> Option<Self> {
        let app_id = reader.required(&v::AGENT_APP_ID);
        let deployment_id = reader.optional(&v::DEPLOYMENT_ID, |text| Ok(text.to_owned()));
        let ports = Ports::read(reader);
        let base_path = base_path(reader, app_id.as_deref());
        let serve_at_root = reader.value(&v::SERVE_AT_ROOT, boolean);
        let boot = Boot::read(reader);
        let drain_timeout = reader.value(&v::GRACEFUL_SHUTDOWN_TIMEOUT_SEC, |text| duration(text, 1.0));
        let limits = limits(reader, places);
        let policy = reader.optional(&v::PAR_POLICY, PolicySource::parse);
        let native = reader.value(&v::PAR_NATIVE, policy::native);
        let confinement = reader.value(&v::PAR_CONFINEMENT, policy::confinement);
        let confinement_without = reader.optional(&v::TEST_CONFINEMENT_WITHOUT, policy::parts);
        let observing = reader.value(&v::PAR_OBSERVE, Observing::parse);
        let audit_file = reader.optional(&v::PAR_AUDIT_FILE, places::directory);
        let a2a_message_bytes = reader.value(&v::A2A_MAX_MESSAGE_BYTES, |text| {
            let bytes = whole(text, 1, 1 << 30)?;
            usize::try_from(bytes).map_err(|_| Expected::new("a size this machine can hold"))
        });
        let guest_dir = reader.value_or(&v::PAR_GUEST_DIR, places::directory, || places.guest_dir());
        let cache_dir = reader.value_or(&v::PAR_CACHE_DIR, places::directory, || places.cache_dir());
        let cache_limit = reader.value(&v::PAR_CACHE_LIMIT_MB, |text| Ok(whole(text, 0, u64::MAX >> 20)? << 20));
        let package = Package::read(reader, cache_dir.as_deref());
        let install = install(reader, places, package.as_ref().map(|package| &package.fetch));
        let roots = roots(reader);
        let log_level = reader.value(&v::LOG_LEVEL, |text| {
            Level::parse(text).ok_or_else(|| Expected::new("`debug`, `info`, `warning` or `error`"))
        });
        let otlp = otlp::read(reader);

        Some(Self {
            identity: Identity { app_id: app_id?, deployment_id: deployment_id?.filter(|id| !id.trim().is_empty()) },
            ports: ports?,
            base_path: base_path?,
            serve_at_root: serve_at_root?,
            package: package?,
            boot: boot?,
            drain_timeout: drain_timeout?,
            limits: limits?,
            policy: policy?,
            native: native?,
            confinement: confinement?,
            confinement_without: confinement_without?.unwrap_or_default(),
            observing: observing?,
            audit_file: audit_file?,
            a2a_message_bytes: a2a_message_bytes?,
            guest_dir: guest_dir?,
            cache_dir: cache_dir?,
            cache_limit: cache_limit?,
            install: install?,
            roots: roots?,
            log_level: log_level?,
            otlp: otlp?,
            remarks: Vec::new(),
        })
    }
}

fn install(reader: &mut Reader<'_>, places: &Places, fetch: Option<&FetchSettings>) -> Option<InstallSettings> {
    let wheelhouse = reader.optional(&v::WHEELHOUSE_DIR, places::directory);
    let offline = reader.value(&v::WHEELHOUSE_OFFLINE, boolean);
    let build_from_source = reader.value(&v::PAR_BUILD_FROM_SOURCE, |text| match text {
        "off" => Ok(false),
        "in_sandbox" => Ok(true),
        _ => Err(Expected::new("`off` or `in_sandbox`")),
    });
    let uv = reader.optional(&v::PAR_UV, places::directory);
    let python = reader.optional(&v::PAR_PYTHON, places::directory);
    let timeout = reader.value(&v::INSTALL_TIMEOUT_SEC, |text| positive_duration(text, 1.0));
    let index = reader.optional(&v::PAR_INDEX_URL, places::index_url);
    Some(InstallSettings {
        uv: uv?,
        python: python?,
        search_path: places.search_path.clone(),
        index: index?,
        internal_hosts: fetch?.internal_hosts.clone(),
        wheelhouse: wheelhouse?,
        offline: offline?,
        build_from_source: build_from_source?,
        resolver_environment: places.network.clone(),
        timeout: timeout?,
        ..InstallSettings::new(fetch?.cache.clone())
    })
}

fn roots(reader: &mut Reader<'_>) -> Option<Roots> {
    let file = reader.optional(&v::SSL_CERT_FILE, places::directory);
    let directory = reader.optional(&v::SSL_CERT_DIR, places::directory);
    Some(match (file?, directory?) {
        (None, None) => Roots::Platform,
        (file, directory) => Roots::Files { file, directory },
    })
}

fn base_path(reader: &mut Reader<'_>, app_id: Option<&str>) -> Option<BasePath> {
    let base_path = reader.value(&v::BASE_PATH, |text| BasePath::parse(text, app_id))?;
    let platform_path = app_id.is_some_and(|id| base_path.as_path() == format!("/agents/{id}"));
    if app_id.is_some() && !base_path.is_root() && !platform_path {
        let remark = "the platform routes to `/agents/{AGENT_APP_ID}` or `/`; this prefix is used as it is";
        reader.remark(&v::BASE_PATH, base_path.to_string(), remark);
    }
    Some(base_path)
}

fn limits(reader: &mut Reader<'_>, places: &Places) -> Option<Limits> {
    let expected = |error: OutOfRange| Expected::new(error.expected());
    let memory =
        reader.value(&v::PAR_MEMORY_MIB, |text| MemoryLimit::from_mib(whole(text, 0, u64::MAX)?).map_err(expected));
    let request_timeout = reader
        .value(&v::REQUEST_TIMEOUT_SEC, |text| RequestTimeout::new(positive_duration(text, 1.0)?).map_err(expected));
    let instances = reader.value_or(
        &v::PAR_INSTANCES,
        |text| InstanceCount::new(whole(text, 0, u64::MAX)?).map_err(expected),
        || InstanceCount::one_per_core(places.cores),
    );
    let (memory, request_timeout) = (memory?, request_timeout?);
    Some(Limits { memory, request_timeout, ..Limits::default_with(instances?) })
}

#[cfg(test)]
mod tests;
