//! The page of a project on a package index
//! ([simple repository API](https://packaging.python.org/en/latest/specifications/simple-repository-api/)): which
//! files there are, and where.
//!
//! A page is asked for as JSON and taken as HTML from an index that has nothing else. The HTML is that of programs:
//! anchors are looked for and the rest of it does not matter, for nothing a page says is believed. Its files are told by
//! their digests.

use std::collections::BTreeMap;

use par_apkg::digest::Sha256;
use par_apkg::requirement::ProjectName;
use reqwest::Url;
use serde::Deserialize;

/// Largest page that is read. The largest project, with 10 000 files, has 4 MiB.
pub(super) const LARGEST_PAGE: u64 = 16 << 20;

/// What is asked for, by preference.
pub(super) const ACCEPTED: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// One file of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageFile {
    pub(super) name: String,
    /// `https` or `http`, without credentials and fragment.
    pub(super) url: Url,
    /// The page's word for it, if it has one.
    pub(super) digest: Option<Sha256>,
    pub(super) is_yanked: bool,
    pub(super) requires_python: Option<String>,
}

/// Where the page of a project is.
pub(super) fn page_of(index: &Url, project: &ProjectName) -> Option<Url> {
    let mut url = index.clone();
    url.path_segments_mut().ok()?.pop_if_empty().push(project.as_str()).push("");
    Some(url)
}

/// The files of a page that came from `at`. Those nobody could fetch are left out.
///
/// The error is the rest of a sentence about the index.
pub(super) fn files(content: &[u8], media_type: Option<&str>, at: &Url) -> Result<Vec<PageFile>, String> {
    let media_type =
        media_type.unwrap_or("text/html").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/vnd.pypi.simple.v1+json" | "application/json" => of_json(content, at),
        "application/vnd.pypi.simple.v1+html" | "text/html" => Ok(of_html(&String::from_utf8_lossy(content), at)),
        _ => Err("it answered with something that is neither the JSON nor the HTML of a package index".to_owned()),
    }
}

#[derive(Deserialize)]
struct Page {
    meta: Meta,
    files: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Meta {
    api_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    #[serde(default)]
    yanked: serde_json::Value,
    requires_python: Option<String>,
}

fn of_json(content: &[u8], at: &Url) -> Result<Vec<PageFile>, String> {
    let page: Page = serde_json::from_slice(content).map_err(|error| {
        format!("it answered with JSON that is no page of files (line {}, column {})", error.line(), error.column())
    })?;
    if page.meta.api_version.split('.').next() != Some("1") {
        return Err("it answered with a page of another `api-version`, expected 1".to_owned());
    }
    let read = |file: File| {
        let url = usable(at.join(&file.url).ok()?)?;
        let digest = file.hashes.get("sha256").and_then(|digest| digest.parse().ok());
        let is_yanked = !matches!(file.yanked, serde_json::Value::Null | serde_json::Value::Bool(false));
        Some(PageFile { name: file.filename, url, digest, is_yanked, requires_python: file.requires_python })
    };
    Ok(page.files.into_iter().filter_map(read).collect())
}

fn of_html(page: &str, at: &Url) -> Vec<PageFile> {
    let base = page.split_once("<base ").and_then(|(_, rest)| attribute(rest.split_once('>')?.0, "href"));
    let at = base.and_then(|base| at.join(&base).ok()).unwrap_or_else(|| at.clone());
    page.split("<a ").skip(1).filter_map(|rest| anchor(rest, &at)).collect()
}

fn anchor(rest: &str, at: &Url) -> Option<PageFile> {
    let (attributes, rest) = rest.split_once('>')?;
    let name = unescaped(rest.split_once("</a>")?.0.trim());
    let url = at.join(&attribute(attributes, "href")?).ok()?;
    let digest = url.fragment().and_then(|fragment| fragment.strip_prefix("sha256=")?.parse().ok());
    let is_yanked = attribute(attributes, "data-yanked").is_some();
    let requires_python = attribute(attributes, "data-requires-python");
    Some(PageFile { name, url: usable(url)?, digest, is_yanked, requires_python })
}

/// A URL that could be that of a file, without what only the page is about. Whoever is sent along with credentials is
/// sent somewhere the operator did not choose.
fn usable(mut url: Url) -> Option<Url> {
    url.set_fragment(None);
    let is_plain = url.username().is_empty() && url.password().is_none();
    (is_plain && matches!(url.scheme(), "https" | "http") && url.has_host()).then_some(url)
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

    fn at() -> Url {
        Url::parse("https://index.example/simple/thing/").unwrap()
    }

    fn shown(files: &[PageFile]) -> Vec<(&str, &str, bool, bool)> {
        files
            .iter()
            .map(|file| (file.name.as_str(), file.url.as_str(), file.digest.is_some(), file.is_yanked))
            .collect()
    }

    #[test]
    fn the_page_of_a_project_is_below_the_index() {
        let project = ProjectName::parse("Zope.Interface").unwrap();
        for index in ["https://index.example/simple", "https://index.example/simple/"] {
            let page = page_of(&Url::parse(index).unwrap(), &project).unwrap();
            assert_eq!(page.as_str(), "https://index.example/simple/zope-interface/");
        }
    }

    #[test]
    fn json_and_html_say_the_same() {
        let digest = "ab".repeat(32);
        let json = format!(
            r#"{{"meta": {{"api-version": "1.4"}}, "name": "thing", "files": [
                {{"filename": "thing-1.0-py3-none-any.whl", "url": "../../files/thing-1.0-py3-none-any.whl",
                  "hashes": {{"sha256": "{digest}"}}, "yanked": false, "requires-python": ">=3.8", "size": 1}},
                {{"filename": "thing-2.0.tar.gz", "url": "https://files.example/thing-2.0.tar.gz?x=1&y",
                  "hashes": {{}}, "yanked": "broken"}}
            ]}}"#
        );
        let html = format!(
            "<!DOCTYPE html><html><body>\n<a href=\"../../files/thing-1.0-py3-none-any.whl#sha256={digest}\" \
             data-requires-python=\"&gt;=3.8\">thing-1.0-py3-none-any.whl</a><br/>\n\
             <a data-yanked='broken' href='https://files.example/thing-2.0.tar.gz?x=1&amp;y#md5=00'>thing-2.0.tar.gz</a>\n\
             <a href=\"unfinished"
        );

        let of_json = files(json.as_bytes(), Some("application/vnd.pypi.simple.v1+json"), &at()).unwrap();
        let of_html = files(html.as_bytes(), Some("text/HTML; charset=utf-8"), &at()).unwrap();

        assert_eq!(of_json, of_html);
        assert_eq!(files(html.as_bytes(), None, &at()).unwrap(), of_html);
        assert_eq!(
            shown(&of_json),
            [
                ("thing-1.0-py3-none-any.whl", "https://index.example/files/thing-1.0-py3-none-any.whl", true, false),
                ("thing-2.0.tar.gz", "https://files.example/thing-2.0.tar.gz?x=1&y", false, true),
            ]
        );
        assert_eq!(of_json[0].requires_python.as_deref(), Some(">=3.8"));
    }

    #[test]
    fn a_page_of_html_may_say_where_its_links_begin() {
        let html = "<html><head><base href=\"/elsewhere/\"></head><a href=\"thing-1.0.zip\">thing-1.0.zip</a>";

        let found = files(html.as_bytes(), None, &at()).unwrap();

        assert_eq!(found[0].url.as_str(), "https://index.example/elsewhere/thing-1.0.zip");
    }

    #[test]
    fn a_file_that_is_not_on_the_network_or_comes_with_a_password_is_left_out() {
        for url in ["file:///etc/passwd", "data:,x", "ftp://files.example/x", "https://user:pa55@files.example/x"] {
            let json = format!(
                r#"{{"meta": {{"api-version": "1.0"}}, "files": [{{"filename": "x", "url": "{url}"}},
                    {{"filename": "y", "url": "y"}}]}}"#
            );
            let found = files(json.as_bytes(), Some("application/json"), &at()).unwrap();
            assert_eq!(shown(&found), [("y", "https://index.example/simple/thing/y", false, false)], "{url}");

            let html = format!("<a href=\"{url}\">x</a><a href=y>y</a>");
            assert_eq!(files(html.as_bytes(), None, &at()).unwrap(), found, "{url}");
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for (content, media_type, expected) in [
            ("{}", "application/json", "JSON that is no page of files (line 1, column 2)"),
            ("<html>", "application/vnd.pypi.simple.v1+json", "JSON that is no page of files"),
            (r#"{"meta": {"api-version": "2.0"}, "files": []}"#, "application/json", "another `api-version`"),
            ("thing", "text/plain", "neither the JSON nor the HTML"),
        ] {
            let error = files(content.as_bytes(), Some(media_type), &at()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let empty = r#"{"meta": {"api-version": "1.0"}, "files": []}"#;
        assert_eq!(files(empty.as_bytes(), Some("application/json"), &at()).unwrap(), []);
    }
}
