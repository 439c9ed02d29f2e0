//! The headers of a request on their way out, and of a response on its way in.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use par_policy::outbound::OutboundTarget;
use par_policy::secret::{SecretName, SecretValues, Secrets};
use par_policy::{AuditEvent, Capability, Denial, DenialCode};
use zeroize::Zeroizing;

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

/// Puts the values of secrets in the place of their placeholders, where the target may have
/// them. Elsewhere the placeholder stays what it is. Returns what is to be on the record: one
/// event for each secret.
pub(super) fn reveal(
    headers: &mut HeaderMap,
    target: &OutboundTarget,
    secrets: &Secrets,
    values: &SecretValues,
) -> Vec<AuditEvent> {
    let mut events: Vec<(SecretName, AuditEvent)> = Vec::new();
    for value in headers.values_mut() {
        let Ok(text) = value.to_str() else { continue };
        let found = SecretName::placeholders_in(text);
        if found.is_empty() {
            continue;
        }
        let mut revealed = Zeroizing::new(Vec::with_capacity(text.len()));
        let (mut written, mut changed) = (0, false);
        for (place, name) in found {
            let about = format!("{name} in {target}");
            let (event, secret) = match (secrets.judge(&name, target), values.get(&name)) {
                (Ok(granted), Some(secret)) => (AuditEvent::allowed(Capability::Secrets, about, granted), Some(secret)),
                (Ok(_), None) => {
                    let denial = Denial::new(DenialCode::SecretNotGranted, format!("the secret `{name}` has no value"));
                    (AuditEvent::denied(Capability::Secrets, about, &denial), None)
                }
                (Err(denial), _) => (AuditEvent::denied(Capability::Secrets, about, &denial), None),
            };
            if let Some(secret) = secret {
                revealed.extend_from_slice(&text.as_bytes()[written..place.start]);
                revealed.extend_from_slice(secret.expose().as_bytes());
                (written, changed) = (place.end, true);
            }
            if !events.iter().any(|(known, _)| *known == name) {
                events.push((name, event));
            }
        }
        if !changed {
            continue;
        }
        revealed.extend_from_slice(&text.as_bytes()[written..]);
        // A value with a control character is no header: the placeholder goes out in its place.
        if let Ok(mut sensitive) = HeaderValue::from_bytes(&revealed) {
            sensitive.set_sensitive(true);
            *value = sensitive;
        }
    }
    events.into_iter().map(|(_, event)| event).collect()
}

/// The headers of a response as the world wants them, without those about the connection.
pub(super) fn response(headers: &HeaderMap) -> Vec<u8> {
    let mut joined = BytesMut::new();
    for (name, value) in headers {
        // How many bytes follow is for the client to know.
        if is_of_the_connection(name) && name != header::CONTENT_LENGTH {
            continue;
        }
        joined.put_slice(name.as_str().as_bytes());
        joined.put_u8(0);
        joined.put_slice(value.as_bytes());
        joined.put_u8(0);
    }
    joined.truncate(joined.len().saturating_sub(1));
    Bytes::from(joined).into()
}
