//! `par sbom`: what an agent is made of, as CycloneDX.

use std::path::Path;
use std::sync::Arc;

use par_apkg::digest::{Hasher, Sha256};
use par_sandbox::NoAudit;
use serde_json::{Value, json};

use super::error::BootError;
use super::installing::Tools;
use super::locking::{runtime, say, write};
use super::opening;
use crate::config::{Environment, Installing};
use crate::install::Distribution;

/// Installs what a package requires, as a start does, and writes down what that was.
pub(super) fn run(path: &Path, output: Option<&Path>) -> Result<String, BootError> {
    let config = Installing::parse(&Environment::of_process()).map_err(BootError::Configuration)?;
    let scratch = tempfile::tempdir().map_err(BootError::System)?;
    let (package, _, digest) = opening::open_with_digest(path, &config.fetch, scratch.path())?;
    let (name, version) = (package.manifest.name.as_str(), package.manifest.version.as_str());
    let layer = runtime()?.block_on(async {
        let tools = Tools::open(&config.cache_dir, &config.guest_dir, config.limits, Arc::new(NoAudit)).await?;
        let installer = tools.installer(&config.install, &say);
        Ok::<_, BootError>(installer.layer(name, &package.requirements).await?)
    })?;
    let distributions = layer.as_ref().map(|layer| layer.distributions()).unwrap_or_default();
    let bill = bill(name, version, digest, distributions, layer.as_ref().map(|layer| layer.tree()));
    let text = format!("{bill:#}\n");
    match output {
        None => Ok(text),
        Some(output) => {
            write(output, &text).map_err(|source| BootError::Write { path: output.to_owned(), source })?;
            Ok(format!("{} components are in {}\n", distributions.len(), output.display()))
        }
    }
}

/// CycloneDX 1.6. Without a time: the same agent has the same bill.
fn bill(
    name: &str,
    version: &str,
    digest: Option<Sha256>,
    distributions: &[Distribution],
    tree: Option<Sha256>,
) -> Value {
    let agent = format!("pkg:generic/{name}@{version}");
    let components: Vec<Value> = distributions
        .iter()
        .map(|Distribution { name, version, sha256 }| {
            let purl = format!("pkg:pypi/{name}@{version}");
            json!({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "hashes": hashes(sha256)})
        })
        .collect();
    let all: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    let mut application =
        json!({"type": "application", "bom-ref": agent, "name": name, "version": version, "purl": agent});
    if let Some(digest) = &digest {
        application["hashes"] = hashes(digest);
    }
    if let Some(tree) = tree {
        // What the wheels unpack to; `par lock` and the log name the same.
        application["properties"] = json!([{"name": "par:tree", "value": tree.to_string()}]);
    }
    let serial = serial(&[&application, &json!(components)]);
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial,
        "version": 1,
        "metadata": {"component": application},
        "components": components,
        "dependencies": [{"ref": agent, "dependsOn": all}],
    })
}

fn hashes(digest: &Sha256) -> Value {
    json!([{"alg": "SHA-256", "content": digest.to_hex()}])
}

/// A UUID of what the bill says, in the form of RFC 9562, version 8.
fn serial(parts: &[&Value]) -> String {
    let mut hasher = Hasher::default();
    for part in parts {
        hasher.update(part.to_string());
    }
    let mut hex = hasher.finish().to_hex();
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "8");
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

#[cfg(test)]
mod tests {
    use par_apkg::digest::Sha256;

    use super::{Distribution, bill};

    #[test]
    fn the_same_agent_has_the_same_bill_and_another_has_another() {
        let of = |version: &str| {
            let distribution =
                Distribution { name: "thing".into(), version: version.into(), sha256: Sha256::of("wheel") };
            bill("weather", "1.0", Some(Sha256::of("package")), &[distribution], Some(Sha256::of("tree")))
        };

        let one = of("1.0");

        assert_eq!(one, of("1.0"));
        assert_ne!(one["serialNumber"], of("1.1")["serialNumber"]);
        assert_eq!(one["components"][0]["purl"], "pkg:pypi/thing@1.0");
        assert_eq!(one["components"][0]["hashes"][0]["content"], Sha256::of("wheel").to_hex());
        assert_eq!(one["dependencies"][0]["dependsOn"][0], "pkg:pypi/thing@1.0");
        assert_eq!(one["serialNumber"].as_str().map(str::len), Some("urn:uuid:".len() + 36));
    }
}
