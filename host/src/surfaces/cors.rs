//! Cross-origin answers, as the platform's clients have always had them: every origin, every
//! method, every header, with credentials.
//!
//! The rules are those of Starlette's middleware with `*` throughout (contract 3.2).

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    CONTENT_TYPE, COOKIE, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use bytes::Bytes;

use crate::surfaces::Payload;

const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";

/// What a request said about its origin; nothing for almost every request.
#[derive(Debug)]
pub(crate) struct CrossOrigin {
    origin: HeaderValue,
    has_cookie: bool,
}

impl CrossOrigin {
    /// Reads the origin of a request.
    pub(crate) fn of(head: &Parts) -> Option<Self> {
        let origin = head.headers.get(ORIGIN)?.clone();
        Some(Self { origin, has_cookie: head.headers.contains_key(COOKIE) })
    }

    /// The answer to a preflight; nothing if the request is not one.
    pub(crate) fn preflight(&self, head: &Parts) -> Option<Response<Payload>> {
        if head.method != Method::OPTIONS {
            return None;
        }
        let asked = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let known = METHODS.split(", ").any(|method| method.as_bytes() == asked.as_bytes());
        let text = if known { "OK" } else { "Disallowed CORS method" };
        let mut response = Response::new(Payload::known(Bytes::from_static(text.as_bytes())));
        if !known {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        if let Some(names) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        Some(response)
    }

    /// Opens an answer to its origin. An agent that set its own rule keeps it.
    pub(crate) fn open(self, headers: &mut HeaderMap) {
        if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if self.has_cookie {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
            headers.append(VARY, HeaderValue::from_static("Origin"));
        } else {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Request, StatusCode};

    use super::CrossOrigin;

    fn head(method: &str, headers: &[(&'static str, &'static str)]) -> http::request::Parts {
        let mut request = Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn text(headers: &HeaderMap, name: &str) -> Option<String> {
        headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn without_origin_nothing_is_added() {
        assert!(CrossOrigin::of(&head("GET", &[])).is_none());
    }

    #[test]
    fn an_origin_is_answered_with_a_star_and_with_cookies_by_name() {
        for (cookie, origin, vary) in [(false, "*", None), (true, "https://a.example", Some("Origin"))] {
            let mut sent = vec![("origin", "https://a.example")];
            if cookie {
                sent.push(("cookie", "session=1"));
            }
            let mut headers = HeaderMap::new();

            CrossOrigin::of(&head("GET", &sent)).unwrap().open(&mut headers);

            assert_eq!(text(&headers, "access-control-allow-origin").as_deref(), Some(origin));
            assert_eq!(text(&headers, "access-control-allow-credentials").as_deref(), Some("true"));
            assert_eq!(text(&headers, "vary").as_deref(), vary);
        }
    }

    #[test]
    fn an_agents_own_rule_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("access-control-allow-origin", HeaderValue::from_static("https://b.example"));

        CrossOrigin::of(&head("GET", &[("origin", "https://a.example")])).unwrap().open(&mut headers);

        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn a_preflight_is_answered_for_known_methods_alone() {
        for (method, status) in [("PATCH", StatusCode::OK), ("BREW", StatusCode::BAD_REQUEST)] {
            let head = head(
                "OPTIONS",
                &[
                    ("origin", "https://a.example"),
                    ("access-control-request-method", method),
                    ("access-control-request-headers", "x-one, x-two"),
                ],
            );

            let response = CrossOrigin::of(&head).unwrap().preflight(&head).unwrap();

            assert_eq!(response.status(), status);
            let headers = response.headers();
            assert_eq!(text(headers, "access-control-allow-headers").as_deref(), Some("x-one, x-two"));
            assert_eq!(text(headers, "access-control-max-age").as_deref(), Some("600"));
            assert_eq!(
                text(headers, "access-control-allow-methods").as_deref(),
                Some("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
            );
        }
    }

    #[test]
    fn other_requests_are_no_preflights() {
        let plain = head("OPTIONS", &[("origin", "https://a.example")]);
        assert!(CrossOrigin::of(&plain).unwrap().preflight(&plain).is_none());

        let get = head("GET", &[("origin", "https://a.example"), ("access-control-request-method", "GET")]);
        assert!(CrossOrigin::of(&get).unwrap().preflight(&get).is_none());
    }
}
