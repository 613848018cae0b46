//! Numbers of bytes, and of bytes a second.

use std::num::NonZeroU64;

use super::{ValueKind, refused, split, within, written};

/// A number of bytes: `512k`, `50m`, `50mb`, `50MiB`, `1g`. Units are powers of 1024, as nginx has them.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The smallest.
    pub least: u64,
    /// The largest.
    pub most: u64,
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("t", 1 << 40),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("k", 1 << 10),
    ("", 1),
];

impl ValueKind for Size {
    type Value = u64;

    fn read(&self, text: &str) -> Result<u64, String> {
        let (number, unit) = split(text);
        let unit = unit.trim().to_ascii_lowercase();
        let unit = unit.strip_suffix('b').unwrap_or(&unit);
        let unit = unit.strip_suffix('i').unwrap_or(unit);
        let value = SIZE_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, bytes)| number.parse::<u64>().ok()?.checked_mul(*bytes));
        within(text, value, self.least..=self.most, self)
    }

    fn write(&self, value: &u64) -> String {
        written(*value, SIZE_UNITS)
    }

    fn form(&self) -> String {
        let (least, most) = (self.write(&self.least), self.write(&self.most));
        format!("a size such as 500k, 50m or 1g, from {least} to {most}")
    }
}

/// A number of bytes a second, written like a [`Size`].
#[derive(Debug, Clone, Copy)]
pub struct ByteRate;

impl ByteRate {
    const SIZE: Size = Size {
        least: 1,
        most: 1 << 30,
    };
}

impl ValueKind for ByteRate {
    type Value = NonZeroU64;

    fn read(&self, text: &str) -> Result<NonZeroU64, String> {
        let bytes = Self::SIZE.read(text)?;
        NonZeroU64::new(bytes).ok_or_else(|| refused(text, self))
    }

    fn write(&self, value: &NonZeroU64) -> String {
        Self::SIZE.write(&value.get())
    }

    fn form(&self) -> String {
        Self::SIZE.form()
    }
}

/// A size as it is read: `812 B`, `1.5 GiB`.
pub fn size_in_words(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {unit}"),
        (whole, tenth) => format!("{whole}.{tenth} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::OffOr;
    use super::super::tests::check;
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_and_may_be_off() {
        let kind = OffOr(Size {
            least: 1,
            most: 1 << 40,
        });
        check(
            &kind,
            &[
                ("50m", "50m"),
                ("50mb", "50m"),
                ("50MiB", "50m"),
                ("1024", "1k"),
                ("1G", "1g"),
                ("1536k", "1536k"),
                ("unlimited", "off"),
                ("7", "7"),
            ],
            &["", "0", "m", "2t", "1.5g", "-1", "50x", "50bm"],
        );
    }

    #[test]
    fn sizes_are_read_in_their_unit() {
        for (bytes, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (812 << 20, "812 MiB"),
            (3 << 40, "3 TiB"),
            (u64::MAX, "1677721.5 TiB"),
        ] {
            assert_eq!(size_in_words(bytes), words);
        }
    }
}
