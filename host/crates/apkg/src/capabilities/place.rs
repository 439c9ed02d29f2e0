//! Where in its file a rule stands.

use par_policy::RuleId;

use crate::yaml::{self, Node, Value};

/// The line of a rule in the text it was read from, counted from 1; `None` where it is not there.
#[must_use]
pub fn line_of(bytes: &[u8], rule: &RuleId) -> Option<u64> {
    find(&yaml::read(bytes).ok()?, rule.as_str())
}

/// Names of variables and keys may have dots in them, so the keys are tried, not the path split.
fn find(node: &Node, path: &str) -> Option<u64> {
    if path.is_empty() {
        return Some(node.line);
    }
    match &node.value {
        Value::Map(entries) => entries.iter().find_map(|(key, value)| {
            let rest = path.strip_prefix(key.value.scalar()?)?;
            match rest.strip_prefix('.') {
                Some(rest) => find(value, rest),
                None if rest.is_empty() => Some(key.line),
                None => rest.starts_with('[').then(|| find(value, rest)).flatten(),
            }
        }),
        Value::List(items) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            find(items.get(index.parse::<usize>().ok()?)?, rest.strip_prefix('.').unwrap_or(rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_its_keys() {
        let text = b"version: 1
grant:
  env:
    A.B: x
    A: y
  outbound:
    - https://a.example
    - url: https://b.example
      methods: [GET]
limits: {memory_mib: 64}
";
        let line = |rule: &str| line_of(text, &RuleId::new(rule));

        assert_eq!(line("version"), Some(1));
        assert_eq!(line("grant.env.A"), Some(5));
        assert_eq!(line("grant.env.A.B"), Some(4));
        assert_eq!(line("grant.outbound[1]"), Some(8));
        assert_eq!(line("grant.outbound[1].methods"), Some(9));
        assert_eq!(line("limits.memory_mib"), Some(10));
        for rule in
            ["grant.outbound[2]", "grant.outbound[x]", "grant.outbound[", "grants", "grant.secrets.X", "version.x"]
        {
            assert_eq!(line(rule), None, "{rule}");
        }
        assert_eq!(line_of(b"a: [", &RuleId::new("a")), None);
    }
}
