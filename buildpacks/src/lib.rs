//! What a repository is, and the Dockerfile for it.
//!
//! Owns: one folder per language (detection, versions, start commands, Dockerfile template), the engine that reads them, and the
//! grammars of Procfile, `.dockerignore` and the few lines of a Dockerfile that matter before a build. Must not know: Docker
//! (nothing is built or pulled here), SQLite, apps, releases, git.
//!
//! ```
//! use mini_buildpacks::{MapTree, Options, detect};
//!
//! let tree = MapTree::new().with("package.json", r#"{"scripts": {"start": "node server.js"}}"#);
//! let detection = detect(&tree, &Options::default())?;
//! assert_eq!(detection.language, "node");
//! assert_eq!(detection.start.as_deref(), Some("npm start"));
//! # Ok::<(), mini_buildpacks::DetectError>(())
//! ```

mod additions;
mod build_secrets;
mod buildpack;
mod called;
mod cargo;
mod catalogue;
mod chosen_versions;
mod composer;
mod condition;
mod dependency_source;
mod detection;
mod detector;
mod dir_tree;
pub mod dockerfile;
pub mod dockerignore;
mod document;
mod dotenv;
mod dotnet;
mod encoding;
mod environment;
mod error;
mod evaluation;
mod gems;
mod glob;
mod gradle;
mod hex_range;
pub mod image;
mod import_path;
mod javascript;
mod jsonc;
mod known_versions;
mod manifest;
mod maven;
mod members;
mod named_otherwise;
mod options;
mod overrides;
mod own_dockerfile;
mod plan;
mod poetry_range;
mod probe;
pub mod procfile;
mod repository;
mod requirements;
mod runtime;
mod said;
mod scala;
mod scheme;
mod served_pages;
mod source_code;
mod source_words;
mod system_packages;
mod template;
mod tools;
mod tree;
mod xml;

pub use detection::{Detection, RuntimeVersion};
pub use detector::{buildpack_names, detect};
pub use dir_tree::DirTree;
pub use environment::{EnvironmentTemplate, Suggestion, environment_templates};
pub use error::DetectError;
pub use known_versions::VersionTable;
pub use options::Options;
pub use overrides::is_build_variable;
pub use said::Origin;
pub use tree::{MapTree, Subdirectory, Tree, TreeError};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
