//! HTTP/2 spelt frame by frame, as no client library would.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::host::PATIENCE;

/// What a frame is, by its number.
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// The beginning of a head.
    pub const HEADERS: u8 = 1;
    /// The end of a stream before its end.
    pub const RST_STREAM: u8 = 3;
    /// What one side says about itself.
    pub const SETTINGS: u8 = 4;
    /// A question whether the other side is there.
    pub const PING: u8 = 6;
    /// The last stream that is served, and why.
    pub const GOAWAY: u8 = 7;
    /// How much more may be sent.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a head.
    pub const CONTINUATION: u8 = 9;
}

/// The flags of a frame.
pub mod flag {
    /// The last frame of its stream from this side; of PING and SETTINGS, the answer to one.
    pub const END_STREAM: u8 = 1;
    /// The head is complete.
    pub const END_HEADERS: u8 = 4;
}

/// One frame, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`].
    pub kind: u8,
    /// Of [`flag`].
    pub flags: u8,
    /// The stream; 0 for the connection.
    pub stream: u32,
    /// The rest.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a GOAWAY or RST_STREAM.
    #[must_use]
    pub fn code(&self) -> u8 {
        let at = if self.kind == kind::GOAWAY { 7 } else { 3 };
        self.payload[at]
    }

    /// Whether it is the head of an answer with status 200.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        // Status 200 is entry 8 of the static table, and the first field of a head.
        self.kind == kind::HEADERS && self.payload.first() == Some(&0x88)
    }
}

/// A connection whose frames the test writes itself.
#[derive(Debug)]
pub struct Frames {
    writer: OwnedWriteHalf,
    frames: mpsc::UnboundedReceiver<Frame>,
}

impl Frames {
    /// Connects, sends the preface and empty settings, and reads from then on.
    pub async fn connect(port: u16) -> Self {
        let (reader, writer) = Self::opened(port).await;
        let (sender, frames) = mpsc::unbounded_channel();
        tokio::spawn(read(reader, sender));
        Self { writer, frames }
    }

    /// The same, for a client that never reads. What is to be read has to be kept, or the connection is reset.
    pub async fn deaf(port: u16) -> (Self, OwnedReadHalf) {
        let (reader, writer) = Self::opened(port).await;
        let (_, frames) = mpsc::unbounded_channel();
        (Self { writer, frames }, reader)
    }

    async fn opened(port: u16) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, mut writer) = stream.into_split();
        writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        writer.write_all(&bytes(kind::SETTINGS, 0, 0, &[])).await.unwrap();
        (reader, writer)
    }

    /// Sends one frame; says whether the connection is still open to it.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.writer.write_all(&bytes(kind, flags, stream, payload)).await.is_ok()
    }

    /// Sends bytes as they are; says whether the connection is still open to them.
    pub async fn raw(&mut self, bytes: &[u8]) -> bool {
        self.writer.write_all(bytes).await.is_ok()
    }

    /// Sends a whole GET.
    pub async fn get(&mut self, stream: u32, path: &str, headers: &[(&str, &str)]) -> bool {
        self.send(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &head("GET", path, headers)).await
    }

    /// The next frame; none once the connection has ended.
    pub async fn receive(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.frames.recv()).await.expect("a frame, or the end")
    }

    /// The next frame that `wanted` accepts; none when the connection ends before it.
    pub async fn receive_until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        while let Some(frame) = self.receive().await {
            if wanted(&frame) {
                return Some(frame);
            }
        }
        None
    }

    /// The head of the answer on `stream`, or what ends it: none when that is the end of the connection.
    pub async fn answer(&mut self, stream: u32) -> Option<Frame> {
        self.receive_until(|frame| frame.stream == stream && [kind::HEADERS, kind::RST_STREAM].contains(&frame.kind))
            .await
    }

    /// Sends a ping and waits for its answer: all that was sent before it has been read by then. Says whether there was one.
    pub async fn catch_up(&mut self) -> bool {
        self.send(kind::PING, 0, 0, &[7; 8]).await
            && self.receive_until(|frame| frame.kind == kind::PING && frame.flags == 1).await.is_some()
    }

    /// The last word of the server before it closes the connection: the code of its GOAWAY, if it says any.
    pub async fn last_word(&mut self) -> Option<u8> {
        let mut code = None;
        while let Some(frame) = self.receive().await {
            if frame.kind == kind::GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}

async fn read(mut reader: OwnedReadHalf, frames: mpsc::UnboundedSender<Frame>) {
    loop {
        let mut head = [0; 9];
        if reader.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if reader.read_exact(&mut payload).await.is_err() {
            return;
        }
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        if frames.send(Frame { kind: head[3], flags: head[4], stream, payload }).is_err() {
            return;
        }
    }
}

/// A frame on the wire.
#[must_use]
pub fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A message of gRPC, as it is in a body.
#[must_use]
pub fn message(message: &impl prost::Message) -> Vec<u8> {
    let length = u32::try_from(message.encoded_len()).unwrap().to_be_bytes();
    [&[0], &length[..], &message.encode_to_vec()].concat()
}

/// The head of a request, each field spelt out.
#[must_use]
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "agent.example"), (":path", path)];
    pseudo.iter().chain(headers).flat_map(|(name, value)| field(0, name, value)).collect()
}

/// One field of a head, spelt out. With `form` 0x40 it enters the table of the connection.
#[must_use]
pub fn field(form: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![form];
    for text in [name, value] {
        number(text.len(), 0x7f, &mut bytes);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// An integer of HPACK, whose first byte has room up to `prefix`.
fn number(value: usize, prefix: u8, bytes: &mut Vec<u8>) {
    match u8::try_from(value) {
        Ok(value) if value < prefix => bytes.push(value),
        _ => {
            bytes.push(prefix);
            let mut rest = value - usize::from(prefix);
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
    }
}
