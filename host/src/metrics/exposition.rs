//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write;

/// What kind of number it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page that is being written. Writing to a text cannot fail.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    name: &'static str,
}

impl Exposition {
    /// Begins the samples of one name.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.name = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One number of the name that was begun last.
    pub(super) fn sample(&mut self, ending: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.text, "{}{ending}", self.name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{before}{label}=\"{value}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_help_kind_and_escaped_labels() {
        let mut page = Exposition::default();
        page.family("a_total", Kind::Counter, "What it is.");
        page.sample("", &[], 1.0);
        page.sample("", &[("x", "a\"b\\c\nd"), ("y", "")], 2.5);

        let text = page.finish();

        assert_eq!(
            text,
            "# HELP a_total What it is.\n# TYPE a_total counter\na_total 1\na_total{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 2.5\n"
        );
    }
}
