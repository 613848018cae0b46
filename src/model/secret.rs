//! Values that must not be shown by accident.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::ConfigKey;

/// A value that is never printed: `Debug` shows a mark, there is no `Display`, and the memory is cleared when dropped.
///
/// It serializes to its plain text, because the store encrypts the serialized form; never put one into an answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a value into keeping.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; the caller answers for where it goes.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The config vars of an app or of a release, in the order of their keys.
pub type ConfigVars = BTreeMap<ConfigKey, Secret>;
