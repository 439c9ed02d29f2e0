//! What a wheel says about itself: `RECORD`, `WHEEL`, `METADATA`, `entry_points.txt`.
//!
//! These files are read to decide whether and where the wheel is installed, so they are read
//! strictly where a decision hangs on them, and otherwise as the readers of Python read them.

mod entry_points;
mod headers;
mod info;
mod metadata;
mod record;

pub use entry_points::{EntryPoints, SCRIPT_GROUPS};
pub use info::WheelInfo;
pub use metadata::Metadata;
pub use record::{Record, RecordFault, own_record_line, record_line};

/// A file of a `.dist-info` directory that cannot be used. Displays as one sentence without the
/// name of the wheel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has an unusable `{file}`: {because}")]
pub struct Unusable {
    /// The name of the file.
    pub file: &'static str,
    /// What is wrong with it.
    pub because: &'static str,
}

/// The text of such a file.
fn text<'a>(file: &'static str, bytes: &'a [u8], largest: usize) -> Result<&'a str, Unusable> {
    if bytes.len() > largest {
        return Err(Unusable { file, because: "it is larger than that of any real wheel" });
    }
    std::str::from_utf8(bytes).map_err(|_| Unusable { file, because: "it is not UTF-8" })
}
