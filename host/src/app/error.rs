//! Why an agent was not brought up, or went down.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use par_apkg::requirement::NotARequirement;
use par_apkg::{PackageError, Quoted};
use par_sandbox::StartError;

use crate::audit::AuditFileError;
use crate::backend::choice::ChoiceError;
use crate::boot::BootPhase;
use crate::config::Mistakes;
use crate::exit::FailureClass;
use crate::fetch::{FetchError, NotAPackageUrl};
use crate::grants::GrantError;
use crate::install::InstallError;
use crate::install::wheelhouse::WheelhouseError;
use crate::memory::TooLittle;
use crate::review::judge::NotAQuestion;
use crate::review::suggest::NotARecord;
use crate::surfaces::serve::{BindError, ServeError};
use crate::surfaces::ui::SiteError;
use crate::telemetry::events;

/// Why an agent was not brought up.
#[derive(Debug, thiserror::Error)]
pub(super) enum BootError {
    #[error("no package: neither an argument nor `AGENT_PACKAGE_PATH` says where it is")]
    NoPackage,
    #[error("cannot use `{path}` as the cache directory")]
    Cache {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot use `{path}` as the temporary directory")]
    Temporary {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("no package URL: expected {0}")]
    NotAUrl(NotAPackageUrl),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Configuration(Mistakes),
    #[error("no wheelhouse: neither `--directory` nor `WHEELHOUSE_DIR` says where it is")]
    NoWheelhouse,
    #[error(transparent)]
    Wheelhouse(#[from] WheelhouseError),
    #[error("`{}` is neither a wheel, nor a package, nor a requirement", Quoted(.what))]
    NothingToAdd {
        what: String,
        #[source]
        source: NotARequirement,
    },
    #[error("a wheel is not taken from a URL: nothing says which bytes it should have")]
    WheelAtUrl,
    #[error("cannot write `{}`", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("one of both is a package and the other a policy")]
    NotComparable,
    #[error(transparent)]
    Question(#[from] NotAQuestion),
    #[error(transparent)]
    Record(#[from] NotARecord),
    #[error("the lock of a package file has to be written somewhere")]
    NowhereToWrite,
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Grants(#[from] GrantError),
    #[error(transparent)]
    Audit(#[from] AuditFileError),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Choice(ChoiceError),
    #[error(transparent)]
    Sandbox(#[from] StartError),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("not ready after {} s (`STARTUP_TIMEOUT_SEC`)", .0.as_secs_f64())]
    StartupTimeout(Duration),
    #[error("the boot took {} ms, more than the hard limit of {} ms", .took.as_millis(), .limit.as_millis())]
    HardLimit { took: Duration, limit: Duration },
    #[error(transparent)]
    Memory(#[from] TooLittle),
    #[error("`/health` on port {port} answers {status}")]
    Unhealthy { port: u16, status: String },
    #[error("`/health` on port {port} does not answer")]
    Silent {
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("a task of the boot broke off")]
    Broke(#[source] tokio::task::JoinError),
    #[error("the system refuses what PAR needs to start")]
    System(#[source] io::Error),
}

impl BootError {
    /// A way out, where there is one.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::NoPackage => Some("`par run PATH`, or set `AGENT_PACKAGE_PATH`".to_owned()),
            Self::NotComparable => Some("name two packages, or two policies".to_owned()),
            Self::Question(_) => Some("`par policy test --help` has what can be tested".to_owned()),
            Self::WheelAtUrl => Some(
                "name the distribution, which the index has with its digest, or fetch the file and add that".to_owned(),
            ),
            Self::NowhereToWrite => Some("say where with `--output`; `-` is standard output".to_owned()),
            Self::Cache { .. } => Some("set `PAR_CACHE_DIR` to a directory only PAR may write to".to_owned()),
            Self::Temporary { .. } => Some("set `TMPDIR` to a directory PAR may write to".to_owned()),
            Self::Fetch(error) => error.hint(),
            Self::Package(error) => error.hint(),
            Self::Grants(error) => error.hint(),
            Self::Install(error) => error.hint(),
            Self::Choice(error) => error.hint(),
            Self::Sandbox(StartError::ReadGuest { .. }) => {
                Some("build it with `just guest`, or set `PAR_GUEST_DIR`".to_owned())
            }
            Self::Sandbox(StartError::Unconfined { .. }) => Some(
                "run PAR on a system that has it, or say `confinement: available` in the policy and `PAR_CONFINEMENT`"
                    .to_owned(),
            ),
            Self::Bind(_) => {
                Some("free the port, or choose another with `REST_PORT`, `A2A_PORT` or `UI_PORT`".to_owned())
            }
            Self::Memory(_) => Some("give the container more memory, or set `PAR_INSTANCES` lower".to_owned()),
            Self::Unhealthy { .. } => Some("the log of the process says why".to_owned()),
            _ => None,
        }
    }

    /// Who has to do something about it.
    pub(super) const fn class(&self) -> FailureClass {
        match self {
            Self::Fetch(_) => FailureClass::Fetch,
            Self::Package(_) | Self::Site(_) => FailureClass::Package,
            Self::Grants(GrantError::Policy(_) | GrantError::ReadPolicy { .. } | GrantError::ObserveRefused) => {
                FailureClass::Configuration
            }
            Self::Grants(_) => FailureClass::Capabilities,
            Self::Install(
                InstallError::Guest { .. }
                | InstallError::NoUv { .. }
                | InstallError::NoPip { .. }
                | InstallError::RunUv { .. }
                | InstallError::UvVersion { .. }
                | InstallError::NoInterpreter,
            ) => FailureClass::Machine,
            Self::Install(_) => FailureClass::Dependencies,
            Self::Sandbox(StartError::Agent { .. } | StartError::Lost) => FailureClass::Agent,
            Self::Bind(_) | Self::Serve(_) => FailureClass::Port,
            Self::StartupTimeout(_) | Self::HardLimit { .. } => FailureClass::Time,
            Self::Memory(_) => FailureClass::Memory,
            Self::Cache { .. } | Self::Temporary { .. } | Self::Sandbox(_) | Self::Broke(_) | Self::System(_) => {
                FailureClass::Machine
            }
            _ => FailureClass::Configuration,
        }
    }

    /// What the agent's own code said on its way down; for the log only.
    pub(super) fn traceback(&self) -> Option<&str> {
        match self {
            Self::Sandbox(StartError::Agent { traceback, .. }) => Some(traceback),
            Self::Install(InstallError::Build { output, .. }) if !output.is_empty() => Some(output),
            _ => None,
        }
    }

    /// The phase it happened in.
    pub(super) const fn phase(&self) -> Option<BootPhase> {
        match self {
            Self::Fetch(_) => Some(BootPhase::Download),
            Self::Package(_) => Some(BootPhase::Extract),
            Self::Install(_) | Self::Choice(_) => Some(BootPhase::Install),
            Self::Sandbox(_) => Some(BootPhase::Load),
            Self::Site(_) | Self::Bind(_) | Self::Serve(_) => Some(BootPhase::Serve),
            _ => None,
        }
    }

    /// The event operators look for, besides the failed boot.
    pub(super) const fn event(&self) -> Option<&'static str> {
        match self {
            Self::NoPackage => Some(events::NO_PACKAGE),
            Self::HardLimit { .. } => Some(events::BOOT_OVER_LIMIT),
            Self::Grants(_) | Self::Choice(_) => Some(events::GRANTS_REFUSED),
            Self::Fetch(_) | Self::Package(_) | Self::Install(_) | Self::Sandbox(_) | Self::Site(_) => {
                Some(events::PACKAGE_FAILED)
            }
            _ => None,
        }
    }
}

impl From<ChoiceError> for BootError {
    fn from(error: ChoiceError) -> Self {
        match error {
            ChoiceError::Install(error) => Self::Install(error),
            error => Self::Choice(error),
        }
    }
}

/// Why a running agent went down.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Surface(#[from] ServeError),
    #[error("the agent cannot be run any more: {0}")]
    Sandbox(std::sync::Arc<str>),
}

/// An error and its sources, one a line, for people.
pub(super) fn lines(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut lines = vec![format!("error: {error}")];
    let mut source = error.source();
    while let Some(cause) = source {
        lines.push(format!("  caused by: {cause}"));
        source = cause.source();
    }
    lines
}
