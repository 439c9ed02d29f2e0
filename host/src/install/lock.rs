//! Locks: [PEP 751](https://peps.python.org/pep-0751/), the part that names wheels.

use std::collections::BTreeMap;

use par_apkg::digest::Sha256;
use reqwest::Url;
use serde::Deserialize;

use par_apkg::Quoted;
use par_apkg::requirement::{MOST_REQUIREMENTS, ProjectName};

use super::choose::WheelName;

/// What a resolution decided: each distribution once, in the order of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The distributions, sorted by name.
    pub distributions: Vec<Locked>,
}

/// One distribution at one version, with the wheels that could be installed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// Normalised name.
    pub name: ProjectName,
    /// The version exactly as the index spells it.
    pub version: String,
    /// The candidates; one of them is installed.
    pub wheels: Vec<LockedWheel>,
}

/// One wheel file of the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedWheel {
    /// The file name, parsed.
    pub file: WheelName,
    /// Where it is: `https`, or `file` for the wheelhouse. `None` for a wheel only a package
    /// names: where files come from is the operator's choice, so its digest is looked for.
    pub url: Option<Url>,
    /// The digest of the file, checked before anything opens it.
    pub digest: Sha256,
}

/// Why a lock was not believed.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Not the format.
    #[error("the lock is not a PEP 751 file")]
    Format(#[source] Box<toml::de::Error>),
    /// A later format.
    #[error("the lock has `lock-version` `{}`, expected `1.0`", Quoted(.0))]
    Version(String),
    /// A distribution without a version or that comes from somewhere else than wheels.
    #[error("the lock names no version and wheels for `{}`", Quoted(.0))]
    NotAWheel(String),
    /// A wheel entry that cannot be used.
    #[error("the lock has an unusable wheel for `{}`: {reason}", Quoted(.distribution))]
    Wheel {
        /// The distribution.
        distribution: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The same distribution twice.
    #[error("the lock names `{}` twice", Quoted(.0))]
    Twice(String),
    /// A distribution that is no set of files with digests.
    #[error("the lock takes `{}` from {from}; only wheels with a `sha256` are accepted", Quoted(.name))]
    From {
        /// The distribution.
        name: String,
        /// Where from, as the end of "from ...".
        from: &'static str,
    },
    /// A condition nobody understands.
    #[error("the lock has a malformed marker for `{}`", Quoted(.0))]
    Marker(String),
    /// The part `par lock` writes is not what it writes.
    #[error("`[tool.par]` of the lock has no usable `{0}`")]
    Seal(&'static str),
    /// More distributions than any real package has.
    #[error("the lock names more than {MOST_REQUIREMENTS} distributions")]
    TooMany,
}

/// The file as it is; keys nobody here needs are not read.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RawLock {
    lock_version: String,
    #[serde(default)]
    pub(super) packages: Vec<RawPackage>,
    #[serde(default)]
    pub(super) tool: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
pub(super) struct RawPackage {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) marker: Option<String>,
    #[serde(default)]
    pub(super) wheels: Vec<RawWheel>,
    pub(super) sdist: Option<toml::Value>,
    pub(super) vcs: Option<toml::Value>,
    pub(super) directory: Option<toml::Value>,
    pub(super) archive: Option<toml::Value>,
}

#[derive(Deserialize)]
pub(super) struct RawWheel {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) path: Option<String>,
    #[serde(default)]
    pub(super) hashes: BTreeMap<String, String>,
}

impl RawLock {
    pub(super) fn parse(text: &str) -> Result<Self, LockError> {
        let raw: Self = toml::from_str(text).map_err(|error| LockError::Format(Box::new(error)))?;
        if raw.lock_version == "1.0" { Ok(raw) } else { Err(LockError::Version(raw.lock_version)) }
    }
}

impl Lock {
    /// Reads the lock of the resolver.
    ///
    /// # Errors
    /// [`LockError`] for the first thing that is not as PEP 751 and the resolver's options promise.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let raw = RawLock::parse(text)?;
        let mut distributions = BTreeMap::new();
        for package in raw.packages {
            let locked = Locked::try_from(package)?;
            if let Some(first) = distributions.insert(locked.name.clone(), locked) {
                return Err(LockError::Twice(first.name.to_string()));
            }
        }
        Ok(Self { distributions: distributions.into_values().collect() })
    }

    /// Reads the resolver's other answer, `name==version` lines: distributions without wheels.
    ///
    /// # Errors
    /// [`LockError`] for a line that is anything else.
    pub(super) fn of_versions(text: &str) -> Result<Self, LockError> {
        let mut distributions = BTreeMap::new();
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        for line in lines.filter(|line| !line.is_empty()) {
            let parsed = line.split_once("==").and_then(|(name, version)| {
                let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".+!-_".contains(letter);
                Some((ProjectName::parse(name)?, Some(version).filter(|version| version.chars().all(is_plain))?))
            });
            let Some((name, version)) = parsed.filter(|(_, version)| !version.is_empty()) else {
                return Err(LockError::NotAWheel(line.to_owned()));
            };
            let locked = Locked { name: name.clone(), version: version.to_owned(), wheels: Vec::new() };
            if distributions.insert(name, locked).is_some() {
                return Err(LockError::Twice(line.to_owned()));
            }
        }
        Ok(Self { distributions: distributions.into_values().collect() })
    }
}

impl TryFrom<RawPackage> for Locked {
    type Error = LockError;

    fn try_from(raw: RawPackage) -> Result<Self, LockError> {
        let name = ProjectName::parse(&raw.name).ok_or_else(|| LockError::NotAWheel(raw.name.clone()))?;
        let Some(version) = raw.version.filter(|_| !raw.wheels.is_empty()) else {
            return Err(LockError::NotAWheel(raw.name));
        };
        let mut wheels = Vec::with_capacity(raw.wheels.len());
        for wheel in raw.wheels {
            let wheel = LockedWheel::read(wheel, &name)
                .map_err(|reason| LockError::Wheel { distribution: name.to_string(), reason })?;
            wheels.push(wheel);
        }
        Ok(Self { name, version, wheels })
    }
}

impl LockedWheel {
    fn read(raw: RawWheel, distribution: &ProjectName) -> Result<Self, &'static str> {
        let url = raw.url.as_deref().ok_or("it has no `url`")?;
        let url = Url::parse(url).map_err(|_| "its `url` is not a URL")?;
        let file = raw.file(distribution)?;
        Ok(Self { file, url: Some(url), digest: raw.digest()? })
    }
}

impl RawWheel {
    /// The file name: `name`, else the end of `url` or `path`.
    pub(super) fn file(&self, distribution: &ProjectName) -> Result<WheelName, &'static str> {
        let url = self.url.as_deref().and_then(|url| Url::parse(url).ok());
        let of_url = url.as_ref().and_then(|url| url.path_segments()?.next_back());
        let of_path = self.path.as_deref().and_then(|path| path.rsplit(['/', '\\']).next());
        let file = match &self.name {
            Some(name) => name.into(),
            None => percent_encoding::percent_decode_str(of_url.or(of_path).unwrap_or_default())
                .decode_utf8()
                .map_err(|_| "its file name is not UTF-8")?,
        };
        let file = WheelName::parse(&file).ok_or("its file name is not that of a wheel")?;
        if file.distribution() == distribution {
            Ok(file)
        } else {
            Err("its file name is that of another distribution")
        }
    }

    pub(super) fn digest(&self) -> Result<Sha256, &'static str> {
        let digest = self.hashes.get("sha256").ok_or("it has no `sha256`")?;
        digest.parse().map_err(|_| "its `sha256` is not 64 hex digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &str) -> String {
        format!("lock-version = \"1.0\"\ncreated-by = \"uv\"\n{packages}")
    }

    fn entry(name: &str, file: &str, hash: &str) -> String {
        format!(
            "[[packages]]\nname = \"{name}\"\nversion = \"1.0\"\nwheels = [{{ url = \"https://index.example/{file}\", \
             upload-time = 2026-11-18T11:06:54Z, hashes = {{ {hash} }} }}]\n"
        )
    }

    #[test]
    fn reads_names_versions_urls_and_hashes_sorted_by_name() {
        let digest = format!("sha256 = \"{}\"", "AB".repeat(32));
        let text = lock(
            &(entry("zeta", "Zeta-1.0-py3-none-any.whl", &digest)
                + &entry("alpha-b", "alpha_b-1.0%2Blocal-py3-none-any.whl", &digest)),
        );

        let lock = Lock::parse(&text).unwrap();

        assert_eq!(
            lock.distributions.iter().map(|locked| locked.name.as_str()).collect::<Vec<_>>(),
            ["alpha-b", "zeta"]
        );
        assert_eq!(lock.distributions[0].wheels[0].digest.to_hex(), "ab".repeat(32));
        assert_eq!(lock.distributions[0].wheels[0].file.to_string(), "alpha_b-1.0+local-py3-none-any.whl");
    }

    #[test]
    fn refuses_what_it_cannot_verify() {
        let digest = format!("sha256 = \"{}\"", "ab".repeat(32));
        let cases = [
            (lock(&entry("a", "a-1.0-py3-none-any.whl", "md5 = \"00\"")), "it has no `sha256`"),
            (lock(&entry("a", "a-1.0-py3-none-any.whl", "sha256 = \"00\"")), "not 64 hex digits"),
            (lock(&entry("a", "b-1.0-py3-none-any.whl", &digest)), "that of another distribution"),
            (lock(&entry("a", "a-1.0.tar.gz", &digest)), "not that of a wheel"),
            (lock("[[packages]]\nname = \"a\"\nversion = \"1\"\n"), "no version and wheels for `a`"),
            (lock(&entry("a", "a-1.0-py3-none-any.whl", &digest).repeat(2)), "names `a` twice"),
            ("lock-version = \"2.0\"\n".to_owned(), "expected `1.0`"),
            ("not a lock".to_owned(), "not a PEP 751 file"),
        ];
        for (text, expected) in cases {
            let error = Lock::parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} should contain {expected}");
        }
    }

    #[test]
    fn versions_are_read_line_by_line_and_anything_else_is_refused() {
        let read = Lock::of_versions("# by uv\nb==1.0+local  # why\n\nA_a==1!2\n").unwrap();
        let found = read.distributions.iter().map(|locked| (locked.name.as_str(), locked.version.as_str()));
        assert_eq!(found.collect::<Vec<_>>(), [("a-a", "1!2"), ("b", "1.0+local")]);
        for text in ["a", "a==", "a==1 ; x", "a @ https://x.example/", "-e .", "a>=1", "a==1\nA==1"] {
            assert!(Lock::of_versions(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_empty_resolution_is_a_lock_without_distributions() {
        assert_eq!(Lock::parse(&lock("packages = []\n")).unwrap().distributions, []);
    }
}
