//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

/// What a family of series counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page of metrics under construction. Families that have no series are left out.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

/// Label names and values of one series.
pub(super) type Labels<'a> = [(&'a str, &'a str)];

impl Page {
    /// Begins a family; its series follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) -> &mut Self {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _infallible = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    /// One sample. The name is the family's, with `_bucket`, `_sum` or `_count` for a histogram.
    pub(super) fn sample(&mut self, name: &str, labels: &Labels<'_>, value: f64) -> &mut Self {
        self.text.push_str(name);
        if !labels.is_empty() {
            self.text.push('{');
            for (at, (label, value)) in labels.iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                let _infallible = write!(self.text, "{comma}{label}=\"{}\"", escape(value));
            }
            self.text.push('}');
        }
        let _infallible = writeln!(self.text, " {}", number(value));
        self
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A number as Prometheus reads it.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_numbers_are_plain() {
        let mut page = Page::default();
        page.family("x_total", Kind::Counter, "Things.")
            .sample("x_total", &[("name", "a\"b\\c\nd"), ("le", "+Inf")], 3.0)
            .sample("x_total", &[], f64::INFINITY);
        let expect = "# HELP x_total Things.\n# TYPE x_total counter\n\
                      x_total{name=\"a\\\"b\\\\c\\nd\",le=\"+Inf\"} 3\nx_total +Inf\n";
        assert_eq!(page.finish(), expect);
    }
}
