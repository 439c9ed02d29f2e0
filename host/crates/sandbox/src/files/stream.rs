//! Streams of a file in the scratch directory.

use bytes::Bytes;
use futures::FutureExt as _;
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

/// A stream from a file. Keeps a file of the scratch directory counted while it is read.
pub(super) struct Reading {
    pub(super) inner: Box<dyn InputStream>,
    pub(super) _file: Option<OpenFile>,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reading {
    /// Reads at once. The guest's C library asks for what is there and waits when that is nothing; the engine would
    /// answer "nothing", and read on another thread. For each import that is two threads woken for two reads, which take
    /// microseconds, and half of the time of an import on a machine that has other work.
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return self.inner.read(size);
        }
        // Ready at its first step, because the store lets files be read on this thread.
        let read = self.inner.blocking_read(size).now_or_never();
        read.unwrap_or_else(|| self.inner.read(size))
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.blocking_read(size).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers as the engine's stream of a file does: nothing yet, unless it may block.
    struct File {
        blocks_here: bool,
    }

    #[wasmtime_wasi::async_trait]
    impl Pollable for File {
        async fn ready(&mut self) {}
    }

    #[wasmtime_wasi::async_trait]
    impl InputStream for File {
        fn read(&mut self, _: usize) -> StreamResult<Bytes> {
            Ok(Bytes::new())
        }

        async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
            if !self.blocks_here {
                std::future::pending::<()>().await;
            }
            Ok(Bytes::from(vec![b'x'; size]))
        }
    }

    fn read(blocks_here: bool, size: usize) -> Bytes {
        Reading { inner: Box::new(File { blocks_here }), _file: None }.read(size).unwrap_or_default()
    }

    #[test]
    fn a_file_is_read_when_it_is_asked_for() {
        assert_eq!(read(true, 3), "xxx");
        assert_eq!(read(true, 0), "");
    }

    #[test]
    fn what_is_read_on_another_thread_is_waited_for_by_the_guest() {
        assert_eq!(read(false, 3), "");
    }
}
