//! Lines for a policy.

use par_policy::DenialCode;
use par_policy::outbound::{Method, OutboundRule, OutboundTarget};

/// The line that would allow a request, as small as it can be said in one; `None` where none would: what is
/// denied by a rule, by its address or by its form is not granted by another rule.
#[must_use]
pub fn line_for(target: &OutboundTarget, code: DenialCode) -> Option<String> {
    code.may_be_observed().then(|| format!("grant: {{outbound: [{}]}}", rule_for(target)))
}

/// The smallest rule for one request, as YAML on one line.
fn rule_for(target: &OutboundTarget) -> String {
    item(&place_of(target), &[target.method()])
}

/// Scheme, host, port and path of a request, in a form a rule may have. Where servers could disagree about the
/// path, without it.
#[must_use]
pub fn place_of(target: &OutboundTarget) -> String {
    let origin = format!("{}://{}", target.scheme(), target.authority());
    let whole = format!("{origin}{}", if target.path() == "/" { "" } else { target.path() });
    if OutboundRule::parse(&whole, &[]).is_ok() { whole } else { origin }
}

/// A rule as an item of a list in YAML.
#[must_use]
pub fn item(place: &str, methods: &[&Method]) -> String {
    let methods: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    // A string of JSON is one of YAML, with the same escapes.
    format!("{{url: {}, methods: [{}]}}", serde_json::Value::from(place), methods.join(", "))
}
