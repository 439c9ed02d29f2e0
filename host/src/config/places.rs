//! Directories and addresses of what PAR itself needs.

use std::path::{Path, PathBuf};

use super::mistake::Expected;
use super::raw::Places;
use crate::install::is_trusted_transport;
use crate::redact::RedactedUrl;

impl Places {
    /// The guest as it is installed beside the binary.
    pub(super) fn guest_dir(&self) -> PathBuf {
        let binary_dir = self.executable_dir.as_deref().unwrap_or(Path::new("."));
        binary_dir.parent().unwrap_or(binary_dir).join("lib/par/guest")
    }

    pub(super) fn cache_dir(&self) -> PathBuf {
        match &self.user_cache_dir {
            Some(directory) => directory.join("par"),
            None => self.temporary_dir.join("par-cache"),
        }
    }
}

/// A directory that need not exist yet.
pub(super) fn directory(text: &str) -> Result<PathBuf, Expected> {
    if text.trim().is_empty() {
        return Err(Expected::new("a directory"));
    }
    Ok(PathBuf::from(text))
}

/// The address of a package index: encrypted, or on this machine.
pub(super) fn index_url(text: &str) -> Result<RedactedUrl, Expected> {
    RedactedUrl::parse(text.trim())
        .ok()
        .filter(|url| is_trusted_transport(url.expose(), true) && url.expose().has_host())
        .ok_or_else(|| Expected::new("a URL that begins with `https://`, or with `http://` and a loopback address"))
}
