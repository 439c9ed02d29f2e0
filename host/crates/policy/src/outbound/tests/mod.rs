//! Targets, rules and addresses against each other.

mod addresses;
mod judging;
mod rules;
mod targets;

use super::*;
use crate::{DenialCode, Granted, Origin, RuleId};

fn target(url: &str) -> OutboundTarget {
    OutboundTarget::parse("GET", url).unwrap_or_else(|denial| panic!("{url}: {denial}"))
}

fn code(url: &str) -> DenialCode {
    OutboundTarget::parse("GET", url).expect_err(url).code()
}

fn outbound(rules: &[&str], denied: &[&str], addresses: &[&str]) -> Outbound {
    let id = |list: &str, index: usize| RuleId::new(format!("{list}[{index}]"));
    let granted = |(index, text): (usize, &&str)| Granted {
        value: OutboundRule::parse(text, &[]).unwrap(),
        origin: Origin::Unasked,
        rule: id("grant.outbound", index),
    };
    let range = |(index, text): (usize, &&str)| Granted {
        value: text.parse().unwrap(),
        origin: Origin::Unasked,
        rule: id("grant.outbound_addresses", index),
    };
    let deny =
        |(index, text): (usize, &&str)| (id("deny.outbound", index), OutboundRule::parse_denying(text, &[]).unwrap());
    Outbound::new(
        rules.iter().enumerate().map(granted).collect(),
        addresses.iter().enumerate().map(range).collect(),
        denied.iter().enumerate().map(deny).collect(),
        Vec::new(),
    )
}

fn judged(outbound: &Outbound, url: &str) -> Result<String, DenialCode> {
    let target = OutboundTarget::parse("GET", url).map_err(|denial| denial.code())?;
    outbound.judge(&target).map(|granted| granted.rule.to_string()).map_err(|denial| denial.code())
}
