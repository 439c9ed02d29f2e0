//! How much an archive may hold before it is refused.

/// What one archive may hold. Enforced while reading, on the bytes that really come out.
///
/// Source: `MAX_PACKAGE_SIZE_MB` for the size of packages, [`ArchiveLimits::package`]; else constants of
/// this program. [`ArchiveLimits::WHEEL`] is for wheels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Most bytes of the archive file itself.
    pub archive_bytes: u64,
    /// Most entries, and also most files and directories created, those included that no
    /// entry names: a deep path makes inodes too.
    pub entries: usize,
    /// Most components of one path.
    pub depth: usize,
    /// Most bytes of one path. A single component is held to 255 by every file system.
    pub name_bytes: usize,
    /// Most bytes that come out, all entries together.
    pub unpacked_bytes: u64,
    /// Most bytes that come out for one byte of the archive file, looked at once more than
    /// [`RATIO_FREE_BYTES`] came out.
    pub ratio: u64,
}

/// Unpacked size up to which the ratio is not looked at. Unit: bytes.
///
/// A few hundred kilobytes of generated JSON legitimately compress a hundredfold, and harm
/// nobody at that size.
pub const RATIO_FREE_BYTES: u64 = 8 << 20;

/// Unpacked size every package may have. Unit: bytes.
const UNPACKED_PACKAGE: u64 = 256 << 20;

/// The largest package unless the operator says otherwise. Unit: bytes.
const PACKAGE_FILE: u64 = 100 << 20;

impl ArchiveLimits {
    /// For agent packages of the usual size: the code of one agent and its UI. The largest real package
    /// seen held 22 entries; a UI build with source maps reaches some thousands.
    pub const PACKAGE: Self = Self::package(PACKAGE_FILE);

    /// For one wheel. The caller lowers `unpacked_bytes` to what the deps layer has left.
    pub const WHEEL: Self = Self {
        archive_bytes: 128 << 20,
        entries: 20_000,
        depth: 32,
        name_bytes: 1024,
        unpacked_bytes: 512 << 20,
        ratio: 200,
    };

    /// For agent packages whose file may have `archive_bytes` bytes, which is `MAX_PACKAGE_SIZE_MB`.
    ///
    /// What may come out grows with it: 256 MiB, or twice the file where that is more. Who allows a
    /// package of 300 MiB of stored media allows it to be unpacked.
    #[must_use]
    pub const fn package(archive_bytes: u64) -> Self {
        let twice = archive_bytes.saturating_mul(2);
        Self {
            archive_bytes,
            entries: 20_000,
            depth: 32,
            name_bytes: 1024,
            unpacked_bytes: if twice > UNPACKED_PACKAGE { twice } else { UNPACKED_PACKAGE },
            ratio: 200,
        }
    }
}
