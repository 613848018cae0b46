//! From one buildpack's facts to processes, versions and a Dockerfile.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::detection::{Detection, RuntimeVersion};
use crate::detector::Detector;
use crate::dockerfile;
use crate::error::DetectError;
use crate::evaluation::Evaluation;
use crate::image::{is_image_reference, mirrored};
use crate::system_packages;
use crate::template;

impl<'a> Detector<'a> {
    /// # Errors
    /// [`DetectError::NoStartCommand`] lets another language try; any other error ends the detection.
    pub(crate) fn plan(&self, evaluation: Evaluation<'a>) -> Result<Detection, DetectError> {
        let buildpack = evaluation.buildpack;
        if let Some(refusal) = evaluation.first(&buildpack.refusals, |refusal| &refusal.when)? {
            return Err(DetectError::Refused {
                file: evaluation
                    .fact_text(&refusal.file)
                    .unwrap_or_default()
                    .to_owned(),
                problem: evaluation.render(&refusal.problem)?,
                next: evaluation.render(&refusal.next)?,
            });
        }
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
        let needed = system_packages::needed(evaluation)?;
        detection.evidence.extend(needed.reasons);
        let taken: BTreeMap<&String, &String> = detection
            .versions
            .iter()
            .map(|(runtime, taken)| (runtime, &taken.version))
            .collect();
        let mut values = evaluation.values()?;
        values.extend([
            ("versions".to_owned(), json!(taken)),
            ("build_packages".to_owned(), json!(needed.build)),
            ("run_packages".to_owned(), json!(needed.run)),
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
