//! The one place that opens outbound connections: resolve once, judge every address, dial one
//! of those, and speak TLS where the URL says so.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use par_policy::outbound::Outbound as Rules;
use par_policy::{Denial, DenialCode, LimitKey};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::failure::Failure;
use super::resolve::Resolve;
use super::roots::Tls;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotConnected {
    /// An address was denied, or the time ran out: on the record.
    #[error(transparent)]
    Denied(Denial),
    /// The network's own reasons.
    #[error(transparent)]
    Failed(Failure),
}

/// Opens connections for the client of one agent.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) rules: Arc<Rules>,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) tls: Arc<Tls>,
    pub(super) timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = NotConnected;
    type Future = BoxFuture<'static, Result<Stream, NotConnected>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotConnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> Result<Stream, NotConnected> {
        let host = uri.host().unwrap_or_default();
        let secure = uri.scheme_str() != Some("http");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let deadline = Instant::now() + self.timeout;
        let opened = self.open(host, port, deadline).await?;
        if !secure {
            return Ok(Stream::Plain(TokioIo::new(opened)));
        }
        timeout_at(deadline, self.handshake(host, opened)).await.map_err(|_| self.late(host))?
    }

    /// A connection to a host, without TLS: its addresses are judged, and one of those is dialled.
    pub(super) async fn open(&self, host: &str, port: u16, deadline: Instant) -> Result<TcpStream, NotConnected> {
        let addresses = timeout_at(deadline, self.addresses(host)).await.map_err(|_| self.late(host))??;
        for address in &addresses {
            self.rules.judge_address(*address).map_err(NotConnected::Denied)?;
        }
        timeout_at(deadline, dial(host, port, &addresses, deadline)).await.map_err(|_| self.late(host))?
    }

    fn late(&self, host: &str) -> NotConnected {
        let sentence = format!("no connection to `{host}` within {} s", self.timeout.as_secs_f32());
        let key = LimitKey::OUTBOUND_CONNECT_TIMEOUT;
        NotConnected::Denied(Denial::by_limit(DenialCode::OutboundTimeout, sentence, key))
    }

    /// The addresses of the host; an address is its own.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NotConnected> {
        if let Some(address) = literal(host) {
            return Ok(vec![address]);
        }
        tracing::debug!(host, "Outbound name looked up");
        let found = self.resolver.resolve(host.to_owned()).await.unwrap_or_else(|error| {
            tracing::debug!(host, %error, "Outbound name not resolved");
            Vec::new()
        });
        if found.is_empty() { Err(NotConnected::Failed(Failure::dns(host))) } else { Ok(found) }
    }

    async fn handshake(&self, host: &str, opened: TcpStream) -> Result<Stream, NotConnected> {
        let refused = |because: &str| NotConnected::Failed(Failure::tls(host, because));
        let config = self.tls.config().await.map_err(|because| refused(&because))?;
        let name = match literal(host) {
            Some(address) => ServerName::IpAddress(address.into()),
            None => ServerName::try_from(host.to_owned()).map_err(|error| refused(&error.to_string()))?,
        };
        let stream = TlsConnector::from(config).connect(name, opened).await.map_err(|error| {
            let because = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
            refused(&because.map_or_else(|| error.kind().to_string(), ToString::to_string))
        })?;
        Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
    }
}

/// The host of a canonical URL, when it is an address.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Dials the addresses one after the other, each with its share of the time that is left.
async fn dial(host: &str, port: u16, addresses: &[IpAddr], deadline: Instant) -> Result<TcpStream, NotConnected> {
    for (index, address) in addresses.iter().enumerate() {
        let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / others;
        let attempt = TcpStream::connect(SocketAddr::new(*address, port));
        match timeout_at(Instant::now() + share, attempt).await {
            Ok(Ok(stream)) => {
                // A request is written in one piece: waiting for more only delays it.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => tracing::debug!(host, %address, port, %error, "Outbound connection refused"),
            Err(_) => tracing::debug!(host, %address, port, "Outbound connection timed out"),
        }
    }
    Err(NotConnected::Failed(Failure::connect(host)))
}

/// An open connection.
pub(super) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        match self {
            Self::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2") => connected.negotiated_h2(),
            Self::Plain(_) | Self::Tls(_) => connected,
        }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}
