//! Why nothing could be detected, in the words of the person who pushed.

use crate::procfile::ProcfileError;
use crate::said::{Origin, place};
use crate::tree::TreeError;

/// A repository that cannot be built as it is. Every variant says what happened, why, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// No language recognises the repository.
    #[error("nothing here says how to run this app")]
    Unrecognised {
        /// The files that were looked for, in order of precedence.
        looked_for: Vec<String>,
        /// What is there instead (the first names).
        found: Vec<String>,
        /// The directory of the app, `.` for the root.
        directory: String,
        /// A Dockerfile that may be the one for all of the repository.
        dockerfile: Option<Box<str>>,
        /// Directories that look like apps.
        inside: Vec<String>,
    },
    /// The Procfile has a mistake.
    #[error("the Procfile cannot be read: {0}")]
    InvalidProcfile(#[source] ProcfileError),
    /// A manifest is broken, or holds a value that cannot be used.
    #[error("{} cannot be used: {problem}", place(file, *line))]
    InvalidManifest {
        /// Relative path of the file.
        file: String,
        /// The line, from 1, where one is known.
        line: Option<usize>,
        /// What is wrong with it.
        problem: String,
    },
    /// A version is asked for that no known image has.
    #[error("{runtime} {wanted} is not a version there is an image for")]
    UnknownVersion {
        /// The runtime: `node`, `python`.
        runtime: String,
        /// The version or range as written.
        wanted: String,
        /// Who asks for it.
        origin: Origin,
        /// The versions there are, oldest first.
        known: Vec<String>,
    },
    /// The language is clear, but not what to start.
    #[error("nothing says how to start this {title} app")]
    NoStartCommand {
        /// Short name of the language.
        language: String,
        /// Its name for people.
        title: String,
        /// What to add.
        add: String,
        /// What was found until then.
        evidence: Vec<String>,
    },
    /// The app's own Dockerfile has nothing in it, and nothing else says how to run the app. A shell makes an empty one before
    /// it starts the command whose output goes there: `mini buildpacks:dockerfile . > Dockerfile`.
    #[error("{path} is empty")]
    EmptyDockerfile {
        /// The path, from the root of the repository.
        path: String,
    },
    /// A file that has to be read is larger than any real one.
    #[error("{file} is too large to be read")]
    FileTooLarge {
        /// Relative path of the file.
        file: String,
        /// Its size.
        size_bytes: u64,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// The Dockerfile somebody named is not in the repository.
    #[error("there is no {path} in this repository")]
    MissingDockerfile {
        /// The path, from the root of the repository.
        path: String,
        /// Who named it.
        origin: Origin,
    },
    /// The directory to build is not in the repository.
    #[error("there is no directory {path} in this repository")]
    MissingDirectory {
        /// The path from the root of the repository.
        path: String,
        /// Who named it.
        origin: Origin,
        /// Directories there are, the first names.
        found: Vec<String>,
    },
    /// The buildpack somebody chose is none there is.
    #[error("there is no buildpack `{name}`")]
    UnknownBuildpack {
        /// The name.
        name: String,
        /// Who chose it.
        origin: Origin,
        /// The names there are.
        known: Vec<String>,
    },
    /// The stage to build is not in the Dockerfile.
    #[error("there is no stage `{target}` in {path}")]
    MissingTarget {
        /// The name of the stage.
        target: String,
        /// The Dockerfile.
        path: String,
        /// Who named it.
        origin: Origin,
        /// The stages that have names.
        stages: Vec<String>,
    },
    /// What was decided cannot be used.
    #[error("{origin} cannot be used")]
    Unusable {
        /// Who decided it.
        origin: Origin,
        /// What is wrong with it.
        problem: String,
    },
    /// A field of [`crate::Options`] cannot be written into a Dockerfile.
    #[error("{option} cannot be `{value}`")]
    InvalidOption {
        /// The field.
        option: &'static str,
        /// Its value, shortened, control characters replaced.
        value: String,
        /// What it has to look like.
        expected: &'static str,
    },
    /// The language is clear, but this way of using it cannot be built.
    #[error("{file} cannot be built: {problem}")]
    Refused {
        /// The file that decides it.
        file: String,
        /// What is in the way.
        problem: String,
        /// What to do instead.
        next: String,
    },
    /// The repository itself could not be read.
    #[error("the repository cannot be read")]
    Tree(#[source] TreeError),
    /// One of our own language folders is wrong. A test reads them all, so this is for the bug report.
    #[error("the buildpack {name} is broken: {problem}")]
    BrokenBuildpack {
        /// The folder.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl From<TreeError> for DetectError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::TooLarge {
                path,
                size_bytes,
                limit_bytes,
            } => Self::FileTooLarge {
                file: path,
                size_bytes,
                limit_bytes,
            },
            other => Self::Tree(other),
        }
    }
}

impl DetectError {
    /// What happened.
    #[must_use]
    pub fn what(&self) -> String {
        self.to_string()
    }

    /// Why it happened.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Unrecognised {
                looked_for,
                found,
                directory,
                ..
            } => {
                let found = if found.is_empty() {
                    "the repository is empty".to_owned()
                } else {
                    format!("it has {}", found.join(", "))
                };
                let place = match directory.as_str() {
                    "." => "at the root".to_owned(),
                    directory => format!("in {directory}"),
                };
                format!("looked for {} {place}; {found}", looked_for.join(", "))
            }
            Self::InvalidProcfile(error) => error.to_string(),
            Self::InvalidManifest {
                file,
                line,
                problem,
            } => format!("{}: {problem}", place(file, *line)),
            Self::UnknownVersion {
                runtime,
                wanted,
                origin,
                ..
            } => format!("{origin} asks for {runtime} {wanted}"),
            Self::NoStartCommand { evidence, .. } => format!(
                "there is no Procfile with `web:`, and no convention applies ({})",
                evidence.join("; ")
            ),
            Self::EmptyDockerfile { path } => {
                format!("nothing is written in {path}, and nothing else says how to run this app")
            }
            Self::FileTooLarge {
                file,
                size_bytes,
                limit_bytes,
            } => {
                format!("{file} has {size_bytes} bytes, and no more than {limit_bytes} are read")
            }
            Self::MissingDockerfile { path, origin } => {
                format!("{origin} names {path} as its Dockerfile")
            }
            Self::MissingDirectory {
                path,
                origin,
                found,
            } => {
                let found = match found.as_slice() {
                    [] => "the repository has no directories".to_owned(),
                    found => format!("it has {}", found.join(", ")),
                };
                format!("{origin} says that the app is in {path}; {found}")
            }
            Self::UnknownBuildpack { name, origin, .. } => format!("{origin} chooses {name}"),
            Self::MissingTarget {
                target,
                origin,
                stages,
                ..
            } => {
                let stages = match stages.as_slice() {
                    [] => "no stage has a name".to_owned(),
                    stages => format!("the stages are {}", stages.join(", ")),
                };
                format!("{origin} asks for {target}; {stages}")
            }
            Self::Unusable { problem, .. } => problem.clone(),
            Self::InvalidOption {
                option, expected, ..
            } => format!("{option} has to be {expected}"),
            Self::Refused { problem, .. } => problem.clone(),
            Self::Tree(error) => match std::error::Error::source(error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
            Self::BrokenBuildpack { problem, .. } => problem.clone(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            Self::Unrecognised {
                dockerfile: Some(path),
                inside,
                ..
            } => {
                // Its own folder is known by nothing else.
                let folder = path.rsplit_once('/').map(|(folder, _)| folder);
                let apps = inside.iter().map(String::as_str);
                let apps: Vec<&str> = apps.filter(|app| Some(*app) != folder).collect();
                let inside = if apps.is_empty() {
                    String::new()
                } else {
                    format!(
                        "if it is in {}, with `build-dir` ([build] directory); ",
                        apps.join(" or ")
                    )
                };
                format!(
                    "if {path} builds the app, say so with the setting `dockerfile-path` or in mini.toml ([build] dockerfile); {inside}else add a Dockerfile at the root"
                )
            }
            Self::Unrecognised { inside, .. } if !inside.is_empty() => format!(
                "if the app is in {}, say so with the setting `build-dir` or in mini.toml ([build] directory); else add a Dockerfile",
                inside.join(" or ")
            ),
            Self::Unrecognised { .. } => {
                "add a Dockerfile, or the manifest of your language, at the root of the repository"
                    .to_owned()
            }
            Self::InvalidProcfile(error) => {
                format!(
                    "correct line {} of the Procfile (lines look like `web: npm start`), commit, and push again",
                    error.line()
                )
            }
            Self::InvalidManifest { file, line, .. } => {
                format!("correct {}, commit, and push again", place(file, *line))
            }
            Self::UnknownVersion { origin, known, .. } => {
                let known = known.join(", ");
                origin.correction(&format!("to one of {known}"))
            }
            Self::NoStartCommand { add, .. } => add.clone(),
            Self::EmptyDockerfile { path } => {
                format!(
                    "write {path}, or remove it and add the manifest of your language; commit, and push again"
                )
            }
            Self::FileTooLarge { file, .. } => {
                format!("check whether {file} is the file you meant to commit")
            }
            Self::MissingDockerfile { path, origin } => {
                format!("add {path} to the repository, or {}", origin.correction(""))
            }
            Self::MissingDirectory { path, origin, .. } => {
                format!("add {path} to the repository, or {}", origin.correction(""))
            }
            Self::UnknownBuildpack { origin, known, .. } => {
                origin.correction(&format!("to one of {}", known.join(", ")))
            }
            Self::MissingTarget { origin, .. } | Self::Unusable { origin, .. } => {
                origin.correction("")
            }
            Self::InvalidOption { option, .. } => {
                format!("change {option} in the settings of the server or the app")
            }
            Self::Refused { next, .. } => next.clone(),
            Self::Tree(_) => "check the path and its permissions".to_owned(),
            Self::BrokenBuildpack { .. } => {
                "report this as a bug of mini; a Dockerfile of your own goes around it".to_owned()
            }
        }
    }

    /// The file to look at and the line in it, where there is one.
    #[must_use]
    pub fn location(&self) -> Option<(&str, Option<usize>)> {
        match self {
            Self::InvalidProcfile(error) => Some(("Procfile", Some(error.line()))),
            Self::InvalidManifest { file, line, .. } => Some((file, *line)),
            Self::UnknownVersion { origin, .. }
            | Self::MissingDockerfile { origin, .. }
            | Self::MissingDirectory { origin, .. }
            | Self::UnknownBuildpack { origin, .. }
            | Self::MissingTarget { origin, .. }
            | Self::Unusable { origin, .. } => origin.location(),
            Self::FileTooLarge { file, .. }
            | Self::Refused { file, .. }
            | Self::EmptyDockerfile { path: file } => Some((file, None)),
            Self::Unrecognised { .. }
            | Self::NoStartCommand { .. }
            | Self::InvalidOption { .. }
            | Self::Tree(_)
            | Self::BrokenBuildpack { .. } => None,
        }
    }
}
