//! Takes the values of secrets out of a response, byte by byte as it comes.

use std::collections::BTreeSet;

use bytes::Bytes;
use par_policy::secret::SecretName;
use zeroize::Zeroizing;

/// What stands in the place of a value: as many of these as it has bytes, so that lengths and
/// whatever depends on them stay right.
const MASK: u8 = b'*';

/// Looks for values in what comes, however it is cut.
#[derive(Default)]
pub(super) struct Scrubber {
    needles: Vec<(SecretName, Zeroizing<Vec<u8>>)>,
    /// The end of what came, as long as it may be the beginning of a value.
    held: Zeroizing<Vec<u8>>,
    found: BTreeSet<SecretName>,
    told: BTreeSet<SecretName>,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Scrubber").field("needles", &self.needles.len()).finish_non_exhaustive()
    }
}

impl Scrubber {
    /// Looks for one more spelling of a value.
    pub(super) fn look_for(&mut self, name: SecretName, spelling: Zeroizing<Vec<u8>>) {
        if !self.needles.iter().any(|(_, known)| **known == *spelling) {
            self.needles.push((name, spelling));
        }
    }

    /// Whether nothing is looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// A header, which is never cut.
    pub(super) fn header(&mut self, value: &[u8]) -> Vec<u8> {
        let mut value = value.to_vec();
        self.mask(&mut value);
        value
    }

    /// The next bytes; what may be the beginning of a value is held back until more comes.
    pub(super) fn pass(&mut self, chunk: Bytes) -> Bytes {
        if self.needles.is_empty() {
            return chunk;
        }
        let mut bytes = std::mem::take(&mut *self.held);
        bytes.extend_from_slice(&chunk);
        self.mask(&mut bytes);
        let held = self.needles.iter().map(|(_, needle)| overlap(&bytes, needle)).max().unwrap_or(0);
        *self.held = bytes.split_off(bytes.len() - held);
        bytes.into()
    }

    /// What is left at the end.
    pub(super) fn end(&mut self) -> Bytes {
        std::mem::take(&mut *self.held).into()
    }

    /// The secrets that were found, each once.
    pub(super) fn newly_found(&mut self) -> Vec<SecretName> {
        let new: Vec<_> = self.found.difference(&self.told).cloned().collect();
        self.told.extend(new.iter().cloned());
        new
    }

    fn mask(&mut self, bytes: &mut [u8]) {
        for (name, needle) in &self.needles {
            let mut from = 0;
            while let Some(start) = find(&bytes[from..], needle) {
                let start = from + start;
                bytes[start..start + needle.len()].fill(MASK);
                from = start + needle.len();
                self.found.insert(name.clone());
            }
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let start = from + bytes[from..].iter().position(|byte| *byte == first)?;
        if bytes[start..].starts_with(needle) {
            return Some(start);
        }
        from = start + 1;
    }
}

/// How many bytes at the end are the beginning of `needle`, and not all of it.
fn overlap(bytes: &[u8], needle: &[u8]) -> usize {
    let most = bytes.len().min(needle.len() - 1);
    (1..=most).rev().find(|length| bytes.ends_with(&needle[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "aabaabaaa-secret";

    fn scrubber() -> Scrubber {
        let mut scrubber = Scrubber::default();
        scrubber.look_for(SecretName::parse("KEY").unwrap(), Zeroizing::new(VALUE.into()));
        scrubber
    }

    /// hostile 127: a value is found however the response is cut, and its length stays.
    #[test]
    fn a_value_is_masked_however_it_is_cut() {
        let text = format!("aab{VALUE}{VALUE}aabaabaaa-secre{VALUE}a");
        let masked = text.replace(VALUE, &"*".repeat(VALUE.len()));
        for size in 1..=text.len() {
            let mut scrubber = scrubber();
            let mut passed = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                passed.extend_from_slice(&scrubber.pass(Bytes::copy_from_slice(chunk)));
            }
            passed.extend_from_slice(&scrubber.end());

            assert_eq!(String::from_utf8(passed).unwrap(), masked, "{size}");
            assert_eq!((scrubber.newly_found().len(), scrubber.newly_found().len()), (1, 0));
        }
    }

    #[test]
    fn what_cannot_be_a_value_is_not_held_back() {
        let mut scrubber = scrubber();

        assert_eq!(scrubber.pass(Bytes::from_static(b"data: hello\n\n")), "data: hello\n\n");
        assert_eq!(scrubber.pass(Bytes::from_static(b"data: aab")), "data: ");
        assert_eq!(scrubber.pass(Bytes::from_static(b"\n")), "aab\n");
        assert!(scrubber.newly_found().is_empty());
    }
}
