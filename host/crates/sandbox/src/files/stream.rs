//! Streams of a file in the scratch directory.

use bytes::Bytes;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::quota::OpenFile;

/// A stream to a file: asks before the file grows.
pub(super) struct Writing {
    pub(super) inner: Box<dyn OutputStream>,
    pub(super) file: OpenFile,
    /// Where the next byte goes; `None` at the end of the file.
    pub(super) position: Option<u64>,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writing {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Writing {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let length = bytes.len() as u64;
        let room = match self.position {
            Some(position) => self.file.reach(position.saturating_add(length)),
            None => self.file.append(length),
        };
        room.map_err(|full| StreamError::LastOperationFailed(std::io::Error::from(full).into()))?;
        self.inner.write(bytes)?;
        self.position = self.position.map(|position| position.saturating_add(length));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// A stream from a file: keeps the file counted while it is read.
pub(super) struct Reading {
    pub(super) inner: Box<dyn InputStream>,
    pub(super) _file: OpenFile,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reading {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.read(size)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
