//! Secrets on their way: put into the headers of requests to the hosts they are for, and taken out
//! of what those hosts answer.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD as UNPADDED};
use http::{HeaderMap, HeaderValue, header};
use par_policy::outbound::OutboundTarget;
use par_policy::secret::{SecretName, SecretValue, SecretValues, Secrets};
use par_policy::{AuditEvent, Capability, Denial, DenialCode};
use zeroize::Zeroizing;

use super::scrub::Scrubber;

/// Shortest value that is looked for in responses. A shorter one would be found where it is not.
/// Unit: bytes.
const SHORTEST_SCRUBBED: usize = 8;

/// What of the secrets concerns one request.
#[derive(Debug)]
pub(super) struct Revealed {
    /// What is to be on the record: one event for each secret.
    pub(super) events: Vec<AuditEvent>,
    /// What takes secrets out of the response.
    pub(super) scrubber: Scrubber,
}

/// Puts the values of secrets in the place of their placeholders, where the target may have
/// them. Elsewhere the placeholder stays what it is.
///
/// A host that may have a secret may also echo it, now or later. So it is asked for responses
/// that can be read, and they are searched, whether this request holds the secret or not.
pub(super) fn reveal(
    headers: &mut HeaderMap,
    target: &OutboundTarget,
    secrets: &Secrets,
    values: &SecretValues,
) -> Revealed {
    let mut requests = Requests { target, secrets, values, seen: Vec::new() };
    let mut scrubber = Scrubber::default();
    for (name, _) in secrets.iter() {
        if let (Ok(_), Some(value)) = (secrets.judge(name, target), values.get(name)) {
            spellings(value.expose()).for_each(|spelling| look_for(&mut scrubber, name, spelling));
        }
    }
    for (name, value) in headers.iter_mut() {
        let Ok(text) = value.to_str() else { continue };
        let revealed = match credentials(name, text) {
            Some(decoded) => requests.revealed(&decoded).map(|(revealed, used)| {
                let encoded = Zeroizing::new(BASE64.encode(&*revealed));
                for name in used {
                    look_for(&mut scrubber, &name, Zeroizing::new(encoded.as_bytes().to_vec()));
                }
                Zeroizing::new([b"Basic ", encoded.as_bytes()].concat())
            }),
            None => requests.revealed(text).map(|(revealed, _)| revealed),
        };
        // A value with a control character is no header: the placeholder goes out in its place.
        if let Some(mut sensitive) = revealed.and_then(|revealed| HeaderValue::from_bytes(&revealed).ok()) {
            sensitive.set_sensitive(true);
            *value = sensitive;
        }
    }
    if !scrubber.is_empty() {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    Revealed { events: requests.seen.into_iter().map(|(_, event)| event).collect(), scrubber }
}

/// What is said in `Authorization: Basic`, decoded.
fn credentials(name: &header::HeaderName, value: &str) -> Option<String> {
    if name != header::AUTHORIZATION {
        return None;
    }
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| UNPADDED.decode(encoded.trim().trim_end_matches('=')).ok())
        .flatten()?;
    String::from_utf8(decoded).ok()
}

fn look_for(scrubber: &mut Scrubber, name: &SecretName, spelling: Zeroizing<Vec<u8>>) {
    if spelling.len() >= SHORTEST_SCRUBBED {
        scrubber.look_for(name.clone(), spelling);
    }
}

/// A value as it is, and as JSON, URLs and base64 spell it.
fn spellings(value: &str) -> impl Iterator<Item = Zeroizing<Vec<u8>>> {
    let json = value.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/");
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    let url = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string();
    let encoded = BASE64.encode(value);
    let encoded = encoded.trim_end_matches('=').to_owned();
    let mut all = vec![value.to_owned(), json, escaped, url, encoded];
    all.dedup();
    all.into_iter().map(|spelling| Zeroizing::new(spelling.into_bytes()))
}

/// The secrets the headers of one request ask for.
struct Requests<'a> {
    target: &'a OutboundTarget,
    secrets: &'a Secrets,
    values: &'a SecretValues,
    seen: Vec<(SecretName, AuditEvent)>,
}

impl<'a> Requests<'a> {
    /// The text with every value in its place, and whose they are; nothing when there is none.
    fn revealed(&mut self, text: &str) -> Option<(Zeroizing<Vec<u8>>, Vec<SecretName>)> {
        let mut revealed = Zeroizing::new(Vec::with_capacity(text.len()));
        let (mut written, mut used) = (0, Vec::new());
        for (place, name) in SecretName::placeholders_in(text) {
            let Some(secret) = self.judged(&name) else { continue };
            revealed.extend_from_slice(&text.as_bytes()[written..place.start]);
            revealed.extend_from_slice(secret.expose().as_bytes());
            written = place.end;
            used.push(name);
        }
        revealed.extend_from_slice(&text.as_bytes()[written..]);
        (!used.is_empty()).then_some((revealed, used))
    }

    /// The value, if the target may have it; in either case it is on the record once.
    fn judged(&mut self, name: &SecretName) -> Option<&'a SecretValue> {
        let about = format!("{name} in {}", self.target);
        let (event, secret) = match (self.secrets.judge(name, self.target), self.values.get(name)) {
            (Ok(granted), Some(secret)) => (AuditEvent::allowed(Capability::Secrets, about, granted), Some(secret)),
            (Ok(_), None) => {
                let denial = Denial::new(DenialCode::SecretNotGranted, format!("the secret `{name}` has no value"));
                (AuditEvent::denied(Capability::Secrets, about, &denial), None)
            }
            (Err(denial), _) => (AuditEvent::denied(Capability::Secrets, about, &denial), None),
        };
        if !self.seen.iter().any(|(known, _)| known == name) {
            self.seen.push((name.clone(), event));
        }
        secret
    }
}
