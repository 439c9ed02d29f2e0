//! Lines for a policy.

use std::net::IpAddr;

use par_policy::name::DataName;
use par_policy::outbound::{Host, OutboundRule, OutboundTarget};
use par_policy::secret::SecretName;
use par_policy::{AuditEvent, Capability, DenialCode, Grants, RuleId};

/// The line that would allow a request, as small as it can be said in one; `None` where none would: what is
/// denied by a rule, by its address or by its form is not granted by another rule.
#[must_use]
pub fn line_for(target: &OutboundTarget, code: DenialCode) -> Option<String> {
    let rule = || format!("grant: {{outbound: [{}]}}", item(&place_of(target), &[target.method().as_str()]));
    code.may_be_observed().then(rule)
}

/// The line that would grant a secret towards the host of a request; `None` where it is granted and for others:
/// whoever got a placeholder that was not theirs must not get the value because somebody copied a line.
#[must_use]
pub fn line_for_secret(name: &SecretName, target: &OutboundTarget, code: DenialCode) -> Option<String> {
    let host = serde_json::Value::from(format!("{}://{}", target.scheme(), target.authority()));
    (code == DenialCode::SecretNotGranted).then(|| format!("grant: {{secrets: {{{name}: {{hosts: [{host}]}}}}}}"))
}

/// The line that would make a path of the agent exist, with a word in capitals for what only the operator knows.
#[must_use]
pub fn line_for_path(path: &str) -> Option<String> {
    let below = |top: &str| path.strip_prefix(top).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    if below(Grants::scratch_path()).is_some() {
        return Some("grant: {files: {scratch_mib: 64}}".to_owned());
    }
    let name = DataName::parse(below("/data")?.strip_prefix('/')?.split('/').next()?)?;
    Some(format!("grant: {{files: {{data: {{{}: DIRECTORY}}}}}}", name.as_str()))
}

/// What an operator could do about a denial on the record, as a line of policy; `None` where nothing should be done.
#[must_use]
pub fn advice(event: &AuditEvent) -> Option<String> {
    let (code, target) = (event.code?, event.target.as_str());
    if let Some(key) = event.rule.as_ref().and_then(RuleId::limit) {
        return Some(format!("limits: {{{key}: MORE}}"));
    }
    match event.capability {
        Capability::Outbound => {
            let (method, url) = target.split_once(' ')?;
            let target = OutboundTarget::parse(method, url).ok()?;
            line_for(&target, code).or_else(|| {
                let address = literal(&target).filter(|_| may_be_named(code))?;
                Some(format!("grant: {{outbound_addresses: [{:?}]}}", address.to_string()))
            })
        }
        Capability::Env if code == DenialCode::VariableNotGranted => {
            Some(format!("grant: {{env: {{{target}: {{from: {target}}}}}}}"))
        }
        Capability::Secrets => {
            let (name, request) = target.split_once(" in ")?;
            let (method, url) = request.split_once(' ')?;
            line_for_secret(&SecretName::parse(name)?, &OutboundTarget::parse(method, url).ok()?, code)
        }
        Capability::Files if code == DenialCode::FileNotGranted => line_for_path(target),
        Capability::Files if code == DenialCode::ScratchFull => Some("grant: {files: {scratch_mib: MORE}}".to_owned()),
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

#[cfg(test)]
mod tests {
    use par_policy::{Denial, LimitKey};

    use super::*;

    fn advised(capability: Capability, target: &str, denial: &Denial) -> Option<String> {
        advice(&AuditEvent::denied(capability, target, denial))
    }

    /// Whether a line is one a policy may have, once the words in capitals are something.
    fn is_policy(line: &str) -> bool {
        let text = line.replace("MORE", "64").replace("DIRECTORY", "/srv/models");
        par_apkg::parse_policy(format!("version: 1\n{text}\n").as_bytes(), "policy").is_ok()
    }

    #[test]
    fn each_denial_that_may_be_allowed_has_its_line_and_the_line_is_policy() {
        use DenialCode as Code;
        for (capability, code, target, expected) in [
            (Capability::Env, Code::VariableNotGranted, "REGION", "grant: {env: {REGION: {from: REGION}}}"),
            (
                Capability::Secrets,
                Code::SecretNotGranted,
                "KEY in POST https://a.example:8443/v1",
                "grant: {secrets: {KEY: {hosts: [\"https://a.example:8443\"]}}}",
            ),
            (
                Capability::Files,
                Code::FileNotGranted,
                "/data/models/a/b",
                "grant: {files: {data: {models: DIRECTORY}}}",
            ),
            (Capability::Files, Code::FileNotGranted, "/scratch/x", "grant: {files: {scratch_mib: 64}}"),
            (Capability::Files, Code::ScratchFull, "/scratch", "grant: {files: {scratch_mib: MORE}}"),
            (Capability::Limits, Code::MemoryExhausted, "memory", "limits: {memory_mib: MORE}"),
        ] {
            let line = advised(capability, target, &Denial::new(code, "no")).unwrap();
            assert_eq!(line, expected);
            assert!(is_policy(&line), "{line}");
        }
        for key in [
            LimitKey::OUTBOUND_CONNECT_TIMEOUT,
            LimitKey::OUTBOUND_IDLE_TIMEOUT,
            LimitKey::OUTBOUND_TIMEOUT,
            LimitKey::OUTBOUND_CONCURRENT_REQUESTS,
        ] {
            let denial = Denial::by_limit(Code::OutboundTimeout, "late", key);
            let line = advised(Capability::Outbound, "GET https://a.example/", &denial).unwrap();
            assert_eq!(line, format!("limits: {{{}: MORE}}", key.as_str()));
            assert!(is_policy(&line), "{line}");
        }
    }

    #[test]
    fn what_should_not_be_allowed_has_no_line() {
        use DenialCode as Code;
        for (capability, code, target) in [
            (Capability::Secrets, Code::SecretNotBound, "KEY in GET https://evil.example/"),
            (Capability::Secrets, Code::SecretReflected, "KEY in GET https://a.example/"),
            (Capability::Env, Code::DeniedByPolicy, "REGION"),
            (Capability::Files, Code::FileNotGranted, "/etc/passwd"),
            (Capability::Files, Code::FileNotGranted, "/data/../etc"),
            (Capability::Files, Code::ReadOnly, "/data/models/x"),
            (Capability::Outbound, Code::MetadataAddress, "GET http://169.254.169.254/"),
        ] {
            assert_eq!(advised(capability, target, &Denial::new(code, "no")), None, "{target}");
        }
    }
}
