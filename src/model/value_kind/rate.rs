//! So many in so much time.

use std::time::Duration;

use super::{ValueKind, refused};

/// So many in so much time: `100/s`, `600/m`, `5000/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

/// A rate.
#[derive(Debug, Clone, Copy)]
pub struct PerTime {
    /// How many at most, in any unit.
    pub most: u32,
}

const RATE_UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3600)];

impl ValueKind for PerTime {
    type Value = Rate;

    fn read(&self, text: &str) -> Result<Rate, String> {
        let rate = text.split_once('/').and_then(|(count, unit)| {
            let (_, seconds) = RATE_UNITS.iter().find(|(name, _)| *name == unit)?;
            Some(Rate {
                count: count.parse().ok()?,
                per: Duration::from_secs(*seconds),
            })
        });
        rate.filter(|rate| (1..=self.most).contains(&rate.count))
            .ok_or_else(|| refused(text, self))
    }

    fn write(&self, value: &Rate) -> String {
        let unit = RATE_UNITS
            .iter()
            .find(|(_, seconds)| *seconds == value.per.as_secs());
        format!("{}/{}", value.count, unit.map_or("s", |(name, _)| name))
    }

    fn form(&self) -> String {
        format!(
            "a rate such as 100/s, 600/m or 5000/h, of {} at most",
            self.most
        )
    }
}
