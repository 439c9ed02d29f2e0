//! Conditional requests and ranges (RFC 9110, sections 13 and 14).

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What a request for a file comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Whole,
    /// From `start` to before `end`.
    Part {
        start: u64,
        end: u64,
    },
    NotModified,
    Unsatisfiable,
}

/// Judges a GET or HEAD for a file of `length` bytes.
pub(super) fn judge(headers: &HeaderMap, etag: &str, modified: SystemTime, length: u64) -> Outcome {
    let unchanged = match text(headers, IF_NONE_MATCH) {
        // Where there are tags, dates are not looked at.
        Some(tags) => tags.split(',').any(|tag| matches(tag.trim(), etag)),
        None => text(headers, IF_MODIFIED_SINCE).is_some_and(|date| is_since(date, modified)),
    };
    if unchanged {
        return Outcome::NotModified;
    }
    let Some(range) = text(headers, RANGE) else { return Outcome::Whole };
    // A range of an older version is answered with the whole of this one.
    let current = text(headers, IF_RANGE).is_none_or(|condition| {
        condition == etag || httpdate::parse_http_date(condition).is_ok_and(|date| seconds(date) == seconds(modified))
    });
    if current { part(range, length) } else { Outcome::Whole }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The weak comparison, which GET uses.
fn matches(tag: &str, etag: &str) -> bool {
    tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
}

fn is_since(date: &str, modified: SystemTime) -> bool {
    httpdate::parse_http_date(date).is_ok_and(|date| seconds(modified) <= seconds(date))
}

/// HTTP dates have whole seconds.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// One range of bytes. Several at once, and what cannot be read, count as none, as the RFC allows.
fn part(range: &str, length: u64) -> Outcome {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|spec| spec.trim().split_once('-')) else {
        return Outcome::Whole;
    };
    let number = |digits: &str| -> Option<u64> {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (start, end) = match (first, last) {
        ("", suffix) => match number(suffix) {
            Some(0) => return Outcome::Unsatisfiable,
            Some(count) => (length.saturating_sub(count), length),
            None => return Outcome::Whole,
        },
        (first, "") => match number(first) {
            Some(start) => (start, length),
            None => return Outcome::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(start), Some(last)) if start <= last => (start, last.saturating_add(1).min(length)),
            _ => return Outcome::Whole,
        },
    };
    if start >= length { Outcome::Unsatisfiable } else { Outcome::Part { start, end } }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Outcome, judge};

    const ETAG: &str = "\"abc\"";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn judged(sent: &[(&'static str, &'static str)]) -> Outcome {
        let headers: HeaderMap =
            sent.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        judge(&headers, ETAG, UNIX_EPOCH + Duration::from_millis(784_111_777_500), 10)
    }

    #[test]
    fn tags_decide_and_dates_where_there_are_none() {
        for (sent, expected) in [
            (vec![], Outcome::Whole),
            (vec![("if-none-match", "\"abc\"")], Outcome::NotModified),
            (vec![("if-none-match", "W/\"abc\"")], Outcome::NotModified),
            (vec![("if-none-match", "\"x\", \"abc\"")], Outcome::NotModified),
            (vec![("if-none-match", "*")], Outcome::NotModified),
            (vec![("if-none-match", "\"x\"")], Outcome::Whole),
            (vec![("if-modified-since", DATE)], Outcome::NotModified),
            (vec![("if-modified-since", LATER)], Outcome::NotModified),
            (vec![("if-modified-since", EARLIER)], Outcome::Whole),
            (vec![("if-modified-since", "yesterday")], Outcome::Whole),
            (vec![("if-none-match", "\"x\""), ("if-modified-since", LATER)], Outcome::Whole),
        ] {
            assert_eq!(judged(&sent), expected, "{sent:?}");
        }
    }

    #[test]
    fn one_range_is_cut_out_and_the_rest_is_answered_whole() {
        for (range, expected) in [
            ("bytes=0-3", Outcome::Part { start: 0, end: 4 }),
            ("bytes=4-", Outcome::Part { start: 4, end: 10 }),
            ("bytes=-3", Outcome::Part { start: 7, end: 10 }),
            ("bytes=-30", Outcome::Part { start: 0, end: 10 }),
            ("bytes=9-99", Outcome::Part { start: 9, end: 10 }),
            ("bytes=9-18446744073709551615", Outcome::Part { start: 9, end: 10 }),
            ("bytes=10-", Outcome::Unsatisfiable),
            ("bytes=-0", Outcome::Unsatisfiable),
            ("bytes=3-1", Outcome::Whole),
            ("bytes=0-1,3-4", Outcome::Whole),
            ("bytes=a-b", Outcome::Whole),
            ("bytes=+1-2", Outcome::Whole),
            ("bytes=-", Outcome::Whole),
            ("lines=1-2", Outcome::Whole),
        ] {
            assert_eq!(judged(&[("range", range)]), expected, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_answered_whole() {
        let part = Outcome::Part { start: 0, end: 1 };
        for (condition, expected) in
            [("\"abc\"", &part), (DATE, &part), ("\"x\"", &Outcome::Whole), (EARLIER, &Outcome::Whole)]
        {
            assert_eq!(&judged(&[("range", "bytes=0-0"), ("if-range", condition)]), expected);
        }
    }
}
