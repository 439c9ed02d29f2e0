//! Descriptors over sockets.
//!
//! The process holds the other end of everything that is received here, or the same end once more. So nothing is
//! read or written in a way that could wait: whoever shares a socket can make it block again at any time.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recv, recvmsg, send as send_bytes, sendmsg, socketpair,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Longest message. Unit: bytes.
const MESSAGE_BYTES: usize = 4096;

/// Without waiting, and without a signal when nobody listens any more.
const AT_ONCE: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// Two ends for messages that keep their bounds: one for the host, one for the process.
///
/// # Errors
/// What the system says.
pub fn pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// The next message with the one descriptor that belongs to it; `None` for one that has none.
///
/// # Errors
/// When there will be no more.
pub(super) async fn receive(socket: &UnixStream) -> std::io::Result<Option<(Vec<u8>, OwnedFd)>> {
    loop {
        socket.readable().await?;
        match socket.try_io(Interest::READABLE, || Ok(receive_now(socket.as_fd())?)) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
    }
}

fn receive_now(socket: BorrowedFd<'_>) -> Result<Option<(Vec<u8>, OwnedFd)>, Errno> {
    let mut bytes = vec![0; MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?;
    let mut descriptors: Vec<OwnedFd> = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    if received.bytes == 0 {
        return Err(Errno::PIPE);
    }
    bytes.truncate(received.bytes);
    Ok(descriptors.pop().map(|descriptor| (bytes, descriptor)))
}

/// Sends a message with a descriptor.
///
/// # Errors
/// When it cannot be sent at once.
pub(super) fn send(socket: &OwnedFd, message: &[u8], descriptor: OwnedFd) -> std::io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(message)], &mut ancillary, AT_ONCE)?;
    Ok(())
}

/// Sends a message; one nobody takes is lost.
pub(super) fn tell(socket: &OwnedFd, message: &[u8]) {
    let _ = send_bytes(socket, message, AT_ONCE);
}

/// The last of the messages that have come.
pub(super) fn latest(socket: &OwnedFd) -> Option<Vec<u8>> {
    let mut last = None;
    let mut bytes = vec![0; MESSAGE_BYTES];
    // More than were written while one was read are not waited for.
    for _ in 0..64 {
        match recv(socket, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((_, count)) if count > 0 => last = Some(bytes[..count.min(MESSAGE_BYTES)].to_vec()),
            _ => break,
        }
    }
    last
}
