//! The page of a project on the operator's index
//! ([simple repository API](https://packaging.python.org/en/latest/specifications/simple-repository-api/)),
//! for the files the resolver does not speak of: source distributions.

use par_apkg::digest::Sha256;
use par_apkg::requirement::ProjectName;
use reqwest::Url;

/// Largest page that is read. The largest project, with 10 000 files, has 4 MiB.
pub(super) const LARGEST_PAGE: u64 = 16 << 20;

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

/// Where the page of a project is.
pub(super) fn page_of(index: &Url, project: &ProjectName) -> Option<Url> {
    let mut url = index.clone();
    url.path_segments_mut().ok()?.pop_if_empty().push(project.as_str()).push("");
    Some(url)
}

/// The source distributions on a page. Yanked ones are not taken.
pub(super) fn sources(page: &str, at: &Url, project: &ProjectName) -> Vec<SourceFile> {
    page.split("<a ").skip(1).filter_map(|rest| source(rest, at, project)).collect()
}

fn source(rest: &str, at: &Url, project: &ProjectName) -> Option<SourceFile> {
    let (attributes, rest) = rest.split_once('>')?;
    let file = unescaped(rest.split_once("</a>")?.0.trim());
    if attribute(attributes, "data-yanked").is_some() {
        return None;
    }
    let mut url = at.join(&attribute(attributes, "href")?).ok()?;
    let digest = url.fragment()?.strip_prefix("sha256=")?.parse().ok()?;
    url.set_fragment(None);
    let version = source_version(&file, project)?;
    Some(SourceFile { version, url, digest, requires_python: attribute(attributes, "data-requires-python"), file })
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

/// The value of an attribute; empty for one without a value.
fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|letter: char| letter == '=' || letter.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (value, after) = match after.trim_start().strip_prefix('=').map(str::trim_start) {
            None => ("", after),
            Some(after) => match after.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
                Some(quote) => after[1..].split_once(quote)?,
                None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
            },
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(unescaped(value));
        }
        rest = after.trim_start();
    }
    None
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

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

        let found = sources(&page, &at, &project);

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

    #[test]
    fn the_page_of_a_project_is_below_the_index() {
        let project = ProjectName::parse("Zope.Interface").unwrap();
        for index in ["https://index.example/simple", "https://index.example/simple/"] {
            let page = page_of(&Url::parse(index).unwrap(), &project).unwrap();
            assert_eq!(page.as_str(), "https://index.example/simple/zope-interface/");
        }
    }
}
