//! `KEY=VALUE`

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{ConfigKey, Secret};

/// A config var with its value, as it is typed: `KEY=VALUE`. The value may hold anything, `=` and line feeds too.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Assignment {
    /// The key.
    pub key: ConfigKey,
    /// The value.
    pub value: Secret,
}

impl FromStr for Assignment {
    type Err = String;

    // No message repeats what was typed: half of it may be a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .ok_or("A config var is set as KEY=VALUE, and this one has no `=`")?;
        let key = key
            .parse()
            .map_err(|error: crate::model::InvalidName| error.to_string())?;
        if value.contains('\0') {
            return Err("A value cannot hold a zero byte".to_owned());
        }
        Ok(Self {
            key,
            value: Secret::new(value),
        })
    }
}

impl TryFrom<String> for Assignment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Assignment> for String {
    fn from(assignment: Assignment) -> String {
        format!("{}={}", assignment.key, assignment.value.reveal())
    }
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, super::MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_anything_and_is_never_printed() {
        let set: Assignment = "URL=postgres://u:p@h/d?a=b c\nd".parse().unwrap();
        assert_eq!(set.key.as_str(), "URL");
        assert_eq!(set.value.reveal(), "postgres://u:p@h/d?a=b c\nd");
        assert_eq!(format!("{set:?}"), "URL=********");
        let empty: Assignment = "EMPTY=".parse().unwrap();
        assert_eq!(empty.value.reveal(), "");
    }

    #[test]
    fn a_key_alone_and_a_bad_key_are_refused() {
        assert!(
            "KEY"
                .parse::<Assignment>()
                .unwrap_err()
                .contains("KEY=VALUE")
        );
        assert!("1A=x".parse::<Assignment>().is_err());
        assert!("=x".parse::<Assignment>().is_err());
        assert!("A=\0".parse::<Assignment>().is_err());
    }
}
