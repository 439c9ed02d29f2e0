//! A request on its way in: its head cleaned, its body taken whole or streamed.

mod arrival;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::backend::{BodyBroken, RequestBody};
use arrival::Arrival;

/// Bodies up to this size travel with their head; larger ones are streamed.
///
/// Unit: bytes. One copy into the guest is cheaper than a stream for bodies of this size, and
/// the connection buffers about as much anyway.
pub(crate) const WHOLE_BODY_BYTES: u64 = 64 * 1024;

/// Chunks of a streamed body that may wait for the agent.
const WAITING_CHUNKS: usize = 4;

/// Longest pause between two chunks of a body.
const BODY_PAUSE: Duration = Duration::from_secs(30);

/// Why a request does not reach the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the request has no `host`, several, or one that is none")]
    Host,
    #[error("the method is not served")]
    Method,
    #[error("the request body is too large")]
    BodyTooLarge,
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    #[error("the request body broke off")]
    BodyBroken,
}

/// Checks a head, and takes out what concerns one connection alone.
pub(crate) fn clean(head: &mut Parts) -> Result<(), Refused> {
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return Err(Refused::Method);
    }
    settle_host(head)?;
    remove_hop_by_hop(&mut head.headers);
    Ok(())
}

/// Sees to it that a request names one host, in one way: two readers must not take it for two. HTTP/2 says it in
/// the target, and applications look for it in the header.
fn settle_host(head: &mut Parts) -> Result<(), Refused> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (header, second) = (hosts.next(), hosts.next());
    let target = head.uri.authority();
    let is_plain = |host: &Authority| !host.as_str().contains('@');
    if second.is_some() || !target.is_none_or(is_plain) {
        return Err(Refused::Host);
    }
    match (header, target) {
        (Some(header), target) => {
            let header = Authority::try_from(header.as_bytes()).map_err(|_| Refused::Host)?;
            // Compared without case, as hosts are.
            if !is_plain(&header) || target.is_some_and(|target| *target != header) {
                return Err(Refused::Host);
            }
        }
        (None, Some(target)) if head.version > Version::HTTP_11 => {
            let host = HeaderValue::from_str(target.as_str()).map_err(|_| Refused::Host)?;
            head.headers.insert(HOST, host);
        }
        (None, _) if head.version == Version::HTTP_11 => return Err(Refused::Host),
        (None, _) => {}
    }
    Ok(())
}

/// Removes the headers that end at this hop, those `connection` names included.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            // These two decide how long the message is; naming them must not unmake them.
            .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
            .collect();
        headers.remove(CONNECTION);
        for name in named {
            headers.remove(name);
        }
    }
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    for name in
        [KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION]
    {
        headers.remove(name);
    }
}

/// A body on its way to the agent.
#[derive(Debug)]
pub(crate) struct Intake {
    /// What the agent gets.
    pub(crate) body: RequestBody,
    /// How a streamed body fares.
    pub(crate) arrival: Option<Arrival>,
}

impl Intake {
    fn whole(bytes: Bytes) -> Self {
        Self { body: RequestBody::Complete(bytes), arrival: None }
    }
}

/// Takes in a body: whole if it is small, or is here already; streamed with back-pressure
/// otherwise. `most` is the largest body allowed, in bytes.
pub(crate) async fn take(
    mut body: Incoming,
    length: Option<&HeaderValue>,
    most: Option<u64>,
    deadline: Instant,
) -> Result<Intake, Refused> {
    if body.is_end_stream() {
        return Ok(Intake::whole(Bytes::new()));
    }
    // The HTTP library has checked the header against the framing; this is its number.
    let declared = body.size_hint().exact().or_else(|| length?.to_str().ok()?.parse().ok());
    if let (Some(declared), Some(most)) = (declared, most)
        && declared > most
    {
        return Err(Refused::BodyTooLarge);
    }
    match declared {
        Some(length) if length <= WHOLE_BODY_BYTES => {
            timeout_at(deadline, collect(body, length)).await.map_err(|_| Refused::BodyTimeout)?
        }
        Some(_) => Ok(stream(body, None, most)),
        None => match already_here(&mut body, most)? {
            (start, true) => Ok(Intake::whole(start)),
            (start, false) => Ok(stream(body, Some(start), most)),
        },
    }
}

/// The whole of a body of known, small length. One chunk, the usual case, is not copied.
async fn collect(mut body: Incoming, length: u64) -> Result<Intake, Refused> {
    let first = next(&mut body).await?.unwrap_or_default();
    if first.len() as u64 == length {
        return Ok(Intake::whole(first));
    }
    let mut whole = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
    whole.extend_from_slice(&first);
    while let Some(chunk) = next(&mut body).await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(Intake::whole(whole.freeze()))
}

/// What of a body of unknown length can be had without waiting, and whether that is all of it.
fn already_here(body: &mut Incoming, most: Option<u64>) -> Result<(Bytes, bool), Refused> {
    let mut start = BytesMut::new();
    while (start.len() as u64) < WHOLE_BODY_BYTES {
        match next(body).now_or_never() {
            None => return Ok((start.freeze(), false)),
            Some(Ok(None)) => return Ok((start.freeze(), true)),
            Some(Ok(Some(chunk))) => start.extend_from_slice(&chunk),
            Some(Err(refused)) => return Err(refused),
        }
        if most.is_some_and(|most| start.len() as u64 > most) {
            return Err(Refused::BodyTooLarge);
        }
    }
    Ok((start.freeze(), false))
}

/// The next data; trailers are skipped.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Refused> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refused::BodyBroken)?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn stream(body: Incoming, start: Option<Bytes>, most: Option<u64>) -> Intake {
    let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
    let arrival = Arrival::default();
    tokio::spawn(pump(body, start, most, sender, arrival.clone()));
    Intake { body: RequestBody::Streamed(receiver), arrival: Some(arrival) }
}

/// Moves chunks until the body ends or nobody wants them any more.
async fn pump(
    mut body: Incoming,
    start: Option<Bytes>,
    most: Option<u64>,
    agent: mpsc::Sender<Result<Bytes, BodyBroken>>,
    arrival: Arrival,
) {
    let mut left = most.unwrap_or(u64::MAX);
    let mut waiting = start.filter(|start| !start.is_empty());
    loop {
        let chunk = match waiting.take() {
            Some(start) => start,
            None => tokio::select! {
                biased;
                () = agent.closed() => return,
                () = arrival.given_up() => {
                    let _ = agent.send(Err(BodyBroken)).await;
                    return;
                }
                chunk = timeout(BODY_PAUSE, next(&mut body)) => match chunk {
                    Ok(Ok(Some(chunk))) => chunk,
                    Ok(Ok(None)) => return arrival.complete(),
                    Ok(Err(_)) => {
                        let _ = agent.send(Err(BodyBroken)).await;
                        return;
                    }
                    Err(_) => {
                        arrival.paused();
                        let _ = agent.send(Err(BodyBroken)).await;
                        return;
                    }
                },
            },
        };
        let Some(rest) = left.checked_sub(chunk.len() as u64) else {
            arrival.too_large();
            let _ = agent.send(Err(BodyBroken)).await;
            return;
        };
        left = rest;
        arrival.chunk_waits();
        if agent.send(Ok(chunk)).await.is_err() {
            return;
        }
        arrival.chunk_taken();
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, Version};

    use super::{Refused, clean};

    fn head(headers: &[(&'static str, &'static str)]) -> http::request::Parts {
        let mut request = Request::builder().uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn hop_by_hop_headers_end_here_and_the_rest_goes_on() {
        let mut head = head(&[
            ("host", "a.example"),
            ("connection", "x-secret, keep-alive, content-length"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("content-length", "3"),
            ("x-kept", "1"),
        ]);

        clean(&mut head).unwrap();

        let mut left: Vec<_> = head.headers.keys().map(|name| name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-kept"]);
    }

    #[test]
    fn one_host_is_needed_and_one_only() {
        assert_eq!(clean(&mut head(&[])), Err(Refused::Host));
        assert_eq!(clean(&mut head(&[("host", "a"), ("host", "b")])), Err(Refused::Host));
        assert_eq!(clean(&mut head(&[("host", "a")])), Ok(()));

        let mut multiplexed = head(&[]);
        multiplexed.version = Version::HTTP_2;
        assert_eq!(clean(&mut multiplexed), Ok(()));
    }

    /// Hostile 142.
    #[test]
    fn a_host_is_a_host_and_the_one_of_the_target() {
        for host in ["", "a b", "a/b", "user@a", "a:b:c", "a?b"] {
            assert_eq!(clean(&mut head(&[("host", host)])), Err(Refused::Host), "{host}");
        }
        for host in ["a.example", "A.example:8080", "my_service:80", "127.0.0.1", "[::1]:8080"] {
            assert_eq!(clean(&mut head(&[("host", host)])), Ok(()), "{host}");
        }
        for (uri, host, expected) in [
            ("http://a.example/x", "a.example", Ok(())),
            ("http://a.example/x", "A.Example", Ok(())),
            ("http://a.example/x", "b.example", Err(Refused::Host)),
            ("http://user@a.example/x", "a.example", Err(Refused::Host)),
        ] {
            let mut head = head(&[("host", host)]);
            head.uri = uri.parse().unwrap();
            assert_eq!(clean(&mut head), expected, "{uri} {host}");
        }
    }

    #[test]
    fn the_host_of_an_http_2_target_is_in_the_header_as_well() {
        let mut head = head(&[]);
        head.version = Version::HTTP_2;
        head.uri = "http://a.example:8080/x".parse().unwrap();

        clean(&mut head).unwrap();

        assert_eq!(head.headers["host"], "a.example:8080");
    }

    #[test]
    fn tunnels_and_echoes_are_refused_and_other_methods_are_not() {
        for (method, expected) in
            [(Method::CONNECT, Err(Refused::Method)), (Method::TRACE, Err(Refused::Method)), (Method::PATCH, Ok(()))]
        {
            let mut head = head(&[("host", "a")]);
            head.method = method;
            assert_eq!(clean(&mut head), expected);
        }
    }
}
