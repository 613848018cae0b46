//! Which buildpack a repository belongs to: the first in order of precedence that can say how to run it.

use crate::buildpack::Buildpack;
use crate::catalogue::Catalogue;
use crate::detection::Detection;
use crate::error::DetectError;
use crate::evaluation::Evaluation;
use crate::options::Options;
use crate::procfile::{self, Procfile};
use crate::repository::Repository;
use crate::tree::Tree;

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

/// What all buildpacks are asked with.
pub(crate) struct Detector<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) repository: &'a Repository<'a>,
    pub(crate) procfile: Option<Procfile>,
    pub(crate) options: &'a Options,
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

    /// A line about the languages that would have been next, with the reason for the order.
    fn others(&self, taken: &Buildpack) -> Option<String> {
        let later = self
            .catalogue
            .buildpacks
            .iter()
            .filter(|other| other.precedence > taken.precedence && !other.last_resort);
        let matching = later.filter(|buildpack| {
            let evaluation = Evaluation::new(self.repository, buildpack);
            // A broken manifest of a language that is not taken is nobody's problem.
            evaluation.is_detected().unwrap_or(false)
        });
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
