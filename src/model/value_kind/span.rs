//! Durations.

use std::time::Duration;

use super::{ValueKind, split, within, written};

/// A duration: `500ms`, `30s`, `2m`, `1h`, `7d`, or a number of seconds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The shortest.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
}

const SPAN_UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl ValueKind for Span {
    type Value = Duration;

    fn read(&self, text: &str) -> Result<Duration, String> {
        let (number, unit) = split(text);
        let unit = if unit.is_empty() { "s" } else { unit };
        let value = SPAN_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, millis)| number.parse::<u64>().ok()?.checked_mul(*millis))
            .map(Duration::from_millis);
        within(text, value, self.least..=self.most, self)
    }

    fn write(&self, value: &Duration) -> String {
        let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        written(millis, SPAN_UNITS)
    }

    fn form(&self) -> String {
        let (least, most) = (self.write(&self.least), self.write(&self.most));
        format!("a duration such as 500ms, 30s or 2m, from {least} to {most}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let kind = Span {
            least: Duration::from_millis(10),
            most: Duration::from_secs(86_400),
        };
        check(
            &kind,
            &[
                ("30s", "30s"),
                ("30", "30s"),
                ("120s", "2m"),
                ("1500ms", "1500ms"),
                ("24h", "1d"),
                ("1d", "1d"),
            ],
            &[
                "",
                "s",
                "9ms",
                "25h",
                "1.5s",
                "-1s",
                "99999999999999999999d",
                "1y",
                "off",
            ],
        );
        let why = kind.read("1y").unwrap_err();
        assert_eq!(
            why,
            "`1y` is not a duration such as 500ms, 30s or 2m, from 10ms to 1d"
        );
    }
}
