//! Where an agent runs, decided once and for a reason that can be told.

use par_apkg::Package;
use par_apkg::manifest::RestEntry;
use par_policy::Origin;
use par_policy::policy::Native;

use super::Backend;
use crate::install::{DepsLayer, HostPython, InstallError, Installer, Reason, Venv};

/// What an agent runs with.
#[derive(Debug)]
pub enum Choice {
    /// In the sandbox, with these dependencies.
    Sandbox(Option<DepsLayer>),
    /// On the host's CPython.
    Native {
        /// Its dependencies.
        venv: Venv,
        /// Why not in the sandbox.
        because: Because,
    },
}

/// Why an agent runs outside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// Its manifest asks for it.
    Asked,
    /// These distributions have native code nobody built for the sandbox. Not empty.
    Needs(Vec<Reason>),
}

/// Why an agent has no backend.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// Its dependencies cannot be installed, or need native code that is refused.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The policy lets agents out of the sandbox for other distributions only.
    #[error("agent `{agent}` needs {because}, for which the policy lets no agent out of the sandbox")]
    NotListed {
        /// Its name.
        agent: String,
        /// The distribution and its file.
        because: String,
        /// The distribution.
        distribution: String,
    },
    /// The manifest asks for what is refused.
    #[error("agent `{agent}` asks for `sandbox.backend: native`, which the policy refuses")]
    AskedAndRefused {
        /// Its name.
        agent: String,
    },
}

impl ChoiceError {
    /// A way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Install(error) => error.hint(),
            Self::NotListed { distribution, .. } => {
                Some(format!("an operator may add `{distribution}` to `native` in the policy"))
            }
            Self::AskedAndRefused { .. } => Some(
                "an operator may say `native: allow` in the policy, `PAR_NATIVE=allow` without one; or remove the line \
                 from the manifest"
                    .to_owned(),
            ),
        }
    }
}

impl std::fmt::Display for Because {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked => formatter.write_str("the manifest asks for it"),
            Self::Needs(reasons) => {
                let all: Vec<String> = reasons.iter().map(sentence).collect();
                formatter.write_str(&all.join("; "))
            }
        }
    }
}

impl Because {
    /// Whether the package asks for it itself.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        match self {
            Self::Asked => Origin::Asked,
            Self::Needs(_) => Origin::Unasked,
        }
    }
}

impl Choice {
    /// The word on the record.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Sandbox(_) => Backend::SANDBOX,
            Self::Native { .. } => Backend::NATIVE,
        }
    }
}

/// Installs what a package requires for where it runs. `policy` says whether that may be outside the sandbox.
///
/// # Errors
/// [`ChoiceError`].
pub async fn choose(installer: &Installer<'_>, package: &Package, policy: &Native) -> Result<Choice, ChoiceError> {
    let agent = package.manifest.name.as_str();
    let mut refused = None;
    let because = if package.requested.native.is_some() {
        if *policy != Native::Allow {
            return Err(ChoiceError::AskedAndRefused { agent: agent.to_owned() });
        }
        Because::Asked
    } else {
        match reasons(installer, package, policy).await? {
            Ok(layer) => return Ok(Choice::Sandbox(layer)),
            Err((reasons, error)) => {
                refused = error;
                Because::Needs(reasons)
            }
        }
    };
    if let (Native::Distributions(names), Because::Needs(reasons)) = (policy, &because)
        && let Some(reason) = reasons.iter().find(|reason| !names.contains(&reason.distribution))
    {
        return Err(refused.map_or_else(
            || ChoiceError::NotListed {
                agent: agent.to_owned(),
                because: sentence(reason),
                distribution: reason.distribution.clone(),
            },
            ChoiceError::Install,
        ));
    }
    let venv = async {
        let python = HostPython::find(installer.settings).await?;
        installer.venv(agent, &package.requirements, needed_outside(package), python).await
    };
    match venv.await {
        Ok(venv) => Ok(Choice::Native { venv, because }),
        // The other Python was worth an attempt; what the sandbox said is the answer.
        Err(error) => Err(refused.unwrap_or(error).into()),
    }
}

/// What an agent needs outside the sandbox though it does not say so: the app that is handed to a mount function is one
/// of FastAPI's.
#[must_use]
pub const fn needed_outside(package: &Package) -> &'static [&'static str] {
    match package.manifest.rest {
        Some(RestEntry::Mount(_)) => &["fastapi"],
        Some(RestEntry::Application(_)) | None => &[],
    }
}

/// Why another backend may help, and what the sandbox said if that is not sure.
type Elsewhere = (Vec<Reason>, Option<InstallError>);

/// The layer of the sandbox, or why there is none and another backend may help.
async fn reasons(
    installer: &Installer<'_>,
    package: &Package,
    policy: &Native,
) -> Result<Result<Option<DepsLayer>, Elsewhere>, InstallError> {
    let (agent, requirements) = (package.manifest.name.as_str(), &package.requirements);
    if *policy == Native::Refuse {
        return installer.layer(agent, requirements).await.map(Ok);
    }
    if let Some(known) = installer.known_reasons(agent, requirements)? {
        return Ok(Err((known, None)));
    }
    match installer.layer(agent, requirements).await {
        Ok(layer) => Ok(Ok(layer)),
        Err(error) => match installer.reasons(agent, requirements, &error).await? {
            Some(reasons) if !reasons.is_empty() => {
                let is_sure = matches!(error, InstallError::NativeCode { .. });
                Ok(Err((reasons, (!is_sure).then_some(error))))
            }
            _ => Err(error),
        },
    }
}

fn sentence(reason: &Reason) -> String {
    let Reason { distribution, version, file, because } = reason;
    let version = if version.is_empty() { String::new() } else { format!(" {version}") };
    if file.is_empty() {
        format!("`{distribution}{version}` ({because})")
    } else {
        format!("`{distribution}{version}` (`{file}` is {because})")
    }
}
