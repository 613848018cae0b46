//! Keeps secrets out of what a build, or a command of a deploy, says: that is kept, and read by all who may read of the app.

use std::collections::BTreeMap;

use crate::model::{ConfigVars, Secret};

/// What stands in the place of a secret.
const MASK: &str = "********";
/// Shorter values are left alone: they are part of too many words to be told apart, and guessed in no time.
const SHORTEST_BYTES: usize = 4;

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

    /// A mask for config vars: nobody can tell which of them are secrets.
    pub(super) fn of(config: &ConfigVars) -> Self {
        Self::over(config.values())
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
}
