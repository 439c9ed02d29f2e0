//! The frames between the host and a process of the agent; `par_guest/native/frames.py` is the other side.
//!
//! What comes from the process is hostile: a frame that is too long or of no known kind ends it.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Length of the payload, kind, number of the call.
const HEADER: usize = 9;

/// Largest payload taken from a process: a complete response with its head. Unit: bytes.
const LARGEST: usize = 2 << 20;

/// Bytes of a body that may be on their way before the other side has taken any.
pub(super) const WINDOW: usize = 256 * 1024;

/// Largest piece of a request's body.
pub(super) const PIECE: usize = 64 * 1024;

/// A body that follows, of a request or a response.
pub(super) const STREAMED: u8 = 1;

/// A request for the application of the UI.
pub(super) const UI: u8 = 2;

/// A request for the application that speaks A2A over HTTP.
pub(super) const A2A: u8 = 4;

/// What is sent to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum To {
    Load = 1,
    Http = 2,
    Action = 3,
    Body = 4,
    BodyEnd = 5,
    BodyBroken = 6,
    Gone = 7,
    Credit = 8,
    Ping = 9,
    Stop = 10,
}

/// What a process sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Body,
    BodyEnd,
    BodyBroken,
    Credit,
    Loaded,
    Refused,
    Response,
    Result,
    Failed,
    Pong,
    Log,
    Stopped,
}

impl From {
    fn of(kind: u8) -> Option<Self> {
        Some(match kind {
            4 => Self::Body,
            5 => Self::BodyEnd,
            6 => Self::BodyBroken,
            8 => Self::Credit,
            33 => Self::Loaded,
            34 => Self::Refused,
            35 => Self::Response,
            36 => Self::Result,
            37 => Self::Failed,
            41 => Self::Pong,
            42 => Self::Log,
            43 => Self::Stopped,
            _ => return None,
        })
    }
}

/// One frame of a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: From,
    pub(super) call: u32,
    pub(super) payload: Bytes,
}

/// A process sent what is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it sent a frame of {0} bytes")]
    TooLong(usize),
    #[error("it sent a frame of the unknown kind {0}")]
    Kind(u8),
}

/// Takes the next frame, if all of it is there.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
    let Some(mut header) = buffer.get(..HEADER) else { return Ok(None) };
    let length = usize::try_from(header.get_u32()).unwrap_or(usize::MAX);
    let (kind, call) = (header.get_u8(), header.get_u32());
    if length > LARGEST {
        return Err(Malformed::TooLong(length));
    }
    let kind = From::of(kind).ok_or(Malformed::Kind(kind))?;
    if buffer.len() < HEADER + length {
        buffer.reserve(HEADER + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEADER);
    Ok(Some(Frame { kind, call, payload: buffer.split_to(length).freeze() }))
}

/// Appends a frame whose payload is written by `fill`.
pub(super) fn put(buffer: &mut BytesMut, kind: To, call: u32, fill: impl FnOnce(&mut BytesMut)) {
    let start = buffer.len();
    buffer.put_u32(0);
    buffer.put_u8(kind as u8);
    buffer.put_u32(call);
    fill(buffer);
    let length = u32::try_from(buffer.len() - start - HEADER).unwrap_or(u32::MAX);
    if let Some(mut place) = buffer.get_mut(start..start + 4) {
        place.put_u32(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_process(kind: u8, call: u32, payload: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_u32(u32::try_from(payload.len()).unwrap());
        bytes.put_u8(kind);
        bytes.put_u32(call);
        bytes.put_slice(payload);
        bytes
    }

    #[test]
    fn frames_are_taken_one_by_one_and_only_when_whole() {
        let mut all = from_process(35, 7, b"head");
        all.extend_from_slice(&from_process(41, 8, b""));
        let mut buffer = BytesMut::new();
        let mut taken = Vec::new();

        for byte in all {
            buffer.put_u8(byte);
            taken.extend(take(&mut buffer).unwrap().map(|frame| (frame.kind, frame.call, frame.payload)));
        }

        let expected = [(From::Response, 7, Bytes::from_static(b"head")), (From::Pong, 8, Bytes::new())];
        assert_eq!(taken, expected);
    }

    #[test]
    fn what_is_no_frame_is_refused_before_its_payload_is_there() {
        let mut long = from_process(35, 1, b"");
        long[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(take(&mut long), Err(Malformed::TooLong(u32::MAX as usize)));
        assert_eq!(take(&mut from_process(2, 1, b"")), Err(Malformed::Kind(2)));
        assert_eq!(take(&mut from_process(0, 1, b"")), Err(Malformed::Kind(0)));
    }

    #[test]
    fn a_frame_to_a_process_has_its_length_first() {
        let mut buffer = BytesMut::from(&b"before"[..]);
        put(&mut buffer, To::Credit, 258, |payload| payload.put_u32(1));
        assert_eq!(&buffer[6..], [0, 0, 0, 4, 8, 0, 0, 1, 2, 0, 0, 0, 1]);
    }
}
