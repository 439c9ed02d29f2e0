//! What requests to S3 are signed with: the role of the task, or keys in the environment.
//!
//! These are the two ways of the SDK's chain that need no call to another service of AWS.
//! docs/adr/0007-fetching.md says why the others are not there.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_s3::config::Credentials;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;

use super::attempt::Unavailable;
use super::client;
use super::error::FetchError;
use crate::redact::{RedactedUrl, Secret};

/// How often the platform is asked for the credentials of the task.
const ATTEMPTS: u32 = 3;

/// Pause between two of them.
const PAUSE: Duration = Duration::from_millis(200);

/// Largest answer that is read. Unit: bytes. Real ones have about two thousand.
const LARGEST: usize = 64 << 10;

/// Where credentials come from.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// Nowhere.
    None,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, for temporary ones, `AWS_SESSION_TOKEN`.
    Keys {
        /// The key's name; not a secret by itself, and nothing to log either.
        id: Secret<String>,
        /// The key.
        secret: Secret<String>,
        /// What makes a temporary key valid.
        session: Option<Secret<String>>,
    },
    /// The role of the task: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`.
    Task {
        /// Where the platform gives them.
        url: RedactedUrl,
        /// What the platform wants to see.
        authorization: Option<Authorization>,
    },
}

/// What the platform wants to see before it gives credentials.
#[derive(Debug, Clone)]
pub enum Authorization {
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    Token(Secret<String>),
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`: read each time, because it changes.
    File(PathBuf),
}

/// What the platform answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskCredentials {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

/// An answer that is no credentials.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer is not one with credentials")]
struct NotCredentials;

/// Has credentials for one package.
pub(super) async fn obtain(source: &CredentialSource, idle: Duration, url: &str) -> Result<Credentials, FetchError> {
    match source {
        CredentialSource::None => Err(FetchError::NoCredentials { url: url.to_owned() }),
        CredentialSource::Keys { id, secret, session } => {
            let session = session.as_ref().map(|session| session.expose().clone());
            Ok(Credentials::new(id.expose(), secret.expose(), session, None, "environment"))
        }
        CredentialSource::Task { url: place, authorization } => of_task(place, authorization.as_ref(), idle)
            .await
            .map_err(|source| FetchError::Credentials { url: url.to_owned(), source }),
    }
}

async fn of_task(
    url: &RedactedUrl,
    authorization: Option<&Authorization>,
    idle: Duration,
) -> Result<Credentials, Box<dyn Error + Send + Sync>> {
    let client = client::for_credentials(idle, url.expose().scheme() == "https")?;
    let mut attempt = 1;
    loop {
        let mut request = client.get(url.expose().clone());
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.read()?);
        }
        match ask(request).await {
            Ok(given) => {
                return Ok(Credentials::new(given.access_key_id, given.secret_access_key, given.token, None, "task"));
            }
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                attempt += 1;
            }
        }
    }
}

async fn ask(request: reqwest::RequestBuilder) -> Result<TaskCredentials, Box<dyn Error + Send + Sync>> {
    let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
    if !response.status().is_success() {
        return Err(Unavailable(response.status().as_u16()).into());
    }
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        answer.extend_from_slice(&chunk);
        if answer.len() > LARGEST {
            return Err(NotCredentials.into());
        }
    }
    // The error of the parser would quote what it found.
    serde_json::from_slice(&answer).map_err(|_| NotCredentials.into())
}

impl Authorization {
    fn read(&self) -> Result<String, std::io::Error> {
        match self {
            Self::Token(token) => Ok(token.expose().clone()),
            Self::File(path) => fs_err::read_to_string(path).map(|token| token.trim().to_owned()),
        }
    }
}
