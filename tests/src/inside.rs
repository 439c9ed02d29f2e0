//! An agent in a sandbox of this process, so that a test sees what a process does not show: which
//! names are looked up, and what is on the record.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use par_policy::outbound::{AddressRange, OutboundLimits, OutboundRule};
use par_policy::policy::{Line, Policy, PolicySecret, Requested, SecretSource};
use par_policy::secret::{SecretBinding, SecretName, SecretValue, SecretValues};
use par_policy::{Decision, Grants, InstanceCount, Limits, RequestTimeout, RuleId};
use par_sandbox::call::{CallError, HttpCall, ReplyBody, ReplyChunks, RequestBody, Surface};
use par_sandbox::{
    AgentSpec, AuditRecord, AuditSink, Engine, Guest, OutboundSetup, Resolve, RestEntry, Roots, Sandbox, SandboxSpec,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{Authority, PATIENCE, Package, built};

/// Records kept for the test.
#[derive(Debug, Default)]
struct Records(watch::Sender<Vec<AuditRecord>>);

impl AuditSink for Records {
    fn record(&self, record: AuditRecord) {
        self.0.send_modify(|records| records.push(record));
    }
}

/// Names the test made up, and every one that was asked for.
#[derive(Debug, Default)]
struct Names {
    known: BTreeMap<String, Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Resolve for Names {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|known| **known == name).count();
        let answers = self.known.get(&name);
        let answer = answers.and_then(|answers| answers.get(before).or(answers.last())).cloned();
        asked.push(name);
        async move { answer.ok_or_else(|| io::Error::other("no such name")) }.boxed()
    }
}

/// An agent that is about to be started.
#[derive(Debug)]
pub struct Inside {
    package: Package,
    policy: Policy,
    values: Vec<(SecretName, SecretValue)>,
    limits: OutboundLimits,
    request_timeout: Duration,
    instances: u64,
    names: Names,
    directory: TempDir,
    roots: Roots,
    dependencies: Option<PathBuf>,
}

impl Inside {
    /// An agent whose REST surface is `app` in the module text `main`, and to whom nothing is
    /// granted.
    #[must_use]
    pub fn asgi(main: &str) -> Self {
        Self {
            package: Package::asgi(main),
            policy: Policy::default(),
            values: Vec::new(),
            limits: OutboundLimits::DEFAULT,
            request_timeout: PATIENCE,
            instances: 1,
            names: Names::default(),
            directory: tempfile::Builder::new().prefix("par-test-").tempdir().unwrap(),
            roots: Roots::Platform,
            dependencies: None,
        }
    }

    /// With one more file in the package.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.package = self.package.file(path, content);
        self
    }

    /// Installs distributions beside the agent, from the package index.
    #[must_use]
    pub fn with(mut self, distributions: &[&str]) -> Self {
        let layer = self.directory.path().join("layer");
        built::install(&layer.join("lib/python3.14/site-packages"), distributions);
        self.dependencies = Some(layer);
        self
    }

    /// Installs a module that no index has.
    #[must_use]
    pub fn module(mut self, name: &str, source: &str) -> Self {
        let layer = self.directory.path().join("layer");
        let packages = layer.join("lib/python3.14/site-packages");
        fs_err::create_dir_all(&packages).unwrap();
        fs_err::write(packages.join(name).with_extension("py"), source).unwrap();
        self.dependencies = Some(layer);
        self
    }

    /// Grants requests, and the loopback addresses the servers of tests have.
    #[must_use]
    pub fn grant(mut self, rule: &str) -> Self {
        let rules = &mut self.policy.grant.outbound;
        let id = RuleId::new(format!("grant.outbound[{}]", rules.len()));
        rules.push(Line { rule: id, value: OutboundRule::parse(rule, &[]).unwrap() });
        self
    }

    /// Grants addresses that are not public.
    #[must_use]
    pub fn grant_addresses(mut self, range: &str) -> Self {
        let ranges = &mut self.policy.grant.outbound_addresses;
        let rule = RuleId::new(format!("grant.outbound_addresses[{}]", ranges.len()));
        ranges.push(Line { rule, value: range.parse::<AddressRange>().unwrap() });
        self
    }

    /// Grants a secret towards `hosts`; its placeholder is in the environment.
    #[must_use]
    pub fn secret(mut self, name: &str, secret: &str, hosts: &[&str]) -> Self {
        let name = SecretName::parse(name).unwrap();
        let hosts = hosts.iter().map(|host| OutboundRule::parse(host, &[]).unwrap()).collect();
        let rule = RuleId::new(format!("grant.secrets.{name}"));
        let source = SecretSource::Environment(name.to_string());
        let value = PolicySecret { name: name.clone(), binding: SecretBinding { hosts }, source };
        self.policy.grant.secrets.push(Line { rule, value });
        self.values.push((name, SecretValue::new(secret.to_owned().into())));
        self
    }

    /// Lets `name` have these addresses; given again, it has others from the next look-up on.
    #[must_use]
    pub fn resolve(mut self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.names.known.entry(name.to_owned()).or_default().push(addresses);
        self
    }

    /// Changes the limits of outbound requests.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut OutboundLimits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Longest time one request to the agent may take.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How many instances share the load.
    #[must_use]
    pub fn instances(mut self, instances: u64) -> Self {
        self.instances = instances;
        self
    }

    /// Trusts the authority of a test, and no other.
    #[must_use]
    pub fn trust(mut self, authority: &Authority) -> Self {
        // A copy: the authority may be gone when the first connection asks for it.
        let file = self.directory.path().join("authority.pem");
        fs_err::copy(authority.file(), &file).unwrap();
        self.roots = Roots::Files { file: Some(file), directory: None };
        self
    }

    /// Starts it.
    pub async fn start(self) -> RunningInside {
        let limits = Limits {
            request_timeout: RequestTimeout::new(self.request_timeout).unwrap(),
            outbound: self.limits,
            ..Limits::default_with(InstanceCount::new(self.instances).unwrap())
        };
        let grants = Grants::resolve(&Requested::default(), &self.policy, limits).unwrap();
        let secret_values: SecretValues = self.values.into_iter().collect();
        let (records, names) = (Arc::<Records>::default(), Arc::new(self.names));
        let spec = SandboxSpec {
            guest: Guest::at(built::guest()),
            package: self.package.write_directory(self.directory.path()),
            dependencies: self.dependencies,
            grants: grants.with_environment(BTreeMap::new()),
            agent: AgentSpec {
                name: "probe".to_owned(),
                version: "1.0".to_owned(),
                description: String::new(),
                python_path: vec![String::new()],
                rest: Some(RestEntry::Application("main:app".to_owned())),
                actions: None,
                ui: None,
                a2a: None,
                base_path: String::new(),
            },
            scratch: self.directory.path().to_owned(),
            outbound: OutboundSetup {
                resolver: Arc::<Names>::clone(&names),
                roots: self.roots,
                secrets: secret_values,
            },
            audit: Arc::<Records>::clone(&records),
        };
        let (sandbox, _) =
            Sandbox::start(&Engine::new().unwrap(), spec).await.unwrap_or_else(|error| panic!("{error:?}"));
        RunningInside { sandbox, records, names, request_timeout: self.request_timeout, directory: self.directory }
    }
}

/// An agent that was started.
#[derive(Debug)]
pub struct RunningInside {
    sandbox: Sandbox,
    records: Arc<Records>,
    names: Arc<Names>,
    request_timeout: Duration,
    directory: TempDir,
}

impl RunningInside {
    /// Asks the agent, with a body; the answer is JSON.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Value {
        match self.call(path, body.into()).await {
            Ok(ReplyBody::Complete(bytes)) => serde_json::from_slice(&bytes).unwrap(),
            Ok(ReplyBody::Streamed(mut chunks)) => {
                let mut bytes = Vec::new();
                while let Some(chunk) = chunks.recv().await {
                    bytes.extend_from_slice(&chunk.unwrap());
                }
                serde_json::from_slice(&bytes).unwrap()
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Asks the agent; the answer is JSON.
    pub async fn ask(&self, path: &str) -> Value {
        self.post(path, Bytes::new()).await
    }

    /// Asks the agent for an answer that comes in pieces.
    pub async fn stream(&self, path: &str, body: impl Into<Bytes>) -> ReplyChunks {
        match self.call(path, body.into()).await.unwrap() {
            ReplyBody::Streamed(chunks) => chunks,
            ReplyBody::Complete(bytes) => panic!("not streamed: {}", String::from_utf8_lossy(&bytes)),
        }
    }

    /// Asks the agent for whatever comes of it.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, path: &str, body: Bytes) -> Result<ReplyBody, CallError> {
        let request = http::Request::post(path).header("host", "probe").body(()).unwrap();
        let (head, ()) = request.into_parts();
        let call = HttpCall {
            surface: Surface::Rest,
            head,
            body: RequestBody::Complete(body),
            root_path: "".into(),
            client: None,
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            deadline: Instant::now() + self.request_timeout,
            request_id: "request-1".into(),
        };
        self.sandbox.http(call).await.map(http::Response::into_body)
    }

    /// Names that were looked up so far.
    #[must_use]
    pub fn looked_up(&self) -> Vec<String> {
        self.names.asked.lock().unwrap().clone()
    }

    /// What is on the record, once there are `count` records: one that is too many shows, unless
    /// it is late.
    pub async fn records(&self, count: usize) -> Vec<AuditRecord> {
        let mut records = self.records.0.subscribe();
        let there = timeout(PATIENCE, records.wait_for(|records| records.len() >= count)).await;
        let found = there.map(|records| records.unwrap().clone());
        found.unwrap_or_else(|_| panic!("less than {count} records: {:#?}", self.records.0.borrow()))
    }

    /// The records as lines, for comparing: capability, decision, target, and the rule of what
    /// was allowed or the code of what was denied.
    pub async fn lines(&self, count: usize) -> Vec<String> {
        let line = |record: AuditRecord| {
            let event = record.event;
            let reason = match event.decision {
                Decision::Allowed => event.rule.map(|rule| rule.to_string()),
                Decision::Denied | Decision::Observed => event.code.map(|code| code.to_string()),
            };
            let (capability, decision) = (event.capability.as_str(), event.decision.as_str());
            format!("{capability} {decision} {} {}", event.target, reason.unwrap_or_default())
        };
        self.records(count).await.into_iter().map(line).collect()
    }

    /// The sandbox itself.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// A directory only this test has.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }
}
