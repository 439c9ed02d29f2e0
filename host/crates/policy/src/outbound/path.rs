//! Paths as rules compare them.

use percent_encoding::percent_decode_str;

/// A path every server reads alike, with its percent-encoding undone; `None` if two servers
/// could disagree about it.
///
/// The URL parser has resolved `.` and `..` before, also as `%2e`. What is left to disagree
/// about: encoded separators, double encoding, empty segments, which some servers merge, and
/// `..;`, which some take for `..`.
pub(super) fn plain(path: &str) -> Option<String> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let separators = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let ambiguous = separators(path) != separators(&decoded)
        || decoded.contains("//")
        || decoded.contains(|character: char| character == '\\' || character.is_control())
        || decoded.split('/').any(dots)
        || has_escape(&decoded);
    (!ambiguous).then(|| decoded.into_owned())
}

fn has_escape(text: &str) -> bool {
    text.as_bytes().windows(3).any(|three| three[0] == b'%' && three[1..].iter().all(u8::is_ascii_hexdigit))
}

/// Whether `path` is `prefix` or lies below it. `/v1` covers `/v1` and `/v1/x` and not `/v10`;
/// `/v1/` covers `/v1/x` and not `/v1`.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        for (path, prefix, expected) in [
            ("/v1", "/v1", true),
            ("/v1/", "/v1", true),
            ("/v1/x", "/v1", true),
            ("/v10", "/v1", false),
            ("/v1/x", "/v1/", true),
            ("/v1", "/v1/", false),
            ("/", "/v1", false),
            ("/anything", "/", true),
        ] {
            assert_eq!(is_below(path, prefix), expected, "{path} below {prefix}");
        }
    }

    #[test]
    fn a_path_that_reads_in_two_ways_has_no_plain_form() {
        for path in
            ["/a%2fb", "/a%5cb", "/a//b", "/%2e%2e%2fx", "/..;/x", "/.;a/x", "/a%00", "/%252e", "/%ff", "/a%0ab"]
        {
            assert_eq!(plain(path), None, "{path}");
        }
        assert_eq!(plain("/%61dmin/x%20y").as_deref(), Some("/admin/x y"));
        assert_eq!(plain("/a..b/...c;d=1/100%25").as_deref(), Some("/a..b/...c;d=1/100%"));
    }
}
