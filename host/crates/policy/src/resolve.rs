//! Where requests and policy meet.

use std::fmt::{self, Display};

use crate::grants::{Contents, GrantedVariable, Precedence};
use crate::limits::LimitSettings;
use crate::name::{DataName, DataPath, VariablePattern};
use crate::outbound::{AddressRange, Outbound, OutboundRule};
use crate::policy::{Line, Policy, PolicySecret, Requested, ScratchLimit, VariableSource};
use crate::secret::{SecretBinding, SecretName};
use crate::{Capability, DenialCode, Granted, Grants, Limits, Origin, RuleId};

/// One thing a package asks for and does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What kind of thing.
    pub capability: Capability,
    /// `above_policy`, or `asked_for_denied` where a rule under `deny` names it.
    pub code: DenialCode,
    /// The line of the package that asks.
    pub asked_at: RuleId,
    /// What it asks for.
    pub asked: String,
    /// What the policy has instead, as the end of a sentence.
    pub policy: String,
    /// The line of the policy that is in the way, if it is one.
    pub rule: Option<RuleId>,
}

/// ``requests `https://a.example` (`sandbox.outbound[0]`); policy allows nothing``
impl Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "requests {} (`{}`); policy {}", self.asked, self.asked_at, self.policy)
    }
}

/// A package that asks for more than the policy allows. It gets nothing: a package that was
/// narrowed silently fails where nobody looks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the package {}", .differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; it "))]
pub struct AbovePolicy {
    /// Everything it asks for and does not get, in the order of the documentation. Never empty.
    pub differences: Vec<Difference>,
}

impl Grants {
    /// Resolves what a package requests against what the operator decides. `base` are the
    /// limits where the policy sets none.
    ///
    /// # Errors
    /// [`AbovePolicy`] with every request that goes beyond the policy.
    pub fn resolve(requested: &Requested, policy: &Policy, base: Limits) -> Result<Self, AbovePolicy> {
        let mut differences = Vec::new();
        let contents = Contents {
            outbound: Outbound::new(
                outbound(requested, policy, &mut differences),
                addresses(requested, policy, &mut differences),
                pairs(&policy.deny.outbound),
                pairs(&policy.deny.outbound_addresses),
            ),
            variables: variables(requested, policy, &mut differences),
            denied_variables: pairs(&policy.deny.env),
            secrets: secrets(requested, policy, &mut differences),
            data: data(requested, policy, &mut differences),
            scratch: scratch(requested, policy, &mut differences),
            clock: fixed(&requested.clock, &policy.grant.clock, Capability::Clock, &mut differences),
            random: fixed(&requested.random, &policy.grant.random, Capability::Random, &mut differences),
            limits: limits(&requested.limits, &policy.limits, base, &mut differences),
            mode: policy.mode,
        };
        if differences.is_empty() { Ok(Self::of(contents)) } else { Err(AbovePolicy { differences }) }
    }
}

fn pairs<T: Clone>(lines: &[Line<T>]) -> Vec<(RuleId, T)> {
    lines.iter().map(|line| (line.rule.clone(), line.value.clone())).collect()
}

fn granted<T>(value: T, origin: Origin, rule: &RuleId) -> Granted<T> {
    Granted { value, origin, rule: rule.clone() }
}

/// What a policy allows, as the end of a sentence.
fn allows<T: Display>(lines: impl Iterator<Item = T>) -> String {
    let allowed: Vec<String> = lines.map(|line| format!("`{line}`")).collect();
    if allowed.is_empty() { "allows nothing".to_owned() } else { format!("allows {}", allowed.join(", ")) }
}

fn denied(capability: Capability, asked_at: &RuleId, asked: impl Display, rule: &RuleId) -> Difference {
    Difference {
        capability,
        code: DenialCode::AskedForDenied,
        asked_at: asked_at.clone(),
        asked: format!("`{asked}`"),
        policy: format!("denies it in `{rule}`"),
        rule: Some(rule.clone()),
    }
}

fn above(capability: Capability, asked_at: &RuleId, asked: impl Display, policy: String) -> Difference {
    let asked_at = asked_at.clone();
    Difference { capability, code: DenialCode::AbovePolicy, asked_at, asked: format!("`{asked}`"), policy, rule: None }
}

/// Requests for rules of one kind: each needs a rule of the policy that covers it whole, and
/// none under `deny` that does.
fn covered<T: Clone + Display + PartialEq>(
    [requested, grant, allow, deny]: [&[Line<T>]; 4],
    covers: impl Fn(&T, &T) -> bool,
    differences: &mut Vec<Difference>,
) -> Vec<Granted<T>> {
    let covering = |lines: &[Line<T>], asked: &T| {
        lines.iter().find(|line| covers(&line.value, asked)).map(|line| line.rule.clone())
    };
    let mut list = Vec::new();
    for asked in requested {
        if let Some(rule) = covering(deny, &asked.value) {
            differences.push(denied(Capability::Outbound, &asked.rule, &asked.value, &rule));
        } else if let Some(rule) = covering(grant, &asked.value).or_else(|| covering(allow, &asked.value)) {
            list.push(granted(asked.value.clone(), Origin::Asked, &rule));
        } else {
            let policy = allows(grant.iter().chain(allow).map(|line| &line.value));
            differences.push(above(Capability::Outbound, &asked.rule, &asked.value, policy));
        }
    }
    let unasked = grant.iter().filter(|line| requested.iter().all(|asked| asked.value != line.value));
    list.extend(unasked.map(|line| granted(line.value.clone(), Origin::Unasked, &line.rule)));
    list
}

fn outbound(requested: &Requested, policy: &Policy, differences: &mut Vec<Difference>) -> Vec<Granted<OutboundRule>> {
    let lists = [&requested.outbound, &policy.grant.outbound, &policy.allow.outbound, &policy.deny.outbound];
    covered(lists.map(Vec::as_slice), |wide, narrow| narrow.is_covered_by(wide), differences)
}

fn addresses(requested: &Requested, policy: &Policy, differences: &mut Vec<Difference>) -> Vec<Granted<AddressRange>> {
    let lists = [
        &requested.outbound_addresses,
        &policy.grant.outbound_addresses,
        &policy.allow.outbound_addresses,
        &policy.deny.outbound_addresses,
    ];
    covered(lists.map(Vec::as_slice), AddressRange::covers, differences)
}

fn variables(requested: &Requested, policy: &Policy, differences: &mut Vec<Difference>) -> Vec<GrantedVariable> {
    let is_denied = |name: &str| policy.deny.env.iter().find(|line| line.value.denies(name));
    let mut list: Vec<GrantedVariable> = policy
        .grant
        .env
        .iter()
        .filter(|line| is_denied(line.value.0.as_str()).is_none())
        .map(|line| {
            let (name, source) = line.value.clone();
            let asked = requested.env.iter().any(|asked| asked.value == name);
            let origin = if asked { Origin::Asked } else { Origin::Unasked };
            GrantedVariable { name, source: granted(source, origin, &line.rule), precedence: Precedence::AbovePackage }
        })
        .collect();
    for asked in &requested.env {
        let name = &asked.value;
        if let Some(line) = is_denied(name.as_str()) {
            differences.push(denied(Capability::Env, &asked.rule, name, &line.rule));
        } else if list.iter().any(|granted| granted.name == *name) {
        } else if let Some(line) = policy.allow.env.iter().find(|line| line.value.grants(name)) {
            let source = granted(VariableSource::Host(name.clone()), Origin::Asked, &line.rule);
            list.push(GrantedVariable { name: name.clone(), source, precedence: Precedence::BelowPackage });
        } else {
            let policy = allows(policy.allow.env.iter().map(|line: &Line<VariablePattern>| &line.value));
            differences.push(above(Capability::Env, &asked.rule, name, policy));
        }
    }
    list
}

fn secrets(
    requested: &Requested,
    policy: &Policy,
    differences: &mut Vec<Difference>,
) -> Vec<(SecretName, Granted<PolicySecret>)> {
    let deny = |name: &SecretName| policy.deny.secrets.iter().find(|line| line.value == *name);
    let mut list: Vec<(SecretName, Granted<PolicySecret>)> = policy
        .grant
        .secrets
        .iter()
        .filter(|line| deny(&line.value.name).is_none())
        .map(|line| (line.value.name.clone(), granted(line.value.clone(), Origin::Unasked, &line.rule)))
        .collect();
    for asked in &requested.secrets {
        let (name, binding) = &asked.value;
        if let Some(line) = deny(name) {
            differences.push(denied(Capability::Secrets, &asked.rule, name, &line.rule));
        } else if let Some((_, granted)) = list.iter_mut().find(|(granted, _)| granted == name) {
            if !is_bound_within(binding, &granted.value.binding) {
                differences.push(beyond_binding(&asked.rule, name, binding, &granted.value.binding));
            }
            granted.origin = Origin::Asked;
        } else if let Some(line) = policy.allow.secrets.iter().find(|line| line.value.name == *name) {
            if !is_bound_within(binding, &line.value.binding) {
                differences.push(beyond_binding(&asked.rule, name, binding, &line.value.binding));
            }
            let secret = PolicySecret { binding: binding.clone(), ..line.value.clone() };
            list.push((name.clone(), granted(secret, Origin::Asked, &line.rule)));
        } else {
            let policy = allows(policy.allow.secrets.iter().map(|line| &line.value.name));
            differences.push(above(Capability::Secrets, &asked.rule, name, policy));
        }
    }
    list
}

fn is_bound_within(narrow: &SecretBinding, wide: &SecretBinding) -> bool {
    narrow.hosts.iter().all(|host| wide.hosts.iter().any(|wide| host.is_covered_by(wide)))
}

fn beyond_binding(asked_at: &RuleId, name: &SecretName, asked: &SecretBinding, policy: &SecretBinding) -> Difference {
    let hosts: Vec<String> = asked.hosts.iter().map(|host| format!("`{host}`")).collect();
    Difference {
        asked: format!("`{name}` for {}", hosts.join(", ")),
        ..above(Capability::Secrets, asked_at, name, allows(policy.hosts.iter()))
    }
}

fn data(
    requested: &Requested,
    policy: &Policy,
    differences: &mut Vec<Difference>,
) -> Vec<(DataName, Granted<DataPath>)> {
    let deny = |name: &DataName| policy.deny.data.iter().find(|line| line.value == *name);
    let mut list: Vec<_> = policy
        .grant
        .data
        .iter()
        .filter(|line| deny(&line.value.0).is_none())
        .map(|line| (line.value.0.clone(), granted(line.value.1.clone(), Origin::Unasked, &line.rule)))
        .collect();
    for asked in &requested.data {
        let name = &asked.value;
        if let Some(line) = deny(name) {
            differences.push(denied(Capability::Files, &asked.rule, name, &line.rule));
        } else if let Some((_, granted)) = list.iter_mut().find(|(granted, _)| granted == name) {
            granted.origin = Origin::Asked;
        } else if let Some(line) = policy.allow.data.iter().find(|line| line.value.0 == *name) {
            list.push((name.clone(), granted(line.value.1.clone(), Origin::Asked, &line.rule)));
        } else {
            let policy = allows(policy.allow.data.iter().map(|line| &line.value.0));
            differences.push(above(Capability::Files, &asked.rule, name, policy));
        }
    }
    list
}

fn scratch(requested: &Requested, policy: &Policy, differences: &mut Vec<Difference>) -> Option<Granted<ScratchLimit>> {
    let most = [&policy.grant.scratch, &policy.allow.scratch].into_iter().flatten().max_by_key(|line| line.value);
    let Some(asked) = &requested.scratch else {
        return policy.grant.scratch.as_ref().map(|line| granted(line.value, Origin::Unasked, &line.rule));
    };
    match most {
        Some(line) if asked.value <= line.value => Some(granted(asked.value, Origin::Asked, &line.rule)),
        most => {
            let policy = match most {
                Some(line) => format!("allows {} MiB", line.value.mib()),
                None => "allows none".to_owned(),
            };
            let asked_for = format!("{} MiB of scratch space", asked.value.mib());
            differences.push(Difference { asked: asked_for, ..above(Capability::Files, &asked.rule, "", policy) });
            None
        }
    }
}

/// A clock or a seed: who fixes it may be either side, and both only to the same value.
fn fixed<T: Copy + PartialEq>(
    requested: &Option<Line<T>>,
    policy: &Option<Line<T>>,
    capability: Capability,
    differences: &mut Vec<Difference>,
) -> Option<Granted<T>> {
    match (requested, policy) {
        (None, None) => None,
        (Some(asked), None) => Some(granted(asked.value, Origin::Asked, &asked.rule)),
        (None, Some(line)) => Some(granted(line.value, Origin::Unasked, &line.rule)),
        (Some(asked), Some(line)) => {
            if asked.value != line.value {
                let policy = format!("fixes it to another value in `{}`", line.rule);
                differences.push(Difference {
                    asked: format!("a fixed {}", capability.as_str()),
                    rule: Some(line.rule.clone()),
                    ..above(capability, &asked.rule, "", policy)
                });
            }
            Some(granted(line.value, Origin::Asked, &line.rule))
        }
    }
}

fn limits(
    requested: &LimitSettings,
    policy: &LimitSettings,
    base: Limits,
    differences: &mut Vec<Difference>,
) -> Limits {
    let ceiling = policy.over(base);
    for (key, asked) in requested.iter() {
        let most = key.value_in(&ceiling);
        if asked.value > most {
            let asked_for = format!("{}: {}", key.as_str(), asked.value);
            differences.push(above(Capability::Limits, &asked.rule, asked_for, format!("allows `{most}`")));
        }
    }
    requested.over(ceiling)
}

#[cfg(test)]
mod tests;
