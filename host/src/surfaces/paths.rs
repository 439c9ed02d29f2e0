//! Request paths: decoded once, refused where two readers could disagree about them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Longest accepted request target, in bytes.
///
/// Proxies in front accept 8 to 16 KiB; what is longer is an attack or a mistake.
pub const MAX_TARGET_BYTES: usize = 16 * 1024;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathRefused {
    /// It has a NUL byte, which ends a string for some readers and not for others.
    #[error("the path has a NUL byte")]
    Nul,
    /// It has a `.` or `..` segment, plain or percent-encoded. Clients resolve these before
    /// they send; who does not wants one of us to resolve them and the other not to.
    #[error("the path has a `.` or `..` segment")]
    DotSegment,
}

/// Decodes the path of a request target, once.
///
/// Bytes that are not UTF-8 become U+FFFD, as Python servers decode them. Empty segments and
/// encoded slashes stay: they are the agent's to judge, and routing sees what the agent sees.
///
/// # Errors
/// [`PathRefused`] for NUL bytes and dot segments, however they are spelt.
pub fn decode(raw: &str) -> Result<Cow<'_, str>, PathRefused> {
    let decoded = if raw.contains('%') { percent_decode_str(raw).decode_utf8_lossy() } else { Cow::Borrowed(raw) };
    if decoded.contains('\0') {
        return Err(PathRefused::Nul);
    }
    // Looking for `/.` first keeps ordinary paths at one scan.
    if decoded.contains("/.") && decoded.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(PathRefused::DotSegment);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::{PathRefused, decode};

    #[test]
    fn dot_segments_and_nul_are_refused_however_spelt() {
        for raw in ["/a/../b", "/a/./b", "/..", "/a/%2e%2e/b", "/a/.%2E", "/a%2f..%2fb", "/%2e/"] {
            assert_eq!(decode(raw), Err(PathRefused::DotSegment), "{raw}");
        }
        for raw in ["/a%00b", "/%00"] {
            assert_eq!(decode(raw), Err(PathRefused::Nul), "{raw}");
        }
    }

    #[test]
    fn ordinary_paths_are_decoded_once() {
        for (raw, decoded) in [
            ("/a/b", "/a/b"),
            ("/a//b", "/a//b"),
            ("/a%20b", "/a b"),
            ("/a%2Fb", "/a/b"),
            ("/a%252e%252e/b", "/a%2e%2e/b"),
            ("/.well-known/agent.json", "/.well-known/agent.json"),
            ("/a/...", "/a/..."),
            ("/100%", "/100%"),
            ("/%ff", "/\u{fffd}"),
        ] {
            assert_eq!(decode(raw).as_deref(), Ok(decoded), "{raw}");
        }
    }
}
