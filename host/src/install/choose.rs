//! The one wheel of a distribution that is installed.

use std::fmt;

use super::lock::{Locked, LockedWheel};
use par_apkg::requirement::ProjectName;

/// The file name of a wheel, taken apart as the
/// [wheel format](https://packaging.python.org/en/latest/specifications/binary-distribution-format/) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    file: String,
    distribution: ProjectName,
    version: String,
    python: String,
    abi: String,
    platform: String,
}

impl WheelName {
    /// Parses `{distribution}-{version}(-{build})?-{python}-{abi}-{platform}.whl`.
    #[must_use]
    pub fn parse(file: &str) -> Option<Self> {
        let plain = file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+!".contains(&byte));
        let parts: Vec<&str> = file.strip_suffix(".whl")?.split('-').collect();
        let [distribution, version, python, abi, platform] = match *parts.as_slice() {
            [distribution, version, python, abi, platform] => [distribution, version, python, abi, platform],
            [distribution, version, build, python, abi, platform]
                if build.starts_with(|first: char| first.is_ascii_digit()) =>
            {
                [distribution, version, python, abi, platform]
            }
            _ => return None,
        };
        if !plain || parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        Some(Self {
            file: file.to_owned(),
            distribution: ProjectName::parse(distribution)?,
            version: version.to_owned(),
            python: python.to_owned(),
            abi: abi.to_owned(),
            platform: platform.to_owned(),
        })
    }

    /// The distribution the file claims to be.
    #[must_use]
    pub fn distribution(&self) -> &ProjectName {
        &self.distribution
    }

    /// The version, as the file spells it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the tags promise a wheel for every system.
    pub(super) fn is_pure(&self) -> bool {
        self.rank() == 0
    }

    /// Whether the tags allow Python 3.14 on Linux at all. The resolver asks this by itself; a
    /// lock of a package names the wheels of every system.
    pub(super) fn is_candidate(&self) -> bool {
        let minor = |tag: &str, prefix: &str| tag.strip_prefix(prefix).and_then(|minor| minor.parse::<u8>().ok());
        let is_stable = self.abi.split('.').any(|abi| abi == "abi3");
        let fits_python = self.python.split('.').any(|tag| {
            tag == "py3"
                || minor(tag, "py3").is_some_and(|minor| minor <= 14)
                || minor(tag, "cp3").is_some_and(|minor| minor == 14 || is_stable && minor < 14)
        });
        let fits_abi = self.abi.split('.').any(|abi| matches!(abi, "none" | "abi3" | "cp314"));
        let fits_platform = self.platform.split('.').any(|platform| {
            platform == "any"
                || (platform.contains("linux") && platform.ends_with("_x86_64") && !platform.contains("musl"))
        });
        fits_python && fits_abi && fits_platform
    }

    /// How likely the wheel is free of native code, by what its tags say; smaller is better.
    ///
    /// Tags only order the candidates: whether the wheel may be installed is judged by content.
    fn rank(&self) -> u8 {
        match (self.platform.as_str(), self.abi.as_str()) {
            ("any", "none") => 0,
            ("any", _) => 1,
            (_, "none") => 2,
            _ => 3,
        }
    }
}

impl WheelName {
    /// Smaller is better, among the wheels of one version that are in the same place; two machines choose the same.
    pub(super) fn preference(&self) -> impl Ord + use<'_> {
        (self.rank(), self.file.as_str())
    }
}

impl fmt::Display for WheelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)
    }
}

/// The wheel to install: the least native one, a local one before a remote one, then by file
/// name, so that two machines choose the same.
#[must_use]
pub(super) fn choose(locked: &Locked) -> Option<&LockedWheel> {
    let is_remote = |wheel: &LockedWheel| wheel.url.as_ref().is_none_or(|url| url.scheme() != "file");
    locked.wheels.iter().min_by_key(|wheel| (wheel.file.rank(), is_remote(wheel), wheel.file.to_string()))
}

#[cfg(test)]
mod tests {
    use par_apkg::digest::Sha256;

    use super::*;

    fn chosen(urls: &[&str]) -> String {
        let wheels = urls
            .iter()
            .map(|url| LockedWheel {
                file: WheelName::parse(url.rsplit('/').next().unwrap()).unwrap(),
                url: Some(url.parse().unwrap()),
                digest: Sha256::of(url),
            })
            .collect();
        let locked = Locked { name: ProjectName::parse("a").unwrap(), version: "1".to_owned(), wheels };
        choose(&locked).unwrap().url.as_ref().unwrap().to_string()
    }

    #[test]
    fn a_pure_wheel_wins_over_a_native_one_whatever_the_order() {
        let native = "https://index.example/a-1-cp314-cp314-manylinux_2_28_x86_64.whl";
        let abi3 = "https://index.example/a-1-cp37-abi3-manylinux1_x86_64.whl";
        let tagged = "https://index.example/a-1-py3-none-manylinux2014_x86_64.whl";
        let pure = "https://index.example/a-1-py3-none-any.whl";

        assert_eq!(chosen(&[native, abi3, tagged, pure]), pure);
        assert_eq!(chosen(&[tagged, abi3, native]), tagged);
        assert_eq!(chosen(&[abi3, native]), native);
    }

    #[test]
    fn the_wheelhouse_wins_over_the_index_for_the_same_file() {
        let remote = "https://index.example/a-1-py3-none-any.whl";
        let local = "file:///wheels/a-1-py3-none-any.whl";
        assert_eq!(chosen(&[remote, local]), local);
    }

    #[test]
    fn only_wheels_for_this_python_and_linux_are_candidates() {
        let is_candidate = |tags: &str| WheelName::parse(&format!("a-1-{tags}.whl")).unwrap().is_candidate();
        for tags in [
            "py3-none-any",
            "py2.py3-none-any",
            "py310-none-any",
            "cp314-cp314-manylinux_2_17_x86_64.manylinux2014_x86_64",
            "cp39-abi3-manylinux_2_28_x86_64",
            "py3-none-manylinux2014_x86_64",
        ] {
            assert!(is_candidate(tags), "{tags}");
        }
        for tags in [
            "py2-none-any",
            "py315-none-any",
            "cp313-cp313-manylinux_2_17_x86_64",
            "cp314-cp314-macosx_11_0_arm64",
            "cp314-cp314-win_amd64",
            "cp314-cp314-musllinux_1_2_x86_64",
            "cp314-cp314-manylinux_2_17_aarch64",
            "cp314-cp314t-manylinux_2_17_x86_64",
            "pp311-pypy311_pp73-any",
        ] {
            assert!(!is_candidate(tags), "{tags}");
        }
    }

    #[test]
    fn file_names_are_taken_apart_or_refused() {
        let name =
            WheelName::parse("Markup_Safe-3.0.4-1-cp314-cp314-manylinux1_x86_64.manylinux_2_28_x86_64.whl").unwrap();
        assert_eq!((name.distribution().as_str(), name.version()), ("markup-safe", "3.0.4"));

        for file in [
            "a-1.whl",
            "a-1-py3-none-any.zip",
            "a-1-b-py3-none-any.whl",
            "a--py3-none-any.whl",
            "a-1-py3-none-any/x.whl",
        ] {
            assert_eq!(WheelName::parse(file), None, "{file}");
        }
    }
}
