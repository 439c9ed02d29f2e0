//! Writes `pylock.toml` ([PEP 751](https://peps.python.org/pep-0751/)): what `par lock` leaves in a package.

use std::fmt::Write as _;

use par_apkg::digest::Sha256;

use super::guest::GuestFiles;
use super::lock::{Lock, Locked, LockedWheel};
use super::settings::{PYTHON_VERSION, RULE_VERSION};

/// The text of a lock that names exactly these wheels.
///
/// `[tool.par]` adds what only PAR knows: the digest of the files the wheels unpack to, and what
/// the guest carried, which is why it is not among the wheels.
pub(super) fn lock<'a>(
    wheels: impl Iterator<Item = (&'a Locked, &'a LockedWheel)>,
    guest: &GuestFiles,
    resolved: &Lock,
    requirements: Sha256,
    tree: Sha256,
) -> String {
    let mut text =
        format!("lock-version = \"1.0\"\nrequires-python = \"=={PYTHON_VERSION}.*\"\ncreated-by = \"par\"\n");
    let mut packages = String::new();
    for (locked, wheel) in wheels {
        let file = quoted(&wheel.file.to_string());
        // A wheel of the wheelhouse is at another place on every machine.
        let place = match wheel.url.as_ref().filter(|url| url.scheme() != "file") {
            Some(url) => {
                let mut url = url.clone();
                // Credentials are the operator's. Neither fails for a URL with a host.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.set_query(None);
                url.set_fragment(None);
                format!("url = {}", quoted(url.as_str()))
            }
            None => format!("path = {file}"),
        };
        let _ = write!(
            packages,
            "\n[[packages]]\nname = {}\nversion = {}\nwheels = [{{ name = {file}, {place}, hashes = {{ sha256 = \"{}\" }} }}]\n",
            quoted(locked.name.as_str()),
            quoted(&locked.version),
            wheel.digest.to_hex(),
        );
    }
    text.push_str(if packages.is_empty() { "packages = []\n" } else { &packages });
    let _ = write!(text, "\n[tool.par]\nrequirements = \"{requirements}\"\ntree = \"{tree}\"\nrule = {RULE_VERSION}\n");
    text.push_str(
        "\n# What the agent needs and the guest carries, which is why no wheel is locked for it.\n[tool.par.carried]\n",
    );
    for locked in resolved.distributions.iter().filter(|locked| guest.has(&locked.name, &locked.version)) {
        let _ = writeln!(text, "{} = {}", locked.name, quoted(&locked.version));
    }
    text
}

/// A TOML string. What is written is names, versions and URLs, which have nothing to escape; a
/// quote or a backslash in one would be escaped all the same.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
