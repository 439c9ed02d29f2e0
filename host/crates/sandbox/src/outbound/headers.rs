//! The headers of a request on their way out, and of a response on its way in.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use par_policy::{Denial, DenialCode};

use super::scrub::Scrubber;

/// Most headers, and most bytes of them, in one request.
const HEADERS: usize = 200;
const HEADER_BYTES: usize = 128 * 1024;

/// Headers about a connection, which is the host's. In a request from the guest they are
/// refused: two readers of one request must not disagree about where it ends or whom it is for.
const OF_THE_CONNECTION: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

const PROXY_PREFIX: &str = "proxy-";
const HTTP2_SETTINGS: &str = "http2-settings";

fn is_of_the_connection(name: &HeaderName) -> bool {
    OF_THE_CONNECTION.contains(name) || name.as_str().starts_with(PROXY_PREFIX) || name == HTTP2_SETTINGS
}

/// The headers of a request, checked.
pub(super) fn request<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<HeaderMap, Denial> {
    let mut headers = HeaderMap::new();
    let mut bytes = 0;
    while let Some(name) = values.next() {
        let Ok(name) = HeaderName::from_bytes(name) else {
            return Err(forbidden("the name of a header of the request has a character no name may have"));
        };
        let value =
            values.next().ok_or_else(|| forbidden(format!("the header `{name}` of the request has no value")))?;
        if is_of_the_connection(&name) {
            return Err(forbidden(format!("the header `{name}` is about the connection, which PAR makes")));
        }
        bytes += name.as_str().len() + value.len();
        if headers.len() == HEADERS || bytes > HEADER_BYTES {
            return Err(forbidden(format!(
                "the request has more than {HEADERS} headers or {} KiB of them",
                HEADER_BYTES >> 10
            )));
        }
        let Ok(value) = HeaderValue::from_bytes(value) else {
            return Err(forbidden(format!("the value of the header `{name}` has a control character")));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

fn forbidden(sentence: impl Into<String>) -> Denial {
    Denial::new(DenialCode::ForbiddenHeader, sentence)
}

/// The headers of a response as the world wants them, without those about the connection and
/// without the values of secrets.
pub(super) fn response(headers: &HeaderMap, scrubber: &mut Scrubber) -> Vec<u8> {
    let mut joined = BytesMut::new();
    for (name, value) in headers {
        // How many bytes follow is for the client to know.
        if is_of_the_connection(name) && name != header::CONTENT_LENGTH {
            continue;
        }
        joined.put_slice(name.as_str().as_bytes());
        joined.put_u8(0);
        joined.put_slice(&scrubber.header(value.as_bytes()));
        joined.put_u8(0);
    }
    joined.truncate(joined.len().saturating_sub(1));
    Bytes::from(joined).into()
}
