//! `buildpacks:detect`

use std::path::PathBuf;

use clap::Args;
use mini_buildpacks::{Detection, DirTree, Options};

use crate::commands::page::{detail, header, warning};
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
    let unreadable = |error: mini_buildpacks::TreeError| {
        Problem::new(
            Kind::Invalid,
            format!("{} could not be looked at", detect.dir.display()),
            error.to_string(),
            "Name a folder you may read",
        )
    };
    let tree = DirTree::open(&detect.dir).map_err(unreadable)?;
    let found = mini_buildpacks::detect(&tree, &Options::default())
        .map_err(|error| Problem::new(Kind::Invalid, error.what(), error.why(), error.next()))?;
    if detect.json {
        let text = serde_json::to_string_pretty(&found);
        return text.map(|text| text + "\n").map_err(|error| {
            Problem::new(
                Kind::Internal,
                "What was found could not be written",
                error.to_string(),
                "",
            )
        });
    }
    Ok(text_of(&found))
}

/// What was found as a person reads it.
fn text_of(found: &Detection) -> String {
    let mut text = header(&format!("This is {}", found.language));
    for line in &found.evidence {
        text.push_str(&detail(line));
    }
    for (runtime, version) in &found.versions {
        let place = match (&version.source, version.line) {
            (Some(file), Some(line)) => format!(" ({file}, line {line})"),
            (Some(file), None) => format!(" ({file})"),
            (None, _) => " (default)".to_owned(),
        };
        text.push_str(&detail(&format!("{runtime} {}{place}", version.version)));
    }
    for (process_type, command) in &found.processes {
        let command = command.as_deref().unwrap_or("the image's own command");
        text.push_str(&detail(&format!("{process_type}: {command}")));
    }
    for line in &found.warnings {
        text.push_str(&warning(line));
    }
    text.push_str(&header("Its Dockerfile"));
    text.push_str(&found.dockerfile);
    if !found.dockerfile.ends_with('\n') {
        text.push('\n');
    }
    text
}
