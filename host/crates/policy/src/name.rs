//! Names of variables and of data directories, and which of them can be granted how.

use std::fmt;

/// Longest name of a variable. Unit: bytes.
const LONGEST_VARIABLE: usize = 256;

/// Longest name of a data directory. Unit: bytes.
const LONGEST_DATA: usize = 64;

/// Prefixes and names of variables that steer the loader, the interpreter or PAR itself. An
/// agent gets them from nobody.
const STEERING: [&str; 4] = ["LD_", "DYLD_", "PYTHON", "PAR_"];

/// Prefixes and parts of names under which credentials are kept.
const CREDENTIAL_PREFIXES: [&str; 7] = ["AWS_", "ECS_", "AZURE_", "GOOGLE_", "GCP_", "GITHUB_", "KUBERNETES_"];
const CREDENTIAL_PARTS: [&str; 9] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE", "API_KEY", "ACCESS_KEY", "APIKEY"];

/// What a policy may do with a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ordinary,
    /// Only by its exact name, never by a wildcard.
    Credential,
    /// Not at all.
    Steering,
}

fn kind_of(name: &str) -> Kind {
    let name = name.to_ascii_uppercase();
    if name == "PATH" || STEERING.iter().any(|prefix| name.starts_with(prefix)) {
        return Kind::Steering;
    }
    let credential = CREDENTIAL_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || CREDENTIAL_PARTS.iter().any(|part| name.contains(part));
    if credential { Kind::Credential } else { Kind::Ordinary }
}

fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_VARIABLE
        && text.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// A text that names no variable, or one that cannot be granted this way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAVariable {
    /// The text is no name.
    #[error("`{0}` is not the name of an environment variable")]
    Name(String),
    /// The variable steers the loader, the interpreter or PAR.
    #[error("`{0}` steers the loader, the interpreter or PAR itself, and cannot be granted")]
    Steering(String),
    /// A `*` that is not at the end, or stands alone.
    #[error("`{0}` is neither a name nor a prefix like `APP_*`")]
    Wildcard(String),
}

/// The name of a variable an agent can be given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariableName(String);

impl VariableName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NotAVariable`] for what is no name, and for names that are never granted: `PATH`,
    /// `LD_*`, `DYLD_*`, `PYTHON*`, `PAR_*`.
    pub fn parse(text: &str) -> Result<Self, NotAVariable> {
        if !is_name(text) {
            return Err(NotAVariable::Name(text.to_owned()));
        }
        match kind_of(text) {
            Kind::Steering => Err(NotAVariable::Steering(text.to_owned())),
            Kind::Ordinary | Kind::Credential => Ok(Self(text.to_owned())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Variables a policy is about: one name, or every name with a prefix: `APP_*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VariablePattern {
    /// This name.
    Exact(VariableName),
    /// Every name that starts like this and under which no credentials are kept.
    Prefix(String),
}

impl VariablePattern {
    /// Parses a name or a prefix followed by `*`.
    ///
    /// # Errors
    /// As [`VariableName::parse`]; a `*` alone is nothing a policy can say.
    pub fn parse(text: &str) -> Result<Self, NotAVariable> {
        let Some(prefix) = text.strip_suffix('*') else {
            return VariableName::parse(text).map(Self::Exact);
        };
        if !is_name(prefix) {
            return Err(NotAVariable::Wildcard(text.to_owned()));
        }
        VariableName::parse(prefix).map(|VariableName(prefix)| Self::Prefix(prefix))
    }

    /// Whether the pattern grants this name. A prefix grants no name under which credentials
    /// are kept (`AWS_*`, `*TOKEN*`, `*SECRET*` and the like).
    #[must_use]
    pub fn grants(&self, name: &VariableName) -> bool {
        match self {
            Self::Exact(own) => own == name,
            Self::Prefix(prefix) => name.0.starts_with(prefix) && kind_of(&name.0) == Kind::Ordinary,
        }
    }

    /// Whether the pattern grants every name `other` grants.
    #[must_use]
    pub fn grants_all_of(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(name)) => self.grants(name),
            (Self::Prefix(own), Self::Prefix(other)) => other.starts_with(own),
            (Self::Exact(_), Self::Prefix(_)) => false,
        }
    }

    /// Whether the pattern denies every name `other` denies.
    #[must_use]
    pub fn denies_all_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(_), Self::Prefix(_)) => false,
            (_, Self::Exact(VariableName(text)) | Self::Prefix(text)) => self.denies(text),
        }
    }

    /// Whether the pattern denies this name, in any case: a name in other letters would be the
    /// same one to some readers.
    #[must_use]
    pub fn denies(&self, name: &str) -> bool {
        let name = name.to_ascii_uppercase();
        match self {
            Self::Exact(own) => own.0.to_ascii_uppercase() == name,
            Self::Prefix(prefix) => name.starts_with(&prefix.to_ascii_uppercase()),
        }
    }
}

impl fmt::Display for VariablePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(formatter, "{name}"),
            Self::Prefix(prefix) => write!(formatter, "{prefix}*"),
        }
    }
}

/// The name of a data directory, which the agent finds at `/data/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataName(String);

impl DataName {
    /// What a name consists of, as a noun phrase.
    pub const EXPECTED: &str = "1 to 64 lower-case letters, digits, `-` and `_`";

    /// Parses a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=LONGEST_DATA).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
        valid.then(|| Self(text.to_owned()))
    }

    /// Where the agent finds the directory.
    #[must_use]
    pub fn guest_path(&self) -> String {
        format!("/data/{}", self.0)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DataName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A directory of the host that agents may read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataPath(String);

/// Directories of the host that are never mounted, with everything below: they hold the
/// configuration, the credentials or the devices of the machine.
const NEVER_MOUNTED: [&str; 9] = ["/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/var/run", "/var/lib"];

impl DataPath {
    /// What a path has to be, as a noun phrase.
    pub const EXPECTED: &str = "an absolute path outside the directories of the system, without `.`, `..` and `//`";

    /// Parses a path. Call it again with the path behind all symbolic links: they may lead
    /// where a policy cannot.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let segments = text.strip_prefix('/')?.trim_end_matches('/');
        let plain = !segments.is_empty()
            && segments.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
            && !text.contains(|character: char| character.is_control());
        let path = format!("/{segments}");
        let is_below = |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (plain && !NEVER_MOUNTED.into_iter().any(is_below)).then_some(Self(path))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `other` or lies below it.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for DataPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(text: &str) -> VariableName {
        VariableName::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// hostile 53: names that steer the interpreter are out of reach, and no wildcard reaches a
    /// credential.
    #[test]
    fn some_names_are_never_granted_and_some_only_by_name() {
        for text in ["PATH", "path", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "PythonHome", "PAR_POLICY"] {
            assert_eq!(VariableName::parse(text), Err(NotAVariable::Steering(text.to_owned())));
        }
        for text in ["", "1A", "A B", "A-B", "A=B", "A*", "Ä"] {
            assert_eq!(VariableName::parse(text), Err(NotAVariable::Name(text.to_owned())));
        }
        for text in ["*", "*_KEY", "A*B", "A**", "PYTHON*", "LD_*", "PAR_*"] {
            assert!(VariablePattern::parse(text).is_err(), "{text}");
        }
        for (pattern, name, expected) in [
            ("APP_*", "APP_MODE", true),
            ("APP_*", "APP_", true),
            ("APP_*", "APPLE", false),
            ("APP_*", "app_mode", false),
            ("APP_*", "APP_TOKEN", false),
            ("APP_*", "APP_db_password", false),
            ("A*", "AWS_REGION", false),
            ("AWS_*", "AWS_REGION", false),
            ("AWS_REGION", "AWS_REGION", true),
            ("APP_TOKEN", "APP_TOKEN", true),
        ] {
            let pattern = VariablePattern::parse(pattern).unwrap();
            assert_eq!(pattern.grants(&variable(name)), expected, "{pattern} grants {name}");
        }
    }

    #[test]
    fn a_name_is_denied_in_any_case() {
        for (pattern, name, expected) in [
            ("APP_MODE", "app_mode", true),
            ("APP_*", "app_token", true),
            ("AWS_*", "AWS_SECRET_ACCESS_KEY", true),
            ("APP_MODE", "APP_MODES", false),
        ] {
            assert_eq!(VariablePattern::parse(pattern).unwrap().denies(name), expected, "{pattern} denies {name}");
        }
    }

    /// hostile 54: the directories of the system are not data.
    #[test]
    fn directories_of_the_system_are_not_mounted() {
        for text in [
            "",
            "/",
            "//",
            "data",
            "./data",
            "/..",
            "/srv/../etc",
            "/srv//data",
            "/srv/./data",
            "/proc",
            "/proc/1",
            "/sys",
            "/etc",
            "/etc/",
            "/dev/shm",
            "/var/run/secrets",
            "/var/lib/docker",
            "/root",
            "/run",
            "/srv/a\0b",
        ] {
            assert_eq!(DataPath::parse(text), None, "{text}");
        }
        for (text, expected) in
            [("/srv/models", "/srv/models"), ("/srv/models/", "/srv/models"), ("/etcetera", "/etcetera")]
        {
            assert_eq!(DataPath::parse(text).as_ref().map(DataPath::as_str), Some(expected));
        }
        for text in ["", "A", "a/b", "..", "a b", &"a".repeat(65)] {
            assert_eq!(DataName::parse(text), None, "{text}");
        }
        assert_eq!(DataName::parse("models-1").map(|name| name.guest_path()).as_deref(), Some("/data/models-1"));
    }
}
