//! Every folder below `tests/cases/policy` is a policy and what must come of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::{Display, Write as _};
use std::path::{Path, PathBuf};

use par_apkg::parse_policy;
use par_policy::policy::{Line, Policy, PolicySecret, SecretSource, VariableSource};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/cases/policy");
    let mut cases: Vec<_> =
        fs_err::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

/// The name of the file the outcome belongs in, and its content.
fn outcome(case: &Path) -> (&'static str, String) {
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
    let mut wrong = String::new();
    for case in cases() {
        let (file, text) = outcome(&case);
        let expected = fs_err::read_to_string(case.join(file)).unwrap_or_default();
        if expected != text {
            writeln!(wrong, "{}: expected in {file}:\n{expected}\ngot:\n{text}", case.display()).unwrap();
        }
        let other = if file == "ok.txt" { "error.txt" } else { "ok.txt" };
        if case.join(other).exists() {
            writeln!(wrong, "{}: {other} is for an outcome that did not happen", case.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases().len() > 40, "the cases were found");
}

#[test]
#[ignore = "writes the expectations of new cases"]
fn write_missing_expectations() {
    for case in cases() {
        let (file, text) = outcome(&case);
        if !case.join("ok.txt").exists() && !case.join("error.txt").exists() {
            fs_err::write(case.join(file), text).unwrap();
        }
    }
}
