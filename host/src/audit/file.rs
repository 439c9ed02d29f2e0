//! The file the record is kept in.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::telemetry::{Lines, events};

/// Why a file cannot be the record.
#[derive(Debug, thiserror::Error)]
pub enum AuditFileError {
    /// It cannot be opened or made.
    #[error("cannot open the audit file `{path}` (`PAR_AUDIT_FILE`)")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It is there, and not a file of this user alone.
    #[error("cannot use the audit file `{path}` (`PAR_AUDIT_FILE`): {because}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        because: &'static str,
    },
}

/// Opens the file for appending, and makes sure that nobody else writes to it. What cannot be
/// written to it goes to `log`.
pub(super) fn open(path: &Path, log: Lines) -> Result<Output<File>, AuditFileError> {
    let failed = |source: io::Error| AuditFileError::Open { path: path.to_owned(), source };
    let unfit = |because| AuditFileError::Unfit { path: path.to_owned(), because };
    // Not to wait for the reader of a pipe, before it is known to be none.
    let flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file: OwnedFd = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(rustix::io::Errno::LOOP) => return Err(unfit("it is a link")),
        Err(rustix::io::Errno::NXIO) => return Err(unfit("it is not a file")),
        Err(error) => return Err(failed(error.into())),
    };
    let file = File::from(file);
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() {
        return Err(unfit("it is not a file"));
    }
    if facts.nlink() != 1 {
        return Err(unfit("it has more than one name"));
    }
    if facts.uid() != rustix::process::geteuid().as_raw() {
        return Err(unfit("it belongs to another user"));
    }
    if facts.mode() & 0o022 != 0 {
        return Err(unfit("others may write to it"));
    }
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Output { file, log, torn: false, broken: false }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(unfit("another process writes to it")),
        Err(error) => Err(failed(error.into())),
    }
}

/// The file, and the log behind it: what cannot be written to the one goes to the other.
#[derive(Debug)]
pub(super) struct Output<F> {
    pub(super) file: F,
    pub(super) log: Lines,
    /// The file ends in the middle of a line.
    pub(super) torn: bool,
    pub(super) broken: bool,
}

impl<F: Write> Output<F> {
    /// Writes as much as can be; the number of bytes, and why not all of them.
    fn append(&mut self, lines: &[u8]) -> (usize, Option<io::Error>) {
        if self.torn {
            match self.file.write_all(b"\n") {
                Ok(()) => self.torn = false,
                Err(error) => return (0, Some(error)),
            }
        }
        let mut written = 0;
        while written < lines.len() {
            match self.file.write(&lines[written..]) {
                Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Some(error)),
            }
        }
        (written, None)
    }
}

impl<F: Write> Write for Output<F> {
    /// Takes whole lines, as the thread of the record hands them over.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let (written, error) = self.append(lines);
        let Some(error) = error else {
            if std::mem::replace(&mut self.broken, false) {
                tracing::warn!("{}", events::AUDIT_FILE_WRITTEN_AGAIN);
            }
            return Ok(lines.len());
        };
        if !std::mem::replace(&mut self.broken, true) {
            tracing::error!(error = &error as &dyn std::error::Error, "{}", events::AUDIT_FILE_BROKEN);
        }
        // A line that was begun is written once more, whole.
        let whole = lines[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.torn |= whole < written;
        self.log.write_finished(&lines[whole..]);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
