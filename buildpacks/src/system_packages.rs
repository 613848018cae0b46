//! Debian packages that the dependencies of an app need and that no package manager of its language brings.

use std::collections::BTreeSet;

use crate::error::DetectError;
use crate::evaluation::Evaluation;

/// What to install in which stage, and why.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needed {
    /// In the build stage: compilers and headers.
    pub(crate) build: BTreeSet<String>,
    /// In the stage that runs: shared libraries and programs.
    pub(crate) run: BTreeSet<String>,
    /// A sentence per dependency.
    pub(crate) reasons: Vec<String>,
}

/// The packages of all entries that apply. A dependency counts whether it is named directly or only found in a lock file.
///
/// # Errors
/// A manifest that a condition looks into is broken.
pub(crate) fn needed(evaluation: &Evaluation<'_>) -> Result<Needed, DetectError> {
    let mut needed = Needed::default();
    for entry in &evaluation.buildpack.system_packages {
        let found = entry
            .dependencies
            .iter()
            .find(|name| evaluation.depends_on(name) || evaluation.has_locked(name));
        let is_named = entry.dependencies.is_empty() || found.is_some();
        if !is_named || !entry.when.holds(evaluation)? {
            continue;
        }
        let (build, run) = (entry.build.join(", "), entry.run.join(", "));
        if let Some(name) = found {
            needed
                .reasons
                .push(match (build.is_empty(), run.is_empty()) {
                    (false, false) => format!("{name} needs {build} to be built and {run} to run"),
                    (false, true) => format!("{name} needs {build} to be built"),
                    (true, _) => format!("{name} needs {run} to run"),
                });
        }
        needed.build.extend(entry.build.iter().cloned());
        needed.run.extend(entry.run.iter().cloned());
    }
    Ok(needed)
}
