//! The version of each runtime an app gets, where it asks for it, and the image that has it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::detection::{Detection, RuntimeVersion};
use crate::detector::Detector;
use crate::error::DetectError;
use crate::evaluation::Evaluation;
use crate::image::{is_image_reference, mirrored};
use crate::known_versions::{KnownRuntime, ReleaseLine};
use crate::runtime::Pin;

impl<'a> Detector<'a> {
    fn known(&self, runtime: &str) -> Option<&'a KnownRuntime> {
        let own = self.options.versions.as_ref();
        own.and_then(|table| table.0.runtimes.get(runtime))
            .or_else(|| self.catalogue.known.runtimes.get(runtime))
    }

    /// The version of each runtime, and its image by name.
    pub(crate) fn choose_versions(
        &self,
        evaluation: &Evaluation<'a>,
        detection: &mut Detection,
    ) -> Result<BTreeMap<String, Value>, DetectError> {
        let mut images: BTreeMap<String, Value> = BTreeMap::new();
        let today = self
            .options
            .today
            .as_deref()
            .unwrap_or(&self.catalogue.known.date);
        // The lines by the placeholder that stands for them in further images: `{java}`.
        let mut lines: Vec<(String, &str)> = Vec::new();
        let mut chosen: Vec<(&str, &ReleaseLine)> = Vec::new();
        for runtime in &evaluation.buildpack.runtimes {
            if !runtime.when.holds(evaluation)? {
                continue;
            }
            let Some(known) = self.known(&runtime.name) else {
                return Err(evaluation.broken(format!("no versions of {} are known", runtime.name)));
            };
            let decided = self.overrides.versions.get(&runtime.name);
            let pin = match decided {
                Some(said) => Some(Pin::exact(said.clone())),
                None => runtime.pin(known, evaluation)?,
            };
            let whole = runtime.whole_version(pin.as_ref());
            let line = match &whole {
                // A release that is asked for by its whole number is there even if its line is news to our table.
                Some(whole) => known.line_of(whole).or_else(|| known.line(&known.default)),
                None => Some(runtime.resolve(known, pin.as_ref())?),
            };
            let Some(line) = line else {
                return Err(evaluation.broken(format!("no default for {}", runtime.name)));
            };
            if let Some(pin) = &pin
                && let Some(text) = without_image(&chosen, &runtime.name, line, pin)
            {
                detection.warnings.push(text);
                continue;
            }
            chosen.push((&runtime.name, line));
            lines.push((format!("{{{}}}", runtime.name), &line.version));
            let release = whole.clone().unwrap_or_else(|| line.latest.clone());
            let version = whole.unwrap_or_else(|| line.version.clone());
            if let Some(pin) = &pin {
                let place = &pin.origin;
                detection.evidence.push(format!(
                    "{place} asks for {} {}: taking {version}",
                    runtime.name, pin.wanted
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
            if let Some(image) = &runtime.image {
                let image = image
                    .replace("{version}", &line.version)
                    .replace("{release}", &release)
                    .replace("{exact}", &version);
                let image = mirrored(&image, &self.options.image_mirrors);
                images.insert(runtime.name.clone(), Value::String(image));
            }
            let number = pin.as_ref().and_then(|pin| pin.origin.location()?.1);
            let taken = RuntimeVersion {
                version,
                source: pin.as_ref().map(|pin| pin.origin.name().to_owned()),
                wanted: pin.map(|pin| pin.wanted),
                line: number,
            };
            detection.versions.insert(runtime.name.clone(), taken);
        }
        for (name, image) in &evaluation.buildpack.images {
            let image = lines.iter().fold(image.clone(), |image, (place, line)| {
                image.replace(place, line)
            });
            // One that goes by a runtime the app does not need.
            if image.contains('{') {
                continue;
            }
            images.insert(
                name.clone(),
                mirrored(&image, &self.options.image_mirrors).into(),
            );
        }
        debug_assert!(
            images
                .values()
                .all(|image| image.as_str().is_some_and(is_image_reference))
        );
        Ok(images)
    }
}

/// What to say where no image of a runtime that was chosen before has the line of this one.
fn without_image(
    chosen: &[(&str, &ReleaseLine)],
    runtime: &str,
    line: &ReleaseLine,
    pin: &Pin,
) -> Option<String> {
    let (host, with) = chosen.iter().find_map(|(name, chosen)| {
        Some((
            format!("{name} {}", chosen.version),
            chosen.with.get(runtime)?,
        ))
    })?;
    (!with.contains(&line.version)).then(|| {
        let there = match with.as_slice() {
            [] => String::new(),
            with => format!(" (there is with {})", with.join(", ")),
        };
        format!(
            "{} asks for {runtime} {}, but there is no image of {host} with it{there}: taking the one that image has",
            pin.origin, pin.wanted
        )
    })
}
