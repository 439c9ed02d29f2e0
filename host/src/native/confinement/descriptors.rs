//! The descriptors a confined process starts with. The one `unsafe` of the confinement: `docs/adr/0016-confinement.md`.

#![expect(unsafe_code, reason = "a descriptor is named by its number when a process starts")]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// Standard input, output and error.
const STANDARD: RawFd = 3;

/// Takes a descriptor the process was started with.
///
/// # Errors
/// When it is not open.
pub(super) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number < STANDARD {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: it is asked whether it is open before anything relies on it.
    fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) })?;
    // SAFETY: it is open, as was asked above, and inherited: nothing in this process has made it, so nothing owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Has every descriptor closed when the process becomes another program, but the standard ones and those named.
///
/// # Errors
/// When the system does not tell which are open.
pub(super) fn close_on_exec(keep: &[RawFd]) -> io::Result<()> {
    let open = fs_err::read_dir("/proc/self/fd")?;
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers.collect::<Vec<_>>() {
        // SAFETY: it is borrowed for one call that changes a flag; what is no longer open answers with an error.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let flags = if number < STANDARD || keep.contains(&number) { FdFlags::empty() } else { FdFlags::CLOEXEC };
        match fcntl_setfd(descriptor, flags) {
            // The directory that was listed.
            Err(rustix::io::Errno::BADF) => {}
            outcome => outcome?,
        }
    }
    Ok(())
}
