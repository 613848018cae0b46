//! What the caller may decide about a detection.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::DetectError;
use crate::image::is_image_reference;
use crate::known_versions::VersionTable;
use crate::overrides::is_variable;

/// Settings of the server or the app that reach into detection. The default decides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Images and where to take them from instead; see [`crate::image::mirrored`]. An app's own Dockerfile is not rewritten.
    pub image_mirrors: BTreeMap<String, String>,
    /// The buildpack to take, by the name of its folder; `dockerfile` for the app's own Dockerfile.
    pub selected: Option<String>,
    /// The directory of the app in the repository; it has to exist. Without it the app is the whole repository.
    pub build_dir: Option<String>,
    /// The app's Dockerfile, seen from its directory, where it is not called `Dockerfile`. It has to exist, and then always wins.
    pub dockerfile_path: Option<String>,
    /// The stage to build of the app's own Dockerfile.
    pub target: Option<String>,
    /// Variables of the app; only those are looked at of which [`crate::is_build_variable`] is true.
    pub variables: BTreeMap<String, String>,
    /// Prefix of the ids of BuildKit's cache mounts: letters, digits, `-`, `_`, `.`. Two builds with one prefix share package
    /// downloads. By default the language's name; give apps that do
    /// not trust each other prefixes of their own.
    pub cache_id_prefix: Option<String>,
    /// What the build may see as `--build-arg`: declared with `ARG` in the build stage only, so they are not in the image that
    /// runs. They are in the history of the image, so no secret belongs here.
    pub arguments: BTreeMap<String, String>,
    /// Ids of the secrets the build is given: letters, digits, `-`, `_`, `.`. They are mounted in the steps of a Dockerfile that is
    /// written for the app; what is a name of a variable is in the environment of those steps. An own Dockerfile mounts them itself.
    pub secrets: Vec<String>,
    /// Versions there are images for, in place of those that came with the program, runtime by runtime.
    pub versions: Option<Arc<VersionTable>>,
    /// The day ends of life are measured from, `YYYY-MM-DD`. By default the day of the table of versions, which keeps results
    /// reproducible.
    pub today: Option<String>,
}

impl Options {
    /// Refuses what could not be written into a Dockerfile.
    pub(crate) fn check(&self) -> Result<(), DetectError> {
        for value in self.image_mirrors.values() {
            if !is_image_reference(value) {
                return Err(invalid(
                    "image_mirrors",
                    value,
                    "an image reference such as `registry.example/node`",
                ));
            }
        }
        let is_word = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if let Some(value) = self
            .cache_id_prefix
            .as_ref()
            .filter(|prefix| !is_word(prefix))
        {
            return Err(invalid(
                "cache_id_prefix",
                value,
                "letters, digits, `-`, `_` and `.`",
            ));
        }
        if let Some(value) = self.secrets.iter().find(|id| !is_word(id)) {
            return Err(invalid(
                "secrets",
                value,
                "ids of letters, digits, `-`, `_` and `.`",
            ));
        }
        if let Some(value) = self.arguments.keys().find(|name| !is_variable(name)) {
            return Err(invalid(
                "arguments",
                value,
                "names of variables: letters, digits and `_`",
            ));
        }
        Ok(())
    }
}

fn invalid(option: &'static str, value: &str, expected: &'static str) -> DetectError {
    const SHOWN_CHARS: usize = 80;
    let value = value
        .chars()
        .take(SHOWN_CHARS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    DetectError::InvalidOption {
        option,
        value,
        expected,
    }
}
