//! From one buildpack's facts and what was decided to processes, versions and a Dockerfile.

use std::collections::BTreeMap;

use serde_json::json;

use crate::additions::Additions;
use crate::build_secrets;
use crate::buildpack::{Buildpack, Command};
use crate::detection::Detection;
use crate::detector::Detector;
use crate::dockerfile;
use crate::environment;
use crate::error::DetectError;
use crate::evaluation::Evaluation;
use crate::named_otherwise;
use crate::overrides::of_language;
use crate::runtime::Runtime;
use crate::said::Said;
use crate::system_packages;
use crate::template;

const PROCFILE: &str = "Procfile";

impl<'a> Detector<'a> {
    /// # Errors
    /// [`DetectError::NoStartCommand`] lets another language try; any other error ends the detection.
    pub(crate) fn plan(&self, evaluation: Evaluation<'a>) -> Result<Detection, DetectError> {
        let buildpack = evaluation.buildpack;
        if let Some(refusal) = evaluation.first(&buildpack.refusals, |refusal| &refusal.when)? {
            return Err(DetectError::Refused {
                file: self
                    .repository
                    .from_root(evaluation.fact_text(&refusal.file).unwrap_or_default()),
                problem: evaluation.render(&refusal.problem)?,
                next: evaluation.render(&refusal.next)?,
            });
        }
        let variant = evaluation.first(&buildpack.variants, |variant| &variant.when)?;
        let directory = self.directory().to_owned();
        let mut warnings = evaluation.remarks(&buildpack.warnings)?;
        warnings.extend(self.overrides.warnings.iter().cloned());
        warnings.extend(named_otherwise::procfile(self.repository));
        let mut detection = Detection {
            language: buildpack.name.clone(),
            variant: variant.map(|variant| variant.name.clone()),
            package_manager: evaluation.manager().map(str::to_owned),
            version: None,
            versions: BTreeMap::new(),
            start: None,
            install: None,
            build: None,
            processes: BTreeMap::new(),
            release_command: None,
            predeploy_command: None,
            static_root: None,
            context: directory.clone(),
            directory,
            builder: format!("buildpack:{}", buildpack.name),
            evidence: evaluation.remarks(&buildpack.evidence)?,
            dockerfile: String::new(),
            dockerfile_path: None,
            target: None,
            arguments: self.arguments(),
            environment: Vec::new(),
            warnings,
            base_images: Vec::new(),
        };
        let ships = self.set_processes(&evaluation, &mut detection)?;
        if let Some(fact) = &buildpack.own_dockerfile {
            let found = evaluation.fact_text(fact).unwrap_or("Dockerfile");
            self.take_own_dockerfile(found, &mut detection)?;
        } else {
            self.write_dockerfile(&evaluation, ships, &mut detection)?;
            let others = named_otherwise::dockerfiles(self.repository);
            detection.evidence.extend(others);
        }
        self.suggest_environment(&evaluation, &mut detection)?;
        Ok(detection)
    }

    /// Arguments of the build; those that came with a command go before those of mini.toml.
    fn arguments(&self) -> BTreeMap<String, String> {
        let decided = self.overrides.arguments.iter();
        let decided = decided.map(|(name, said)| (name.clone(), said.value.clone()));
        decided.chain(self.options.arguments.clone()).collect()
    }

    /// What was declared, and where nothing was, the language's convention. Returns what the image needs of the app, where that
    /// is not everything.
    fn set_processes(
        &self,
        evaluation: &Evaluation<'a>,
        detection: &mut Detection,
    ) -> Result<Vec<String>, DetectError> {
        let mut ships = Vec::new();
        let buildpack = evaluation.buildpack;
        if let Some(release) = &self.overrides.release {
            detection.release_command = Some(release.value.clone());
            if let Some(text) = self.won("the release command", "release", release) {
                detection.evidence.push(text);
            }
        }
        if let Some(predeploy) = &self.overrides.predeploy {
            detection.predeploy_command = Some(predeploy.value.clone());
        }
        let declared = &self.overrides.processes;
        let template = buildpack.template.unwrap_or_default();
        if let Some(said) = &self.overrides.web_root {
            let is_read = ["static_root", "web_root"]
                .iter()
                .any(|name| template::mentions(template, name));
            if is_read {
                let text = format!("the directory that is served is that of {}", said.origin);
                detection.evidence.push(text);
            } else {
                detection.warnings.push(format!(
                    "{} has no effect: a {} app serves no directory as it is",
                    said.origin, buildpack.title
                ));
            }
            if declared.is_empty() && template::mentions(template, "static_root") {
                detection.static_root = Some(said.value.clone());
            }
        }
        if declared.is_empty() {
            let is_served = detection.static_root.is_some();
            if buildpack.own_dockerfile.is_none() && !buildpack.starts_by_itself && !is_served {
                let Some(chosen) = evaluation.first(&buildpack.start, |start| &start.when)? else {
                    return Err(DetectError::NoStartCommand {
                        language: buildpack.name.clone(),
                        title: buildpack.title.clone(),
                        add: self.what_to_add(&buildpack.add_start),
                        evidence: detection.evidence.clone(),
                    });
                };
                detection.evidence.push(evaluation.render(&chosen.because)?);
                let render = |text: &String| evaluation.render(text);
                detection.start = chosen.command.as_ref().map(render).transpose()?;
                detection.static_root = chosen.serves.as_ref().map(render).transpose()?;
                ships = chosen.ships.iter().map(render).collect::<Result<_, _>>()?;
            }
            detection
                .processes
                .insert("web".to_owned(), detection.start.clone());
            return Ok(ships);
        }
        if let Some(procfile) = self
            .procfile
            .as_ref()
            .filter(|procfile| !procfile.is_empty())
        {
            let names: Vec<&str> = procfile.processes().map(|(name, _)| name).collect();
            detection
                .evidence
                .push(format!("found Procfile ({})", names.join(", ")));
        }
        for (name, said) in declared {
            detection
                .processes
                .insert(name.clone(), Some(said.value.clone()));
            if let Some(text) = self.won(&format!("the command of {name}"), name, said) {
                detection.evidence.push(text);
            }
        }
        detection.start = declared.get("web").map(|said| said.value.clone());
        if detection.start.is_none() {
            let only_procfile = declared.values().all(|said| said.origin.name() == PROCFILE);
            let who = if only_procfile {
                "the Procfile has no `web`"
            } else {
                "no `web` is declared"
            };
            detection
                .warnings
                .push(format!("{who}: the app gets no HTTP requests"));
        }
        Ok(ships)
    }

    /// Says where a command comes from, and over what it has the say. Nothing for the Procfile, which is told by itself.
    fn won(&self, what: &str, name: &str, said: &Said) -> Option<String> {
        if said.origin.name() == PROCFILE {
            return None;
        }
        let weaker = self
            .procfile
            .as_ref()
            .and_then(|procfile| procfile.line(name));
        let weaker = weaker.map_or(String::new(), |line| {
            format!(", which goes before {PROCFILE}:{line}")
        });
        Some(format!("{what} is that of {}{weaker}", said.origin))
    }

    fn write_dockerfile(
        &self,
        evaluation: &Evaluation<'a>,
        ships: Vec<String>,
        detection: &mut Detection,
    ) -> Result<(), DetectError> {
        let buildpack = evaluation.buildpack;
        let images = self.choose_versions(evaluation, detection)?;
        detection.version = buildpack
            .runtimes
            .first()
            .and_then(|runtime| detection.versions.get(&runtime.name))
            .map(|taken| taken.version.clone());
        let overrides = self.overrides;
        let text = buildpack.template.unwrap_or_default();
        for (name, what, by_owner, around, conventions) in [
            (
                "install",
                "the install command",
                &overrides.install,
                &overrides.install_around,
                &buildpack.install,
            ),
            (
                "build",
                "the build command",
                &overrides.build,
                &overrides.build_around,
                &buildpack.build,
            ),
        ] {
            let chosen =
                self.command(evaluation, what, by_owner.as_ref(), conventions, detection)?;
            let chosen = match around.first() {
                Some(said) if by_owner.is_none() => {
                    let text = format!("{what} has more commands by {}", said.origin);
                    detection.evidence.push(text);
                    Some(around.line(chosen))
                }
                _ => chosen,
            };
            if let Some(said) = by_owner.as_ref().or_else(|| around.first())
                && !template::mentions(text, name)
            {
                let title = &buildpack.title;
                detection.warnings.push(format!(
                    "{} has no effect: a {title} is built without {what}",
                    said.origin
                ));
            } else if name == "install" {
                detection.install = chosen;
            } else {
                detection.build = chosen;
            }
        }
        if let Some(target) = &overrides.target {
            detection.warnings.push(format!(
                "{} has no effect: only an app's own Dockerfile has stages to choose from",
                target.origin
            ));
        }
        if let Some(root) = &buildpack.static_root
            && self.overrides.web_root.is_none()
        {
            detection.static_root = Some(evaluation.render(root)?);
        }
        let is_from_root = match &buildpack.root_context {
            Some(condition) => !self.repository.is_alone() && condition.holds(evaluation)?,
            None => false,
        };
        if is_from_root {
            detection.context = ".".to_owned();
        }
        let directory = if is_from_root { self.directory() } else { "." };
        let needed = system_packages::needed(evaluation)?;
        detection.evidence.extend(needed.reasons);
        let taken: BTreeMap<&String, &String> = detection
            .versions
            .iter()
            .map(|(runtime, taken)| (runtime, &taken.version))
            .collect();
        let mut values = evaluation.values()?;
        let cache = self.options.cache_id_prefix.as_deref();
        let names: Vec<&String> = detection.arguments.keys().collect();
        values.extend([
            ("versions".to_owned(), json!(taken)),
            ("build_packages".to_owned(), json!(needed.build)),
            ("run_packages".to_owned(), json!(needed.run)),
            ("ships".to_owned(), json!(ships)),
            ("image".to_owned(), json!(images)),
            ("start".to_owned(), json!(detection.start)),
            ("install".to_owned(), json!(detection.install)),
            ("build".to_owned(), json!(detection.build)),
            ("directory".to_owned(), json!(directory)),
            ("static_root".to_owned(), json!(detection.static_root)),
            (
                "web_root".to_owned(),
                json!(overrides.web_root.as_ref().map(|said| &said.value)),
            ),
            ("variant".to_owned(), json!(detection.variant)),
            (
                "package_manager".to_owned(),
                json!(detection.package_manager),
            ),
            ("cache".to_owned(), json!(cache.unwrap_or(&buildpack.name))),
            ("build_args".to_owned(), json!(names)),
        ]);
        let rendered =
            template::render(text, &values).map_err(|problem| evaluation.broken(problem))?;
        let whole = self.additions(buildpack, detection).add_to(&rendered);
        detection.dockerfile = build_secrets::mounted(&whole, &self.options.secrets);
        detection.base_images = dockerfile::read(&detection.dockerfile).base_images;
        Ok(())
    }

    /// The command the owner decided, else that of the convention.
    fn command(
        &self,
        evaluation: &Evaluation<'a>,
        what: &str,
        by_owner: Option<&Said>,
        conventions: &'a [Command],
        detection: &mut Detection,
    ) -> Result<Option<String>, DetectError> {
        if let Some(said) = by_owner {
            let text = format!("{what} is that of {}", said.origin);
            detection.evidence.push(text);
            return Ok(Some(said.value.clone()));
        }
        let Some(chosen) = evaluation.command(conventions)? else {
            return Ok(None);
        };
        if !chosen.because.is_empty() {
            detection.evidence.push(chosen.because);
        }
        Ok(Some(chosen.command))
    }

    fn additions(&self, buildpack: &Buildpack, detection: &mut Detection) -> Additions<'_> {
        fn values(said: &[Said]) -> Vec<&str> {
            said.iter().map(|said| said.value.as_str()).collect()
        }
        let mut packages = values(&self.overrides.packages);
        for said in &self.overrides.languages {
            let language = said.value.as_str();
            let has_it = |runtime: &Runtime| runtime.name == language;
            if buildpack.name == language || buildpack.runtimes.iter().any(has_it) {
                continue;
            }
            let own = of_language(language);
            detection.warnings.push(if own.is_empty() {
                format!(
                    "{} asks for {language} besides, which Debian does not have: add a Dockerfile for an app of several languages",
                    said.origin
                )
            } else {
                format!(
                    "{} asks for {language} besides: the image gets the one of Debian, whatever its version, and nothing is installed with it",
                    said.origin
                )
            });
            packages.extend(own.iter().map(String::as_str));
        }
        let environment = self.overrides.environment.iter();
        Additions {
            packages,
            build_packages: values(&self.overrides.build_packages),
            environment: environment
                .map(|(name, said)| (name.as_str(), said.value.as_str()))
                .collect(),
        }
    }

    /// By what the app depends on, then by its own example. An own Dockerfile may hide any language, so all are asked.
    fn suggest_environment(
        &self,
        evaluation: &Evaluation<'a>,
        detection: &mut Detection,
    ) -> Result<(), DetectError> {
        environment::by_rules(evaluation, &mut detection.environment)?;
        if evaluation.buildpack.own_dockerfile.is_some() {
            for buildpack in &self.catalogue.buildpacks {
                let evaluation = self.ask(buildpack);
                if buildpack.own_dockerfile.is_none() && evaluation.is_detected().unwrap_or(false) {
                    // A manifest that is broken for us need not be for the Dockerfile.
                    if let Ok(evaluation) = evaluation.look_up() {
                        let _ = environment::by_rules(&evaluation, &mut detection.environment);
                    }
                }
            }
        }
        let warnings = environment::by_example(self.repository, &mut detection.environment)?;
        detection.warnings.extend(warnings);
        Ok(())
    }
}
