//! Why an archive is refused.

use std::fmt;

use crate::quote::Quoted;

/// An archive that is refused, or could not be read or unpacked.
///
/// Displays as one sentence about the archive, starting with its name.
#[derive(Debug)]
pub struct ArchiveError {
    /// What the archive is called towards the reader of the message.
    pub subject: String,
    /// What is wrong with it.
    pub refusal: Refusal,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` {}", Quoted(&self.subject), self.refusal)
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.refusal.without_number())
    }
}

/// What is wrong with an archive. Entries are counted from 1, in the order of the archive's
/// directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The file is no zip archive, or its directory cannot be read.
    #[error("is not a zip archive: {because}")]
    NotAnArchive {
        /// What was found instead.
        because: &'static str,
    },
    /// Two readers could see two different archives in this file.
    #[error("is ambiguous: {because}")]
    Ambiguous {
        /// Where the readings part.
        because: &'static str,
    },
    /// The directory of the archive cannot be read.
    #[error("has a damaged directory")]
    Directory {
        /// What the reader says.
        #[source]
        source: zip::result::ZipError,
    },
    /// The local headers contradict the directory, or entries share bytes.
    #[error("contradicts itself: its directory and its entries differ")]
    Inconsistent {
        /// What the reader says.
        #[source]
        source: zip::result::ZipError,
    },
    /// What stands before the content of an entry is not what the directory says about it: its
    /// name, its sizes, its checksum or its flags.
    #[error("has an entry its directory describes differently: `{}`", Quoted(.name))]
    Differs {
        /// The name of the entry in the directory.
        name: String,
    },
    /// The archive file itself is too large.
    #[error("is larger than {} MiB", .limit >> 20)]
    ArchiveBytes {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The directory of the archive is too large.
    #[error("has a directory of more than {} MiB", .limit >> 20)]
    DirectoryBytes {
        /// The limit, in bytes.
        limit: u32,
    },
    /// More entries, or more files and directories, than allowed.
    #[error("has more than {limit} entries")]
    Entries {
        /// The limit.
        limit: usize,
    },
    /// More bytes come out than allowed.
    #[error("unpacks to more than {} MiB, stopped at `{}`", .limit >> 20, Quoted(.path))]
    UnpackedBytes {
        /// The limit, in bytes.
        limit: u64,
        /// The entry at which it was reached.
        path: String,
    },
    /// More bytes come out for each byte of the archive than allowed.
    #[error("unpacks to more than {limit} times its size, stopped at `{}`", Quoted(.path))]
    Ratio {
        /// The limit.
        limit: u64,
        /// The entry at which it was reached.
        path: String,
    },
    /// An entry would be written outside the directory it is unpacked to.
    #[error("has an entry outside the package: `{}`", Quoted(.name))]
    Outside {
        /// The name of the entry.
        name: String,
    },
    /// An entry has a name no file should have.
    #[error("has an entry whose name {because}: `{}`", Quoted(.name))]
    Name {
        /// The name of the entry.
        name: String,
        /// What is wrong with it.
        because: &'static str,
    },
    /// An entry is neither a file nor a directory.
    #[error("has an entry that is a {kind}: `{}`", Quoted(.name))]
    NotAFile {
        /// The name of the entry.
        name: String,
        /// What it is instead.
        kind: &'static str,
    },
    /// An entry is stored in a way this reader does not read.
    #[error("has an entry that is {because}: `{}`", Quoted(.name))]
    Unsupported {
        /// The name of the entry.
        name: String,
        /// How it is stored.
        because: &'static str,
    },
    /// Two entries have exactly the same name.
    #[error("has two entries of one name")]
    Duplicate,
    /// Two paths are one path on some file system: upper and lower case, or two ways to
    /// write one letter.
    #[error("has two entries that are one file on some systems: `{}` and `{}`", Quoted(.first), Quoted(.second))]
    Collision {
        /// The path that came first.
        first: String,
        /// The path that came second.
        second: String,
    },
    /// One path is a file and a directory.
    #[error("has a file and a directory of one name: `{}`", Quoted(.path))]
    FileAndDirectory {
        /// The path.
        path: String,
    },
    /// The bytes of an entry are not what the archive says they are: checksum, length or
    /// compression.
    #[error("has a damaged entry: `{}`", Quoted(.path))]
    Damaged {
        /// The entry.
        path: String,
        /// What the decoder says.
        #[source]
        source: std::io::Error,
    },
    /// The file could not be read.
    #[error("cannot be read")]
    Read(#[source] std::io::Error),
    /// An entry could not be written.
    #[error("cannot be unpacked at `{}`", Quoted(.path))]
    Write {
        /// Where.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// An entry is refused; the number of the entry follows its name.
    #[error("{refusal} (entry {number})")]
    Entry {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        refusal: Box<Refusal>,
    },
}

impl Refusal {
    pub(super) fn of(self, subject: &str) -> ArchiveError {
        ArchiveError { subject: subject.to_owned(), refusal: self }
    }

    pub(super) fn at(self, index: usize) -> Self {
        Self::Entry { number: index + 1, refusal: Box::new(self) }
    }

    /// The refusal itself, without the number of the entry.
    #[must_use]
    pub fn without_number(&self) -> &Self {
        match self {
            Self::Entry { refusal, .. } => refusal.without_number(),
            other => other,
        }
    }
}
