//! How the values of settings are read and written: each kind with its range, told in words where one is refused.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// A kind of value: how it is read, how it is written, and what a person may give.
pub trait ValueKind {
    /// What it is read into.
    type Value;

    /// Reads a value as people write it.
    ///
    /// # Errors
    /// Why it is refused, as a clause that names the value and says what may be given.
    fn read(&self, text: &str) -> Result<Self::Value, String>;

    /// Writes a value in the form that is stored and shown; [`ValueKind::read`] takes it back.
    fn write(&self, value: &Self::Value) -> String;

    /// What may be given: `a duration from 10ms to 1h`.
    fn form(&self) -> String;
}

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

/// A whole number.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    /// The smallest.
    pub least: u32,
    /// The largest.
    pub most: u32,
}

impl ValueKind for Count {
    type Value = u32;

    fn read(&self, text: &str) -> Result<u32, String> {
        within(text, text.parse().ok(), self.least..=self.most, self)
    }

    fn write(&self, value: &u32) -> String {
        value.to_string()
    }

    fn form(&self) -> String {
        format!("a number from {} to {}", self.least, self.most)
    }
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy)]
pub struct Switch;

impl ValueKind for Switch {
    type Value = bool;

    fn read(&self, text: &str) -> Result<bool, String> {
        match text {
            "on" | "true" | "yes" | "1" => Ok(true),
            "off" | "false" | "no" | "0" => Ok(false),
            _ => Err(refused(text, self)),
        }
    }

    fn write(&self, value: &bool) -> String {
        if *value { "on" } else { "off" }.to_owned()
    }

    fn form(&self) -> String {
        "on or off".to_owned()
    }
}

/// One of some words, each with what it stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneOf<T: 'static>(
    /// All there are.
    pub &'static [(&'static str, T)],
);

impl<T: Copy + PartialEq> ValueKind for OneOf<T> {
    type Value = T;

    fn read(&self, text: &str) -> Result<T, String> {
        let found = self.0.iter().find(|(word, _)| *word == text);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| refused(text, self))
    }

    fn write(&self, value: &T) -> String {
        let found = self.0.iter().find(|(_, known)| known == value);
        found.map_or_else(String::new, |(word, _)| (*word).to_owned())
    }

    fn form(&self) -> String {
        let words: Vec<&str> = self.0.iter().map(|(word, _)| *word).collect();
        words.join(" or ")
    }
}

/// A value of another kind, or `off`.
#[derive(Debug, Clone, Copy)]
pub struct OffOr<K>(
    /// The other kind.
    pub K,
);

impl<K: ValueKind> ValueKind for OffOr<K> {
    type Value = Option<K::Value>;

    fn read(&self, text: &str) -> Result<Self::Value, String> {
        match text {
            "off" | "none" | "unlimited" => Ok(None),
            _ => match self.0.read(text) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(refused(text, self)),
            },
        }
    }

    fn write(&self, value: &Self::Value) -> String {
        value
            .as_ref()
            .map_or("off".to_owned(), |value| self.0.write(value))
    }

    fn form(&self) -> String {
        format!("off, or {}", self.0.form())
    }
}

/// Values of another kind, separated by commas or blanks; none is an empty text.
#[derive(Debug, Clone, Copy)]
pub struct ListOf<K> {
    /// The kind of each.
    pub each: K,
    /// How many there may be.
    pub most: usize,
}

impl<K: ValueKind> ValueKind for ListOf<K> {
    type Value = Vec<K::Value>;

    fn read(&self, text: &str) -> Result<Self::Value, String> {
        let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
        let values: Vec<K::Value> = parts
            .map(|part| self.each.read(part))
            .collect::<Result<_, _>>()?;
        if values.len() > self.most {
            return Err(format!(
                "there are {} of them, and {} at most are taken",
                values.len(),
                self.most
            ));
        }
        Ok(values)
    }

    fn write(&self, values: &Self::Value) -> String {
        let written: Vec<String> = values.iter().map(|value| self.each.write(value)).collect();
        written.join(",")
    }

    fn form(&self) -> String {
        format!("a list with commas, each {}", self.each.form())
    }
}

/// An address or a network in CIDR notation.
#[derive(Debug, Clone, Copy)]
pub struct Networks;

impl ValueKind for Networks {
    type Value = Network;

    fn read(&self, text: &str) -> Result<Network, String> {
        text.parse().map_err(|()| refused(text, self))
    }

    fn write(&self, value: &Network) -> String {
        value.to_string()
    }

    fn form(&self) -> String {
        "an address or a network such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32".to_owned()
    }
}

/// The addresses that share their first bits. A single address has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// The first address: all bits behind the prefix are zero.
    pub address: IpAddr,
    /// How many bits are shared, at most 32 or 128.
    pub prefix: u8,
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), |prefix| prefix.parse().map_err(|_| ()))?;
        if prefix > bits {
            return Err(());
        }
        let shift = |width: u8| u32::from(width - prefix);
        // A shift by the whole width keeps nothing.
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(shift(32)).unwrap_or(0);
                IpAddr::V4((u32::from(v4) & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(shift(128)).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
        };
        Ok(Network { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits: u8 = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix == bits {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

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

fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A number in the largest unit that leaves no rest.
fn written(number: u64, units: &[(&str, u64)]) -> String {
    let fitting = units.iter().find(|(_, size)| number.is_multiple_of(*size));
    let (name, size) = fitting.copied().unwrap_or(("", 1));
    if number == 0 {
        return format!("0{}", units.last().map_or("", |(name, _)| name));
    }
    format!("{}{name}", number / size)
}

fn within<K: ValueKind>(
    text: &str,
    value: Option<K::Value>,
    range: std::ops::RangeInclusive<K::Value>,
    kind: &K,
) -> Result<K::Value, String>
where
    K::Value: PartialOrd,
{
    value
        .filter(|value| range.contains(value))
        .ok_or_else(|| refused(text, kind))
}

fn refused(text: &str, kind: &impl ValueKind) -> String {
    format!("`{}` is not {}", text.escape_debug(), kind.form())
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
    use super::*;

    fn check<K: ValueKind>(kind: &K, cases: &[(&str, &str)], refused: &[&str]) {
        for (text, expected) in cases {
            let value = kind.read(text).unwrap_or_else(|why| panic!("{why}"));
            let written = kind.write(&value);
            assert_eq!(written, *expected, "{text}");
            let again = kind.read(&written).map(|value| kind.write(&value));
            assert_eq!(again.as_deref(), Ok(*expected), "{text} is read back");
        }
        for text in refused {
            assert!(kind.read(text).is_err(), "{text:?} should be refused");
        }
    }

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
    fn switches_counts_and_rates() {
        check(&Switch, &[("true", "on"), ("off", "off")], &["", "maybe"]);
        check(
            &Count { least: 1, most: 9 },
            &[("9", "9")],
            &["0", "10", "x", ""],
        );
        check(
            &PerTime { most: 1000 },
            &[("100/s", "100/s"), ("600/m", "600/m"), ("1/h", "1/h")],
            &["", "100", "0/s", "1001/s", "1/d", "x/s", "/s"],
        );
    }

    #[test]
    fn networks_lose_the_bits_behind_their_prefix() {
        let kind = ListOf {
            each: Networks,
            most: 4,
        };
        check(
            &kind,
            &[
                ("10.1.2.3/8", "10.0.0.0/8"),
                ("203.0.113.7/32", "203.0.113.7"),
                ("2001:db8::1/32, 1.2.3.4", "2001:db8::/32,1.2.3.4"),
                ("0.0.0.0/0,::/0", "0.0.0.0/0,::/0"),
                ("", ""),
            ],
            &[
                "10.0.0.0/33",
                "::/129",
                "10.0.0/8",
                "example.com",
                "1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4,5.5.5.5",
            ],
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
