//! The methods of `pixell.agent.AgentService`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status};

use super::A2aAgent;
use super::deadline::client_timeout;
use super::invoke::{self, Wanted};
use super::proto::{ActionRequest, ActionResult, Capabilities, Empty, HealthStatus, Pong, agent_service_server};
use crate::backend::trace::RequestName;
use crate::backend::{ActionCall, CallError};
use crate::surfaces::builtin::now_ms;
use crate::surfaces::reply::ErrorCode;
use crate::surfaces::request_id::RequestId;
use crate::surfaces::spans::Continued;
use crate::telemetry::events;

const METHODS: [&str; 4] = ["Health", "DescribeCapabilities", "Invoke", "Ping"];

/// The service of one agent.
#[derive(Debug)]
pub(super) struct AgentService(A2aAgent);

impl AgentService {
    pub(super) fn new(agent: A2aAgent) -> Self {
        Self(agent)
    }

    /// Runs an action. The deadline of the host is the call's own: passing it costs the agent
    /// its instance. A client that waits for less only gives up its call, or it could have
    /// instances dropped by asking for a millisecond.
    async fn act(
        &self,
        wanted: Wanted,
        request_id: RequestName,
        patience: Duration,
        started: Instant,
    ) -> Result<String, CallError> {
        if !self.0.health.look().serves_agent() {
            return Err(CallError::Unavailable);
        }
        let call = ActionCall {
            action: wanted.action,
            parameters: wanted.parameters,
            deadline: started + self.0.timeout,
            request_id,
        };
        let act = self.0.backend.act(call);
        if patience < self.0.timeout {
            timeout(patience, act).await.unwrap_or(Err(CallError::TimedOut))
        } else {
            act.await
        }
    }

    /// The status for a call the host could not bring to an end.
    fn status(&self, error: &CallError, id: RequestId, allowed: Duration) -> Status {
        let code = ErrorCode::of(error);
        let mut status = Status::new(grpc_code(code), code.message(&self.0.app_id, allowed));
        let metadata = status.metadata_mut();
        metadata.insert("x-error-code", MetadataValue::from_static(code.word()));
        if let Ok(id) = id.as_str().parse() {
            metadata.insert("x-request-id", id);
        }
        status
    }
}

fn grpc_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::CallTimeout => Code::DeadlineExceeded,
        ErrorCode::Overloaded => Code::ResourceExhausted,
        ErrorCode::CircuitOpen => Code::Unavailable,
        ErrorCode::Unavailable | ErrorCode::InstanceLost => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[tonic::async_trait]
impl agent_service_server::AgentService for AgentService {
    async fn health(&self, _: Request<Empty>) -> Result<Response<HealthStatus>, Status> {
        let ok = self.0.health.look().serves_agent();
        let message = if ok { "Agent is healthy" } else { "Agent is not ready" };
        Ok(Response::new(HealthStatus { ok, message: message.to_owned(), timestamp: now_ms() }))
    }

    async fn describe_capabilities(&self, _: Request<Empty>) -> Result<Response<Capabilities>, Status> {
        let metadata = [("name", &self.0.name), ("version", &self.0.version), ("description", &self.0.description)];
        Ok(Response::new(Capabilities {
            methods: METHODS.map(str::to_owned).to_vec(),
            metadata: metadata.map(|(key, value)| (key.to_owned(), value.clone())).into(),
        }))
    }

    async fn invoke(&self, request: Request<ActionRequest>) -> Result<Response<ActionResult>, Status> {
        let started = Instant::now();
        let (headers, extensions, request) = request.into_parts();
        let mut headers = headers.into_headers();
        let id = RequestId::of(&headers, &extensions);
        let patience = client_timeout(&headers).map_or(self.0.timeout, |client| client.min(self.0.timeout));
        let request_id = match request.request_id.as_str() {
            "" => format!("req_{}", now_ms()),
            given => given.to_owned(),
        };
        let (action, answer) = match invoke::read(request) {
            Ok(wanted) => {
                let action = wanted.action.clone();
                let mut span = Continued::call(&extensions, "action");
                span.iter_mut().for_each(|span| span.set("par.action", action.as_str()));
                let answer = self.act(wanted, id.settle(&mut headers, span.as_ref()), patience, started).await;
                if let (Some(span), Err(error)) = (&mut span, &answer) {
                    span.fail(ErrorCode::of(error).word());
                }
                (action, answer)
            }
            Err(unclear) => {
                let raised = CallError::Raised { message: unclear.to_string(), traceback: String::new() };
                (String::new(), Err(raised))
            }
        };
        if let Err(error) = &answer {
            let traceback = match error {
                CallError::Raised { traceback, .. } => traceback.as_str(),
                _ => "",
            };
            tracing::warn!(
                action,
                request_id,
                call_id = id.as_str(),
                trace_id = id.trace_id(),
                error = %error,
                traceback,
                "{}",
                events::ACTION_FAILED
            );
        }
        let (success, result, error) = match answer {
            Ok(result) => (true, result, String::new()),
            Err(CallError::Raised { message, .. }) => (false, String::new(), message),
            Err(CallError::ActionNotFound(name)) => {
                (false, String::new(), format!("No handler found for action: {name}"))
            }
            Err(failed) => return Err(self.status(&failed, id, patience)),
        };
        let took = started.elapsed();
        tracing::debug!(
            action,
            request_id,
            call_id = id.as_str(),
            trace_id = id.trace_id(),
            success,
            process_time = took.as_secs_f64(),
            "{}",
            events::REQUEST_PROCESSED
        );
        Ok(Response::new(ActionResult {
            success,
            result,
            error,
            request_id,
            duration_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            metadata: BTreeMap::new(),
        }))
    }

    async fn ping(&self, _: Request<Empty>) -> Result<Response<Pong>, Status> {
        Ok(Response::new(Pong { message: "pong".to_owned(), timestamp: now_ms() }))
    }
}
