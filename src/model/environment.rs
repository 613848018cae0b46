//! How large the environment of a program may be: Linux starts none with a larger one, and what it says then names no variable.

use super::{ConfigKey, ConfigVars};

/// The longest `KEY=value`, bytes: 32 pages, a zero at the end included (execve(2), `MAX_ARG_STRLEN`).
const LONGEST_BYTES: usize = 32 * 4096 - 1;
/// What all variables and the words of the command may take together, bytes: a quarter of the stack, whose limit is 8 MiB unless
/// somebody has changed it (execve(2), "Limits on size of arguments and environment").
const ALL_BYTES: usize = 2 << 20;
/// What of that is left for the command, and for what the image and mini set, bytes.
const LEFT_BYTES: usize = 128 << 10;
/// What each variable takes beside its name and value, bytes: `=`, a zero at the end and a pointer.
const EACH_BYTES: usize = 1 + 1 + 8;

/// Why no program can be given these variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// One of them is too long.
    #[error("the value of {0} is too long")]
    One(ConfigKey),
    /// So many bytes are too many.
    #[error("the config vars are too large together")]
    All(usize),
}

impl TooLarge {
    /// How large they are and may be, a clause.
    pub fn why(&self) -> String {
        match self {
            TooLarge::One(_) => format!(
                "Linux starts no program with a variable of more than {LONGEST_BYTES} bytes"
            ),
            TooLarge::All(bytes) => format!(
                "they would take {bytes} bytes, and Linux starts no program with more than {} bytes of variables",
                ALL_BYTES - LEFT_BYTES
            ),
        }
    }
}

/// Whether a program can be given all of these.
///
/// # Errors
/// What is too large.
pub fn require_startable(vars: &ConfigVars) -> Result<(), TooLarge> {
    let mut all = 0;
    for (key, value) in vars {
        let bytes = key.as_str().len() + value.reveal().len();
        if bytes + "=".len() > LONGEST_BYTES {
            return Err(TooLarge::One(key.clone()));
        }
        all += bytes + EACH_BYTES;
    }
    match all > ALL_BYTES - LEFT_BYTES {
        true => Err(TooLarge::All(all)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    fn vars(sizes: &[usize]) -> ConfigVars {
        let sizes = sizes.iter().enumerate();
        let each = sizes.map(|(number, size)| {
            let key = format!("KEY_{number:02}").parse().unwrap();
            (key, Secret::new("x".repeat(*size)))
        });
        each.collect()
    }

    #[test]
    fn what_linux_takes_is_taken_and_not_a_byte_more() {
        // With its name, its `=` and its zero it has 32 pages.
        let longest = 131_072 - 6 - 2;
        assert_eq!(require_startable(&vars(&[longest])), Ok(()));
        let one = TooLarge::One("KEY_01".parse().unwrap());
        assert_eq!(require_startable(&vars(&[1, longest + 1])), Err(one));
        // Fifteen times 128 KiB: each has 16 bytes beside its value.
        let mut sizes = [131_072 - 16; 15].to_vec();
        assert_eq!(require_startable(&vars(&sizes)), Ok(()));
        sizes[7] += 1;
        let error = require_startable(&vars(&sizes)).unwrap_err();
        assert_eq!(error, TooLarge::All(1_966_081));
        let why = error.why();
        assert!(
            why.contains("1966081") && why.contains("more than 1966080 bytes"),
            "{why}"
        );
    }
}
