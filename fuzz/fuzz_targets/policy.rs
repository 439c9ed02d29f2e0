//! Any bytes as a policy: refused in one line, or something that grants nothing it denies.
#![no_main]

use std::num::NonZeroUsize;

use libfuzzer_sys::fuzz_target;
use par_apkg::parse_policy;
use par_fuzz::{assert_presentable, seeds};
use par_policy::outbound::{OutboundRule, OutboundTarget};
use par_policy::policy::{Line, Requested};
use par_policy::{Grants, InstanceCount, Limits};

fuzz_target!(init: seeds::plant(seeds::policies), |bytes: &[u8]| {
    let policy = match parse_policy(bytes, "policy.yaml") {
        Ok(policy) => policy,
        Err(error) => {
            assert_presentable(&error);
            return;
        }
    };
    let base = Limits::default_with(InstanceCount::one_per_core(NonZeroUsize::MIN));
    let allowed = policy.grant.outbound.iter().chain(&policy.allow.outbound);
    let granted: Vec<&Line<OutboundRule>> = allowed.clone().collect();
    for line in &granted {
        let text = line.value.to_string();
        let url = text.rsplit(' ').next().unwrap_or_default();
        let methods: Vec<&str> = line.value.methods().into_iter().flatten().map(|method| method.as_str()).collect();
        assert_eq!(OutboundRule::parse(url, &methods).as_ref(), Ok(&line.value), "a rule is what it displays as");
    }

    // Asking for all of it is granted, unless a rule under `deny` names it.
    let requested = Requested { outbound: granted.into_iter().cloned().collect(), ..Requested::default() };
    let is_denied = |rule: &OutboundRule| policy.deny.outbound.iter().any(|line| rule.is_covered_by(&line.value));
    let expected = requested.outbound.iter().all(|line| !is_denied(&line.value));
    match Grants::resolve(&requested, &policy, base) {
        Err(above) => {
            assert!(!expected, "{above}");
            assert!(!above.differences.is_empty());
        }
        Ok(grants) => {
            assert!(expected);
            for line in policy.deny.outbound.iter().chain(allowed) {
                let host = line.value.host().to_string().replace('*', "a");
                for url in [format!("https://{host}/"), format!("http://{host}:8080/v1/x")] {
                    if let Ok(target) = OutboundTarget::parse("GET", &url) {
                        let denied = policy.deny.outbound.iter().any(|line| line.value.is_for(&target));
                        assert!(!denied || grants.outbound().judge(&target).is_err(), "{target}");
                    }
                }
            }
        }
    }
});
