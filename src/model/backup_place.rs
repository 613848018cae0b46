//! Where backups are kept: a folder of a machine, or a bucket of an S3-compatible store. Pure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What stands in front of a bucket.
const BUCKET: &str = "s3://";

/// Where backups are kept. Written as a path from the root, or as `s3://BUCKET/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BackupPlace {
    /// A folder.
    Folder(PathBuf),
    /// A part of a bucket.
    Bucket(BucketPlace),
}

/// A part of a bucket: everything under a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    /// The bucket.
    pub bucket: String,
    /// What stands in front of each name, without `/` at its ends; may be empty.
    pub prefix: String,
}

impl BucketPlace {
    /// Whether a text is meant to name a bucket, right or wrong.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(BUCKET)
    }

    /// An archive in here, in the form in which it is named elsewhere.
    pub fn with_name(&self, name: &str) -> BucketPlace {
        BucketPlace {
            bucket: self.bucket.clone(),
            prefix: self.object(name),
        }
    }

    /// The key of the object that has this name here.
    pub fn object(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        }
    }

    /// The place an archive is at, and its name there. `None` where this names a whole bucket.
    pub fn split(&self) -> Option<(BucketPlace, &str)> {
        let (prefix, name) = match self.prefix.rsplit_once('/') {
            Some((prefix, name)) => (prefix, name),
            None => ("", self.prefix.as_str()),
        };
        let place = BucketPlace {
            bucket: self.bucket.clone(),
            prefix: prefix.to_owned(),
        };
        (!name.is_empty()).then_some((place, name))
    }
}

impl BackupPlace {
    /// An archive in here, as people name it.
    pub fn with_name(&self, name: &str) -> String {
        match self {
            BackupPlace::Folder(folder) => folder.join(name).display().to_string(),
            BackupPlace::Bucket(bucket) => bucket.with_name(name).to_string(),
        }
    }
}

impl FromStr for BucketPlace {
    type Err = String;

    /// The rules for names of buckets are Amazon's
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>); of prefixes only characters are
    /// taken that need no escapes anywhere (the same guide's "safe characters").
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{}` {why}", text.escape_debug());
        let rest = text
            .strip_prefix(BUCKET)
            .ok_or_else(|| wrong("is no bucket, give s3://BUCKET/PREFIX"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_of = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        let has_ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if !(3..=63).contains(&bucket.len())
            || !bucket.chars().all(is_of)
            || !has_ends(bucket.chars().next())
            || !has_ends(bucket.chars().next_back())
        {
            return Err(wrong(
                "names no bucket: that is 3 to 63 small letters, digits, dots and hyphens",
            ));
        }
        let prefix = prefix.trim_matches('/');
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let is_right = prefix.chars().all(is_safe) && prefix.split('/').all(is_plain);
        if !prefix.is_empty() && !is_right {
            return Err(wrong(
                "has a prefix that is not of letters, digits, dots, hyphens, underscores and single slashes",
            ));
        }
        if prefix.len() > 900 {
            return Err(wrong("has too long a prefix: names have 1024 bytes"));
        }
        Ok(BucketPlace {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => write!(f, "{BUCKET}{}", self.bucket),
            prefix => write!(f, "{BUCKET}{}/{prefix}", self.bucket),
        }
    }
}

impl FromStr for BackupPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if BucketPlace::is_meant(text) {
            return text.parse().map(BackupPlace::Bucket);
        }
        let path = PathBuf::from(text);
        match path.is_absolute() {
            true => Ok(BackupPlace::Folder(path)),
            false => Err(format!(
                "`{}` is neither a path from the root, such as /var/backups/mini, nor s3://BUCKET/PREFIX",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for BackupPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupPlace::Folder(path) => path.display().fmt(f),
            BackupPlace::Bucket(place) => place.fmt(f),
        }
    }
}

impl TryFrom<String> for BackupPlace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<BackupPlace> for String {
    fn from(place: BackupPlace) -> String {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for (text, shown) in [
            ("/var/backups", "/var/backups"),
            ("s3://back-ups", "s3://back-ups"),
            ("s3://back-ups/", "s3://back-ups"),
            ("s3://back.ups/a/b_c/", "s3://back.ups/a/b_c"),
        ] {
            let place: BackupPlace = text.parse().unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(place.to_string().parse::<BackupPlace>().unwrap(), place);
        }
        for text in [
            "",
            "backups",
            "s3:/x",
            "s3://",
            "s3://ab",
            "s3://-abc",
            "s3://UPPER",
            "s3://a_b",
            "s3://abc/a//b",
            "s3://abc/../x",
            "s3://abc/a b",
            "s3://abc/a?b",
            "http://abc/x",
        ] {
            assert!(text.parse::<BackupPlace>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_archive_has_a_place_and_a_name() {
        let place: BucketPlace = "s3://abc/x/y.age".parse().unwrap();
        let (folder, name) = place.split().unwrap();
        assert_eq!((folder.to_string().as_str(), name), ("s3://abc/x", "y.age"));
        assert_eq!(folder.with_name(name), place);
        let top: BucketPlace = "s3://abc/y.age".parse().unwrap();
        assert_eq!(top.split().unwrap().0.to_string(), "s3://abc");
        let bucket: BucketPlace = "s3://abc".parse().unwrap();
        assert!(bucket.split().is_none());
    }
}
