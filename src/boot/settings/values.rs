//! How values are written: durations, sizes, lists.

use std::str::FromStr;
use std::time::Duration;

/// `500ms`, `30s`, `15m`, `2h`, `14d`, or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let wrong = || format!("`{text}` is not a duration, give one such as 30s, 15m or 500ms");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "" | "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(60 * 60),
        "d" => number.checked_mul(24 * 60 * 60),
        _ => None,
    };
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

/// `512MiB`, `1GiB`, `512m`, `1g` as the settings of apps and Docker have it, or a number of bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let wrong = || format!("`{text}` is not a size, give one such as 512MiB or 1GiB");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// `true` or `false`, in the ways people write them.
pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// A whole number from `least` to `most`.
pub(super) fn number<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    text.parse()
        .ok()
        .filter(|number| *number >= least && *number <= most)
        .ok_or_else(|| format!("`{text}` is not a number from {least} to {most}"))
}

/// A value that knows how to read itself.
pub(super) fn parsed<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| format!("`{text}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("14d"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        assert_eq!(bytes("64m"), Ok(64 << 20));
        assert_eq!(bytes("12"), Ok(12));
        for bad in [
            "",
            "s",
            "1y",
            "-1s",
            "1.5m",
            "99999999999999999999",
            "18446744073709551615d",
        ] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "GiB", "1GB", "-1", "18446744073709551615TiB"] {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
    }
}
