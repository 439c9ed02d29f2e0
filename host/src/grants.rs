//! From the operator's policy and a package's requests to grants, with what only the host can
//! look up: variables, secrets, directories.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use par_apkg::environment::PackageEnvironment;
use par_apkg::{Notice, Package, PolicyError, parse_policy};
use par_policy::name::DataPath;
use par_policy::policy::{FixedClock, FixedRandom, Policy, SecretSource, VariableSource};
use par_policy::secret::{SecretName, SecretValue, SecretValues};
use par_policy::{AbovePolicy, AuditEvent, Capability, Denial, DenialCode, Granted, Grants, Limits, Mode, Precedence};
use zeroize::Zeroizing;

use crate::config::{Observing, PolicySource, operator_variable};

/// Largest file a policy or a secret is read from. Unit: bytes.
const LARGEST_FILE: u64 = 256 * 1024;

/// Why an agent gets no grants.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The file `PAR_POLICY` names cannot be read.
    #[error("cannot read the policy `{path}`")]
    ReadPolicy {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The policy is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy only observes, and this installation refuses that.
    #[error("the policy has `mode: observe`, and `PAR_OBSERVE` is `refuse`")]
    ObserveRefused,
    /// The package asks for more than the policy allows.
    #[error("agent `{agent}` asks for more than the policy allows")]
    AbovePolicy {
        /// The name of the package.
        agent: String,
        /// What it asks for.
        #[source]
        differences: AbovePolicy,
    },
    /// A secret that is granted has no value.
    #[error("the secret `{name}` has no usable value in {place}: {because}")]
    Secret {
        /// Its name.
        name: SecretName,
        /// Where it was looked for.
        place: String,
        /// What is wrong, never the value.
        because: &'static str,
    },
    /// A secret's file cannot be read.
    #[error("cannot read the secret `{name}` from `{path}`")]
    ReadSecret {
        /// Its name.
        name: SecretName,
        /// The file.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A data directory that is not there, or leads where none may lead.
    #[error("cannot use `{path}` as a data directory: {because}")]
    Data {
        /// The directory as the policy has it.
        path: String,
        /// What is wrong.
        because: String,
    },
}

impl GrantError {
    /// A way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Policy(error) => error.hint().map(str::to_owned),
            Self::AbovePolicy { .. } => {
                Some("an operator may add it under `allow` in the policy, or the package may ask for less".to_owned())
            }
            Self::ObserveRefused => Some("write `mode: enforce`".to_owned()),
            _ => None,
        }
    }
}

/// Reads the operator's policy. Without one, nothing is granted and nothing allowed.
///
/// # Errors
/// [`GrantError`] when it cannot be read or is wrong, and for `mode: observe` where that is
/// refused.
pub fn policy(source: Option<&PolicySource>, observing: Observing) -> Result<Policy, GrantError> {
    let policy = match source {
        None => Policy::default(),
        Some(source) => {
            let PolicyText { text, name } = policy_text(source)?;
            parse_policy(&text, &name)?
        }
    };
    if policy.mode == Mode::Observe && observing == Observing::Refuse {
        return Err(GrantError::ObserveRefused);
    }
    Ok(policy)
}

/// The text of a policy and what messages call it.
#[derive(Debug)]
pub struct PolicyText {
    /// The YAML.
    pub text: Vec<u8>,
    /// Its path, or the variable it stands in.
    pub name: String,
}

/// Reads the text of a policy.
///
/// # Errors
/// [`GrantError::ReadPolicy`].
pub fn policy_text(source: &PolicySource) -> Result<PolicyText, GrantError> {
    match source {
        PolicySource::Inline(text) => Ok(PolicyText { text: text.as_bytes().to_vec(), name: "PAR_POLICY".to_owned() }),
        PolicySource::File(path) => {
            let text = read_file(path).map_err(|source| GrantError::ReadPolicy { path: path.clone(), source })?;
            Ok(PolicyText { text, name: path.to_string_lossy().into_owned() })
        }
    }
}

/// What an agent runs with.
#[derive(Debug)]
pub struct Prepared {
    /// What it may touch, its environment included.
    pub grants: Grants,
    /// The values of its secrets, which only the host has.
    pub secrets: SecretValues,
    /// What is odd about its environment.
    pub notices: Vec<Notice>,
    /// The variables it got from the operator, and those it looked for and did not get; what is fixed.
    pub events: Vec<AuditEvent>,
}

/// The time a clock stands at, as policies write it.
#[must_use]
pub fn time_of(clock: FixedClock) -> String {
    let seconds = i64::try_from(clock.0.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Brings requests and policy together and looks up what they name. `identity` are the
/// variables by which an agent knows itself; they win over all others.
///
/// # Errors
/// [`GrantError`] when the package asks for too much, or when something granted is not there.
pub fn prepare(
    package: &Package,
    policy: &Policy,
    limits: Limits,
    identity: impl IntoIterator<Item = (String, String)>,
) -> Result<Prepared, GrantError> {
    let agent = package.manifest.name.as_str();
    let grants = Grants::resolve(&package.requested, policy, limits)
        .map_err(|differences| GrantError::AbovePolicy { agent: agent.to_owned(), differences })?;
    let (mut above, mut below) = (BTreeMap::new(), BTreeMap::new());
    let mut events = Vec::new();
    for variable in grants.variables() {
        let value = match &variable.source.value {
            VariableSource::Value(value) => Some(value.clone()),
            VariableSource::Host(name) => operator_variable(name.as_str()),
        };
        let list = match variable.precedence {
            Precedence::AbovePackage => &mut above,
            Precedence::BelowPackage => &mut below,
        };
        let Some(value) = value else { continue };
        events.push(AuditEvent::allowed(Capability::Env, variable.name.as_str(), &variable.source));
        list.insert(variable.name.as_str().to_owned(), value);
    }
    let mut environment = package.environment(&above, &below);
    environment.variables.extend(identity);
    events.extend(denied(&grants, &environment));
    events.extend(grants.clock().map(|clock| AuditEvent::allowed(Capability::Clock, time_of(clock.value), clock)));
    let seed = |seed: &Granted<FixedRandom>| AuditEvent::allowed(Capability::Random, seed.value.0.to_string(), seed);
    events.extend(grants.random().map(seed));
    let secrets = grants.secret_sources().map(|(name, source)| Ok((name.clone(), secret(name, source)?)));
    let secrets = secrets.collect::<Result<SecretValues, GrantError>>()?;
    for (_, granted) in grants.data() {
        check_directory(&granted.value)?;
    }
    let PackageEnvironment { variables, notices } = environment;
    Ok(Prepared { grants: grants.with_environment(variables), secrets, notices, events })
}

/// The variables a package sets or refers to, and does not get.
fn denied(grants: &Grants, environment: &PackageEnvironment) -> Vec<AuditEvent> {
    let denied = environment.variables.keys().filter_map(|name| {
        let rule = grants.denied_variable(name)?;
        let denial = Denial::by_rule(DenialCode::DeniedByPolicy, "a rule denies the variable", rule.clone());
        Some(AuditEvent::denied(Capability::Env, name.as_str(), &denial))
    });
    let missing = environment.notices.iter().filter_map(|notice| match notice {
        Notice::UnsetReference { reference, .. } => {
            let denial = Denial::new(DenialCode::VariableNotGranted, "no rule grants the variable");
            Some(AuditEvent::denied(Capability::Env, reference.as_str(), &denial))
        }
        _ => None,
    });
    denied.chain(missing).collect()
}

fn secret(name: &SecretName, source: &SecretSource) -> Result<SecretValue, GrantError> {
    let (place, value) =
        match source {
            SecretSource::Environment(variable) => {
                (format!("the variable `{variable}`"), operator_variable(variable).map(Zeroizing::new))
            }
            SecretSource::File(path) => {
                let content = read_file(path.as_ref())
                    .map(Zeroizing::new)
                    .map_err(|source| GrantError::ReadSecret { name: name.clone(), path: path.clone(), source })?;
                let text = std::str::from_utf8(&content).ok().map(|text| text.strip_suffix('\n').unwrap_or(text));
                (format!("the file `{path}`"), text.map(|text| Zeroizing::new(text.to_owned())))
            }
        };
    let unusable = |because| GrantError::Secret { name: name.clone(), place: place.clone(), because };
    let value = value.ok_or_else(|| unusable("it is not set, or is no text"))?;
    if value.is_empty() {
        return Err(unusable("it is empty"));
    }
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(unusable("it has a character no header may have"));
    }
    Ok(SecretValue::new(value))
}

fn read_file(path: &std::path::Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;

    let mut content = Vec::new();
    fs_err::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other(format!("the file is larger than {} KiB", LARGEST_FILE >> 10)));
    }
    Ok(content)
}

/// A policy names directories; what is behind them must be one too, and not of the system.
fn check_directory(path: &DataPath) -> Result<(), GrantError> {
    let unusable = |because: String| GrantError::Data { path: path.to_string(), because };
    let real = fs_err::canonicalize(path.as_str()).map_err(|error| unusable(error.kind().to_string()))?;
    if !real.is_dir() {
        return Err(unusable("it is not a directory".to_owned()));
    }
    match real.to_str().and_then(DataPath::parse) {
        Some(_) => Ok(()),
        None => Err(unusable(format!("a link leads to `{}`", real.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &std::path::Path) -> Result<(), String> {
        check_directory(&DataPath::parse(path.to_str().unwrap()).unwrap()).map_err(|error| error.to_string())
    }

    /// hostile 54: a link to a directory of the system is no data directory.
    #[test]
    fn a_data_directory_is_one_behind_all_links() {
        let place = tempfile::tempdir().unwrap();
        let inside = |name: &str| place.path().join(name);
        fs_err::create_dir(inside("real")).unwrap();
        fs_err::write(inside("file"), "").unwrap();
        fs_err::os::unix::fs::symlink("real", inside("link")).unwrap();
        fs_err::os::unix::fs::symlink("/etc", inside("system")).unwrap();

        assert_eq!(directory(&inside("real")), Ok(()));
        assert_eq!(directory(&inside("link")), Ok(()));
        assert!(directory(&inside("system")).unwrap_err().ends_with("a link leads to `/etc`"));
        assert!(directory(&inside("file")).unwrap_err().ends_with("it is not a directory"));
        assert!(directory(&inside("missing")).is_err());
    }

    /// hostile 120: what is wrong with a secret is said without the secret.
    #[test]
    fn a_secret_that_cannot_be_used_is_not_repeated() {
        let place = tempfile::tempdir().unwrap();
        let name = SecretName::parse("KEY").unwrap();
        let read = |content: &[u8]| {
            let path = place.path().join("secret");
            fs_err::write(&path, content).unwrap();
            secret(&name, &SecretSource::File(path.to_str().unwrap().to_owned())).map_err(|error| error.to_string())
        };

        assert_eq!(read(b"5ec4e7\n").unwrap().expose(), "5ec4e7");
        for (content, because) in [
            (&b"5ec4e7\r\nInjected: yes"[..], "it has a character no header may have"),
            (b"\n", "it is empty"),
            (b"\xff5ec4e7", "it is not set, or is no text"),
        ] {
            let error = read(content).unwrap_err();
            assert!(error.ends_with(because) && !error.contains("5ec4e7"), "{error}");
        }
        let missing = secret(&name, &SecretSource::Environment("NOT_SET_ANYWHERE".to_owned()));
        assert!(missing.is_err());
    }

    #[test]
    fn observing_can_be_refused() {
        let source = |mode: &str| PolicySource::Inline(format!("version: 1\nmode: {mode}\n"));
        let read = |mode, observing| policy(Some(&source(mode)), observing).map(|policy| policy.mode);

        assert_eq!(read("observe", Observing::Allow).unwrap(), Mode::Observe);
        assert!(matches!(read("observe", Observing::Refuse), Err(GrantError::ObserveRefused)));
        assert_eq!(read("enforce", Observing::Refuse).unwrap(), Mode::Enforce);
        assert_eq!(policy(None, Observing::Refuse).unwrap(), Policy::default());
    }
}
