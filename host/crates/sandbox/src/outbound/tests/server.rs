//! The other end of a connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers every request with these bytes; it keeps the heads it read, and counts
/// connections.
pub(super) struct Server {
    pub(super) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (list, count, answer) = (Arc::clone(&heard), Arc::clone(&connections), Arc::new(answer.into()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&list), Arc::clone(&answer)));
            }
        });
        Self { port, heard, connections }
    }

    /// Sends a body byte by byte, without ever falling silent.
    pub(super) async fn trickling(bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // What was not read would break the connection when it is closed.
                    let mut asked = Vec::new();
                    while !asked.ends_with(b"\r\n\r\n") {
                        asked.push(stream.read_u8().await?);
                    }
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
                    stream.write_all(head.as_bytes()).await?;
                    for _ in 0..bytes {
                        stream.write_all(b"x").await?;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    stream.read_u8().await
                });
            }
        });
        Self { port, heard: Arc::default(), connections: Arc::default() }
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers heads, one after the other, until the client leaves.
async fn serve(mut stream: TcpStream, heard: Arc<Mutex<Vec<String>>>, answer: Arc<Vec<u8>>) {
    let mut read = Vec::new();
    loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(size) => read.extend_from_slice(&piece[..size]),
        }
        if let Some(end) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read.drain(..end + 4).collect::<Vec<_>>()).into_owned();
            heard.lock().unwrap().push(head);
            let _ = stream.write_all(&answer).await;
        }
    }
}
