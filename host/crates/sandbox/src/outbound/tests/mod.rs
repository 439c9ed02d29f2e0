//! What leaves and what does not, without a guest: raw requests as a hostile one would make them.

mod addresses;
mod bounds;
mod heads;
mod secrets;
mod server;

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use par_policy::outbound::{OutboundLimits, OutboundRule};
use par_policy::policy::{Line, Policy, PolicySecret, Requested, SecretSource};
use par_policy::secret::{SecretBinding, SecretName, SecretValue, SecretValues};
use par_policy::{Grants, InstanceCount, Limits, RuleId};

use super::{Answer, Asked, AskedBody, Failure, Outbound, OutboundSetup, Reason, Resolve, Roots};
use crate::audit::{AuditRecord, AuditSink};

#[derive(Debug, Default)]
struct Records(Mutex<Vec<AuditRecord>>);

impl AuditSink for Records {
    fn record(&self, record: AuditRecord) {
        self.0.lock().unwrap().push(record);
    }
}

/// Answers every look-up with the next of its answers, and the last one from then on.
#[derive(Debug, Default)]
struct Names {
    answers: Vec<Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

impl Resolve for Names {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut asked = self.asked.lock().unwrap();
        let answer = self.answers.get(asked.len()).or(self.answers.last()).cloned().unwrap_or_default();
        asked.push(name);
        async move { Ok(answer) }.boxed()
    }
}

struct Bench {
    rules: Vec<String>,
    addresses: Vec<&'static str>,
    answers: Vec<Vec<&'static str>>,
    secrets: Vec<(&'static str, &'static str, String)>,
    limits: OutboundLimits,
}

struct Way {
    outbound: Outbound,
    records: Arc<Records>,
    names: Arc<Names>,
}

fn bench(rules: &[&str]) -> Bench {
    Bench {
        rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        addresses: vec!["127.0.0.0/8"],
        answers: vec![vec!["127.0.0.1"]],
        secrets: Vec::new(),
        limits: OutboundLimits::DEFAULT,
    }
}

impl Bench {
    fn build(self) -> Way {
        let line = |rule: &str| RuleId::new(rule.to_owned());
        let mut policy = Policy::default();
        policy.grant.outbound = self
            .rules
            .iter()
            .map(|rule| Line { rule: line("grant.outbound"), value: OutboundRule::parse(rule, &[]).unwrap() })
            .collect();
        policy.grant.outbound_addresses = self
            .addresses
            .iter()
            .map(|range| Line { rule: line("grant.outbound_addresses"), value: range.parse().unwrap() })
            .collect();
        let mut values = Vec::new();
        for (name, value, host) in self.secrets {
            let name = SecretName::parse(name).unwrap();
            let binding = SecretBinding { hosts: vec![OutboundRule::parse(&host, &[]).unwrap()] };
            let source = SecretSource::Environment(name.to_string());
            let secret = PolicySecret { name: name.clone(), binding, source };
            policy.grant.secrets.push(Line { rule: line("grant.secrets"), value: secret });
            values.push((name, SecretValue::new(value.to_owned().into())));
        }
        let limits = Limits { outbound: self.limits, ..Limits::default_with(InstanceCount::new(1).unwrap()) };
        let grants = Grants::resolve(&Requested::default(), &policy, limits).unwrap();
        let answers = self.answers.iter().map(|list| list.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        let names = Arc::new(Names { answers, asked: Mutex::default() });
        let records = Arc::<Records>::default();
        let setup = OutboundSetup {
            resolver: Arc::<Names>::clone(&names),
            roots: Roots::Platform,
            secrets: values.into_iter().collect::<SecretValues>(),
        };
        let audit = Arc::<Records>::clone(&records);
        Way { outbound: Outbound::new(&grants, setup, audit), records, names }
    }
}

impl Way {
    /// Sends a request with these values of its head; the whole response, or why there is none.
    async fn send(&self, head: &[&str]) -> Result<(u16, Vec<u8>, Bytes), Failure> {
        self.send_body(head, AskedBody::Complete(Bytes::new())).await
    }

    async fn send_body(&self, head: &[&str], body: AskedBody) -> Result<(u16, Vec<u8>, Bytes), Failure> {
        let asked = Asked { head: head.join("\0").into_bytes(), body, packages: Vec::new() };
        let exchange = self.outbound.begin(asked, None);
        let Answer { status, headers, body } = exchange.answer().await?;
        let mut whole = body.clone().unwrap_or_default().to_vec();
        while body.is_none() {
            match exchange.pull().await? {
                end if end.is_empty() => break,
                chunk => whole.extend_from_slice(&chunk),
            }
        }
        Ok((status.as_u16(), headers, whole.into()))
    }

    async fn refused(&self, head: &[&str]) -> (Reason, &'static str) {
        match self.send(head).await {
            Err(failure) => (failure.reason, failure.code),
            Ok(response) => panic!("{head:?} was answered: {response:?}"),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.names.asked.lock().unwrap().clone()
    }

    /// `capability decision code`, one for each record.
    fn recorded(&self) -> Vec<String> {
        let records = self.records.0.lock().unwrap();
        let word = |record: &AuditRecord| {
            let event = &record.event;
            let code = event.code.map_or_else(String::new, |code| format!(" {code}"));
            format!("{} {}{code}", event.capability.as_str(), event.decision.as_str())
        };
        records.iter().map(word).collect()
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-note: a\r\n\r\nhello";
