//! The two judgements: about a target, and about an address.

use std::net::IpAddr;

use super::address;
use super::range::AddressRange;
use super::rule::{Fit, OutboundRule};
use super::target::OutboundTarget;
use crate::granted::{Granted, RuleId};
use crate::{Denial, DenialCode};

/// Every rule about outbound requests one agent runs under. Empty grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbound {
    rules: Vec<Granted<OutboundRule>>,
    addresses: Vec<Granted<AddressRange>>,
    denied: Vec<(RuleId, OutboundRule)>,
    denied_addresses: Vec<(RuleId, AddressRange)>,
}

impl Outbound {
    /// Rules that grant, ranges of addresses that are not public and may be dialled, and the
    /// rules and ranges that deny, which win.
    #[must_use]
    pub const fn new(
        rules: Vec<Granted<OutboundRule>>,
        addresses: Vec<Granted<AddressRange>>,
        denied: Vec<(RuleId, OutboundRule)>,
        denied_addresses: Vec<(RuleId, AddressRange)>,
    ) -> Self {
        Self { rules, addresses, denied, denied_addresses }
    }

    /// The rules that grant.
    #[must_use]
    pub fn rules(&self) -> &[Granted<OutboundRule>] {
        &self.rules
    }

    /// The ranges of addresses that are not public and may be dialled.
    #[must_use]
    pub fn addresses(&self) -> &[Granted<AddressRange>] {
        &self.addresses
    }

    /// The rules that deny.
    #[must_use]
    pub fn denied(&self) -> &[(RuleId, OutboundRule)] {
        &self.denied
    }

    /// The ranges of addresses that are denied, public ones among them.
    #[must_use]
    pub fn denied_addresses(&self) -> &[(RuleId, AddressRange)] {
        &self.denied_addresses
    }

    /// Whether a request may leave, before any name is resolved: the rule that grants it.
    ///
    /// # Errors
    /// [`Denial`] with the rule that denies, or with what the nearest rule lacks.
    pub fn judge(&self, target: &OutboundTarget) -> Result<&Granted<OutboundRule>, Denial> {
        if let Some((id, rule)) = self.denied.iter().find(|(_, rule)| rule.denies(target)) {
            let sentence = format!("`{target}` is denied by the rule `{rule}`");
            return Err(Denial::by_rule(DenialCode::DeniedByPolicy, sentence, id.clone()));
        }
        let mut nearest: Option<(Fit, &OutboundRule)> = None;
        for granted in &self.rules {
            match granted.value.fit(target) {
                Some(Fit::Whole) => return Ok(granted),
                Some(fit) if nearest.is_none_or(|(best, _)| best < fit) => nearest = Some((fit, &granted.value)),
                _ => {}
            }
        }
        Err(not_granted(target, nearest))
    }

    /// The rule that grants scheme, host and port of the target whatever path and method follow, for a connection
    /// nobody looks into. `None` where a rule that grants or denies wants to see them.
    #[must_use]
    pub fn judge_unseen(&self, target: &OutboundTarget) -> Option<&Granted<OutboundRule>> {
        if self.denied.iter().any(|(_, rule)| rule.reaches(target)) {
            return None;
        }
        self.rules.iter().find(|granted| granted.value.is_whole() && granted.value.reaches(target))
    }

    /// Whether an address may be dialled, for whatever name it stands.
    ///
    /// Public addresses may; others only when the policy names them; those that serve metadata
    /// never.
    ///
    /// # Errors
    /// [`Denial`] with the kind of the address.
    pub fn judge_address(&self, address: IpAddr) -> Result<(), Denial> {
        let denies = |range: &AddressRange| address::forms(address).any(|form| range.contains(form));
        if let Some((id, range)) = self.denied_addresses.iter().find(|(_, range)| denies(range)) {
            let sentence = format!("the address `{address}` is denied by the range `{range}`");
            return Err(Denial::by_rule(DenialCode::DeniedByPolicy, sentence, id.clone()));
        }
        let Some((code, what)) = address::special(address) else { return Ok(()) };
        let named = || self.addresses.iter().any(|granted| granted.value.contains(address));
        if code != DenialCode::MetadataAddress && named() {
            return Ok(());
        }
        Err(Denial::new(code, format!("the address `{address}` {what}")))
    }
}

fn not_granted(target: &OutboundTarget, nearest: Option<(Fit, &OutboundRule)>) -> Denial {
    let Some((fit, rule)) = nearest else {
        let host = target.host();
        return Denial::new(DenialCode::HostNotGranted, format!("no rule grants the host `{host}`"));
    };
    let (code, lacks) = match fit {
        Fit::OtherScheme => (DenialCode::SchemeNotGranted, format!("the scheme `{}`", target.scheme())),
        Fit::OtherPort => (DenialCode::PortNotGranted, format!("the port {}", target.port())),
        Fit::OtherPath => (DenialCode::PathNotGranted, format!("the path `{}`", target.path())),
        Fit::AmbiguousPath => {
            let sentence =
                format!("servers could disagree about the path `{}`, and the rule `{rule}` has a path", target.path());
            return Denial::new(DenialCode::AmbiguousPath, sentence);
        }
        Fit::OtherMethod | Fit::Whole => (DenialCode::MethodNotGranted, format!("the method `{}`", target.method())),
    };
    Denial::new(code, format!("the rule `{rule}` does not grant {lacks} of `{}`", target.host()))
}
