//! The same for a folder of the caller's own machine, without a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use mini_buildpacks::{DirTree, Options};
use serde::Serialize;

use super::detected::{Detected, Refusal};
use super::dockerfile::Written;
use super::problem;
use crate::commands::config::Assignment;
use crate::commands::{Output, Page};
use crate::model::{Kind, Problem};

/// What of a folder is asked for. Also the help page of `mini buildpacks:detect` on the caller's machine.
#[derive(Debug, Clone, Args)]
pub struct Local {
    /// The folder; a name that is none is taken for an app of the server
    #[arg(default_value = ".", value_name = "DIR|APP")]
    pub dir: PathBuf,
    /// Print all that was found as one JSON object
    #[arg(long)]
    pub json: bool,
    /// The form of the answer: text, or json for the same as --json
    #[arg(long, hide = true, value_parser = ["text", "stdout", "json"])]
    pub format: Option<String>,
    /// A variable the app would have, such as MINI_NODE_VERSION=22; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub env: Vec<Assignment>,
    /// The directory of the app inside the folder
    #[arg(long, value_name = "PATH")]
    pub build_dir: Option<String>,
}

impl Local {
    /// Whether the folder is meant and not an app: it is there, or it can only be a path.
    pub fn is_folder(&self) -> bool {
        self.dir.is_dir() || self.dir.components().count() != 1 || self.dir.is_absolute()
    }
}

/// What is printed of it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum LocalAnswer {
    /// Everything.
    Detected(Detected),
    /// The Dockerfile only.
    Dockerfile {
        /// The Dockerfile.
        #[serde(flatten)]
        written: Written,
        /// Print JSON.
        #[serde(skip)]
        is_json: bool,
    },
}

impl Output for LocalAnswer {
    fn print(&self, page: &mut Page) {
        match self {
            Self::Detected(detected) => detected.print(page),
            Self::Dockerfile { is_json: true, .. } => {
                page.line(serde_json::to_string(self).unwrap_or_default());
            }
            Self::Dockerfile { written, .. } => written.print(page),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Detected(detected) => detected.exit_code(),
            Self::Dockerfile { .. } => 0,
        }
    }
}

/// Looks at the folder.
///
/// # Errors
/// Only where the Dockerfile alone is wanted: otherwise what went wrong is an answer too.
pub fn local(asked: Local, is_dockerfile: bool) -> Result<LocalAnswer, Problem> {
    let is_json = asked.json || asked.format.as_deref() == Some("json");
    let today = crate::model::Timestamp::now()
        .strftime("%Y-%m-%d")
        .to_string();
    let variables: BTreeMap<String, String> = asked
        .env
        .into_iter()
        .map(|assignment| {
            (
                assignment.key.to_string(),
                assignment.value.reveal().to_owned(),
            )
        })
        .collect();
    let options = Options {
        variables,
        build_dir: asked.build_dir,
        today: Some(today),
        ..Options::default()
    };
    let tree = match DirTree::open(&asked.dir) {
        Ok(tree) => tree,
        Err(error) if is_dockerfile => return Err(unreadable(&asked.dir, &error)),
        Err(error) => {
            return Ok(LocalAnswer::Detected(Detected {
                found: Err(Refusal::from(unreadable(&asked.dir, &error))),
                is_json,
            }));
        }
    };
    let found = mini_buildpacks::detect(&tree, &options);
    if is_dockerfile {
        let written = found.map(Written::of).map_err(|error| problem(&error))?;
        return Ok(LocalAnswer::Dockerfile { written, is_json });
    }
    Ok(LocalAnswer::Detected(Detected::new(found, is_json)))
}

fn unreadable(dir: &Path, error: &mini_buildpacks::TreeError) -> Problem {
    let why = match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    Problem::new(
        Kind::Invalid,
        format!("{} could not be looked at", dir.display()),
        why,
        "Give a folder, such as the root of a repository",
    )
}
