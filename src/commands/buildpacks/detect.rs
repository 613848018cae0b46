//! `buildpacks:detect`

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use mini_buildpacks::{DetectError, Detection, DirTree, Options};

use crate::model::{Kind, Problem};

/// Say what a folder is and how it would be built and run; build nothing
#[derive(Debug, Clone, Args)]
pub struct Detect {
    /// The folder
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Print all that was found as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Detects and returns the text to print.
pub fn detect(detect: &Detect) -> Result<String, Problem> {
    let tree = DirTree::open(&detect.dir).map_err(|error| {
        Problem::new(
            Kind::Invalid,
            format!("{} could not be looked at", detect.dir.display()),
            error.to_string(),
            "Give a folder, such as the root of a repository",
        )
    })?;
    let detection =
        mini_buildpacks::detect(&tree, &Options::default()).map_err(|error| problem(&error))?;
    if detect.json {
        let json = serde_json::to_string(&detection).map_err(|error| {
            Problem::new(
                Kind::Internal,
                "What was found could not be written as JSON",
                error.to_string(),
                "Ask without --json",
            )
        })?;
        return Ok(json + "\n");
    }
    Ok(described(&detection))
}

fn problem(error: &DetectError) -> Problem {
    Problem::new(Kind::AppFailed, error.what(), error.why(), error.next())
}

fn described(detection: &Detection) -> String {
    let mut text = format!("-----> {}", detection.language);
    if let Some(version) = &detection.version {
        text.push_str(&format!(" {version}"));
    }
    text.push('\n');
    // Writing into a String does not fail.
    let mut detail = |label: &str, value: &str| {
        let _ = writeln!(text, "       {label:<17}{value}");
    };
    detail("Builder:", &detection.builder);
    for evidence in &detection.evidence {
        detail("Because:", evidence);
    }
    if let Some(manager) = &detection.package_manager {
        detail("Package manager:", manager);
    }
    if let Some(build) = &detection.build {
        detail("Build:", build);
    }
    for (process_type, command) in &detection.processes {
        let command = command.as_deref().unwrap_or("(the image's own command)");
        detail(&format!("Process {process_type}:"), command);
    }
    if let Some(root) = &detection.static_root {
        detail("Static files:", root);
    }
    for warning in &detection.warnings {
        detail("Note:", warning);
    }
    text
}
