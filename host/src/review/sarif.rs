//! SARIF 2.1.0, which code hosts show beside the lines of a change.

use par_policy::compare::{Area, Direction};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::difference::{Comparison, Placed};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What stays in a relative reference as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// Writes a comparison as SARIF: an error for what became wider, a note for everything else.
#[must_use]
pub fn sarif(comparison: &Comparison) -> Value {
    let rules: Vec<Value> = Area::ALL.iter().flat_map(|area| rules(*area)).collect();
    let results: Vec<Value> = comparison.changes.iter().map(|placed| result(comparison, placed)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "par policy diff",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rules(area: Area) -> impl Iterator<Item = Value> {
    [Direction::Widened, Direction::Changed, Direction::Narrowed].into_iter().map(move |direction| {
        let (area, direction) = (area.as_str(), direction.as_str());
        json!({
            "id": format!("{direction}/{area}"),
            "shortDescription": {"text": format!("What an agent may touch {direction}: {area}.")},
            "defaultConfiguration": {"level": level(direction)},
        })
    })
}

fn level(direction: &str) -> &'static str {
    if direction == Direction::Widened.as_str() { "error" } else { "note" }
}

fn result(comparison: &Comparison, placed: &Placed) -> Value {
    let name = if placed.side == "old" { &comparison.old } else { &comparison.new };
    let mut physical = json!({"artifactLocation": {"uri": reference(comparison, placed)}});
    if let Some(line) = placed.line {
        physical["region"] = json!({"startLine": line});
    }
    json!({
        "ruleId": format!("{}/{}", placed.direction, placed.area),
        "level": level(placed.direction),
        "message": {"text": format!("{} {}.", par_apkg::escaped(name), par_apkg::escaped(&placed.sentence))},
        "locations": [{
            "physicalLocation": physical,
            "logicalLocations": [{"fullyQualifiedName": placed.rule}],
        }],
    })
}

/// The place of a file as a URI: a relative reference stays relative, as checkouts differ.
fn reference(comparison: &Comparison, placed: &Placed) -> String {
    let encoded = utf8_percent_encode(&placed.file, PATH).to_string();
    match (comparison.compares, encoded.strip_prefix('/')) {
        ("policies", Some(absolute)) => format!("file:///{absolute}"),
        _ => encoded,
    }
}
