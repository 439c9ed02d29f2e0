//! Reads variables one by one and remembers what was wrong with them.

use std::time::Duration;

use super::mistake::{Expected, Mistake, Remark};
use super::raw::Environment;
use super::variables::{Fallback, Variable};
use crate::redact;

/// Longest time any variable may ask for: a week. Longer ones are typing mistakes, and timers
/// need not cope with them.
const LONGEST_SECONDS: f64 = 604_800.0;

pub(super) struct Reader<'a> {
    environment: &'a Environment,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) remarks: Vec<Remark>,
    #[cfg(test)]
    pub(super) read: std::collections::BTreeSet<&'static str>,
}

/// A value and the name it was set under.
pub(super) struct Given<'a> {
    name: &'static str,
    text: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self {
            environment,
            mistakes: Vec::new(),
            remarks: Vec::new(),
            #[cfg(test)]
            read: std::collections::BTreeSet::new(),
        }
    }

    /// The value of a variable whose default is in its table row.
    pub(super) fn value<T>(
        &mut self,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let given = self.given(variable)?;
        match (given, variable.default) {
            (Some(given), _) => self.parsed(variable, &given, parse),
            (None, Fallback::Value(text)) => parse(text).ok(),
            (None, _) => None,
        }
    }

    /// The value of a variable whose default is found at start.
    pub(super) fn value_or<T>(
        &mut self,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
        otherwise: impl FnOnce() -> T,
    ) -> Option<T> {
        match self.given(variable)? {
            Some(given) => self.parsed(variable, &given, parse),
            None => Some(otherwise()),
        }
    }

    /// The value of a variable that need not be set; an empty value counts as not set.
    pub(super) fn optional<T>(
        &mut self,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<Option<T>> {
        match self.given(variable)? {
            Some(given) if !given.text.is_empty() => self.parsed(variable, &given, parse).map(Some),
            _ => Some(None),
        }
    }

    /// The value of a variable PAR does not start without, exactly as given.
    pub(super) fn required(&mut self, variable: &'static Variable) -> Option<String> {
        match self.given(variable)? {
            Some(given) if !given.text.trim().is_empty() => Some(given.text.to_owned()),
            _ => {
                self.mistakes.push(Mistake::Missing { variable: variable.name });
                None
            }
        }
    }

    /// What a variable is set to. Outer `None`: to something that is not text, a mistake.
    pub(super) fn given(&mut self, variable: &'static Variable) -> Option<Option<Given<'a>>> {
        #[cfg(test)]
        self.read.insert(variable.name);
        let environment = self.environment;
        let names = std::iter::once(variable.name).chain(variable.aliases.iter().copied());
        let Some((name, value)) = names.into_iter().find_map(|name| Some((name, environment.get(name)?))) else {
            return Some(None);
        };
        if let Some(text) = value.to_str() {
            return Some(Some(Given { name, text }));
        }
        self.mistakes.push(Mistake::Invalid {
            variable: name,
            value: shown(variable, &value.to_string_lossy()),
            expected: "UTF-8 text".to_owned(),
        });
        None
    }

    fn parsed<T>(
        &mut self,
        variable: &Variable,
        given: &Given<'_>,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        match parse(given.text) {
            Ok(value) => Some(value),
            Err(expected) => {
                let value = shown(variable, given.text);
                self.mistakes.push(Mistake::Invalid { variable: given.name, value, expected: expected.to_string() });
                None
            }
        }
    }

    pub(super) fn refuse(&mut self, variable: &'static Variable, value: String, expected: impl Into<String>) {
        self.mistakes.push(Mistake::Invalid { variable: variable.name, value, expected: expected.into() });
    }

    pub(super) fn remark(&mut self, variable: &'static Variable, value: String, text: &'static str) {
        self.remarks.push(Remark { variable: variable.name, value, text });
    }
}

/// A value as it may be logged.
fn shown(variable: &Variable, text: &str) -> String {
    match variable.unit {
        "secret" => redact::REDACTED.to_owned(),
        unit if unit.contains("URL") => redact::mask_url(text),
        _ => text.to_owned(),
    }
}

/// A whole number within bounds; digits only, no sign.
pub(super) fn whole(text: &str, lowest: u64, highest: u64) -> Result<u64, Expected> {
    let text = text.trim();
    Some(text)
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|number| (lowest..=highest).contains(number))
        .ok_or_else(|| Expected::new(format!("a whole number from {lowest} to {highest}")))
}

/// A finite number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// A duration in units of `unit_seconds`, zero included.
pub(super) fn duration(text: &str, unit_seconds: f64) -> Result<Duration, Expected> {
    let highest = LONGEST_SECONDS / unit_seconds;
    number(text)
        .filter(|number| (0.0..=highest).contains(number))
        .and_then(|number| Duration::try_from_secs_f64(number * unit_seconds).ok())
        .ok_or_else(|| Expected::new(format!("a number from 0 to {highest}")))
}

/// A duration in units of `unit_seconds`, longer than nothing.
pub(super) fn positive_duration(text: &str, unit_seconds: f64) -> Result<Duration, Expected> {
    duration(text, unit_seconds)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| Expected::new(format!("a number above 0 and up to {}", LONGEST_SECONDS / unit_seconds)))
}

/// One of the words for yes and no.
pub(super) fn boolean(text: &str) -> Result<bool, Expected> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Expected::new("`true` or `false`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_sign_fraction_or_other_digits() {
        for text in ["", " ", "-1", "+1", "1.0", "1e3", "0x10", "abc", "١", "99999999999999999999"] {
            assert!(whole(text, 0, u64::MAX).is_err(), "{text:?}");
        }
        assert_eq!(whole(" 8080 ", 1, 65_535), Ok(8080));
    }

    #[test]
    fn durations_are_finite_and_within_a_week() {
        for text in ["", "-1", "nan", "inf", "1e300", "604801", "30s"] {
            assert!(duration(text, 1.0).is_err(), "{text:?}");
        }
        assert_eq!(duration("0.5", 1.0), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1500", 0.001), Ok(Duration::from_millis(1500)));
        assert!(positive_duration("0", 1.0).is_err());
    }

    #[test]
    fn words_for_yes_and_no_in_any_case() {
        for (text, value) in [
            ("TRUE", true),
            ("1", true),
            ("Yes", true),
            ("on", true),
            ("False", false),
            ("0", false),
            ("no", false),
            (" OFF ", false),
        ] {
            assert_eq!(boolean(text), Ok(value), "{text}");
        }
        assert!(boolean("maybe").is_err());
    }
}
