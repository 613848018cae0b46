//! A Dockerfile of the app's own: which one, which of its stages, and what an owner's other decisions do not change in it.

use crate::detection::Detection;
use crate::detector::{Detector, inside};
use crate::dockerfile;
use crate::error::DetectError;
use crate::said::{Origin, Said};

impl Detector<'_> {
    pub(crate) fn take_own_dockerfile(
        &self,
        found: &str,
        detection: &mut Detection,
    ) -> Result<(), DetectError> {
        let chosen = self.overrides.buildpack.as_ref();
        let by_convention = Said {
            value: found.to_owned(),
            origin: chosen.map_or_else(
                || Origin::File {
                    file: self.repository.from_root(found),
                    line: None,
                },
                |said| said.origin.clone(),
            ),
        };
        let said = self.overrides.dockerfile.as_ref().unwrap_or(&by_convention);
        let path = inside(said)?;
        let place = self.repository.from_root(&path);
        let Some(text) = self.repository.text(&path)? else {
            return Err(DetectError::MissingDockerfile {
                path: place,
                origin: said.origin.clone(),
            });
        };
        let is_by_convention =
            self.overrides.dockerfile.is_none() && self.overrides.buildpack.is_none();
        if is_by_convention && text.trim().is_empty() {
            return Err(DetectError::EmptyDockerfile { path: place });
        }
        let facts = dockerfile::read(&text);
        if !facts.has_stage {
            let problem = "there is no FROM in it".to_owned();
            return Err(DetectError::InvalidManifest {
                file: place,
                line: None,
                problem,
            });
        }
        if let Some(target) = &self.overrides.target {
            let is_known = facts
                .stages
                .iter()
                .any(|stage| stage.eq_ignore_ascii_case(&target.value))
                || target
                    .value
                    .parse::<usize>()
                    .is_ok_and(|number| number < facts.stage_count);
            if !is_known {
                return Err(DetectError::MissingTarget {
                    target: target.value.replace(char::is_control, " "),
                    path: place,
                    origin: target.origin.clone(),
                    stages: facts.stages,
                });
            }
            let text = format!("{} asks for the stage {}", target.origin, target.value);
            detection.evidence.push(text);
            detection.target = Some(target.value.clone());
        }
        if let Some(syntax) = facts.syntax {
            detection.warnings.push(format!(
                "the line `# syntax={}` makes the build fetch that image first",
                syntax.replace(char::is_control, " ")
            ));
        }
        let text_of_path = match &self.overrides.dockerfile {
            Some(said) => format!("{} names {place}", said.origin),
            None => format!("found {place}"),
        };
        detection.evidence.insert(0, text_of_path);
        self.say_what_has_no_effect(detection);
        detection.builder = "dockerfile".to_owned();
        detection.dockerfile = text.to_string();
        detection.dockerfile_path = Some(place);
        detection.base_images = facts.base_images;
        Ok(())
    }

    /// What was decided for a Dockerfile of ours does nothing in one of the app's own.
    fn say_what_has_no_effect(&self, detection: &mut Detection) {
        let overrides = self.overrides;
        let decided = overrides
            .install
            .iter()
            .chain(&overrides.build)
            .chain(&overrides.packages)
            .chain(&overrides.build_packages)
            .chain(overrides.versions.values())
            .chain(overrides.environment.values());
        let mut places: Vec<String> = decided.map(|said| said.origin.to_string()).collect();
        places.dedup();
        if !places.is_empty() {
            detection.warnings.push(format!(
                "{} has no effect: the app's own Dockerfile says how it is built",
                places.join(", ")
            ));
        }
    }
}
