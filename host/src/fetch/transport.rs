//! What the SDK of S3 sends goes over the client that fetches packages: the same judged
//! addresses, the same limits, and only GET.

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use reqwest::{Body, Client, Method, Request, Url};

use super::address::Addresses;

/// Sends the requests of the SDK.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client,
    addresses: Addresses,
}

/// A request that reads no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("packages are read, and nothing else is asked for")]
struct NotARead;

impl Transport {
    pub(super) const fn new(client: Client, addresses: Addresses) -> Self {
        Self { client, addresses }
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (head, _) = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?.into_parts();
        if head.method != Method::GET {
            return Err(ConnectorError::user(NotARead.into()));
        }
        let url = Url::parse(&head.uri.to_string()).map_err(|error| ConnectorError::user(error.into()))?;
        self.addresses.judge_url(&url).map_err(|refused| ConnectorError::user(refused.into()))?;
        let mut request = Request::new(head.method, url);
        *request.headers_mut() = head.headers;
        let response = self.client.execute(request).await;
        let response = response.map_err(|error| ConnectorError::io(error.without_url().into()))?;
        let response = http::Response::<Body>::from(response).map(SdkBody::from_body_1_x);
        HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
