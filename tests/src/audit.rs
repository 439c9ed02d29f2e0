//! The record, held against its schema.

use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::repository;

/// The events of lines that are on the record.
const EVENTS: [&str; 3] = ["Capability used", "Capability denied", "Capability observed"];

static SCHEMA: LazyLock<(Schemas, SchemaIndex)> = LazyLock::new(|| {
    let file = repository().join("docs/audit.schema.json");
    let schema: Value = serde_json::from_str(&fs_err::read_to_string(file).unwrap()).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("audit.json", schema).unwrap();
    let index = compiler.compile("audit.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
    (schemas, index)
});

/// Whether a line is one of the record.
#[must_use]
pub fn is_audit(line: &Value) -> bool {
    line["event"].as_str().is_some_and(|event| EVENTS.contains(&event))
}

/// What is wrong with a line of the record.
#[must_use]
pub fn violation(line: &Value) -> Option<String> {
    let (schemas, index) = &*SCHEMA;
    schemas.validate(line, *index).err().map(|error| format!("{error}: {line}"))
}
