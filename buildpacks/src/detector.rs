//! Which buildpack a repository belongs to: the one that was chosen, else the first in order of precedence that can say how to
//! run it.

use std::collections::BTreeSet;

use crate::buildpack::Buildpack;
use crate::called::Called;
use crate::catalogue::Catalogue;
use crate::detection::Detection;
use crate::error::DetectError;
use crate::evaluation::Evaluation;
use crate::javascript::workspace;
use crate::options::Options;
use crate::overrides::{self, Overrides};
use crate::procfile::{self, Procfile};
use crate::repository::Repository;
use crate::said::{Origin, Said};
use crate::template::is_harmless;
use crate::tree::Tree;

/// Names shown of what was found instead.
const NAMES_SHOWN: usize = 8;

/// The precedence from which on the files of a language (a Makefile, an index.html) are often but part of an app in another one.
const PARTS: u32 = 600;

/// Folders that belong to an app, and are none.
const PARTS_OF_APPS: [&str; 10] = [
    "templates",
    "static",
    "public",
    "assets",
    "docs",
    "doc",
    "tests",
    "test",
    "examples",
    "scripts",
];

/// Detects what the repository in `tree` is. Reads files only; the result is the same for the same tree and options.
///
/// # Errors
/// See [`DetectError`]: each says what, why and what to do next.
pub fn detect(tree: &dyn Tree, options: &Options) -> Result<Detection, DetectError> {
    options.check()?;
    let catalogue = Catalogue::embedded()?;
    let repository = repository(tree, options)?;
    let procfile = match repository.bytes("Procfile")? {
        Some(text) => Some(procfile::parse(&text).map_err(DetectError::InvalidProcfile)?),
        None => None,
    };
    let overrides = Overrides::collect(&repository, options, procfile.as_ref())?;
    let detector = Detector {
        catalogue,
        repository: &repository,
        procfile,
        overrides: &overrides,
        options,
    };
    detector.detect()
}

/// The names of all buildpacks, in order of precedence: what [`Options::selected`] takes.
///
/// # Errors
/// [`DetectError::BrokenBuildpack`].
pub fn buildpack_names() -> Result<Vec<&'static str>, DetectError> {
    let buildpacks = Catalogue::embedded()?.buildpacks.iter();
    Ok(buildpacks
        .map(|buildpack| buildpack.name.as_str())
        .collect())
}

/// The repository seen from the directory of the app: that of the setting, of the variable, or of mini.toml at the root.
fn repository<'a>(tree: &'a dyn Tree, options: &Options) -> Result<Repository<'a>, DetectError> {
    let root = Repository::in_directory(tree, "")?;
    let by_setting = options.build_dir.as_deref();
    let by_variable = options.variables.get(overrides::BUILD_DIR);
    let said = match (
        by_setting,
        by_variable.filter(|path| !path.trim().is_empty()),
    ) {
        (Some(path), _) => Some(Said::setting("build-dir", path)),
        (None, Some(path)) => Some(Said {
            value: path.clone(),
            origin: Origin::Variable(overrides::BUILD_DIR.to_owned()),
        }),
        (None, None) => overrides::directory(&root)?,
    };
    let Some(said) = said else {
        return Ok(root);
    };
    let directory = inside(&said)?;
    if directory.is_empty() {
        return Ok(root);
    }
    let app = Repository::in_directory(tree, &directory)?;
    if app.is_empty() {
        return Err(DetectError::MissingDirectory {
            path: directory,
            origin: said.origin,
            found: root
                .root_names()
                .into_iter()
                .filter(|name| name.ends_with('/'))
                .take(NAMES_SHOWN)
                .collect(),
        });
    }
    Ok(app)
}

/// A path below the root without `.`, `..` and empty parts; empty for the root itself.
pub(crate) fn inside(said: &Said) -> Result<String, DetectError> {
    let parts: Vec<&str> = said
        .value
        .trim()
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let path = parts.join("/");
    if parts.contains(&"..") || !is_harmless(&path) {
        return Err(DetectError::Unusable {
            origin: said.origin.clone(),
            problem:
                "it has to be a path inside the repository, of letters, digits and `._/:@=+,-`"
                    .to_owned(),
        });
    }
    Ok(path)
}

/// A warning about what was recognised before `taken`, but could not be run.
fn passed_over(incomplete: Option<&DetectError>, taken: &Buildpack) -> Option<String> {
    match incomplete {
        Some(DetectError::NoStartCommand { title, .. }) => Some(format!(
            "this is also a {title} app, but without anything to start; it is built as {}",
            taken.title
        )),
        Some(DetectError::EmptyDockerfile { path }) => {
            Some(format!("{path} is empty; it is built as {}", taken.title))
        }
        _ => None,
    }
}

/// What all buildpacks are asked with.
pub(crate) struct Detector<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) repository: &'a Repository<'a>,
    pub(crate) procfile: Option<Procfile>,
    pub(crate) overrides: &'a Overrides,
    pub(crate) options: &'a Options,
}

impl<'a> Detector<'a> {
    fn detect(&self) -> Result<Detection, DetectError> {
        if let Some(chosen) = &self.overrides.buildpack {
            return self.chosen(chosen);
        }
        // The first language that was recognised but has nothing to start: the user's likeliest mistake if no other one fits.
        let mut incomplete: Option<DetectError> = None;
        let web = self
            .procfile
            .as_ref()
            .and_then(|procfile| procfile.command("web"));
        let called = web.map(Called::of).unwrap_or_default();
        for buildpack in called.order(&self.catalogue.buildpacks) {
            let evaluation = self.ask(buildpack);
            let is_forced =
                buildpack.own_dockerfile.is_some() && self.overrides.dockerfile.is_some();
            if !is_forced && !evaluation.is_detected()? {
                continue;
            }
            let planned = match self.member(buildpack)? {
                Some((directory, reason)) => self.planned_inside(buildpack, &directory, reason),
                None => self.planned(evaluation),
            };
            match planned {
                Ok(None) => {}
                Ok(Some(mut detection)) => {
                    detection
                        .warnings
                        .extend(passed_over(incomplete.as_ref(), buildpack));
                    if buildpack.own_dockerfile.is_none() {
                        let named = called.by(buildpack).filter(|_| self.is_preceded(buildpack));
                        match named {
                            Some(program) => detection.evidence.push(format!(
                                "the Procfile starts `web` with {program}, so this is taken as {}",
                                buildpack.title
                            )),
                            None => detection.evidence.extend(self.others(buildpack)),
                        }
                    }
                    return Ok(detection);
                }
                Err(error @ DetectError::EmptyDockerfile { .. }) => incomplete = Some(error),
                Err(error @ DetectError::NoStartCommand { .. }) => {
                    if !matches!(incomplete, Some(DetectError::NoStartCommand { .. })) {
                        incomplete = Some(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(incomplete.unwrap_or_else(|| self.unrecognised()))
    }

    /// The member of a workspace that is the app, and why, where nobody decided on a directory or a command.
    fn member(&self, buildpack: &Buildpack) -> Result<Option<(String, String)>, DetectError> {
        let is_decided =
            !self.repository.directory().is_empty() || !self.overrides.processes.is_empty();
        if is_decided || buildpack.app_dependencies.is_empty() {
            return Ok(None);
        }
        workspace::app(self.repository, &buildpack.app_dependencies)
    }

    fn planned_inside(
        &self,
        buildpack: &'a Buildpack,
        directory: &str,
        reason: String,
    ) -> Result<Option<Detection>, DetectError> {
        let repository = self.repository.inside(directory)?;
        let detector = Detector {
            repository: &repository,
            procfile: None,
            catalogue: self.catalogue,
            overrides: self.overrides,
            options: self.options,
        };
        let mut planned = detector.planned(detector.ask(buildpack))?;
        if let Some(detection) = &mut planned {
            detection.evidence.insert(0, reason);
        }
        Ok(planned)
    }

    /// The plan of a language that was recognised; nothing if its facts say that it is another one after all.
    fn planned(&self, evaluation: Evaluation<'a>) -> Result<Option<Detection>, DetectError> {
        let evaluation = evaluation.look_up()?;
        if !evaluation.is_confirmed()? {
            return Ok(None);
        }
        self.plan_where_it_stands(evaluation).map(Some)
    }

    /// A directory that is built by itself is detected once more as if it was the repository: a lock file at the root is another's.
    fn plan_where_it_stands(&self, evaluation: Evaluation<'a>) -> Result<Detection, DetectError> {
        let buildpack = evaluation.buildpack;
        let is_member = match &buildpack.root_context {
            Some(condition) => self.repository.is_alone() || condition.holds(&evaluation)?,
            None => true,
        };
        if is_member {
            return self.plan(evaluation);
        }
        let repository = self.repository.alone()?;
        let detector = Detector {
            repository: &repository,
            procfile: self.procfile.clone(),
            catalogue: self.catalogue,
            overrides: self.overrides,
            options: self.options,
        };
        detector.plan(detector.ask(buildpack).look_up()?)
    }

    /// The buildpack somebody chose, whatever else would apply.
    fn chosen(&self, chosen: &Said) -> Result<Detection, DetectError> {
        let Some(buildpack) = self.catalogue.named(&chosen.value) else {
            let known = self.catalogue.buildpacks.iter();
            return Err(DetectError::UnknownBuildpack {
                name: chosen.value.replace(char::is_control, " "),
                origin: chosen.origin.clone(),
                known: known.map(|buildpack| buildpack.name.clone()).collect(),
            });
        };
        let mut detection = self.plan_where_it_stands(self.ask(buildpack).look_up()?)?;
        let text = format!("{} chooses {}", chosen.origin, chosen.value);
        detection.evidence.insert(0, text);
        Ok(detection)
    }

    pub(crate) fn ask(&self, buildpack: &'a Buildpack) -> Evaluation<'a> {
        Evaluation::new(self.repository, buildpack, self.overrides)
    }

    /// The files by which languages are known, of those with a precedence below `end`.
    fn looked_for(&self, end: u32) -> Vec<String> {
        let all = self.catalogue.buildpacks.iter();
        let buildpacks = all.filter(|buildpack| buildpack.precedence < end);
        let mut looked_for: Vec<String> = Vec::new();
        for name in buildpacks.flat_map(|buildpack| &buildpack.looked_for) {
            if !looked_for.contains(name) {
                looked_for.push(name.clone());
            }
        }
        looked_for
    }

    /// What to do about an app without a start: the app may be in a directory that nobody chose.
    pub(crate) fn what_to_add(&self, add: &str) -> String {
        let inside = match self.repository.directory() {
            "" => self.directories_with(&self.looked_for(PARTS), &PARTS_OF_APPS),
            _ => Vec::new(),
        };
        if inside.is_empty() {
            return add.to_owned();
        }
        format!(
            "if the app is in {}, say so with the setting `build-dir` or in mini.toml ([build] directory); else {add}",
            inside.join(" or ")
        )
    }

    fn unrecognised(&self) -> DetectError {
        let looked_for = self.looked_for(u32::MAX);
        let found = self
            .repository
            .root_names()
            .into_iter()
            .take(NAMES_SHOWN)
            .collect();
        let inside = self.directories_with(&looked_for, &[]);
        DetectError::Unrecognised {
            looked_for,
            found,
            directory: self.directory().to_owned(),
            dockerfile: self.dockerfile_aside(),
            inside,
        }
    }

    /// Directories, not deep, that have one of the files by which languages are known, and are not in a folder called one of `except`.
    fn directories_with(&self, names: &[String], except: &[&str]) -> Vec<String> {
        const SHOWN: usize = 3;
        // Names are whole, or an ending: `*.csproj`. The repository may be large, so its files are walked through but once.
        let is_one = |file: &str| {
            names.iter().any(|name| match name.strip_prefix('*') {
                Some(ending) => file.ends_with(ending),
                None => file == name,
            })
        };
        let mut directories: BTreeSet<String> = BTreeSet::new();
        for pattern in ["*/*", "*/*/*"] {
            let found = self.repository.matching(pattern);
            let split = found.iter().filter_map(|path| path.rsplit_once('/'));
            let parents = split.filter(|(parent, file)| {
                is_one(file) && !parent.split('/').any(|part| except.contains(&part))
            });
            directories.extend(parents.map(|(parent, _)| self.repository.from_root(parent)));
        }
        directories.into_iter().take(SHOWN).collect()
    }

    /// A Dockerfile in a directory that is no app's, but about building the whole.
    fn dockerfile_aside(&self) -> Option<Box<str>> {
        const PLACES: [&str; 6] = ["docker", ".docker", "build", "deploy", "ops", "infra"];
        let mut paths = PLACES.iter().map(|place| format!("{place}/Dockerfile"));
        let found = paths.find(|path| self.repository.has(path))?;
        Some(self.repository.from_root(&found).into())
    }

    /// The directory of the app, `.` for the root.
    pub(crate) fn directory(&self) -> &str {
        match self.repository.directory() {
            "" => ".",
            directory => directory,
        }
    }

    /// Whether another language would have been asked first.
    fn is_preceded(&self, taken: &Buildpack) -> bool {
        let mut earlier =
            self.catalogue.buildpacks.iter().filter(|other| {
                other.precedence < taken.precedence && other.own_dockerfile.is_none()
            });
        earlier.any(|buildpack| self.ask(buildpack).is_detected().unwrap_or(false))
    }

    /// A line about the languages that would have been next, with the reason for the order.
    fn others(&self, taken: &Buildpack) -> Option<String> {
        let later = self
            .catalogue
            .buildpacks
            .iter()
            .filter(|other| other.precedence > taken.precedence && !other.last_resort);
        // A broken manifest of a language that is not taken is nobody's problem.
        let matching = later.filter(|buildpack| self.ask(buildpack).is_detected().unwrap_or(false));
        let titles: Vec<&str> = matching.map(|buildpack| buildpack.title.as_str()).collect();
        let text = || {
            format!(
                "also looks like {}, but {} comes first: {}",
                titles.join(" and "),
                taken.title,
                taken.precedence_reason
            )
        };
        (!titles.is_empty()).then(text)
    }
}
