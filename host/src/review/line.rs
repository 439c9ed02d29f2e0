//! Lines for a policy.

use std::net::IpAddr;

use par_policy::outbound::{Host, OutboundRule, OutboundTarget};
use par_policy::{Capability, DenialCode};

/// The line that would allow a request, as small as it can be said in one; `None` where none would: what is
/// denied by a rule, by its address or by its form is not granted by another rule.
#[must_use]
pub fn line_for(target: &OutboundTarget, code: DenialCode) -> Option<String> {
    let rule = || format!("grant: {{outbound: [{}]}}", item(&place_of(target), &[target.method().as_str()]));
    code.may_be_observed().then(rule)
}

/// What an operator could do about a denial on the record, as a sentence or a line of policy; `None` where
/// nothing should be done.
#[must_use]
pub fn advice(capability: Capability, code: DenialCode, target: &str) -> Option<String> {
    if let Some(key) = code.limit() {
        return Some(format!("limits: {{{key}: MORE}}"));
    }
    match capability {
        Capability::Outbound => {
            let (method, url) = target.split_once(' ')?;
            let target = OutboundTarget::parse(method, url).ok()?;
            line_for(&target, code).or_else(|| {
                let address = literal(&target).filter(|_| may_be_named(code))?;
                Some(format!("grant: {{outbound_addresses: [{:?}]}}", address.to_string()))
            })
        }
        Capability::Env => Some(format!("grant: {{env: {{{target}: {{from: {target}}}}}}}")),
        Capability::Secrets | Capability::Files | Capability::Limits | Capability::Native => None,
        _ => None,
    }
}

/// Whether a range under `outbound_addresses` can allow what this code denies.
pub(super) fn may_be_named(code: DenialCode) -> bool {
    use DenialCode as Code;
    matches!(
        code,
        Code::LoopbackAddress
            | Code::PrivateAddress
            | Code::LinkLocalAddress
            | Code::SharedAddress
            | Code::MulticastAddress
            | Code::UnspecifiedAddress
            | Code::BroadcastAddress
            | Code::DocumentationAddress
            | Code::TunnelAddress
            | Code::ReservedAddress
    )
}

/// The address that stands in the place of a name.
pub(super) fn literal(target: &OutboundTarget) -> Option<IpAddr> {
    match target.host() {
        Host::V4(address) => Some(IpAddr::V4(*address)),
        Host::V6(address) => Some(IpAddr::V6(*address)),
        Host::Name(_) => None,
    }
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
pub fn item(place: &str, methods: &[&str]) -> String {
    // A string of JSON is one of YAML, with the same escapes.
    format!("{{url: {}, methods: [{}]}}", serde_json::Value::from(place), methods.join(", "))
}
