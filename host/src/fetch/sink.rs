//! Where a package goes while it comes: onto disk and through the hash, on a thread of its own,
//! so that the network does not wait for either.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

use bytes::Bytes;
use par_apkg::digest::{Hasher, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Pieces that wait to be written. One is what the network gives at once, 16 KiB or less over
/// TLS.
const WAITING: usize = 64;

/// A package that is being written.
#[derive(Debug)]
pub(super) struct Sink {
    pieces: mpsc::Sender<Piece>,
    writer: JoinHandle<io::Result<Sha256>>,
    received: u64,
}

enum Piece {
    Next(Bytes),
    /// Everything so far is of no use.
    Restart,
}

/// The writer is gone; [`Sink::finish`] says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

impl Sink {
    /// Writes to a file from its beginning.
    pub(super) fn new(file: File) -> Self {
        let (pieces, incoming) = mpsc::channel(WAITING);
        let writer = tokio::task::spawn_blocking(move || write(file, incoming));
        Self { pieces, writer, received: 0 }
    }

    /// How many bytes were taken since the beginning, or since the last restart.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes; waits while the disk is slower than the network.
    pub(super) async fn add(&mut self, bytes: Bytes) -> Result<(), Ended> {
        self.received += bytes.len() as u64;
        self.pieces.send(Piece::Next(bytes)).await.map_err(|_| Ended)
    }

    /// Begins again.
    pub(super) async fn restart(&mut self) -> Result<(), Ended> {
        self.received = 0;
        self.pieces.send(Piece::Restart).await.map_err(|_| Ended)
    }

    /// Waits until everything is written: its digest.
    pub(super) async fn finish(self) -> io::Result<Sha256> {
        drop(self.pieces);
        self.writer.await.map_err(io::Error::other)?
    }
}

fn write(mut file: File, mut pieces: mpsc::Receiver<Piece>) -> io::Result<Sha256> {
    let mut hasher = Hasher::default();
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Next(bytes) => {
                hasher.update(&bytes);
                file.write_all(&bytes)?;
            }
            Piece::Restart => {
                hasher = Hasher::default();
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
            }
        }
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_has_the_digest_also_after_a_restart() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut sink = Sink::new(file.reopen().unwrap());

        sink.add(Bytes::from_static(b"a longer beginning")).await.unwrap();
        sink.restart().await.unwrap();
        sink.add(Bytes::from_static(b"by")).await.unwrap();
        sink.add(Bytes::from_static(b"tes")).await.unwrap();

        assert_eq!(sink.received(), 5);
        assert_eq!(sink.finish().await.unwrap(), Sha256::of("bytes"));
        assert_eq!(fs_err::read(file.path()).unwrap(), b"bytes");
    }

    /// Hostile 20: a disk that takes nothing.
    #[tokio::test]
    async fn a_full_disk_is_the_error_of_the_package() {
        let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut sink = Sink::new(full.into_file());

        while sink.add(Bytes::from_static(b"bytes")).await.is_ok() {}

        assert_eq!(sink.finish().await.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
