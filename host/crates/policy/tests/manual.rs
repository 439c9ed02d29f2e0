//! `docs/capabilities.md` has every code and every limit, as they are.

use std::num::NonZeroUsize;

use par_policy::{DenialCode, InstanceCount, LimitKey, Limits};

const MANUAL: &str = include_str!("../../../../docs/capabilities.md");

#[test]
fn every_code_is_in_the_manual() {
    let missing: Vec<_> = DenialCode::ALL.iter().filter(|code| !MANUAL.contains(&format!("`{code}`"))).collect();

    assert!(missing.is_empty(), "docs/capabilities.md does not mention {missing:?}");
}

#[test]
fn every_limit_is_in_the_manual_with_its_range_and_default() {
    let limits = Limits::default_with(InstanceCount::one_per_core(NonZeroUsize::MIN));
    for key in LimitKey::all() {
        let (least, most) = key.range();
        let default = match key.as_str() {
            "instances" => "the number of cores".to_owned(),
            _ => key.value_in(&limits).to_string(),
        };
        let row = format!("| `{}` | {least} | {most} | {default} |", key.as_str());

        assert!(MANUAL.contains(&row), "docs/capabilities.md lacks a row that begins\n{row}");
    }
}
