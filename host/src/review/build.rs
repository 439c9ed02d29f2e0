//! From a package and a policy to a [`Review`].

use std::collections::BTreeMap;

use par_apkg::Package;
use par_apkg::manifest::{A2aEntry, Manifest, RestEntry, UiSource};
use par_apkg::requirement::DependencySource;
use par_policy::policy::{Line, Policy, Requested, SecretSource, VariableSource};
use par_policy::{Difference, Grants, LimitKey, Limits, Mode, Origin, Precedence, RuleId};

use super::backend;
use super::model::{
    About, AddressGrant, Decided, DeniedRule, Dependencies, FORMAT, FileGrant, FixedGrant, LimitFact, OutboundGrant,
    PolicyFacts, Refused, Review, SecretGrant, SurfaceFact, VERSION, VariableGrant, Verdict,
};
use crate::grants::time_of;

/// What a review is about.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The package, opened.
    pub package: &'a Package,
    /// What reviewers know it by: the name of its file or directory.
    pub file: String,
    /// Digest of the file; `None` for a directory.
    pub sha256: Option<String>,
    /// Files of the package that are machine code.
    pub native_files: Vec<String>,
    /// The policy.
    pub policy: &'a Policy,
    /// The path or the variable it comes from; `None` without one.
    pub policy_source: Option<String>,
    /// Its text; empty without one.
    pub policy_text: &'a [u8],
    /// The limits where the policy sets none.
    pub limits: Limits,
}

/// Brings a package and a policy together as a start of the agent would, and says what came of it.
///
/// Nothing of the machine is looked at: whether secrets have values and directories exist is found at the
/// start.
#[must_use]
pub fn review(subject: &Subject<'_>) -> Review {
    let requested = &subject.package.requested;
    let (grants, refused) = match Grants::resolve(requested, subject.policy, subject.limits) {
        Ok(grants) => (Some(grants), Vec::new()),
        Err(above) => {
            let lines: Vec<RuleId> = above.differences.iter().map(|difference| difference.asked_at.clone()).collect();
            // What it would get if it left these lines out. They are judged one by one, so nothing else differs.
            let rest = Grants::resolve(&requested.without(&lines), subject.policy, subject.limits);
            (rest.ok(), above.differences)
        }
    };
    let all = Build { subject, requested, refused: &refused };
    Review {
        format: FORMAT,
        version: VERSION,
        par: env!("CARGO_PKG_VERSION"),
        verdict: if refused.is_empty() { Verdict::Granted } else { Verdict::AbovePolicy },
        package: about(subject),
        policy: policy(subject),
        differences: refused.iter().map(difference).collect(),
        backend: backend::facts(&subject.policy.native),
        outbound: all.outbound(grants.as_ref()),
        outbound_addresses: all.addresses(grants.as_ref()),
        secrets: all.secrets(grants.as_ref()),
        files: all.files(grants.as_ref()),
        environment: all.environment(grants.as_ref()),
        determinism: all.determinism(grants.as_ref()),
        limits: all.limits(grants.as_ref()),
        denied: denied(subject.policy),
        dependencies: dependencies(subject),
        remarks: remarks(subject.package),
    }
}

struct Build<'a> {
    subject: &'a Subject<'a>,
    requested: &'a Requested,
    refused: &'a [Difference],
}

impl Build<'_> {
    /// What is granted by a line of the policy, or of the package where no policy is needed.
    fn granted(&self, origin: Origin, rule: &RuleId, asked_at: Option<&RuleId>) -> Decided {
        Decided {
            granted: true,
            origin: Some(origin.as_str()),
            rule: Some(rule.to_string()),
            line: par_apkg::line_of(self.subject.policy_text, rule),
            asked_at: asked_at.map(ToString::to_string),
            code: None,
            because: None,
        }
    }

    /// The requests of a list that are refused, each with why.
    fn refused<'l, T>(&self, list: &'l [Line<T>]) -> Vec<(&'l T, Decided)> {
        let why = |line: &Line<T>| self.refused.iter().find(|difference| difference.asked_at == line.rule);
        list.iter().filter_map(|line| Some((&line.value, not_granted(why(line)?)))).collect()
    }

    fn outbound(&self, grants: Option<&Grants>) -> Vec<OutboundGrant> {
        let refused = self.refused(&self.requested.outbound).into_iter();
        let granted = grants.iter().flat_map(|grants| grants.outbound().rules()).map(|granted| {
            let asked = self.requested.outbound.iter().find(|line| line.value == granted.value);
            (&granted.value, self.granted(granted.origin, &granted.rule, asked.map(|line| &line.rule)))
        });
        let row = |(rule, decided): (&par_policy::outbound::OutboundRule, Decided)| OutboundGrant {
            url: rule.place(),
            methods: rule.methods().map(|methods| methods.iter().map(ToString::to_string).collect()),
            decided,
        };
        refused.chain(granted).map(row).collect()
    }

    fn addresses(&self, grants: Option<&Grants>) -> Vec<AddressGrant> {
        let refused = self.refused(&self.requested.outbound_addresses).into_iter();
        let granted = grants.iter().flat_map(|grants| grants.outbound().addresses()).map(|granted| {
            let asked = self.requested.outbound_addresses.iter().find(|line| line.value == granted.value);
            (&granted.value, self.granted(granted.origin, &granted.rule, asked.map(|line| &line.rule)))
        });
        refused.chain(granted).map(|(range, decided)| AddressGrant { range: range.to_string(), decided }).collect()
    }

    fn secrets(&self, grants: Option<&Grants>) -> Vec<SecretGrant> {
        let hosts = |hosts: &[par_policy::outbound::OutboundRule]| hosts.iter().map(ToString::to_string).collect();
        let refused = self.refused(&self.requested.secrets).into_iter().map(|((name, binding), decided)| SecretGrant {
            name: name.to_string(),
            hosts: hosts(&binding.hosts),
            value_from: None,
            decided,
        });
        let mut list: Vec<SecretGrant> = refused.collect();
        if let Some(grants) = grants {
            let sources: BTreeMap<_, _> = grants.secret_sources().collect();
            list.extend(grants.secrets().iter().map(|(name, granted)| {
                let asked = self.requested.secrets.iter().find(|line| line.value.0 == *name);
                SecretGrant {
                    name: name.to_string(),
                    hosts: hosts(&granted.value.hosts),
                    value_from: sources.get(name).map(|source| match source {
                        SecretSource::Environment(variable) => format!("variable {variable}"),
                        SecretSource::File(path) => format!("file {path}"),
                    }),
                    decided: self.granted(granted.origin, &granted.rule, asked.map(|line| &line.rule)),
                }
            }));
        }
        list
    }

    fn files(&self, grants: Option<&Grants>) -> Vec<FileGrant> {
        let read = |path: String, what: String, decided| FileGrant { path, access: "read", what, decided };
        let refused = self.refused(&self.requested.data).into_iter();
        let mut list: Vec<FileGrant> = refused
            .map(|(name, decided)| read(name.guest_path(), "a directory of the operator's".to_owned(), decided))
            .collect();
        let scratch = |mib: u32, decided| FileGrant {
            path: Grants::scratch_path().to_owned(),
            access: "read and write",
            what: format!("at most {mib} MiB, empty at the start of an instance, removed with it"),
            decided,
        };
        let asked = self.requested.scratch.as_slice();
        list.extend(self.refused(asked).into_iter().map(|(limit, decided)| scratch(limit.mib(), decided)));
        if let Some(grants) = grants {
            list.extend(grants.data().iter().map(|(name, granted)| {
                let asked = self.requested.data.iter().find(|line| line.value == *name).map(|line| &line.rule);
                let what = format!("the directory {} of the operator's", granted.value);
                read(name.guest_path(), what, self.granted(granted.origin, &granted.rule, asked))
            }));
            list.extend(grants.scratch().map(|granted| {
                let asked = asked.first().map(|line| &line.rule);
                scratch(granted.value.mib(), self.granted(granted.origin, &granted.rule, asked))
            }));
        }
        let always = [
            ("/agent", "the package itself"),
            ("/deps", "its dependencies"),
            ("/python", "the standard library of Python"),
            ("/platform", "the libraries of the platform"),
        ];
        list.extend(always.map(|(path, what)| read(path.to_owned(), what.to_owned(), everybody())));
        list
    }

    fn environment(&self, grants: Option<&Grants>) -> Vec<VariableGrant> {
        let row = |name: &str, from: String, decided| VariableGrant { name: name.to_owned(), from, decided };
        let refused = self.refused(&self.requested.env).into_iter();
        let mut list: Vec<VariableGrant> = refused
            .map(|(name, decided)| row(name.as_str(), "the operator's environment".to_owned(), decided))
            .collect();
        let Some(grants) = grants else { return list };
        let mut names: BTreeMap<String, (String, Decided)> = BTreeMap::new();
        // The weakest first: a later one replaces what was there under its name.
        let granted = |precedence| {
            grants.variables().iter().filter(move |variable| variable.precedence == precedence).map(|variable| {
                let from = match &variable.source.value {
                    VariableSource::Value(_) => "the policy".to_owned(),
                    VariableSource::Host(name) => format!("{name} of the operator's environment"),
                };
                let asked = self.requested.env.iter().find(|line| line.value == variable.name);
                let decided = self.granted(variable.source.origin, &variable.source.rule, asked.map(|line| &line.rule));
                (variable.name.to_string(), (from, decided))
            })
        };
        names.extend(granted(Precedence::BelowPackage));
        let files = self.subject.package.variable_files().into_iter();
        names.extend(files.map(|(name, file)| (name, (format!("{file} of the package"), own()))));
        names.extend(granted(Precedence::AbovePackage));
        names.extend(grants.secrets().iter().map(|(name, secret)| {
            let asked = self.requested.secrets.iter().find(|line| line.value.0 == *name).map(|line| &line.rule);
            let decided = self.granted(secret.origin, &secret.rule, asked);
            (name.to_string(), ("a placeholder in the place of the secret".to_owned(), decided))
        }));
        if let Some(scratch) = grants.scratch() {
            let decided = self.granted(scratch.origin, &scratch.rule, None);
            names.insert("TMPDIR".to_owned(), ("the scratch directory".to_owned(), decided));
        }
        for name in ["AGENT_APP_ID", "BASE_PATH", "DEPLOYMENT_ID", "HOME"] {
            names.insert(name.to_owned(), ("PAR: who the agent is".to_owned(), everybody()));
        }
        list.extend(names.into_iter().map(|(name, (from, decided))| {
            let rule = grants
                .denied_variable(&name)
                .filter(|_| grants.secrets().iter().all(|(secret, _)| secret.as_str() != name));
            match rule {
                None => row(&name, from, decided),
                Some(rule) => {
                    let because = format!("denied by `{rule}`");
                    row(&name, from, Decided { granted: false, because: Some(because), ..everybody() })
                }
            }
        }));
        list
    }

    fn determinism(&self, grants: Option<&Grants>) -> Vec<FixedGrant> {
        let Some(grants) = grants else { return Vec::new() };
        let clock = grants.clock().map(|granted| {
            let asked = self.requested.clock.as_ref().map(|line| &line.rule);
            (time_of(granted.value), self.granted(granted.origin, &granted.rule, asked))
        });
        let random = grants.random().map(|granted| {
            let asked = self.requested.random.as_ref().map(|line| &line.rule);
            (granted.value.0.to_string(), self.granted(granted.origin, &granted.rule, asked))
        });
        let row = |what, fixed: Option<(String, Decided)>| match fixed {
            Some((fixed, decided)) => FixedGrant { what, fixed: Some(fixed), decided },
            None => FixedGrant { what, fixed: None, decided: everybody() },
        };
        vec![row("clock", clock), row("random", random)]
    }

    fn limits(&self, grants: Option<&Grants>) -> Vec<LimitFact> {
        let policy = &self.subject.policy.limits;
        let limits = grants.map_or_else(|| policy.over(self.subject.limits), |grants| *grants.limits());
        let refused = |rule: &RuleId| self.refused.iter().any(|difference| difference.asked_at == *rule);
        let decided_by = |key: LimitKey| {
            let asked = self.requested.limits.get(key).filter(|line| !refused(&line.rule));
            let line = asked.or_else(|| policy.get(key)).map(|line| line.rule.to_string());
            line.unwrap_or_else(|| "default".to_owned())
        };
        LimitKey::all()
            .map(|key| LimitFact {
                key: key.as_str(),
                value: key.value_in(&limits),
                reached: backend::reached(key.as_str()),
                decided_by: decided_by(key),
            })
            .collect()
    }
}

/// What every agent has.
fn everybody() -> Decided {
    let because = Some("every agent".to_owned());
    Decided { granted: true, origin: None, rule: None, line: None, asked_at: None, code: None, because }
}

/// What a package brings along.
fn own() -> Decided {
    Decided { because: Some("the package itself".to_owned()), ..everybody() }
}

fn not_granted(difference: &Difference) -> Decided {
    Decided {
        granted: false,
        asked_at: Some(difference.asked_at.to_string()),
        code: Some(difference.code.as_str()),
        because: Some(format!("policy {}", difference.policy)),
        ..everybody()
    }
}

fn difference(difference: &Difference) -> Refused {
    Refused {
        capability: difference.capability.as_str(),
        code: difference.code.as_str(),
        asked_at: difference.asked_at.to_string(),
        asked: difference.asked.clone(),
        policy: difference.policy.clone(),
    }
}

fn about(subject: &Subject<'_>) -> About {
    let manifest = &subject.package.manifest;
    About {
        name: manifest.name.to_string(),
        version: manifest.version.to_string(),
        description: manifest.description.clone(),
        author: manifest.author.clone(),
        license: manifest.license.clone(),
        file: subject.file.clone(),
        sha256: subject.sha256.clone(),
        asks: subject.package.requested != Requested::default(),
        surfaces: surfaces(manifest),
    }
}

fn surfaces(manifest: &Manifest) -> Vec<SurfaceFact> {
    let rest = manifest.rest.as_ref().map(|rest| match rest {
        RestEntry::Application(entry) => format!("the application {entry}"),
        RestEntry::Mount(entry) => format!("routes mounted by {entry}"),
    });
    let a2a = manifest.a2a.as_ref().map(|a2a| match a2a {
        A2aEntry::Service(entry) => format!("actions of {entry}"),
        A2aEntry::HttpServer(entry) => format!("the application {entry}, over HTTP"),
        A2aEntry::WithoutActions => "a surface without actions".to_owned(),
    });
    let ui = manifest.ui.as_ref().map(|ui| match &ui.source {
        UiSource::Files(directory) => format!("files of {directory}"),
        UiSource::Application(entry) => format!("pages rendered by {entry}"),
    });
    let named = [("rest", rest), ("a2a", a2a), ("ui", ui)];
    named.into_iter().filter_map(|(surface, answers)| Some(SurfaceFact { surface, answers: answers? })).collect()
}

fn policy(subject: &Subject<'_>) -> PolicyFacts {
    let digest = || par_apkg::digest::Sha256::of(subject.policy_text).to_hex();
    PolicyFacts {
        sha256: subject.policy_source.as_ref().map(|_| digest()),
        source: subject.policy_source.clone(),
        mode: match subject.policy.mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        },
    }
}

fn denied(policy: &Policy) -> Vec<DeniedRule> {
    fn rows<'a, T: ToString>(capability: &'static str, list: &'a [Line<T>]) -> impl Iterator<Item = DeniedRule> + 'a {
        let row =
            move |line: &Line<T>| DeniedRule { capability, what: line.value.to_string(), rule: line.rule.to_string() };
        list.iter().map(row)
    }
    let deny = &policy.deny;
    let outbound = rows("outbound", &deny.outbound).chain(rows("outbound_addresses", &deny.outbound_addresses));
    let named = rows("env", &deny.env).chain(rows("secrets", &deny.secrets)).chain(rows("files", &deny.data));
    outbound.chain(named).collect()
}

fn dependencies(subject: &Subject<'_>) -> Dependencies {
    let requirements = &subject.package.requirements;
    Dependencies {
        source: match requirements.source {
            DependencySource::Pyproject => Some("pyproject.toml"),
            DependencySource::RequirementsTxt => Some("requirements.txt"),
            DependencySource::Manifest => Some("agent.yaml"),
            DependencySource::SetupPy => Some("setup.py"),
            DependencySource::Nothing => None,
        },
        locked: requirements.lock.is_some(),
        requirements: requirements.list.iter().map(ToString::to_string).collect(),
        native_files: subject.native_files.clone(),
    }
}

fn remarks(package: &Package) -> Vec<String> {
    let environment = package.environment(&BTreeMap::new(), &BTreeMap::new());
    package.notices().chain(&environment.notices).map(ToString::to_string).collect()
}
