//! What was set of how an app is built.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{ConfigKey, InvalidName};

/// One setting of `builder:set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuilderSetting {
    /// The buildpack to take.
    Selected,
    /// The directory of the app in its repository.
    BuildDir,
    /// Where the app's own Dockerfile is.
    DockerfilePath,
    /// Which stage of it is built.
    Target,
}

impl BuilderSetting {
    /// All of them, in the order of the help.
    pub const ALL: [Self; 4] = [
        Self::Selected,
        Self::BuildDir,
        Self::DockerfilePath,
        Self::Target,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::BuildDir => "build-dir",
            Self::DockerfilePath => "dockerfile-path",
            Self::Target => "target",
        }
    }

    /// What it does, one line.
    pub fn help(self) -> &'static str {
        match self {
            Self::Selected => {
                "The buildpack to take, whatever else would apply; `dockerfile` is the app's own Dockerfile"
            }
            Self::BuildDir => {
                "The directory of the app in its repository; everything is seen from there"
            }
            Self::DockerfilePath => "The app's own Dockerfile, seen from its directory",
            Self::Target => "The stage of it that is built",
        }
    }
}

impl fmt::Display for BuilderSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BuilderSetting {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let found = Self::ALL
            .into_iter()
            .find(|setting| setting.as_str() == text);
        found.ok_or(InvalidName {
            what: "builder setting",
            rule: "The settings are selected, build-dir, dockerfile-path and target",
        })
    }
}

/// How one app is built, as far as it was set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builder {
    /// Values by setting.
    pub settings: BTreeMap<BuilderSetting, String>,
    /// Build arguments, which are no secrets.
    pub arguments: BTreeMap<ConfigKey, String>,
    /// Its cache.
    pub cache: BuildCache,
}

/// Which cache the builds of an app use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BuildCache {
    /// How often it was purged: each time the builds go on with an empty one under another name.
    pub generation: u32,
    /// Whether nothing was built with it yet.
    pub is_cold: bool,
}

impl Builder {
    /// The value of a setting.
    pub fn get(&self, setting: BuilderSetting) -> Option<&str> {
        self.settings.get(&setting).map(String::as_str)
    }
}
