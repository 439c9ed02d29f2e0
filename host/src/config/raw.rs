//! The environment of the process, read once. Nothing else in PAR reads it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::variables::{AGENT_APP_ID, AGENT_PACKAGE_PATH, DEPLOYMENT_ID, LOG_LEVEL, PACKAGE_URL, VARIABLES};
use crate::install::PASSED_TO_RESOLVER;
use crate::redact::Secret;
use crate::telemetry::Level;

/// What the process was started with: the variables PAR knows, and where it runs.
#[derive(Clone)]
pub struct Environment {
    values: BTreeMap<&'static str, OsString>,
    places: Places,
}

/// The surroundings that computed defaults come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Directory of the running binary.
    pub executable_dir: Option<PathBuf>,
    /// Where the user keeps caches: `$XDG_CACHE_HOME`, else `$HOME/.cache`.
    pub user_cache_dir: Option<PathBuf>,
    /// The directory for temporary files.
    pub temporary_dir: PathBuf,
    /// How many cores this process may use, limits of its control group included.
    pub cores: NonZeroUsize,
    /// Where programs are looked for: `$PATH`.
    pub search_path: Option<String>,
    /// Variables that say where certificates and proxies are, for the program that resolves requirements.
    pub network: Vec<(&'static str, Secret<String>)>,
}

/// The variables whose names begin with `prefix`, without it.
#[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
pub fn variables_given_to_an_agent(prefix: &str) -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter_map(move |(name, value)| {
        let own = name.as_encoded_bytes().strip_prefix(prefix.as_bytes())?;
        Some((OsStr::from_bytes(own).to_owned(), value))
    })
}

impl Environment {
    /// Reads the environment of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
    pub fn of_process() -> Self {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let places = Places {
            executable_dir: std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned)),
            user_cache_dir: absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache"))),
            temporary_dir: std::env::temp_dir(),
            cores: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            search_path: std::env::var("PATH").ok(),
            network: PASSED_TO_RESOLVER
                .into_iter()
                .filter_map(|name| Some((name, Secret::new(std::env::var(name).ok()?))))
                .collect(),
        };
        Self { values: known_names().filter_map(|name| Some((name, std::env::var_os(name)?))).collect(), places }
    }

    /// An environment of these variables and no others. Names PAR does not know are left out,
    /// as they are when the environment of the process is read.
    #[must_use]
    pub fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let given: BTreeMap<&str, &str> = pairs.into_iter().collect();
        let values = known_names().filter_map(|name| Some((name, OsString::from(*given.get(name)?)))).collect();
        let places = Places {
            executable_dir: None,
            user_cache_dir: None,
            temporary_dir: std::env::temp_dir(),
            cores: NonZeroUsize::MIN,
            search_path: None,
            network: Vec::new(),
        };
        Self { values, places }
    }

    /// Replaces what computed defaults come from.
    #[must_use]
    pub fn with_places(mut self, places: Places) -> Self {
        self.places = places;
        self
    }

    /// Who logs, as far as it is known before the configuration was checked: identity and
    /// deployment.
    #[must_use]
    pub fn identity(&self) -> (Option<String>, Option<String>) {
        let given = |name| Some(self.get(name)?.to_str()?.to_owned()).filter(|text| !text.trim().is_empty());
        (given(AGENT_APP_ID.name), given(DEPLOYMENT_ID.name))
    }

    /// The level to log with, before it is known whether the configuration is valid.
    #[must_use]
    pub fn log_level(&self) -> Level {
        let names = std::iter::once(LOG_LEVEL.name).chain(LOG_LEVEL.aliases.iter().copied());
        let given = names.filter_map(|name| self.get(name)?.to_str()).find(|text| !text.trim().is_empty());
        given.and_then(Level::parse).unwrap_or(Level::Info)
    }

    /// Whether not even the least was set: no identity and no package.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&AGENT_APP_ID, &AGENT_PACKAGE_PATH, &PACKAGE_URL].iter().all(|variable| self.get(variable.name).is_none())
    }

    #[cfg(test)]
    pub(super) fn replace(&mut self, name: &'static str, value: OsString) {
        self.values.insert(name, value);
    }

    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.values.get(name).map(OsString::as_os_str)
    }

    pub(super) const fn places(&self) -> &Places {
        &self.places
    }
}

/// A variable of the operator's environment that the policy names. `None` if it is not set or
/// is no text.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
pub fn operator_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Values stay out: any of them may be a secret.
impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

fn known_names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().flat_map(|variable| std::iter::once(variable.name).chain(variable.aliases.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_par_does_not_know_are_not_kept() {
        let environment = Environment::of_pairs([("OPENAI_API_KEY", "5ec4e7"), ("AGENT_APP_ID", "app-1")]);

        assert_eq!(environment.get("OPENAI_API_KEY"), None);
        assert_eq!(environment.get("AGENT_APP_ID"), Some(OsStr::new("app-1")));
    }

    #[test]
    fn its_debug_form_has_names_and_no_values() {
        let environment = Environment::of_pairs([("PACKAGE_URL", "https://host/x?sig=5ec4e7")]);

        assert_eq!(format!("{environment:?}"), r#"{"PACKAGE_URL"}"#);
    }
}
