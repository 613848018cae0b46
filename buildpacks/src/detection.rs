//! Detection: which buildpack a repository belongs to, and everything that follows from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::buildpack::Buildpack;
use crate::catalogue::Catalogue;
use crate::dockerfile;
use crate::error::DetectError;
use crate::evaluation::Evaluation;
use crate::image::{is_image_reference, mirrored};
use crate::options::Options;
use crate::procfile::{self, Procfile};
use crate::repository::Repository;
use crate::template;
use crate::tree::Tree;

/// What a repository is and how it is built and run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// The language's short name: the folder in `buildpacks/`.
    pub language: String,
    /// The program that installs dependencies.
    pub package_manager: Option<String>,
    /// The version of the main runtime, as in its image tag: `22`, `3.13`.
    pub version: Option<String>,
    /// Every runtime with the version taken and where it is pinned.
    pub versions: BTreeMap<String, RuntimeVersion>,
    /// The command of `web`; none where the image's own command is right, or where there is no `web`.
    pub start: Option<String>,
    /// The build command, where the app has one.
    pub build: Option<String>,
    /// Process types and their commands for `/bin/sh -c` (see [`procfile::shell_argv`]); `None` is the image's own command.
    pub processes: BTreeMap<String, Option<String>>,
    /// What to run once per deploy, before the new processes start.
    pub release_command: Option<String>,
    /// The directory that is served as it is, `.` for the root.
    pub static_root: Option<String>,
    /// `dockerfile` or `buildpack:LANGUAGE`.
    pub builder: String,
    /// Why this was chosen, one short sentence each.
    pub evidence: Vec<String>,
    /// The whole Dockerfile: the app's own, or the one written for it.
    pub dockerfile: String,
    /// Where the app's own Dockerfile is; none if it was written for it.
    pub dockerfile_path: Option<String>,
    /// What the user should know although the build goes on.
    pub warnings: Vec<String>,
    /// Images the Dockerfile starts from, to be pulled before the build.
    pub base_images: Vec<String>,
}

/// The version of one runtime and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeVersion {
    /// The version taken, as in the image tag.
    pub version: String,
    /// The version or range the app asks for, as written; none where it does not care.
    pub wanted: Option<String>,
    /// The file it is written in.
    pub source: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<usize>,
}

/// Detects what the repository in `tree` is. Reads files only; the result is the same for the same tree and options.
///
/// # Errors
/// See [`DetectError`]: each says what, why and what to do next.
pub fn detect(tree: &dyn Tree, options: &Options) -> Result<Detection, DetectError> {
    options.check()?;
    let catalogue = Catalogue::embedded()?;
    let repository = Repository::new(tree)?;
    let procfile = match repository.bytes("Procfile")? {
        Some(text) => Some(procfile::parse(&text).map_err(DetectError::InvalidProcfile)?),
        None => None,
    };
    let detector = Detector {
        catalogue,
        repository: &repository,
        procfile,
        options,
    };
    detector.detect()
}

struct Detector<'a> {
    catalogue: &'a Catalogue,
    repository: &'a Repository<'a>,
    procfile: Option<Procfile>,
    options: &'a Options,
}

impl<'a> Detector<'a> {
    fn detect(&self) -> Result<Detection, DetectError> {
        // The first language that was recognised but has nothing to start: the user's likeliest mistake if no other one fits.
        let mut incomplete: Option<DetectError> = None;
        for buildpack in &self.catalogue.buildpacks {
            let evaluation = Evaluation::new(self.repository, buildpack);
            let is_forced =
                buildpack.own_dockerfile.is_some() && self.options.dockerfile_path.is_some();
            if !is_forced && !evaluation.is_detected()? {
                continue;
            }
            match self.plan(evaluation.look_up()?) {
                Ok(mut detection) => {
                    if let Some(DetectError::NoStartCommand { title, .. }) = &incomplete {
                        let text = format!(
                            "this is also a {title} app, but without anything to start; it is built as {}",
                            buildpack.title
                        );
                        detection.warnings.push(text);
                    }
                    if buildpack.own_dockerfile.is_none() {
                        detection.evidence.extend(self.others(buildpack));
                    }
                    return Ok(detection);
                }
                Err(error @ DetectError::NoStartCommand { .. }) => {
                    incomplete.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(incomplete.unwrap_or_else(|| self.unrecognised()))
    }

    fn unrecognised(&self) -> DetectError {
        const NAMES_SHOWN: usize = 8;
        let looked_for = self
            .catalogue
            .buildpacks
            .iter()
            .flat_map(|buildpack| buildpack.looked_for.clone())
            .collect();
        let found = self
            .repository
            .root_names()
            .into_iter()
            .take(NAMES_SHOWN)
            .collect();
        DetectError::Unrecognised { looked_for, found }
    }

    /// A line for each language that would have been next.
    fn others(&self, taken: &Buildpack) -> Vec<String> {
        let later = self
            .catalogue
            .buildpacks
            .iter()
            .filter(|buildpack| buildpack.precedence > taken.precedence);
        let matching = later.filter(|buildpack| {
            Evaluation::new(self.repository, buildpack)
                .is_detected()
                .unwrap_or(false)
        });
        matching
            .map(|other| {
                format!(
                    "could be {} too; {} comes first: {}",
                    other.title, taken.title, taken.precedence_reason
                )
            })
            .collect()
    }

    fn plan(&self, evaluation: Evaluation<'a>) -> Result<Detection, DetectError> {
        let buildpack = evaluation.buildpack;
        let manager = evaluation.first(&buildpack.package_managers, |manager| &manager.when)?;
        let mut detection = Detection {
            language: buildpack.name.clone(),
            package_manager: manager.map(|manager| manager.name.clone()),
            version: None,
            versions: BTreeMap::new(),
            start: None,
            build: None,
            processes: BTreeMap::new(),
            release_command: None,
            static_root: None,
            builder: format!("buildpack:{}", buildpack.name),
            evidence: evaluation.remarks(&buildpack.evidence)?,
            dockerfile: String::new(),
            dockerfile_path: None,
            warnings: evaluation.remarks(&buildpack.warnings)?,
            base_images: Vec::new(),
        };
        self.set_processes(&evaluation, &mut detection)?;
        if let Some(fact) = &buildpack.own_dockerfile {
            let path = self
                .options
                .dockerfile_path
                .as_deref()
                .or(evaluation.fact_text(fact))
                .unwrap_or("Dockerfile");
            let path = path.trim_start_matches("./");
            self.take_own_dockerfile(path, &mut detection)?;
        } else {
            self.write_dockerfile(&evaluation, &mut detection)?;
        }
        Ok(detection)
    }

    /// Procfile first, then the language's convention.
    fn set_processes(
        &self,
        evaluation: &Evaluation<'a>,
        detection: &mut Detection,
    ) -> Result<(), DetectError> {
        let buildpack = evaluation.buildpack;
        let procfile = self.procfile.as_ref().inspect(|procfile| {
            detection.release_command = procfile.release_command().map(str::to_owned);
        });
        if let Some(procfile) = procfile.filter(|procfile| !procfile.is_empty()) {
            let types = procfile
                .processes()
                .map(|(name, command)| (name.to_owned(), Some(command.to_owned())));
            detection.processes = types.collect();
            let names: Vec<&str> = detection.processes.keys().map(String::as_str).collect();
            detection
                .evidence
                .push(format!("found Procfile ({})", names.join(", ")));
            detection.start = procfile.command("web").map(str::to_owned);
            if detection.start.is_none() {
                detection
                    .warnings
                    .push("the Procfile has no `web`: the app gets no HTTP requests".to_owned());
            }
            return Ok(());
        }
        if buildpack.own_dockerfile.is_none() && !buildpack.starts_by_itself {
            let Some(chosen) = evaluation.command(&buildpack.start)? else {
                return Err(DetectError::NoStartCommand {
                    language: buildpack.name.clone(),
                    title: buildpack.title.clone(),
                    add: buildpack.add_start.clone(),
                    evidence: detection.evidence.clone(),
                });
            };
            detection.evidence.push(chosen.because);
            detection.start = Some(chosen.command);
        }
        detection
            .processes
            .insert("web".to_owned(), detection.start.clone());
        Ok(())
    }

    fn take_own_dockerfile(
        &self,
        path: &str,
        detection: &mut Detection,
    ) -> Result<(), DetectError> {
        let Some(text) = self.repository.text(path)? else {
            return Err(DetectError::MissingDockerfile {
                path: path.to_owned(),
            });
        };
        let facts = dockerfile::read(&text);
        if !facts.has_stage {
            let problem = "there is no FROM in it".to_owned();
            return Err(DetectError::InvalidManifest {
                file: path.to_owned(),
                line: None,
                problem,
            });
        }
        if let Some(syntax) = facts.syntax {
            detection.warnings.push(format!(
                "the line `# syntax={}` makes the build fetch that image first",
                syntax.replace(char::is_control, " ")
            ));
        }
        detection.evidence.insert(0, format!("found {path}"));
        detection.builder = "dockerfile".to_owned();
        detection.dockerfile = text.to_string();
        detection.dockerfile_path = Some(path.to_owned());
        detection.base_images = facts.base_images;
        Ok(())
    }

    fn write_dockerfile(
        &self,
        evaluation: &Evaluation<'a>,
        detection: &mut Detection,
    ) -> Result<(), DetectError> {
        let buildpack = evaluation.buildpack;
        let images = self.choose_versions(evaluation, detection)?;
        detection.version = buildpack
            .runtimes
            .first()
            .and_then(|runtime| detection.versions.get(&runtime.name))
            .map(|taken| taken.version.clone());
        if let Some(chosen) = evaluation.command(&buildpack.build)? {
            detection.build = Some(chosen.command);
            detection.evidence.push(chosen.because);
        }
        detection.static_root = match &buildpack.static_root {
            Some(root) => Some(evaluation.render(root)?),
            None => None,
        };
        let mut values = evaluation.values()?;
        values.extend([
            ("image".to_owned(), json!(images)),
            ("start".to_owned(), json!(detection.start)),
            ("build".to_owned(), json!(detection.build)),
            ("static_root".to_owned(), json!(detection.static_root)),
            (
                "package_manager".to_owned(),
                json!(detection.package_manager),
            ),
            (
                "cache".to_owned(),
                json!(
                    self.options
                        .cache_id_prefix
                        .as_deref()
                        .unwrap_or(&buildpack.name)
                ),
            ),
            ("build_args".to_owned(), json!(self.options.build_args)),
        ]);
        let text = buildpack.template.unwrap_or_default();
        detection.dockerfile =
            template::render(text, &values).map_err(|problem| evaluation.broken(problem))?;
        detection.base_images = dockerfile::read(&detection.dockerfile).base_images;
        Ok(())
    }

    /// The version of each runtime, and its image by name.
    fn choose_versions(
        &self,
        evaluation: &Evaluation<'a>,
        detection: &mut Detection,
    ) -> Result<BTreeMap<String, Value>, DetectError> {
        let extra = evaluation.buildpack.images.iter();
        let mut images: BTreeMap<String, Value> = extra
            .map(|(name, image)| {
                (
                    name.clone(),
                    mirrored(image, &self.options.image_mirrors).into(),
                )
            })
            .collect();
        let today = self
            .options
            .today
            .as_deref()
            .unwrap_or(&self.catalogue.known.date);
        for runtime in &evaluation.buildpack.runtimes {
            let Some(known) = self.catalogue.known.runtimes.get(&runtime.name) else {
                return Err(evaluation.broken(format!("no versions of {} are known", runtime.name)));
            };
            let pin = runtime.pin(self.repository)?;
            let line = runtime.resolve(known, pin.as_ref())?;
            if let Some(pin) = &pin {
                let place = pin
                    .line
                    .map_or(pin.file.clone(), |number| format!("{}:{number}", pin.file));
                detection.evidence.push(format!(
                    "{place} asks for {} {}: taking {}",
                    runtime.name, pin.wanted, line.version
                ));
                // ISO dates compare as text. Only for a version the app chose: our default is our own business.
                let ended = line
                    .end_of_life
                    .as_deref()
                    .filter(|end| *end <= today && line.version != known.default);
                if let Some(end) = ended {
                    let text = format!(
                        "{} {} ({place}) has had no security fixes since {end}",
                        runtime.name, line.version
                    );
                    detection.warnings.push(text);
                }
            }
            let image = mirrored(
                &runtime.image.replace("{version}", &line.version),
                &self.options.image_mirrors,
            );
            images.insert(runtime.name.clone(), Value::String(image));
            let (wanted, source, number) = match pin {
                Some(pin) => (Some(pin.wanted), Some(pin.file), pin.line),
                None => (None, None, None),
            };
            let taken = RuntimeVersion {
                version: line.version.clone(),
                wanted,
                source,
                line: number,
            };
            detection.versions.insert(runtime.name.clone(), taken);
        }
        debug_assert!(
            images
                .values()
                .all(|image| image.as_str().is_some_and(is_image_reference))
        );
        Ok(images)
    }
}
