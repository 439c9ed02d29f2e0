//! Requests spelt byte for byte, which no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer, as it came.
#[derive(Debug, Clone)]
pub struct RawReply {
    /// The status; 0 when the connection was closed without an answer.
    pub status: u16,
    /// Everything up to the empty line.
    pub head: String,
    /// Everything after it, transfer coding included.
    pub body: String,
}

/// Sends `request` as it is and reads until the server closes.
pub(crate) async fn exchange(port: u16, request: &[u8], patience: Duration) -> RawReply {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        // A reset after the answer is an answer.
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    };
    let bytes = timeout(patience, exchange).await.expect("the server closes the connection");
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    RawReply { status, head: head.to_owned(), body: body.to_owned() }
}
