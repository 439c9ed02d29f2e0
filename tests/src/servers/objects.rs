//! An S3-compatible store on the disk of a test: it checks signatures, as S3 does.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::authority::{Authority, Fault};
use super::web::Request;

type Reply = hyper::Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// Time for bytes to leave before a connection breaks off.
const BREATH: Duration = Duration::from_millis(100);

/// What the store does instead of answering.
#[derive(Debug, Clone)]
pub enum ObjectFault {
    /// Nothing: it answers.
    None,
    /// Says a status, with the code of S3 in the body.
    Status(u16, &'static str),
    /// Breaks off after so many bytes of the object.
    Cut(usize),
    /// Puts another object in the place of this one, then answers.
    Replace(Vec<u8>),
}

/// A store on a port of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct ObjectStore {
    port: u16,
    directory: TempDir,
    requests: Arc<Mutex<Vec<Request>>>,
    accepting: JoinHandle<()>,
}

impl ObjectStore {
    /// The name of a key the store accepts.
    pub const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";

    /// That key.
    pub const KEY: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";

    /// A store with one bucket, with TLS.
    pub async fn start(authority: &Authority, bucket: &str, faults: impl Into<Vec<ObjectFault>>) -> Self {
        let directory = tempfile::Builder::new().prefix("par-objects-").tempdir().unwrap();
        fs_err::create_dir(directory.path().join(bucket)).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(directory.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(Self::KEY_ID, Self::KEY));
        let store = Arc::new(Store {
            service: builder.build(),
            bucket: directory.path().join(bucket),
            faults: faults.into(),
            requests: Arc::default(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::clone(&store.requests);
        let tls = TlsAcceptor::from(authority.server(Fault::None));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, store) = (tls.clone(), Arc::clone(&store));
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let service = hyper::service::service_fn(move |request| Arc::clone(&store).answer(request));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { port, directory, requests, accepting }
    }

    /// Puts an object into the store.
    pub fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let path = self.directory.path().join(bucket).join(key);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    /// The value for `AWS_ENDPOINT_URL_S3`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Store {
    service: S3Service,
    bucket: std::path::PathBuf,
    faults: Vec<ObjectFault>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Store {
    async fn answer(self: Arc<Self>, request: hyper::Request<Incoming>) -> Result<Reply, Infallible> {
        let mut head = format!("{} {}\r\n", request.method(), request.uri());
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
        let number = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(Request { head });
            requests.len()
        };
        let path = self.bucket.join(request.uri().path().splitn(3, '/').nth(2).unwrap_or_default());
        Ok(match self.faults.get(number - 1).cloned().unwrap_or(ObjectFault::None) {
            ObjectFault::None => self.pass(request).await,
            ObjectFault::Replace(content) => {
                fs_err::write(path, content).unwrap();
                self.pass(request).await
            }
            ObjectFault::Status(status, code) => {
                let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>x</Message></Error>");
                let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
                hyper::Response::builder().status(status).header("content-type", "application/xml").body(body).unwrap()
            }
            ObjectFault::Cut(after) => {
                let (head, body) = self.pass(request).await.into_parts();
                let bytes = body.collect().await.unwrap().to_bytes().slice(..after);
                let broken = std::io::Error::other("the test wants it so");
                let end = async {
                    // What was sent so far leaves first.
                    tokio::time::sleep(BREATH).await;
                    Err(broken)
                };
                let frames = stream::once(async { Ok(Frame::data(bytes)) }).chain(stream::once(end));
                hyper::Response::from_parts(head, StreamBody::new(frames).boxed_unsync())
            }
        })
    }

    async fn pass(&self, request: hyper::Request<Incoming>) -> Reply {
        let reply = self.service.call(request.map(s3s::Body::from)).await.unwrap();
        reply.map(|body| body.map_err(std::io::Error::other).boxed_unsync())
    }
}
