//! `buildpacks:detect`

use std::path::PathBuf;

use clap::Args;

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
    // Calls `mini_buildpacks::detect` once the branches meet.
    Err(Problem::new(
        Kind::Unavailable,
        format!("{} could not be looked at", detect.dir.display()),
        "this build of mini has no buildpacks",
        "",
    ))
}
