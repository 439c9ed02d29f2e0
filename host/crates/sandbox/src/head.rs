//! The head of a request and of a response as one value: how it crosses to the agent, whichever backend runs it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use percent_encoding::percent_decode_str;

use crate::call::CallError;

/// Between the values of a joined head.
const SEPARATOR: u8 = 0;

/// Room for the head of a usual request.
const HEAD_BYTES: usize = 512;

/// The head of a request as `wit/http.wit` lays it out.
#[must_use]
pub fn joined_head(
    head: &http::request::Parts,
    root_path: &str,
    client: Option<SocketAddr>,
    server: SocketAddr,
) -> Vec<u8> {
    let raw_path = head.uri.path();
    let path = percent_decode_str(raw_path).decode_utf8_lossy();
    let version = match head.version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    let (client_address, client_port) = client.map_or_else(Default::default, address);
    let (server_address, server_port) = address(server);
    let mut joined = Vec::with_capacity(HEAD_BYTES);
    for value in [
        head.method.as_str(),
        version,
        "http",
        &path,
        raw_path,
        head.uri.query().unwrap_or_default(),
        root_path,
        &client_address,
        &client_port,
        &server_address,
        &server_port,
    ] {
        push(&mut joined, value.as_bytes());
    }
    for (name, value) in &head.headers {
        push(&mut joined, name.as_str().as_bytes());
        push(&mut joined, value.as_bytes());
    }
    joined.pop();
    joined
}

/// Appends a value and its separator. A zero byte inside of it would shift every value after it,
/// so it is dropped; none gets here by a way the surfaces leave open.
fn push(joined: &mut Vec<u8>, value: &[u8]) {
    joined.extend(value.iter().filter(|byte| **byte != SEPARATOR));
    joined.push(SEPARATOR);
}

fn address(address: SocketAddr) -> (String, String) {
    (address.ip().to_string(), address.port().to_string())
}

/// The status of a response.
///
/// # Errors
/// [`CallError::Protocol`] for what does not end a request.
pub fn status(status: u16) -> Result<StatusCode, CallError> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| CallError::Protocol(format!("`{status}` is not the status of a response")))
}

/// The headers of a response, from names and values with a zero byte between them.
///
/// # Errors
/// [`CallError::Protocol`] for what HTTP cannot carry.
pub fn headers(joined: Vec<u8>) -> Result<HeaderMap, CallError> {
    let mut headers = HeaderMap::new();
    if joined.is_empty() {
        return Ok(headers);
    }
    let joined = Bytes::from(joined);
    let mut values = joined.split(|byte| *byte == SEPARATOR);
    while let Some(name) = values.next() {
        let Ok(name) = HeaderName::from_bytes(name) else {
            return Err(CallError::Protocol(format!("`{}` is not a header name", name.escape_ascii())));
        };
        let Some(value) = values.next() else {
            return Err(CallError::Protocol(format!("header `{name}` has no value")));
        };
        let Ok(value) = HeaderValue::from_maybe_shared(joined.slice_ref(value)) else {
            return Err(CallError::Protocol(format!("the value of header `{name}` holds a control character")));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{headers, joined_head, status};
    use crate::call::CallError;

    fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
        match result {
            Err(CallError::Protocol(text)) => text,
            other => format!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_status_is_one_that_ends_a_request() {
        assert_eq!(status(204).map(|status| status.as_u16()), Ok(204));
        assert_eq!(status(599).map(|status| status.as_u16()), Ok(599));
        assert_eq!(refusal(status(101)), "`101` is not the status of a response");
        assert_eq!(refusal(status(7)), "`7` is not the status of a response");
        assert_eq!(refusal(status(1000)), "`1000` is not the status of a response");
    }

    #[test]
    fn headers_keep_their_order_and_never_carry_a_second_line() {
        let kept = headers(b"set-cookie\0a=1\0Set-Cookie\0b=\xfc\0x-empty\0".to_vec()).unwrap_or_default();
        let values: Vec<&[u8]> = kept.get_all("set-cookie").iter().map(http::HeaderValue::as_bytes).collect();
        assert_eq!(values, [b"a=1".as_slice(), b"b=\xfc"]);
        assert_eq!(kept.get("x-empty").map(http::HeaderValue::as_bytes), Some(b"".as_slice()));
        assert_eq!(headers(Vec::new()).map(|none| none.len()), Ok(0));

        let forged = headers(b"x-note\0a\r\nset-cookie: b".to_vec());
        assert_eq!(refusal(forged), "the value of header `x-note` holds a control character");
        assert_eq!(refusal(headers(b"x-note".to_vec())), "header `x-note` has no value");
        let nameless = headers(b"x note\0".to_vec());
        assert_eq!(refusal(nameless), "`x note` is not a header name");
    }

    #[test]
    fn a_head_is_joined_in_the_order_of_the_world() {
        let (head, ()) =
            http::Request::get("/agents/a%20b?q=%00").header("X-One", "1").body(()).unwrap_or_default().into_parts();

        let joined = joined_head(&head, "/agents", None, SocketAddr::from(([127, 0, 0, 1], 8080)));

        let values: Vec<&str> =
            joined.split(|byte| *byte == 0).filter_map(|value| std::str::from_utf8(value).ok()).collect();
        let expected = [
            "GET",
            "1.1",
            "http",
            "/agents/a b",
            "/agents/a%20b",
            "q=%00",
            "/agents",
            "",
            "",
            "127.0.0.1",
            "8080",
            "x-one",
            "1",
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn a_zero_byte_in_a_path_shifts_no_value() {
        let (head, ()) = http::Request::get("/a%00b").body(()).unwrap_or_default().into_parts();

        let joined = joined_head(&head, "", None, SocketAddr::from(([127, 0, 0, 1], 8080)));

        assert_eq!(joined.split(|byte| *byte == 0).count(), 11);
    }
}
