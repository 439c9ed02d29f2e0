//! Who sends: in every message, once.

use std::sync::OnceLock;

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as Message;
use ulid::Ulid;

use super::Settings;
use super::value::{pair, text};

/// Who this is, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `AGENT_APP_ID`: the name of the service unless the operator names another.
    pub app_id: String,
    /// `DEPLOYMENT_ID`.
    pub deployment_id: Option<String>,
}

/// Who sends. The agent's own name and version follow when its package was read.
#[derive(Debug)]
pub(super) struct Resource {
    known: Vec<KeyValue>,
    agent: OnceLock<Vec<KeyValue>>,
}

impl Resource {
    pub(super) fn new(settings: &Settings, identity: &Identity) -> Self {
        let own = [
            Some(("service.name", settings.service_name.as_ref().unwrap_or(&identity.app_id).clone())),
            Some(("service.instance.id", Ulid::generate().to_string())),
            identity.deployment_id.clone().map(|id| ("deployment.id", id)),
            Some(("par.agent.app_id", identity.app_id.clone())),
            Some(("telemetry.sdk.name", "par".to_owned())),
            Some(("telemetry.sdk.language", "rust".to_owned())),
            Some(("telemetry.sdk.version", env!("CARGO_PKG_VERSION").to_owned())),
        ];
        // What the operator says wins, but for the name: that has a variable of its own.
        let named = |key: &str| {
            let others =
                settings.attributes.iter().filter(|_| key != "service.name" || settings.service_name.is_none());
            others.into_iter().any(|(other, _)| other == key)
        };
        let own = own.into_iter().flatten().filter(|(key, _)| !named(key));
        let mut known: Vec<KeyValue> = own.map(|(key, value)| pair(key, text(value))).collect();
        for (key, value) in &settings.attributes {
            if !known.iter().any(|other| other.key == *key) {
                known.push(pair(key, text(value)));
            }
        }
        Self { known, agent: OnceLock::new() }
    }

    /// The package was read. A second call changes nothing.
    pub(super) fn agent(&self, name: &str, version: &str) {
        let fields = [("service.version", version), ("par.agent.name", name)];
        let unknown = fields.into_iter().filter(|(key, _)| !self.known.iter().any(|pair| pair.key == *key));
        let _ = self.agent.set(unknown.map(|(key, value)| pair(key, text(value))).collect());
    }

    pub(super) fn message(&self) -> Message {
        let agent = self.agent.get().into_iter().flatten();
        Message { attributes: self.known.iter().chain(agent).cloned().collect(), ..Message::default() }
    }
}

/// What made spans and records.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "par".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::Sampler;

    fn said(service_name: Option<&str>, attributes: &[(&str, &str)]) -> Vec<(String, String)> {
        let settings = Settings {
            traces: None,
            logs: None,
            sampler: Sampler::default(),
            service_name: service_name.map(str::to_owned),
            attributes: attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            certificate: None,
        };
        let identity = Identity { app_id: "app-1".to_owned(), deployment_id: Some("dep-1".to_owned()) };
        let resource = Resource::new(&settings, &identity);
        resource.agent("weather", "1.2.3");
        let pairs = resource.message().attributes.into_iter();
        let mut pairs: Vec<_> = pairs
            .filter(|pair| !pair.key.starts_with("telemetry") && pair.key != "service.instance.id")
            .map(|pair| {
                use opentelemetry_proto::tonic::common::v1::any_value::Value;
                let Some(Value::StringValue(text)) = pair.value.unwrap().value else { panic!() };
                (pair.key, text)
            })
            .collect();
        pairs.sort();
        pairs
    }

    fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_agent_is_the_service_unless_the_operator_says_otherwise() {
        assert_eq!(
            said(None, &[]),
            of(&[
                ("deployment.id", "dep-1"),
                ("par.agent.app_id", "app-1"),
                ("par.agent.name", "weather"),
                ("service.name", "app-1"),
                ("service.version", "1.2.3"),
            ])
        );
        let said = said(Some("shop"), &[("service.name", "other"), ("service.version", "9"), ("team", "a")]);
        assert_eq!(
            said,
            of(&[
                ("deployment.id", "dep-1"),
                ("par.agent.app_id", "app-1"),
                ("par.agent.name", "weather"),
                ("service.name", "shop"),
                ("service.version", "9"),
                ("team", "a"),
            ])
        );
    }
}
