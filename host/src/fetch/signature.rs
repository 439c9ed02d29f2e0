//! Detached signatures of packages: minisign, over the digest of the file, by a key the
//! operator trusts. docs/adr/0008-signatures.md says why.

use std::io::{self, Read};

use minisign_verify::{PublicKey, Signature};

use super::error::SignatureFault;

/// Largest file with a signature. Unit: bytes. Real ones have some three hundred.
pub(super) const LARGEST_SIGNATURE: u64 = 8 << 10;

/// Who may have signed a package, and where the signature is.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Keys of which one must have signed (`PACKAGE_TRUSTED_KEYS`).
    pub keys: TrustedKeys,
    /// The signature itself (`PACKAGE_SIGNATURE`); without it, it lies beside the package.
    pub signature: Option<String>,
}

/// Public keys of minisign; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKeys(Vec<PublicKey>);

/// A text that is no list of public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("public keys of minisign, 56 characters each, separated by spaces or commas")]
pub struct NotKeys;

impl TrustedKeys {
    /// Parses keys as `minisign -G` prints them, separated by spaces or commas.
    ///
    /// # Errors
    /// [`NotKeys`] when one of them is none, or there is none.
    pub fn parse(text: &str) -> Result<Self, NotKeys> {
        let keys = text
            .split(|separator: char| separator == ',' || separator.is_whitespace())
            .filter(|key| !key.is_empty())
            .map(PublicKey::from_base64)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| NotKeys)?;
        if keys.is_empty() { Err(NotKeys) } else { Ok(Self(keys)) }
    }

    /// Whether one of the keys signed what `package` yields; returns the comment that was
    /// signed along.
    ///
    /// # Errors
    /// Outer: those of `package`. Inner: what is wrong with the signature.
    pub fn verify(&self, signature: &str, mut package: impl Read) -> io::Result<Result<String, SignatureFault>> {
        let Ok(signature) = Signature::decode(signature) else { return Ok(Err(SignatureFault::Malformed)) };
        let mut fault = SignatureFault::OtherKey;
        let verifier = self.0.iter().find_map(|key| match key.verify_stream(&signature) {
            Ok(verifier) => Some(verifier),
            Err(minisign_verify::Error::UnexpectedKeyId) => None,
            Err(_) => {
                fault = SignatureFault::Legacy;
                None
            }
        });
        let Some(mut verifier) = verifier else { return Ok(Err(fault)) };
        let mut buffer = vec![0; 256 << 10];
        loop {
            match package.read(&mut buffer)? {
                0 => break,
                count => verifier.update(&buffer[..count]),
            }
        }
        let comment = signature.trusted_comment().to_owned();
        Ok(verifier.finalize().map(|()| comment).map_err(|_| SignatureFault::OtherBytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and signature of the manual of minisign, over the four bytes `test`.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";

    /// Another key, of the same form.
    const OTHER: &str = "RWSGOq2NVecA2UPNdBUZykf1CCb147pkmdtYxgb3Ti+JO/wCYvhbAb/U";

    fn verify(keys: &str, signature: &str, package: &[u8]) -> Result<String, SignatureFault> {
        TrustedKeys::parse(keys).unwrap().verify(signature, package).unwrap()
    }

    #[test]
    fn a_signature_of_a_trusted_key_over_these_bytes_is_accepted() {
        let comment = "timestamp:1633700835\tfile:test\tprehashed";

        assert_eq!(verify(KEY, SIGNATURE, b"test").unwrap(), comment);
        assert_eq!(verify(&format!("{OTHER}, {KEY}"), SIGNATURE, b"test").unwrap(), comment);
    }

    #[test]
    fn a_signature_of_other_bytes_or_another_key_is_not() {
        assert_eq!(verify(KEY, SIGNATURE, b"tesT"), Err(SignatureFault::OtherBytes));
        assert_eq!(verify(OTHER, SIGNATURE, b"test"), Err(SignatureFault::OtherKey));
        assert_eq!(verify(KEY, "", b"test"), Err(SignatureFault::Malformed));
        assert_eq!(verify(KEY, &SIGNATURE.replace("file:test", "file:best"), b"test"), Err(SignatureFault::OtherBytes));
    }

    #[test]
    fn a_signature_of_the_old_form_is_refused_by_name() {
        let old = "untrusted comment: signature from minisign secret key
RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966\tfile:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==";

        assert_eq!(verify(KEY, old, b"test"), Err(SignatureFault::Legacy));
    }

    #[test]
    fn keys_are_whole_keys_and_at_least_one() {
        for text in ["", " , ", "RWQ", &KEY[1..], &format!("{KEY} x")] {
            assert_eq!(TrustedKeys::parse(text), Err(NotKeys), "{text}");
        }
    }
}
