//! What a package asks for: `sandbox:` in its manifest or in `pak.yaml`.

use par_policy::policy::{Line, Requested};

use super::PolicyError;
use super::entries::{
    binding, clock, data_name, entries, granting, invalid, items, limits, line, random, range, scratch, secret_name,
    string, variable,
};
use crate::Quoted;
use crate::manifest::ManifestError;
use crate::manifest::section::Section;
use crate::yaml;

/// The file of the builder's own settings, which it copies into a package as it is. Only
/// `sandbox` is read here; the other keys are the builder's.
pub(crate) const PAK_FILE: &str = "pak.yaml";

const KEYS: [&str; 10] =
    ["backend", "clock", "env", "files", "limits", "outbound", "outbound_addresses", "random", "secrets", "version"];

/// Reads `sandbox:` of the file whose top level is `root`; `None` without that key.
pub(crate) fn requested(root: &Section<'_>) -> Result<Option<Requested>, ManifestError> {
    let Some(sandbox) = root.section_or_absent("sandbox")? else { return Ok(None) };
    sandbox.only(&KEYS)?;
    super::policy::version(&sandbox, false)?;
    let files = sandbox.section_or_absent("files")?;
    if let Some(files) = &files {
        files.only(&["data", "scratch_mib"])?;
    }
    let data = |path: &str, node: &yaml::Node| data_name(path, string(path, node)?, node.line);
    Ok(Some(Requested {
        outbound: items(&sandbox, "outbound", granting)?,
        outbound_addresses: items(&sandbox, "outbound_addresses", range)?,
        env: items(&sandbox, "env", variable)?,
        secrets: entries(&sandbox, "secrets", |path, name, node| {
            let section = Section::map(path, node)?;
            section.only(&["hosts"])?;
            Ok((secret_name(path, name, node.line)?, binding(&section)?))
        })?,
        data: files.as_ref().map(|files| items(files, "data", data)).transpose()?.unwrap_or_default(),
        scratch: scratch(files.as_ref())?,
        clock: clock(&sandbox)?,
        random: random(&sandbox)?,
        native: native(&sandbox)?,
        limits: limits(&sandbox)?,
    }))
}

/// `backend`: where the package wants to run. What runs in the sandbox does so unasked.
fn native(section: &Section<'_>) -> Result<Option<Line<()>>, ManifestError> {
    let Some(text) = section.text("backend")? else { return Ok(None) };
    let path = section.path_of("backend");
    match text.value.as_str() {
        "sandbox" => Ok(None),
        "native" => Ok(Some(line(&path, ()))),
        other => {
            let because = format!("expected `sandbox` or `native`, got `{}`", Quoted(other));
            Err(invalid(&path, text.line, because, None))
        }
    }
}

/// Reads `sandbox:` of a `pak.yaml`.
pub(crate) fn parse_pak(bytes: &[u8]) -> Result<Option<Requested>, PolicyError> {
    let read = || {
        let root = match yaml::read(bytes) {
            Err(yaml::Refused { because: yaml::Because::Empty, .. }) => return Ok(None),
            root => root?,
        };
        requested(&Section::root(&root)?)
    };
    read().map_err(|error| PolicyError::in_file(PAK_FILE, error))
}
