//! Variables that decide about a build: `MINI_*` of the app, and what nixpacks calls the same.

use super::{Overrides, check_package};
use crate::catalogue::Catalogue;
use crate::error::DetectError;
use crate::options::Options;
use crate::runtime::check_length;
use crate::said::{Origin, Said};

const PREFIX: &str = "MINI_";
/// Read before the directory of the app is known.
pub(crate) const BUILD_DIR: &str = "MINI_BUILD_DIR";
const DOCKERFILE_PATH: &str = "MINI_DOCKERFILE_PATH";
const TARGET: &str = "MINI_BUILD_TARGET";

/// All of `MINI_*`. One that means nothing is a warning: another program may look for it.
pub(super) fn read_all(options: &Options) -> Result<Overrides, DetectError> {
    let mut found = Overrides::default();
    for (name, value) in &options.variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        let said = Said {
            value: value.to_owned(),
            origin: Origin::Variable(name.clone()),
        };
        if value.contains(char::is_control) {
            return Err(DetectError::Unusable {
                origin: said.origin,
                problem: "it has to be one line of text".to_owned(),
            });
        }
        match name.as_str() {
            BUILD_DIR => {}
            DOCKERFILE_PATH => found.dockerfile = Some(said),
            TARGET => found.target = Some(said),
            "MINI_BUILDPACK" => found.buildpack = Some(said),
            _ if take(rest, said, &mut found)? => {}
            _ => found.warnings.push(format!(
                "{name} has no effect on the build: it is no variable mini knows, and no runtime has that name"
            )),
        }
    }
    Ok(found)
}

/// Takes what stands behind a builder's prefix. False where it means nothing here.
pub(super) fn take(name: &str, said: Said, found: &mut Overrides) -> Result<bool, DetectError> {
    match name {
        "INSTALL_COMMAND" | "INSTALL_CMD" => found.install = Some(said),
        "BUILD_COMMAND" | "BUILD_CMD" => found.build = Some(said),
        "START_COMMAND" | "START_CMD" => {
            found.processes.insert("web".to_owned(), said);
        }
        "RELEASE_COMMAND" => found.release = Some(said),
        "PACKAGES" | "APT_PACKAGES" | "APT_PKGS" if name != "PACKAGES" || is_ours(&said) => {
            for word in said.value.split([' ', ',']).filter(|word| !word.is_empty()) {
                let package = Said {
                    value: word.to_owned(),
                    origin: said.origin.clone(),
                };
                check_package(&package)?;
                found.packages.push(package);
            }
        }
        _ => {
            let runtime = name
                .strip_suffix("_VERSION")
                .map(|runtime| runtime.to_ascii_lowercase().replace('_', "-"))
                .filter(|runtime| is_runtime(runtime));
            let Some(runtime) = runtime else {
                return Ok(false);
            };
            let (file, line) = match &said.origin {
                Origin::File { file, line } => (file.as_str(), *line),
                other => (other.name(), None),
            };
            check_length(&said.value, file, line)?;
            found.versions.insert(runtime, said);
        }
    }
    Ok(true)
}

fn is_ours(said: &Said) -> bool {
    matches!(said.origin, Origin::Variable(_))
}

/// Whether some language of ours has a runtime of that name.
pub(super) fn is_runtime(name: &str) -> bool {
    Catalogue::embedded().is_ok_and(|catalogue| catalogue.has_runtime(name))
}

/// Whether that is the name of a language of ours.
pub(super) fn is_language(name: &str) -> bool {
    Catalogue::embedded().is_ok_and(|catalogue| catalogue.named(name).is_some())
}
