//! Every folder below `tests/cases/policy` is a policy and what must come of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folders;

use std::fmt::{Display, Write as _};
use std::path::Path;

use par_apkg::parse_policy;
use par_policy::policy::{Line, Policy, PolicySecret, SecretSource, VariableSource};

use folders::{Outcome, cases, hold, write_missing};

fn outcome(case: &Path) -> Outcome {
    match parse_policy(&fs_err::read(case.join("policy.yaml")).unwrap(), "policy.yaml") {
        Ok(policy) => ("ok.txt", describe(&policy)),
        Err(error) => {
            let mut text = format!("error: {error}\ncode: {}\n", error.code());
            if let Some(hint) = error.hint() {
                writeln!(text, "hint: {hint}").unwrap();
            }
            ("error.txt", text)
        }
    }
}

fn describe(policy: &Policy) -> String {
    let mut text = String::new();
    plain(&mut text, &policy.grant.outbound);
    plain(&mut text, &policy.grant.outbound_addresses);
    for line in &policy.grant.env {
        let (name, source) = &line.value;
        let source = match source {
            VariableSource::Value(value) => format!("{name}={value}"),
            VariableSource::Host(from) => format!("{name} from {from}"),
        };
        writeln!(text, "{}: {source}", line.rule).unwrap();
    }
    secrets(&mut text, &policy.grant.secrets);
    for (rule, (name, path)) in policy.grant.data.iter().chain(&policy.allow.data).map(|line| (&line.rule, &line.value))
    {
        writeln!(text, "{rule}: {path} at {}", name.guest_path()).unwrap();
    }
    for line in policy.grant.scratch.iter().chain(&policy.allow.scratch) {
        writeln!(text, "{}: {}", line.rule, line.value.mib()).unwrap();
    }
    if let Some(line) = &policy.grant.clock {
        writeln!(text, "{}: {:?}", line.rule, line.value.0).unwrap();
    }
    if let Some(line) = &policy.grant.random {
        writeln!(text, "{}: {}", line.rule, line.value.0).unwrap();
    }
    plain(&mut text, &policy.allow.outbound);
    plain(&mut text, &policy.allow.outbound_addresses);
    plain(&mut text, &policy.allow.env);
    secrets(&mut text, &policy.allow.secrets);
    plain(&mut text, &policy.deny.outbound);
    plain(&mut text, &policy.deny.outbound_addresses);
    plain(&mut text, &policy.deny.env);
    plain(&mut text, &policy.deny.secrets);
    plain(&mut text, &policy.deny.data);
    for (_, line) in policy.limits.iter() {
        writeln!(text, "{}: {}", line.rule, line.value).unwrap();
    }
    writeln!(text, "native: {:?}\nmode: {:?}", policy.native, policy.mode).unwrap();
    text
}

fn plain<T: Display>(text: &mut String, lines: &[Line<T>]) {
    for line in lines {
        writeln!(text, "{}: {}", line.rule, line.value).unwrap();
    }
}

fn secrets(text: &mut String, lines: &[Line<PolicySecret>]) {
    for line in lines {
        let hosts: Vec<_> = line.value.binding.hosts.iter().map(ToString::to_string).collect();
        let source = match &line.value.source {
            SecretSource::Environment(name) => format!("variable {name}"),
            SecretSource::File(path) => format!("file {path}"),
        };
        writeln!(text, "{}: {source} for {}", line.rule, hosts.join(", ")).unwrap();
    }
}

#[test]
fn every_case_comes_out_as_written_beside_it() {
    hold("policy", outcome);
    assert!(cases("policy").len() > 40, "the cases were found");
}

#[test]
#[ignore = "writes the expectations of new cases"]
fn write_missing_expectations() {
    write_missing("policy", outcome);
}
