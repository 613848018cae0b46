//! Variables that decide about a build: `MINI_*` of the app, and what nixpacks and railpack call the same.

use super::{Overrides, check_package, nixpacks, web_root};
use crate::catalogue::Catalogue;
use crate::error::DetectError;
use crate::options::Options;
use crate::runtime::check_length;
use crate::said::{Origin, Said};

const PREFIX: &str = "MINI_";
/// What an app brings along that was built by another builder before.
const OTHERS: &[&str] = &["RAILPACK_", "NIXPACKS_"];
/// Read before the directory of the app is known.
pub(crate) const BUILD_DIR: &str = "MINI_BUILD_DIR";
const DOCKERFILE_PATH: &str = "MINI_DOCKERFILE_PATH";
const TARGET: &str = "MINI_BUILD_TARGET";

/// Whether a variable of an app may decide about its builds.
pub fn is_build_variable(name: &str) -> bool {
    name.starts_with(PREFIX) || OTHERS.iter().any(|prefix| name.starts_with(prefix))
}

/// Those of other builders whose meaning is plain here. One that is not, or has a value we cannot use, was never written for us.
pub(super) fn of_others(options: &Options) -> Overrides {
    let mut found = Overrides::default();
    for prefix in OTHERS {
        for (name, value) in &options.variables {
            let (Some(rest), value) = (name.strip_prefix(prefix), value.trim()) else {
                continue;
            };
            if value.is_empty() || value.contains(char::is_control) {
                continue;
            }
            let said = Said {
                value: value.to_owned(),
                origin: Origin::Variable(name.clone()),
            };
            let mut one = Overrides::default();
            if take_of_others(rest, said, &mut one).unwrap_or(false) {
                found.take(one);
            }
        }
    }
    found
}

/// Takes what stands behind the prefix of another builder. False where it means nothing here.
pub(super) fn take_of_others(
    name: &str,
    said: Said,
    found: &mut Overrides,
) -> Result<bool, DetectError> {
    let words = |said: &Said| -> Vec<Said> {
        let words = said.value.split([' ', ',']).filter(|word| !word.is_empty());
        let word = |word: &str| Said {
            value: word.to_owned(),
            origin: said.origin.clone(),
        };
        words.map(word).collect()
    };
    match name {
        "PKGS" | "LIBS" => {
            nixpacks::nix_packages(words(&said), found);
        }
        // `node@22 python@latest`.
        "PACKAGES" => {
            for mut said in words(&said) {
                let (runtime, version) = match said.value.split_once('@') {
                    Some((runtime, version)) => (runtime.to_owned(), version.to_owned()),
                    None => (said.value.clone(), "latest".to_owned()),
                };
                if !is_runtime(&runtime) {
                    continue;
                }
                check_length(&version, said.origin.name(), None)?;
                said.value.clone_from(&runtime);
                let pin = Said {
                    value: version,
                    origin: said.origin.clone(),
                };
                found.languages.push(said);
                found.versions.insert(runtime, pin);
            }
        }
        "DEPLOY_APT_PACKAGES" => return take("PACKAGES", said, found),
        "BUILD_APT_PACKAGES" => {
            let packages = words(&said);
            packages.iter().try_for_each(check_package)?;
            found.build_packages.extend(packages);
        }
        "SPA_OUTPUT_DIR" | "SPA_OUT_DIR" | "OUTPUT_DIR" | "STATIC_FILE_ROOT"
        | "STATICFILE_ROOT" | "PHP_ROOT_DIR" => found.web_root = Some(web_root(&said)?),
        "JDK_VERSION" => return take("JAVA_VERSION", said, found),
        "CSHARP_SDK_VERSION" => return take("DOTNET_VERSION", said, found),
        _ => return take(name, said, found),
    }
    Ok(true)
}

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
        "WEB_ROOT" => found.web_root = Some(web_root(&said)?),
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
