//! How the values of settings are read and written: each kind with its range, told in words where one is refused.

mod network;
mod rate;
mod size;
mod span;

pub use network::{Network, Networks};
pub use rate::{PerTime, Rate};
pub use size::{ByteRate, Size, size_in_words};
pub use span::Span;

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

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn check<K: ValueKind>(kind: &K, cases: &[(&str, &str)], refused: &[&str]) {
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
}
