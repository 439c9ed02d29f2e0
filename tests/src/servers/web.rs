//! A web server that gives packages, and does whatever else servers do.
//!
//! It writes the bytes of HTTP itself: no library would tell the lies a test needs.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::authority::{Authority, Fault};

/// Pause between two bytes of a server that trickles.
const TRICKLE: Duration = Duration::from_millis(20);

/// Pause between two pieces of a server that is slow.
const SLOW: Duration = Duration::from_millis(80);

/// What a server does with one request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Gives a file, or the part that was asked for.
    File(Vec<u8>),
    /// Gives the whole file, whatever was asked for, and no entity tag.
    Whole(Vec<u8>),
    /// Gives the head of the file and resets the connection after so many bytes of it.
    Cut(Vec<u8>, usize),
    /// Says a status with more lines of the head, and nothing else.
    Status(u16, String),
    /// Leads elsewhere.
    Redirect(String),
    /// Sends these bytes and closes.
    Raw(Vec<u8>),
    /// Sends chunks without end.
    Endless,
    /// Sends the file byte by byte, slowly.
    Trickle(Vec<u8>),
    /// Sends the file in three pieces with pauses.
    Slow(Vec<u8>),
    /// Says nothing.
    Silent,
}

impl Answer {
    /// Says a status.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::Status(status, String::new())
    }
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The head, as it came.
    pub head: String,
}

impl Request {
    /// The value of a header field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// Method and target.
    #[must_use]
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// A server on a port of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct PackageServer {
    port: u16,
    scheme: &'static str,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Mutex<usize>>,
    accepting: JoinHandle<()>,
}

impl PackageServer {
    /// A server with TLS. It gives the answers in their order, and the last one from then on.
    pub async fn start(authority: &Authority, answers: impl Into<Vec<Answer>>) -> Self {
        Self::with_fault(authority, Fault::None, answers).await
    }

    /// The same, with a certificate that has a fault.
    pub async fn with_fault(authority: &Authority, fault: Fault, answers: impl Into<Vec<Answer>>) -> Self {
        Self::listen(Some(TlsAcceptor::from(authority.server(fault))), answers.into()).await
    }

    /// A server without TLS.
    pub async fn plain(answers: impl Into<Vec<Answer>>) -> Self {
        Self::listen(None, answers.into()).await
    }

    async fn listen(tls: Option<TlsAcceptor>, answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (heard, counted) = (Arc::clone(&requests), Arc::clone(&connections));
        let answers = Arc::new(answers);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                let (tls, heard, answers) = (tls.clone(), Arc::clone(&heard), Arc::clone(&answers));
                tokio::spawn(async move {
                    // What goes wrong here is the client's to notice.
                    let _ = serve(stream, tls, &heard, &answers).await;
                });
            }
        });
        Self { port, scheme, requests, connections, accepting }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.port)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many connections were made, whether or not anything was asked.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

impl Drop for PackageServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    heard: &Mutex<Vec<Request>>,
    answers: &[Answer],
) -> io::Result<()> {
    match tls {
        Some(tls) => {
            let mut stream = tls.accept(stream).await?;
            let cut = answer(&mut stream, heard, answers).await?;
            if cut {
                // The reset comes from the socket below, without a word of TLS.
                return stream.get_ref().0.set_zero_linger();
            }
            stream.shutdown().await
        }
        None => {
            let mut stream = stream;
            answer(&mut stream, heard, answers).await?;
            stream.shutdown().await
        }
    }
}

/// Answers one request; says whether the connection is to be reset.
async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    heard: &Mutex<Vec<Request>>,
    answers: &[Answer],
) -> io::Result<bool> {
    let request = read(stream).await?;
    let number = {
        let mut heard = heard.lock().unwrap();
        heard.push(request.clone());
        heard.len()
    };
    match &answers[(number - 1).min(answers.len() - 1)] {
        Answer::File(bytes) => send(stream, &request, bytes, bytes.len()).await?,
        Answer::Cut(bytes, after) => {
            send(stream, &request, bytes, *after).await?;
            return Ok(true);
        }
        Answer::Whole(bytes) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(bytes).await?;
        }
        Answer::Status(status, lines) => {
            let head = format!("HTTP/1.1 {status} x\r\n{lines}content-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
        }
        Answer::Redirect(to) => {
            let head = format!("HTTP/1.1 302 x\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
        }
        Answer::Raw(bytes) => stream.write_all(bytes).await?,
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            let chunk = [b"10000\r\n".as_slice(), &[7; 1 << 16], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
            }
        }
        Answer::Trickle(bytes) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len());
            stream.write_all(head.as_bytes()).await?;
            for byte in bytes {
                stream.write_all(&[*byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(TRICKLE).await;
            }
        }
        Answer::Slow(bytes) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
            stream.write_all(head.as_bytes()).await?;
            for piece in bytes.chunks(bytes.len().div_ceil(3)) {
                stream.write_all(piece).await?;
                stream.flush().await?;
                tokio::time::sleep(SLOW).await;
            }
        }
        Answer::Silent => std::future::pending().await,
    }
    stream.flush().await?;
    Ok(false)
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(Request { head: String::from_utf8_lossy(&head).into_owned() })
}

/// Sends a file, or its rest where that was asked for and is of the same version; at most
/// `limit` bytes of it.
async fn send(stream: &mut (impl AsyncWrite + Unpin), request: &Request, file: &[u8], limit: usize) -> io::Result<()> {
    let tag = tag(file);
    let is_same = request.field("if-range").is_none_or(|wanted| wanted == tag);
    let rest = request.field("range").filter(|_| is_same);
    let from: usize = rest.and_then(|rest| rest.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let head = if from > 0 {
        format!("HTTP/1.1 206 x\r\ncontent-range: bytes {from}-{}/{}\r\n", file.len() - 1, file.len())
    } else {
        "HTTP/1.1 200 OK\r\naccept-ranges: bytes\r\n".to_owned()
    };
    let length = file.len() - from;
    stream
        .write_all(format!("{head}etag: {tag}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n").as_bytes())
        .await?;
    stream.write_all(&file[from..][..limit.min(length)]).await?;
    stream.flush().await
}

/// An entity tag that changes with the content.
fn tag(file: &[u8]) -> String {
    let sum = file.iter().fold(file.len() as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("\"{sum:x}\"")
}
