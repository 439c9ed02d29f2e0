//! `grpc.health.v1`, from the state of the process.

use std::pin::Pin;

use futures::stream::{self, Stream};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::health::Health;
use crate::lifecycle::Phase;

/// The services that can be asked about: the process, and the agent's.
const SERVICES: [&str; 2] = ["", "pixell.agent.AgentService"];

/// The standard health service.
#[derive(Debug)]
pub(super) struct Standard(Health);

impl Standard {
    pub(super) fn new(health: Health) -> Self {
        Self(health)
    }
}

/// Where a watcher is.
enum Watching {
    Now(Health),
    After(Health, Phase),
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn status(health: &Health) -> ServingStatus {
    if health.look().is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

/// The phase a watcher waits for; nothing where the last word is said.
fn next_news(phase: Phase) -> Option<Phase> {
    match phase {
        Phase::Starting => Some(Phase::Ready),
        Phase::Ready => Some(Phase::Draining),
        Phase::Draining | Phase::Failed | Phase::Stopped => None,
    }
}

/// The status now and at each change. It ends when the process drains, so that a watcher never
/// holds up a shutdown.
fn watch(health: Health) -> impl Stream<Item = Result<HealthCheckResponse, Status>> + Send {
    stream::unfold(Watching::Now(health), |state| async move {
        let health = match state {
            Watching::Now(health) => health,
            Watching::After(health, phase) => {
                health.lifecycle().reached(next_news(phase)?).await;
                health
            }
        };
        let phase = health.lifecycle().phase();
        Some((Ok(response(status(&health))), Watching::After(health, phase)))
    })
}

#[tonic::async_trait]
impl health_server::Health for Standard {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !SERVICES.contains(&request.get_ref().service.as_str()) {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(response(status(&self.0))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        if !SERVICES.contains(&request.get_ref().service.as_str()) {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(Box::pin(watch(self.0.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tonic_health::pb::health_check_response::ServingStatus;

    use super::watch;
    use crate::health::Health;
    use crate::lifecycle::Phase;

    #[tokio::test]
    async fn a_watcher_hears_each_change_and_is_let_go_at_the_drain() {
        let health = Health::default();
        let mut changes = Box::pin(watch(health.clone()));

        let mut heard = vec![changes.next().await.unwrap().unwrap().status()];
        health.lifecycle().advance(Phase::Ready);
        heard.push(changes.next().await.unwrap().unwrap().status());
        health.lifecycle().advance(Phase::Draining);
        heard.push(changes.next().await.unwrap().unwrap().status());

        assert_eq!(heard, [ServingStatus::NotServing, ServingStatus::Serving, ServingStatus::NotServing]);
        assert!(changes.next().await.is_none());
    }
}
