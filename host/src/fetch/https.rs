//! A package by `https`: one GET, and the redirects it leads through.

use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_RANGE, LOCATION,
    RANGE, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode};

use super::address::Addresses;
use super::attempt::{Answer, Because, Body, Failure, Pin, Unavailable, may_pass, strong};
use super::client;
use super::error::{FetchError, RedirectFault};
use super::settings::{FetchSettings, MOST_REDIRECTS};
use crate::redact::RedactedUrl;

/// Asks servers for packages.
#[derive(Debug, Clone)]
pub(super) struct Https {
    client: Client,
    addresses: Addresses,
}

impl Https {
    pub(super) fn new(settings: &FetchSettings) -> Result<Self, FetchError> {
        let addresses = Addresses::new(settings.internal_hosts.iter().cloned());
        let client = client::for_packages(&addresses, settings.patience.idle, None)?;
        Ok(Self { client, addresses })
    }

    /// Asks for a package, or for the rest of the one that was begun.
    pub(super) async fn ask(&self, url: &RedactedUrl, pin: Option<&Pin>) -> Result<Answer, Failure> {
        let mut hop = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.get(&hop, pin).await?;
            if !is_redirect(response.status()) {
                return answer(&hop, response, pin);
            }
            hop = next_hop(url, &hop, response.headers())?;
        }
        Err(refused(url, RedirectFault::TooMany))
    }

    async fn get(&self, url: &RedactedUrl, pin: Option<&Pin>) -> Result<Response, Failure> {
        let target = url.expose();
        self.addresses.judge_url(target).map_err(|refused| Failure::of_client(&url.to_string(), refused))?;
        let mut request = self.client.get(target.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(pin) = pin.filter(|pin| pin.received > 0) {
            request = request.header(RANGE, format!("bytes={}-", pin.received)).header(IF_RANGE, &pin.tag);
        }
        request.send().await.map_err(|error| Failure::of_client(&url.to_string(), error.without_url()))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads, if packages are fetched from there. Its address is judged when it is
/// dialled, like the first one.
fn next_hop(asked: &RedactedUrl, hop: &RedactedUrl, headers: &HeaderMap) -> Result<RedactedUrl, Failure> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let next = location.and_then(|location| hop.expose().join(location).ok());
    let next = next.ok_or_else(|| refused(asked, RedirectFault::Nowhere))?;
    if next.scheme() != "https" {
        return Err(refused(asked, RedirectFault::Plain(RedactedUrl::new(next).to_string())));
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(refused(asked, RedirectFault::Credentials));
    }
    Ok(RedactedUrl::new(next))
}

fn refused(url: &RedactedUrl, fault: RedirectFault) -> Failure {
    Failure::lasting(FetchError::Redirect { url: url.to_string(), fault })
}

fn answer(url: &RedactedUrl, response: Response, pin: Option<&Pin>) -> Result<Answer, Failure> {
    let (status, headers) = (response.status(), response.headers());
    let tag = text(headers, &ETAG).and_then(strong);
    let (begins, total) = match status {
        StatusCode::OK => (0, text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok())),
        StatusCode::PARTIAL_CONTENT => {
            let range = text(headers, &CONTENT_RANGE).and_then(range);
            let expected = pin.map(|pin| pin.received);
            match range {
                Some((first, total)) if Some(first) == expected => (first, total),
                // Not what was asked for: the next attempt asks for the whole again.
                _ => return Err(Failure::passing(Unavailable(status.as_u16()))),
            }
        }
        _ => return Err(not_given(url, status, headers)),
    };
    if let Some(encoding) =
        text(headers, &CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    {
        return Err(Failure::lasting(FetchError::Encoded { url: url.to_string(), encoding: encoding.to_owned() }));
    }
    Ok(Answer { begins, total, tag, body: Body::Https(response) })
}

fn not_given(url: &RedactedUrl, status: StatusCode, headers: &HeaderMap) -> Failure {
    let status = status.as_u16();
    if may_pass(status) {
        let seconds = text(headers, &RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok());
        return Failure { pause: seconds.map(Duration::from_secs), ..Failure::passing(Unavailable(status)) };
    }
    let error = FetchError::Status { url: url.to_string(), status, code: None };
    Failure { because: Because::Package(error), worth: 1, pause: None }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// First byte and total of `bytes 5-9/10`.
pub(super) fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(value: &str) -> Result<String, String> {
        let url = RedactedUrl::parse("https://host.example/a/b.apkg").unwrap();
        let headers = HeaderMap::from_iter([(LOCATION, value.parse().unwrap())]);
        next_hop(&url, &url, &headers).map(|next| next.expose().to_string()).map_err(|failure| match failure.because {
            Because::Package(error) => error.to_string(),
            Because::Transport(error) => panic!("{error}"),
        })
    }

    /// Hostile 2: a redirect away from `https`.
    #[test]
    fn redirects_stay_encrypted_and_anonymous() {
        assert_eq!(location("/c.apkg?sig=1").unwrap(), "https://host.example/c.apkg?sig=1");
        assert_eq!(location("//cdn.example/c").unwrap(), "https://cdn.example/c");
        for (value, fault) in [
            ("http://host.example/c?sig=5ec4e7", "it redirects to `http://host.example/c`, which is not `https`"),
            ("file:///etc/passwd", "it redirects to `file:///etc/passwd`, which is not `https`"),
            ("https://user:pa55@host.example/c", "it redirects to a URL with user and password"),
            ("https://", "it redirects, and does not say where to"),
        ] {
            assert_eq!(location(value), Err(format!("cannot fetch `https://host.example/a/b.apkg`: {fault}")));
        }
    }

    #[test]
    fn the_range_of_an_answer_is_its_first_byte_and_its_total() {
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        for text in ["", "bytes */10", "5-9/10", "bytes 5/10", "bytes -5-9/10"] {
            assert_eq!(range(text), None, "{text}");
        }
    }
}
