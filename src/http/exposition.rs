//! The text format of Prometheus, version 0.0.4 (its "Exposition formats" page): what other monitoring reads as well.

use std::fmt::{Display, Write};

use mini_proxy::Histogram;

/// What the format is called in `Content-Type`.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text that is being written, family by family.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// What kind of figure a family is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by bucket.
    Histogram,
}

impl Exposition {
    /// Begins a family. All its samples follow before the next one.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        if !labels.is_empty() {
            self.text.push('{');
            for (position, (label, value)) in labels.iter().enumerate() {
                if position > 0 {
                    self.text.push(',');
                }
                let _ = write!(self.text, "{label}=\"");
                self.escaped(value);
                self.text.push('"');
            }
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The samples of a histogram that one label tells from the others.
    pub(super) fn histogram(&mut self, name: &str, (label, value): (&str, &str), of: &Histogram) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in of.cumulative() {
            let bound = match bound {
                Some(bound) => bound.as_secs_f64().to_string(),
                None => "+Inf".to_owned(),
            };
            self.sample(&bucket, &[(label, value), ("le", &bound)], count);
        }
        self.sample(
            &format!("{name}_sum"),
            &[(label, value)],
            of.sum().as_secs_f64(),
        );
        self.sample(&format!("{name}_count"), &[(label, value)], of.count());
    }

    fn escaped(&mut self, value: &str) {
        for char in value.chars() {
            match char {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                char => self.text.push(char),
            }
        }
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn families_samples_and_labels_are_written_as_prometheus_reads_them() {
        let mut out = Exposition::default();
        out.single("up", Kind::Gauge, "Whether.", 1);
        out.family("requests_total", Kind::Counter, "Requests.");
        out.sample(
            "requests_total",
            &[("app", "a\"b\\c\nd"), ("class", "2xx")],
            7,
        );
        insta::assert_snapshot!(out.into_text(), @r#"
        # HELP up Whether.
        # TYPE up gauge
        up 1
        # HELP requests_total Requests.
        # TYPE requests_total counter
        requests_total{app="a\"b\\c\nd",class="2xx"} 7
        "#);
    }

    #[test]
    fn a_histogram_has_all_its_buckets_and_ends_with_its_count() {
        let mut histogram = Histogram::default();
        histogram.observe(Duration::from_micros(300));
        histogram.observe(Duration::from_secs(100));
        let mut out = Exposition::default();
        out.histogram("took_seconds", ("app", "shop"), &histogram);
        insta::assert_snapshot!(out.into_text(), @r#"
        took_seconds_bucket{app="shop",le="0.00025"} 0
        took_seconds_bucket{app="shop",le="0.0005"} 1
        took_seconds_bucket{app="shop",le="0.001"} 1
        took_seconds_bucket{app="shop",le="0.002"} 1
        took_seconds_bucket{app="shop",le="0.004"} 1
        took_seconds_bucket{app="shop",le="0.008"} 1
        took_seconds_bucket{app="shop",le="0.016"} 1
        took_seconds_bucket{app="shop",le="0.032"} 1
        took_seconds_bucket{app="shop",le="0.064"} 1
        took_seconds_bucket{app="shop",le="0.128"} 1
        took_seconds_bucket{app="shop",le="0.256"} 1
        took_seconds_bucket{app="shop",le="0.512"} 1
        took_seconds_bucket{app="shop",le="1.024"} 1
        took_seconds_bucket{app="shop",le="2.048"} 1
        took_seconds_bucket{app="shop",le="4.096"} 1
        took_seconds_bucket{app="shop",le="8.192"} 1
        took_seconds_bucket{app="shop",le="16.384"} 1
        took_seconds_bucket{app="shop",le="32.768"} 1
        took_seconds_bucket{app="shop",le="65.536"} 1
        took_seconds_bucket{app="shop",le="+Inf"} 2
        took_seconds_sum{app="shop"} 100.0003
        took_seconds_count{app="shop"} 2
        "#);
    }
}
