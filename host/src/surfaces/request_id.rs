//! The name of one request, in the answer and in the log.

use std::fmt;

use http::HeaderValue;
use ulid::Ulid;

/// A ULID: sorted by time, unique without coordination. Never taken from the client.
#[derive(Clone, Copy)]
pub(crate) struct RequestId([u8; ulid::ULID_LEN]);

impl RequestId {
    /// A new id.
    pub(crate) fn generate() -> Self {
        let mut text = [0; ulid::ULID_LEN];
        Ulid::generate().array_to_str(&mut text);
        Self(text)
    }

    /// The 26 characters.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id as the value of `x-request-id`.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn ids_are_26_characters_and_differ() {
        let (first, second) = (RequestId::generate(), RequestId::generate());

        assert_eq!(first.as_str().len(), 26);
        assert_ne!(first.as_str(), second.as_str());
        assert_eq!(first.header().as_bytes(), first.as_str().as_bytes());
    }
}
