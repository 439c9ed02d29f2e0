//! The prefix every route lives under, normalised once.

use std::fmt;
use std::sync::Arc;

use super::mistake::Expected;

/// The prefix of every route: `/`, or segments without a slash at the end.
///
/// Source: `BASE_PATH`. Every route is built with [`BasePath::join`], which applies the prefix
/// exactly once.
#[derive(Clone, PartialEq, Eq)]
pub struct BasePath {
    /// `""` at the root, else `/a/b`.
    prefix: Arc<str>,
}

impl BasePath {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self { prefix: "".into() }
    }

    /// Normalises what the operator wrote: surrounding blanks go, a slash at the start is
    /// added, one at the end is dropped, `{AGENT_APP_ID}` is replaced.
    ///
    /// # Errors
    /// Refuses empty segments, `.` and `..`, and characters other than letters, digits and
    /// `_.-`.
    pub(super) fn parse(text: &str, app_id: Option<&str>) -> Result<Self, Expected> {
        let text = text.trim();
        // A missing identity is a mistake of its own; the path around it is still checked.
        let text = text.replace("{AGENT_APP_ID}", app_id.unwrap_or("id"));
        let path = text.strip_prefix('/').unwrap_or(&text);
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return if text.len() > 1 { Err(Expected::new("a path without `//`")) } else { Ok(Self::root()) };
        }
        for segment in path.split('/') {
            match segment {
                "" => return Err(Expected::new("a path without `//`")),
                "." | ".." => return Err(Expected::new("a path without `.` and `..` segments")),
                _ if !segment.bytes().all(is_allowed) => {
                    return Err(Expected::new("a path of letters, digits, `_`, `.`, `-` and `/`"));
                }
                _ => {}
            }
        }
        Ok(Self { prefix: format!("/{path}").into() })
    }

    /// The prefix as a path: `/` or `/a/b`.
    #[must_use]
    pub fn as_path(&self) -> &str {
        if self.is_root() { "/" } else { &self.prefix }
    }

    /// What stands before an absolute path: `""` or `/a/b`. ASGI calls it `root_path`.
    #[must_use]
    pub fn prefix(&self) -> Arc<str> {
        Arc::clone(&self.prefix)
    }

    /// Whether there is no prefix.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.prefix.is_empty()
    }

    /// The absolute path `path` below the prefix; `path` starts with `/`.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        debug_assert!(path.starts_with('/'), "`{path}` does not start with a slash");
        format!("{}{path}", self.prefix)
    }

    /// The rest of a request path below the prefix: `""` for the prefix itself, else with its
    /// slash. Nothing for a path that only begins with the same letters.
    #[must_use]
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

impl fmt::Display for BasePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_path())
    }
}

impl fmt::Debug for BasePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        BasePath::parse(text, Some("app-1")).map(|path| path.to_string()).map_err(|expected| expected.to_string())
    }

    #[test]
    fn every_way_to_write_a_prefix_gives_one_form() {
        for text in [
            "/agents/app-1",
            "/agents/app-1/",
            "agents/app-1",
            "agents/app-1/",
            "  /agents/app-1 ",
            "/agents/{AGENT_APP_ID}",
        ] {
            assert_eq!(parse(text), Ok("/agents/app-1".to_owned()), "{text}");
        }
    }

    #[test]
    fn every_way_to_write_no_prefix_gives_the_root() {
        for text in ["/", "", "  "] {
            assert_eq!(parse(text), Ok("/".to_owned()), "{text:?}");
        }
    }

    #[test]
    fn empty_segments_are_refused() {
        for text in ["//", "///", "//agents", "/agents//app-1", "/agents//", "agents//"] {
            assert_eq!(parse(text), Err("a path without `//`".to_owned()), "{text}");
        }
    }

    #[test]
    fn segments_that_clients_resolve_are_refused() {
        for text in ["/..", ".", "/agents/../x", "/agents/./x"] {
            assert_eq!(parse(text), Err("a path without `.` and `..` segments".to_owned()), "{text}");
        }
        assert_eq!(parse("/v1.2/..."), Ok("/v1.2/...".to_owned()));
    }

    #[test]
    fn other_characters_are_refused() {
        for text in ["/agents/test@#$", "/a b", "/a%2fb", "/é", "/{OTHER}", "/a?b", "/a\nb"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(BasePath::parse("/agents/{AGENT_APP_ID}", Some("my agent")).is_err());
    }

    #[test]
    fn a_route_gets_the_prefix_once() {
        let base = BasePath::parse("/agents/app-1", None).unwrap();

        assert_eq!(base.join("/health"), "/agents/app-1/health");
        assert_eq!(BasePath::root().join("/health"), "/health");
        assert_eq!(&*base.prefix(), "/agents/app-1");
        assert_eq!(&*BasePath::root().prefix(), "");
    }

    #[test]
    fn only_whole_segments_are_stripped_and_only_once() {
        let base = BasePath::parse("/agents/a", None).unwrap();

        assert_eq!(base.strip("/agents/a/api"), Some("/api"));
        assert_eq!(base.strip("/agents/a"), Some(""));
        assert_eq!(base.strip("/agents/ab"), None);
        assert_eq!(base.strip("/api"), None);
        assert_eq!(base.strip("/agents/a/agents/a/api"), Some("/agents/a/api"));
        assert_eq!(BasePath::root().strip("/api"), Some("/api"));
    }
}
