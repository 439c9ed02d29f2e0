//! What a client says first: a request, or the greeting of TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// The first byte of TLS.
const HANDSHAKE: u8 = 0x16;

/// Longest greeting. Unit: bytes.
const GREETING_BYTES: usize = 64 * 1024;

/// What was said, and the bytes of it.
#[derive(Debug)]
pub(super) enum Spoken {
    Plain(Vec<u8>),
    Tls { first: Vec<u8>, name: Option<String> },
}

/// Reads until it is clear what is spoken; `None` when nothing was.
pub(super) async fn spoken(stream: &mut UnixStream) -> io::Result<Option<Spoken>> {
    let mut first = Vec::with_capacity(4096);
    let mut acceptor = Acceptor::default();
    loop {
        let before = first.len();
        if stream.read_buf(&mut first).await? == 0 {
            return Ok(None);
        }
        if first[0] != HANDSHAKE {
            return Ok(Some(Spoken::Plain(first)));
        }
        let mut unread = &first[before..];
        while !unread.is_empty() {
            acceptor.read_tls(&mut unread)?;
        }
        match acceptor.accept() {
            Ok(None) if first.len() < GREETING_BYTES => {}
            Ok(None) => return Ok(None),
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_owned);
                return Ok(Some(Spoken::Tls { first, name }));
            }
            // Whoever answers says what is wrong with it.
            Err(_) => return Ok(Some(Spoken::Tls { first, name: None })),
        }
    }
}

/// Longest word a request begins with. Unit: bytes.
const METHOD_BYTES: usize = 32;

/// Whether what was said may become a request: its first word is a method, as far as it has come.
pub(super) fn begins_like_http(first: &[u8]) -> bool {
    let word = first.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.len() <= METHOD_BYTES && word.iter().all(is_token)
}

/// A stream of which the beginning was read already.
#[derive(Debug)]
pub(super) struct Begun {
    first: Vec<u8>,
    read: usize,
    stream: UnixStream,
}

impl Begun {
    pub(super) const fn new(first: Vec<u8>, stream: UnixStream) -> Self {
        Self { first, read: 0, stream }
    }
}

impl AsyncRead for Begun {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read < self.first.len() {
            let rest = &self.first[self.read..];
            let taken = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..taken]);
            self.read += taken;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Begun {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
