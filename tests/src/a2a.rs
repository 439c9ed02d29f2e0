//! A client of `pixell.agent.AgentService`, with messages written from the contract and not
//! from the host's own definition: a field number that changes there fails here.

use std::collections::HashMap;

use futures::{Stream, StreamExt};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

/// Largest answer the client takes.
const MOST_BYTES: usize = 64 << 20;

#[derive(Clone, PartialEq, Eq, Message)]
struct Empty {}

/// Whether the agent can take calls.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HealthStatus {
    /// Whether it can.
    #[prost(bool, tag = "1")]
    pub ok: bool,
    /// In words.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// What the service can do.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Capabilities {
    /// Names of methods.
    #[prost(string, repeated, tag = "1")]
    pub methods: Vec<String>,
    /// About the agent.
    #[prost(map = "string, string", tag = "2")]
    pub metadata: HashMap<String, String>,
}

/// An action in JSON-RPC form.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct A2aMessage {
    /// "2.0".
    #[prost(string, tag = "1")]
    pub jsonrpc: String,
    /// Of the message.
    #[prost(string, tag = "2")]
    pub id: String,
    /// Such as `message/send`.
    #[prost(string, tag = "3")]
    pub method: String,
    /// A JSON object.
    #[prost(string, tag = "4")]
    pub params_json: String,
}

/// One action to run.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ActionRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub action: String,
    /// Its parameters.
    #[prost(map = "string, string", tag = "2")]
    pub parameters: HashMap<String, String>,
    /// Echoed.
    #[prost(string, tag = "3")]
    pub request_id: String,
    /// The other form.
    #[prost(message, optional, tag = "4")]
    pub message: Option<A2aMessage>,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ActionResult {
    /// Whether the handler returned.
    #[prost(bool, tag = "1")]
    pub success: bool,
    /// `str()` of what it returned.
    #[prost(string, tag = "2")]
    pub result: String,
    /// `str()` of what it raised.
    #[prost(string, tag = "3")]
    pub error: String,
    /// Of the request.
    #[prost(string, tag = "4")]
    pub request_id: String,
    /// How long it took.
    #[prost(int64, tag = "5")]
    pub duration_ms: i64,
    /// Empty.
    #[prost(map = "string, string", tag = "6")]
    pub metadata: HashMap<String, String>,
}

/// The answer to Ping.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Pong {
    /// "pong".
    #[prost(string, tag = "1")]
    pub message: String,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// No `ActionRequest`: its first field is a number.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WrongRequest {
    /// In the place of the name of the action.
    #[prost(uint64, tag = "1")]
    pub action: u64,
}

/// A client of one agent.
#[derive(Debug, Clone)]
pub struct AgentClient {
    channel: Channel,
    prefix: String,
    traceparent: Option<String>,
}

impl AgentClient {
    /// A client of the port, with nothing in front of the paths.
    ///
    /// # Panics
    /// When nobody listens there.
    pub async fn connect(port: u16) -> Self {
        let channel = Channel::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect().await.unwrap();
        Self { channel, prefix: String::new(), traceparent: None }
    }

    /// The same client, with `prefix` before every path, as load balancers leave it there.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..self.clone() }
    }

    /// The same client, with this `traceparent` on every call.
    #[must_use]
    pub fn traced(&self, traceparent: &str) -> Self {
        Self { traceparent: Some(traceparent.to_owned()), ..self.clone() }
    }

    /// Calls `method` of the service with any message.
    ///
    /// # Errors
    /// The status of the call.
    pub async fn call<T, U>(&self, method: &str, message: T) -> Result<U, Status>
    where
        T: Message + Send + Sync + 'static,
        U: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MOST_BYTES);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path: PathAndQuery = format!("{}/pixell.agent.AgentService/{method}", self.prefix).parse().unwrap();
        let codec = ProstCodec::<T, U>::default();
        let mut request = Request::new(message);
        if let Some(parent) = &self.traceparent {
            request.metadata_mut().insert("traceparent", parent.parse().unwrap());
        }
        grpc.unary(request, path, codec).await.map(tonic::Response::into_inner)
    }

    /// `Health`.
    ///
    /// # Errors
    /// The status of the call.
    pub async fn health(&self) -> Result<HealthStatus, Status> {
        self.call("Health", Empty {}).await
    }

    /// `Ping`.
    ///
    /// # Errors
    /// The status of the call.
    pub async fn ping(&self) -> Result<Pong, Status> {
        self.call("Ping", Empty {}).await
    }

    /// `DescribeCapabilities`.
    ///
    /// # Errors
    /// The status of the call.
    pub async fn describe(&self) -> Result<Capabilities, Status> {
        self.call("DescribeCapabilities", Empty {}).await
    }

    /// `Invoke`, with any request.
    ///
    /// # Errors
    /// The status of the call.
    pub async fn invoke(&self, request: ActionRequest) -> Result<ActionResult, Status> {
        self.call("Invoke", request).await
    }

    /// Runs an action and returns what came of it.
    pub async fn act(&self, action: &str, parameters: &[(&str, &str)]) -> ActionResult {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = ActionRequest { action: action.to_owned(), parameters, ..ActionRequest::default() };
        self.invoke(request).await.unwrap()
    }

    /// What `grpc.health.v1` says about `service`.
    ///
    /// # Errors
    /// The status of the call.
    pub async fn standard_health(&self, service: &str) -> Result<ServingStatus, Status> {
        let request = HealthCheckRequest { service: service.to_owned() };
        let response = HealthClient::new(self.channel.clone()).check(request).await?;
        Ok(response.into_inner().status())
    }

    /// What `grpc.health.v1` says about the process, now and at each change.
    pub async fn watch_health(&self) -> impl Stream<Item = Result<ServingStatus, Status>> + Unpin + use<> {
        let request = HealthCheckRequest { service: String::new() };
        let changes = HealthClient::new(self.channel.clone()).watch(request).await.unwrap().into_inner();
        changes.map(|change| change.map(|response| response.status()))
    }
}
