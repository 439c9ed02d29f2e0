//! Files of a project the resolver does not speak of: source distributions.

use par_apkg::digest::Sha256;
use par_apkg::requirement::ProjectName;
use reqwest::Url;

use super::page::PageFile;

/// One source distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceFile {
    pub(super) file: String,
    pub(super) version: String,
    pub(super) url: Url,
    /// The page's word for it; a file without one is not taken.
    pub(super) digest: Sha256,
    pub(super) requires_python: Option<String>,
}

/// The source distributions on a page. Yanked ones are not taken.
pub(super) fn sources(page: Vec<PageFile>, project: &ProjectName) -> Vec<SourceFile> {
    page.into_iter().filter(|file| !file.is_yanked).filter_map(|file| source(file, project)).collect()
}

fn source(file: PageFile, project: &ProjectName) -> Option<SourceFile> {
    let version = source_version(&file.name, project)?;
    let PageFile { name, url, digest, requires_python, .. } = file;
    Some(SourceFile { file: name, version, url, digest: digest?, requires_python })
}

/// The version in the file name of a source distribution of this project.
pub(super) fn source_version(file: &str, project: &ProjectName) -> Option<String> {
    let stem = file.strip_suffix(".tar.gz").or_else(|| file.strip_suffix(".zip"))?;
    let versions = stem.match_indices('-').map(|(at, _)| (&stem[..at], &stem[at + 1..]));
    let (_, version) = versions
        .filter(|(_, version)| version.starts_with(|first: char| first.is_ascii_digit()))
        .find(|(name, _)| ProjectName::parse(name).as_ref() == Some(project))?;
    let is_plain = version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+!_".contains(&byte));
    (is_plain && version.len() <= 64).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::page;

    #[test]
    fn source_distributions_are_found_with_their_version_and_digest() {
        let project = ProjectName::parse("python-dateutil").unwrap();
        let at = Url::parse("https://index.example/simple/python-dateutil/").unwrap();
        let (one, two) = ("ab".repeat(32), "cd".repeat(32));
        let page = format!(
            "<html><body><a href=\"../../files/python-dateutil-2.9.0.tar.gz#sha256={one}\" \
             data-requires-python=\"&gt;=3.3\">python-dateutil-2.9.0.tar.gz</a><br/>\n\
             <a href='/f/python_dateutil-3.0rc1.zip#sha256={two}'>python_dateutil-3.0rc1.zip</a>\n\
             <a href=\"/f/python_dateutil-2.9.0-py3-none-any.whl#sha256={one}\">python_dateutil-2.9.0-py3-none-any.whl</a>\n\
             <a href=\"/f/python-dateutil-1.0.tar.gz#sha256={one}\" data-yanked=\"bad\">python-dateutil-1.0.tar.gz</a>\n\
             <a href=\"/f/python-dateutil-1.1.tar.gz#md5=00\">python-dateutil-1.1.tar.gz</a>\n\
             <a href=\"/f/python-dateutil-extra-1.1.tar.gz#sha256={one}\">python-dateutil-extra-1.1.tar.gz</a>\n\
             <a href=\"unfinished"
        );

        let found = sources(page::files(page.as_bytes(), None, &at).unwrap(), &project);

        let shown: Vec<_> = found.iter().map(|file| (file.version.as_str(), file.url.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("2.9.0", "https://index.example/files/python-dateutil-2.9.0.tar.gz"),
                ("3.0rc1", "https://index.example/f/python_dateutil-3.0rc1.zip"),
            ]
        );
        assert_eq!(found[0].requires_python.as_deref(), Some(">=3.3"));
        assert_eq!(found[0].digest.to_hex(), one);
    }
}
