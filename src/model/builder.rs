//! What was set of how an app is built.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::value_kind::{Size, Span, ValueKind};
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
    /// How long a build may take.
    BuildTimeout,
    /// How much memory a step of a build may use.
    BuildMemoryLimit,
}

impl BuilderSetting {
    /// All of them, in the order of the help.
    pub const ALL: [Self; 6] = [
        Self::Selected,
        Self::BuildDir,
        Self::DockerfilePath,
        Self::Target,
        Self::BuildTimeout,
        Self::BuildMemoryLimit,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::BuildDir => "build-dir",
            Self::DockerfilePath => "dockerfile-path",
            Self::Target => "target",
            Self::BuildTimeout => "build-timeout",
            Self::BuildMemoryLimit => "build-memory-limit",
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
            Self::BuildTimeout => {
                "How long a build may take, such as 30m; else as the server has it"
            }
            Self::BuildMemoryLimit => {
                "How much memory a step of a build may use, such as 2g; else as the server has it"
            }
        }
    }

    /// The value of a limit in the form that is stored and shown; other values as they are.
    ///
    /// # Errors
    /// Why it is refused, as a clause.
    pub fn normalized(self, value: &str) -> Result<String, String> {
        match self {
            Self::BuildTimeout => TIMEOUT.read(value).map(|limit| TIMEOUT.write(&limit)),
            Self::BuildMemoryLimit => MEMORY_LIMIT
                .read(value)
                .map(|limit| MEMORY_LIMIT.write(&limit)),
            Self::Selected | Self::BuildDir | Self::DockerfilePath | Self::Target => {
                Ok(value.to_owned())
            }
        }
    }

    /// Whether it can be set for every app that has no value of its own.
    pub fn has_default(self) -> bool {
        match self {
            Self::Selected
            | Self::BuildDir
            | Self::DockerfilePath
            | Self::BuildTimeout
            | Self::BuildMemoryLimit => true,
            // A stage is that of one Dockerfile.
            Self::Target => false,
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
            rule: "The settings are selected, build-dir, dockerfile-path, target, build-timeout and build-memory-limit",
        })
    }
}

/// How one app is built, as far as it was set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builder {
    /// Values by setting.
    pub settings: BTreeMap<BuilderSetting, String>,
    /// Values of every app that has none of its own.
    pub defaults: BTreeMap<BuilderSetting, String>,
    /// Build arguments, which are no secrets.
    pub arguments: BTreeMap<ConfigKey, String>,
    /// Config vars that builds are given as secrets, by the id they are mounted with.
    pub secrets: BTreeMap<BuildSecretId, ConfigKey>,
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
    /// The value of a setting that is in force: that of the app, else that of all apps.
    pub fn get(&self, setting: BuilderSetting) -> Option<&str> {
        let value = self
            .settings
            .get(&setting)
            .or_else(|| self.defaults.get(&setting));
        value.map(String::as_str)
    }

    /// How long a build may take, where that was set.
    pub fn timeout(&self) -> Option<Duration> {
        TIMEOUT.read(self.get(BuilderSetting::BuildTimeout)?).ok()
    }

    /// How much memory a step of a build may use, bytes, where that was set.
    pub fn memory_limit_bytes(&self) -> Option<u64> {
        MEMORY_LIMIT
            .read(self.get(BuilderSetting::BuildMemoryLimit)?)
            .ok()
    }
}

/// What `build-timeout` may be.
const TIMEOUT: Span = Span {
    least: Duration::from_secs(1),
    most: Duration::from_secs(24 * 60 * 60),
};

/// What `build-memory-limit` may be. A shell alone needs some MiB.
const MEMORY_LIMIT: Size = Size {
    least: 16 << 20,
    most: 64 << 40,
};

/// The id of a secret of a build, as in `--mount=type=secret,id=NPM_TOKEN`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BuildSecretId(String);

impl BuildSecretId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BuildSecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BuildSecretId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_id = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if is_id {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidName {
            what: "id of a build secret",
            rule: "An id has up to 64 letters, digits, `.`, `_` and `-`, and begins with a letter, a digit or `_`",
        })
    }
}
