//! The manifest as it was written: every key with its type and line, nothing decided.

use par_policy::policy::Requested;

use super::ManifestError;
use super::section::{Located, Section, wrong_type};
use crate::capabilities;
use crate::yaml::{Node, Value};

/// Every key a manifest may have at its top level, over all generations of builders.
const KEYS: [&str; 26] = [
    "a2a",
    "author",
    "capabilities",
    "data_access",
    "dependencies",
    "description",
    "display_name",
    "entrypoint",
    "environment",
    "exports",
    "http_server",
    "license",
    "mcp",
    "metadata",
    "name",
    "permissions",
    "plan_mode",
    "required_ui_capabilities",
    "rest",
    "runtime",
    "runtime_version",
    "sandbox",
    "translation",
    "ui",
    "ui_spec_version",
    "version",
];

type Text = Option<Located<String>>;

/// `agent.yaml`, key by key. What is not here is accepted and not read.
#[derive(Debug)]
pub(super) struct RawManifest {
    pub(super) name: Text,
    pub(super) version: Text,
    pub(super) display_name: Text,
    pub(super) description: Text,
    pub(super) author: Text,
    pub(super) license: Text,
    pub(super) runtime: Text,
    pub(super) entrypoint: Text,
    pub(super) http_server: Text,
    pub(super) rest: Option<RawRest>,
    pub(super) a2a: Option<RawA2a>,
    pub(super) ui: Option<RawUi>,
    pub(super) exports: Vec<RawExport>,
    pub(super) dependencies: Vec<Located<String>>,
    pub(super) environment: Vec<(String, Located<String>)>,
    pub(super) metadata_version: Option<String>,
    pub(super) sub_agents: Vec<RawSubAgent>,
    pub(super) requested: Option<Requested>,
}

#[derive(Debug)]
pub(super) struct RawRest {
    pub(super) entry: Text,
}

#[derive(Debug)]
pub(super) struct RawA2a {
    pub(super) service: Text,
    pub(super) entry: Text,
    pub(super) http_server: Text,
}

#[derive(Debug)]
pub(super) struct RawUi {
    pub(super) line: u64,
    pub(super) path: Text,
    pub(super) entry: Text,
    pub(super) base_path: Text,
}

#[derive(Debug)]
pub(super) struct RawExport {
    pub(super) path: String,
    pub(super) line: u64,
    pub(super) name: Text,
    pub(super) handler: Text,
}

#[derive(Debug)]
pub(super) struct RawSubAgent {
    pub(super) path: String,
    pub(super) name: Text,
    pub(super) description: Text,
    pub(super) endpoint: Text,
    pub(super) public: bool,
}

impl RawManifest {
    pub(super) fn read(root: &Node) -> Result<Self, ManifestError> {
        let root = Section::root(root)?;
        root.only(&KEYS)?;
        let metadata = root.section_or_absent("metadata")?;
        Ok(Self {
            name: root.text("name")?,
            version: root.text("version")?,
            display_name: root.text("display_name")?,
            description: root.text("description")?,
            author: root.text("author")?,
            license: root.text("license")?,
            runtime: runtime(&root)?,
            entrypoint: root.text("entrypoint")?,
            http_server: root.text("http_server")?,
            rest: rest(&root)?,
            a2a: a2a(&root)?,
            ui: ui(&root)?,
            exports: exports(&root)?,
            dependencies: texts(&root, "dependencies")?,
            environment: environment(&root)?,
            metadata_version: metadata
                .as_ref()
                .and_then(|metadata| metadata.get("version")?.value.scalar())
                .map(str::to_owned),
            sub_agents: metadata.as_ref().map(sub_agents).transpose()?.unwrap_or_default(),
            requested: capabilities::requested(&root)?,
        })
    }
}

/// `runtime` is a string, or a map in the oldest packages, which says nothing of use.
fn runtime(root: &Section<'_>) -> Result<Text, ManifestError> {
    match root.get("runtime").map(|node| &node.value) {
        Some(Value::Map(_)) => Ok(None),
        _ => root.text("runtime"),
    }
}

fn rest(root: &Section<'_>) -> Result<Option<RawRest>, ManifestError> {
    let Some(node) = root.get("rest") else { return Ok(None) };
    let rest = Section::map("rest", node)?;
    rest.only(&["entry"])?;
    Ok(Some(RawRest { entry: rest.text("entry")? }))
}

fn a2a(root: &Section<'_>) -> Result<Option<RawA2a>, ManifestError> {
    let Some(node) = root.get("a2a") else { return Ok(None) };
    let a2a = Section::map("a2a", node)?;
    a2a.only(&["service", "entry", "http_server"])?;
    Ok(Some(RawA2a { service: a2a.text("service")?, entry: a2a.text("entry")?, http_server: a2a.text("http_server")? }))
}

fn ui(root: &Section<'_>) -> Result<Option<RawUi>, ManifestError> {
    let Some(node) = root.get("ui") else { return Ok(None) };
    let ui = Section::map("ui", node)?;
    ui.only(&["path", "basePath", "entry"])?;
    Ok(Some(RawUi {
        line: ui.line(),
        path: ui.text("path")?,
        entry: ui.text("entry")?,
        base_path: ui.text("basePath")?,
    }))
}

fn exports(root: &Section<'_>) -> Result<Vec<RawExport>, ManifestError> {
    let read = |(index, node): (usize, &Node)| {
        let path = format!("exports[{index}]");
        let export = Section::map(&path, node)?;
        Ok(RawExport { path, line: node.line, name: export.text("name")?, handler: export.text("handler")? })
    };
    root.list("exports")?.iter().enumerate().map(read).collect()
}

fn sub_agents(metadata: &Section<'_>) -> Result<Vec<RawSubAgent>, ManifestError> {
    let read = |(index, node): (usize, &Node)| {
        let path = format!("metadata.sub_agents[{index}]");
        let agent = Section::map(&path, node)?;
        let public = match agent.get("public") {
            None => true,
            Some(node) => match &node.value {
                Value::Null => true,
                Value::Boolean(text) => text == "true",
                _ => return Err(wrong_type(&agent.path_of("public"), node, "`true` or `false`")),
            },
        };
        Ok(RawSubAgent {
            name: agent.text("name")?,
            description: agent.text("description")?,
            endpoint: agent.text("endpoint")?,
            public,
            path,
        })
    };
    metadata.list("sub_agents")?.iter().enumerate().map(read).collect()
}

fn texts(section: &Section<'_>, key: &str) -> Result<Vec<Located<String>>, ManifestError> {
    let read = |(index, node): (usize, &Node)| match &node.value {
        Value::Text(text) => Ok(Located { line: node.line, value: text.clone() }),
        _ => Err(wrong_type(&format!("{}[{index}]", section.path_of(key)), node, "a string")),
    };
    section.list(key)?.iter().enumerate().map(read).collect()
}

/// Values may be numbers and booleans: they become the text they were written as, which is
/// what the author sees in the file.
fn environment(root: &Section<'_>) -> Result<Vec<(String, Located<String>)>, ManifestError> {
    let Some(environment) = root.section_or_absent("environment")? else { return Ok(Vec::new()) };
    let read = |(name, node): (&str, &Node)| match node.value.scalar() {
        Some(text) => Ok((name.to_owned(), Located { line: node.line, value: text.to_owned() })),
        None => Err(wrong_type(&environment.path_of(name), node, "a string")),
    };
    environment.entries().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::KEYS;

    #[test]
    fn the_manual_has_every_key() {
        let manual = include_str!("../../../../../docs/manifest.md");
        let missing: Vec<_> = KEYS.iter().filter(|key| !manual.contains(&format!("`{key}`"))).collect();
        assert!(missing.is_empty(), "docs/manifest.md does not mention {missing:?}");
    }
}
