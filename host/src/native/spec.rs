//! What a native agent is made of.

use std::path::PathBuf;
use std::sync::Arc;

use par_policy::Grants;
use par_policy::policy::Confinement;
use par_sandbox::{AgentSpec, AuditSink, OutboundSetup, RestEntry};
use serde_json::{Value, json};

use super::confinement::{ConfinedLimits, Part};
use super::control_group::GroupLimits;
use super::program::Program;
use crate::install::Venv;

/// Everything a native agent is made of.
#[derive(Debug, Clone)]
pub struct NativeSpec {
    /// Its interpreter and its dependencies.
    pub venv: Venv,
    /// What runs beside the agent.
    pub program: Program,
    /// The root of the package, which it may read.
    pub package: PathBuf,
    /// What it may touch.
    pub grants: Grants,
    /// What to load.
    pub agent: AgentSpec,
    /// A directory of the host where those the agent may write to are made.
    pub scratch: PathBuf,
    /// What its outbound requests are made with.
    pub outbound: OutboundSetup,
    /// Whether its processes run where a part of their confinement cannot be applied.
    pub confinement: Confinement,
    /// Parts of it that are left out, in tests.
    pub without: Vec<Part>,
    /// Where every use and every denial is written down.
    pub audit: Arc<dyn AuditSink>,
}

impl NativeSpec {
    /// What one process and all it starts may use together.
    pub(super) fn group_limits(&self) -> GroupLimits {
        let scratch = self.grants.scratch().map(|quota| quota.value.bytes());
        let limits = self.grants.limits();
        GroupLimits::of(&ConfinedLimits::of(limits, scratch), scratch.unwrap_or_default(), limits.cpu)
    }

    /// What the process is told to load; `par_guest/native/runner.py` reads it.
    pub(super) fn to_json(&self) -> Value {
        let agent = &self.agent;
        let below = |relative: &String| match relative.as_str() {
            "" => self.package.clone(),
            relative => self.package.join(relative),
        };
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let (rest, mount) = match &agent.rest {
            None => (None, false),
            Some(RestEntry::Application(entry)) => (Some(entry), false),
            Some(RestEntry::Mount(entry)) => (Some(entry), true),
        };
        json!({
            "python_path": agent.python_path.iter().map(below).map(path).collect::<Vec<_>>(),
            "site_packages": [path(self.venv.site_packages()), path(self.program.stand_ins())],
            "rest": rest,
            "mount": mount,
            "ui": agent.ui,
            "a2a": agent.a2a.as_ref().map(|(entry, port)| json!({"entry": entry, "port": port})),
            "card": {"name": agent.name, "version": agent.version, "description": agent.description},
            "actions": agent.actions,
        })
    }
}
