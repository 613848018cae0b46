//! What the owner of an app decided: by a setting, a variable, or a file of the repository. One order for all of it; the table
//! in `buildpacks/README.md` says which.

mod app_json;
mod around;
mod mini_toml;
mod nix_package;
mod nixpacks;
mod railpack;
mod variable;

use std::collections::BTreeMap;

use crate::error::DetectError;
use crate::options::Options;
use crate::procfile::{Procfile, is_process_type};
use crate::repository::Repository;
use crate::said::{Origin, Said};

pub(crate) use around::Around;
pub(crate) use mini_toml::directory;
pub(crate) use nix_package::of_language;
pub(crate) use variable::BUILD_DIR;
pub use variable::is_build_variable;

/// Decisions, each with its origin. Of two sources the stronger one has the say, value by value.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) buildpack: Option<Said>,
    /// Path of the app's Dockerfile, from its directory.
    pub(crate) dockerfile: Option<Said>,
    pub(crate) target: Option<Said>,
    pub(crate) install: Option<Said>,
    pub(crate) build: Option<Said>,
    /// Commands before and behind those of the language, where these are not replaced.
    pub(crate) install_around: Around,
    pub(crate) build_around: Around,
    /// The directory that is served, of the finished build or by PHP: a harmless path inside the app.
    pub(crate) web_root: Option<Said>,
    pub(crate) processes: BTreeMap<String, Said>,
    pub(crate) release: Option<Said>,
    /// Run in the finished image, which keeps what it changes.
    pub(crate) predeploy: Option<Said>,
    /// Debian packages for all stages, and those that only the build needs.
    pub(crate) packages: Vec<Said>,
    pub(crate) build_packages: Vec<Said>,
    /// Languages that are wanted beside that of the app.
    pub(crate) languages: Vec<Said>,
    /// By runtime.
    pub(crate) versions: BTreeMap<String, Said>,
    /// Environment of the build and of the processes.
    pub(crate) environment: BTreeMap<String, Said>,
    /// Values for `ARG`.
    pub(crate) arguments: BTreeMap<String, Said>,
    pub(crate) warnings: Vec<String>,
}

impl Overrides {
    /// Everything that was decided, the strongest source first: settings, `MINI_*`, mini.toml, variables of other builders,
    /// railpack.json, nixpacks.toml, Procfile, app.json.
    ///
    /// # Errors
    /// A file is broken or has a value that cannot be used; mini.toml also if it has a key that there is not.
    pub(crate) fn collect(
        repository: &Repository<'_>,
        options: &Options,
        procfile: Option<&Procfile>,
    ) -> Result<Self, DetectError> {
        let mut all = settings(options);
        all.take(variable::read_all(options)?);
        all.take(mini_toml::read(repository)?);
        all.take(variable::of_others(options));
        all.take(railpack::read(repository)?);
        all.take(nixpacks::read(repository)?);
        all.take(procfile.map(of_procfile).unwrap_or_default());
        all.take(app_json::read(repository)?);
        Ok(all)
    }

    /// Takes over what is not decided yet.
    fn take(&mut self, weaker: Self) {
        fn fill(ours: &mut Option<Said>, theirs: Option<Said>) {
            if ours.is_none() {
                *ours = theirs;
            }
        }
        fn fill_all(ours: &mut BTreeMap<String, Said>, theirs: BTreeMap<String, Said>) {
            for (name, said) in theirs {
                ours.entry(name).or_insert(said);
            }
        }
        // A Dockerfile that is named says as much as a buildpack that is chosen.
        let has_builder = self.buildpack.is_some() || self.dockerfile.is_some();
        if !has_builder {
            fill(&mut self.buildpack, weaker.buildpack);
            fill(&mut self.dockerfile, weaker.dockerfile);
        } else if self
            .buildpack
            .as_ref()
            .is_none_or(|said| said.value == OWN_DOCKERFILE)
        {
            fill(&mut self.dockerfile, weaker.dockerfile);
        }
        fill(&mut self.target, weaker.target);
        if self.install.is_none() && self.install_around.is_empty() {
            self.install = weaker.install;
            self.install_around = weaker.install_around;
        }
        if self.build.is_none() && self.build_around.is_empty() {
            self.build = weaker.build;
            self.build_around = weaker.build_around;
        }
        fill(&mut self.web_root, weaker.web_root);
        fill(&mut self.release, weaker.release);
        fill(&mut self.predeploy, weaker.predeploy);
        fill_all(&mut self.processes, weaker.processes);
        fill_all(&mut self.versions, weaker.versions);
        fill_all(&mut self.environment, weaker.environment);
        fill_all(&mut self.arguments, weaker.arguments);
        self.packages.extend(weaker.packages);
        self.build_packages.extend(weaker.build_packages);
        self.languages.extend(weaker.languages);
        self.warnings.extend(weaker.warnings);
    }
}

/// The folder of the buildpack for an app's own Dockerfile.
pub(crate) const OWN_DOCKERFILE: &str = "dockerfile";

fn settings(options: &Options) -> Overrides {
    let said = |name, value: &Option<String>| Some(Said::setting(name, value.as_deref()?));
    Overrides {
        buildpack: said("selected", &options.selected),
        dockerfile: said("dockerfile-path", &options.dockerfile_path),
        target: said("target", &options.target),
        ..Overrides::default()
    }
}

fn of_procfile(procfile: &Procfile) -> Overrides {
    let said = |name: &str, command: &str| Said {
        value: command.to_owned(),
        origin: Origin::File {
            file: "Procfile".to_owned(),
            line: procfile.line(name),
        },
    };
    Overrides {
        processes: procfile
            .processes()
            .map(|(name, command)| (name.to_owned(), said(name, command)))
            .collect(),
        release: procfile
            .release_command()
            .map(|command| said("release", command)),
        ..Overrides::default()
    }
}

/// Refuses what could not name a process type.
fn check_process_type(name: &str, origin: &Origin) -> Result<(), DetectError> {
    let problem = if name == "release" {
        "`release` is no process type; its command has a place of its own"
    } else if is_process_type(name) {
        return Ok(());
    } else {
        "the name of a process type has letters, digits, `_` and `-`, 63 at most"
    };
    Err(unusable(origin, problem))
}

/// Refuses what is no name of a Debian package (Debian policy 5.6.1), perhaps with a version.
fn check_package(said: &Said) -> Result<(), DetectError> {
    let is_fine = said.value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && said
            .value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-._=:~".contains(&byte));
    if is_fine {
        return Ok(());
    }
    let problem = "a Debian package has a name of letters, digits, `+`, `-` and `.`";
    Err(unusable(&said.origin, problem))
}

/// Refuses what is no name of a variable.
fn check_variable(name: &str, origin: &Origin) -> Result<(), DetectError> {
    if is_variable(name) {
        return Ok(());
    }
    let problem = "the name of a variable has letters, digits and `_`, and begins with no digit";
    Err(unusable(origin, problem))
}

pub(crate) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A directory that is served, as a path inside the app; other builders name it as it is in their images, `/app/public`.
fn web_root(said: &Said) -> Result<Said, DetectError> {
    let path = said.value.strip_prefix("/app").unwrap_or(&said.value);
    let inside = crate::detector::inside(&Said {
        value: path.to_owned(),
        origin: said.origin.clone(),
    })?;
    let value = if inside.is_empty() {
        ".".to_owned()
    } else {
        inside
    };
    Ok(Said {
        value,
        origin: said.origin.clone(),
    })
}

fn unusable(origin: &Origin, problem: &str) -> DetectError {
    DetectError::Unusable {
        origin: origin.clone(),
        problem: problem.to_owned(),
    }
}

/// Several commands as one line that stops at the first that fails.
fn joined(commands: Vec<Said>) -> Option<Said> {
    let origin = commands.first()?.origin.clone();
    let commands: Vec<String> = commands.into_iter().map(|said| said.value).collect();
    Some(Said {
        value: commands.join(" && "),
        origin,
    })
}

#[cfg(test)]
mod tests;
