//! Keeps secrets out of what a build, or a command of a deploy, says: that is kept, and read by all who may read of the app.

use std::collections::BTreeMap;

use crate::model::{ConfigKey, ConfigVars, Secret};

/// What stands in the place of a secret.
const MASK: &str = "********";
/// Shorter values are left alone: they are part of too many words to be told apart, and guessed in no time.
const SHORTEST_BYTES: usize = 4;
/// Config vars that are shorter, or are one word of fewer letters than the other, say how an app runs (`true`, `info`, `production`):
/// they stand in what any command says. One whose key calls it a secret is one however it looks.
const SHORTEST_OF_CONFIG_BYTES: usize = 8;
const LONGEST_WORD: usize = 16;
/// What keys of secrets have in them.
const SECRETS: [&str; 6] = ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH"];

/// The values that are not shown, the longest first, so that no part of one is left.
#[derive(Default)]
pub(super) struct Mask {
    values: Vec<Secret>,
}

impl Mask {
    /// A mask for the secrets of a build.
    pub(super) fn new(secrets: &BTreeMap<String, Secret>) -> Self {
        Self::over(secrets.values())
    }

    /// A mask for config vars: nobody has said which of them are secrets.
    pub(super) fn of(config: &ConfigVars) -> Self {
        let may_be_secret = |key: &ConfigKey, value: &str| {
            let key = key.as_str().to_ascii_uppercase();
            let is_word = value.bytes().all(|b| b.is_ascii_alphabetic());
            let says_little =
                value.len() < SHORTEST_OF_CONFIG_BYTES || (is_word && value.len() < LONGEST_WORD);
            !says_little || SECRETS.iter().any(|part| key.contains(part))
        };
        let secrets = config.iter();
        let secrets = secrets.filter(|(key, value)| may_be_secret(key, value.reveal().trim()));
        Self::over(secrets.map(|(_, value)| value))
    }

    /// Output comes in lines, so each line of a value counts.
    fn over<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let lines = secrets.flat_map(|secret| secret.reveal().lines());
        let mut values: Vec<Secret> = lines
            .map(str::trim)
            .filter(|line| line.len() >= SHORTEST_BYTES)
            .map(Secret::new)
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.reveal().len()));
        Self { values }
    }

    /// The text with the secrets masked.
    pub(super) fn masked(&self, text: String) -> String {
        self.values.iter().fold(text, |text, value| {
            if text.contains(value.reveal()) {
                text.replace(value.reveal(), MASK)
            } else {
                text
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_values_and_their_lines_are_masked() {
        let secrets = [
            ("a", "token-12"),
            ("b", "token-12-and-more"),
            ("c", "machine x\n  login y\nab\n"),
            ("d", ""),
        ];
        let secrets = secrets.map(|(id, value)| (id.to_owned(), Secret::new(value)));
        let mask = Mask::new(&secrets.into());
        for (text, expected) in [
            ("say token-12-and-more!", "say ********!"),
            ("token-12token-12", "****************"),
            ("  login y", "  ********"),
            ("tab and machine", "tab and machine"),
        ] {
            assert_eq!(mask.masked(text.to_owned()), expected);
        }
    }

    #[test]
    fn words_that_say_how_an_app_runs_are_no_secrets() {
        let config = [
            ("NODE_ENV", "production"),
            ("DEBUG", "true"),
            ("PORT", "5000"),
            ("TOKEN", "s3cr3t-s3cr3t"),
            ("PHRASE", "correcthorsebatterystaple"),
            ("DB_PASSWORD", "hunter"),
        ];
        let config = config.map(|(key, value)| (key.parse().unwrap(), Secret::new(value)));
        let mask = Mask::of(&config.into_iter().collect());
        for (text, expected) in [
            ("production: true at 5000", "production: true at 5000"),
            ("with s3cr3t-s3cr3t", "with ********"),
            ("correcthorsebatterystaple", "********"),
            ("as hunter", "as ********"),
        ] {
            assert_eq!(mask.masked(text.to_owned()), expected);
        }
    }
}
