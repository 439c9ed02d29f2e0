//! Secrets by reference: the agent holds a name, the host the value.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::granted::Granted;
use crate::outbound::{OutboundRule, OutboundTarget};
use crate::{Denial, DenialCode};

/// Longest name of a secret. Unit: bytes.
const LONGEST_NAME: usize = 128;

/// What stands before the name in a placeholder.
const PLACEHOLDER: &str = "par-secret://";

/// The name of a secret, which is also the variable its placeholder is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName(String);

impl SecretName {
    /// Parses a name: that of an environment variable, at most 128 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() <= LONGEST_NAME
            && text.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
            && text.bytes().all(is_name_byte);
        valid.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the agent holds in the place of the value: `par-secret://NAME`.
    #[must_use]
    pub fn placeholder(&self) -> String {
        format!("{PLACEHOLDER}{}", self.0)
    }

    /// Every placeholder in a text, from front to back, with its place.
    #[must_use]
    pub fn placeholders_in(text: &str) -> Vec<(Range<usize>, Self)> {
        let found = |(start, mark): (usize, &str)| {
            let from = start + mark.len();
            let rest = text.get(from..)?;
            let length = rest.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(rest.len());
            Some((start..from + length, Self::parse(&rest[..length])?))
        };
        text.match_indices(PLACEHOLDER).filter_map(found).collect()
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

impl fmt::Display for SecretName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The value of a secret. It has neither `Display` nor a telling `Debug`, and is overwritten
/// when the last holder drops it.
#[derive(Clone)]
pub struct SecretValue(Arc<Zeroizing<String>>);

impl SecretValue {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: Zeroizing<String>) -> Self {
        Self(Arc::new(value))
    }

    /// The value, for the one place that puts it into a header.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretValue")
    }
}

/// The values of the secrets an agent was granted, apart from its grants: those may be printed.
#[derive(Debug, Clone, Default)]
pub struct SecretValues(BTreeMap<SecretName, SecretValue>);

impl SecretValues {
    /// The value of a secret.
    #[must_use]
    pub fn get(&self, name: &SecretName) -> Option<&SecretValue> {
        self.0.get(name)
    }

    /// Every value, for redaction: none of them may be in a log.
    pub fn values(&self) -> impl Iterator<Item = &SecretValue> {
        self.0.values()
    }
}

impl FromIterator<(SecretName, SecretValue)> for SecretValues {
    fn from_iter<I: IntoIterator<Item = (SecretName, SecretValue)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Towards which hosts a secret may be put into a header. Never empty in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretBinding {
    /// The rules a target has to fit. They grant no request by themselves.
    pub hosts: Vec<OutboundRule>,
}

/// The secrets an agent may use by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<SecretName, Granted<SecretBinding>>);

impl Secrets {
    /// Every secret with its binding, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&SecretName, &Granted<SecretBinding>)> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the value may be put into a header of a request to this target: the grant.
    ///
    /// # Errors
    /// [`Denial`] for a name that is not granted, and for a target it is not bound to.
    pub fn judge(&self, name: &SecretName, target: &OutboundTarget) -> Result<&Granted<SecretBinding>, Denial> {
        let Some(granted) = self.0.get(name) else {
            return Err(Denial::new(DenialCode::SecretNotGranted, format!("no rule grants the secret `{name}`")));
        };
        if granted.value.hosts.iter().any(|rule| rule.is_for(target)) {
            return Ok(granted);
        }
        let sentence = format!("the secret `{name}` is not for `{}`", target.host());
        Err(Denial::by_rule(DenialCode::SecretNotBound, sentence, granted.rule.clone()))
    }
}

impl FromIterator<(SecretName, Granted<SecretBinding>)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (SecretName, Granted<SecretBinding>)>>(secrets: I) -> Self {
        Self(secrets.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, RuleId};

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap()
    }

    #[test]
    fn names_are_those_of_variables() {
        for text in ["", "1A", "A-B", "A B", "A/B", "Ä", "A=", &"A".repeat(129)] {
            assert_eq!(SecretName::parse(text), None, "{text}");
        }
        assert_eq!(name("OPENAI_API_KEY").placeholder(), "par-secret://OPENAI_API_KEY");
    }

    #[test]
    fn placeholders_are_found_with_their_place() {
        let text = "Bearer par-secret://A_1, par-secret://, par-secret://1, xpar-secret://B";

        let found = SecretName::placeholders_in(text);

        assert_eq!(found, [(7..23, name("A_1")), (57..71, name("B"))]);
        assert_eq!(&text[7..23], "par-secret://A_1");
        assert_eq!(SecretName::placeholders_in("PAR-SECRET://A ä"), []);
    }

    /// hostile 126: a secret is for the hosts it is bound to.
    #[test]
    fn a_secret_is_for_its_hosts_only() {
        let binding = SecretBinding { hosts: vec![OutboundRule::parse("https://api.example.com/v1", &[]).unwrap()] };
        let granted = Granted { value: binding, origin: Origin::Unasked, rule: RuleId::new("grant.secrets.KEY") };
        let secrets: Secrets = [(name("KEY"), granted)].into_iter().collect();
        let judge = |secret: &str, url: &str| {
            let target = OutboundTarget::parse("POST", url).unwrap();
            secrets.judge(&name(secret), &target).map(|granted| granted.rule.to_string()).map_err(|d| d.code())
        };

        assert_eq!(judge("KEY", "https://api.example.com/v1/chat"), Ok("grant.secrets.KEY".to_owned()));
        for url in [
            "http://api.example.com/v1",
            "https://api.example.com/v2",
            "https://api.example.com:8443/v1",
            "https://evil.example/v1",
        ] {
            assert_eq!(judge("KEY", url), Err(DenialCode::SecretNotBound), "{url}");
        }
        assert_eq!(judge("OTHER", "https://api.example.com/v1"), Err(DenialCode::SecretNotGranted));
    }

    #[test]
    fn a_value_does_not_show() {
        let value = SecretValue::new(Zeroizing::new("5ec4e7".to_owned()));
        let values: SecretValues = [(name("KEY"), value)].into_iter().collect();

        assert!(!format!("{values:?}").contains("5ec4e7"));
        assert_eq!(values.get(&name("KEY")).map(SecretValue::expose), Some("5ec4e7"));
    }
}
