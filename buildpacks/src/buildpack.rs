//! The form of a language's `buildpack.toml`. `buildpacks/README.md` explains it by example.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::condition::Condition;
use crate::dependency_source::DependencySource;
use crate::environment::Environment;
use crate::probe::Probe;
use crate::runtime::Runtime;

/// One language, as its folder describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Buildpack {
    /// The folder's name.
    #[serde(skip)]
    pub(crate) name: String,
    /// The template of its Dockerfile; none where the repository brings its own.
    #[serde(skip)]
    pub(crate) template: Option<&'static str>,
    /// What its apps want in their environment: `environment.toml` of its folder.
    #[serde(skip)]
    pub(crate) environment: Environment,
    /// The language's name for people.
    pub(crate) title: String,
    /// Languages are asked in rising order; the first that can say how to run the app is taken.
    pub(crate) precedence: u32,
    /// Why it stands where it stands. Shown when a repository could be two things.
    pub(crate) precedence_reason: String,
    /// The files to name when nothing was recognised.
    pub(crate) looked_for: Vec<String>,
    /// Programs that only this language has. Where the Procfile's `web` calls one, the language is asked before all others; one
    /// with `/` in it may stand anywhere in the path of a program.
    #[serde(default)]
    pub(crate) procfile_programs: Vec<String>,
    /// When a repository is this language.
    pub(crate) detect: Condition,
    /// The fact that holds the path of the repository's own Dockerfile.
    pub(crate) own_dockerfile: Option<String>,
    /// What the image's own command does is right for `web`.
    #[serde(default)]
    pub(crate) starts_by_itself: bool,
    /// It fits nearly everything, so it is not worth a line where another language was taken.
    #[serde(default)]
    pub(crate) last_resort: bool,
    /// What to add when there is nothing to start.
    #[serde(default)]
    pub(crate) add_start: String,
    /// The directory that is served, where there is one: a template.
    pub(crate) static_root: Option<String>,
    #[serde(default)]
    pub(crate) runtimes: Vec<Runtime>,
    /// Further images the template starts from, by name.
    #[serde(default)]
    pub(crate) images: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) dependencies: Vec<DependencySource>,
    /// Values looked up in the repository, for conditions and templates.
    #[serde(default)]
    pub(crate) facts: BTreeMap<String, Probe>,
    /// Facts that are looked up only where a condition on files or dependencies holds, and not found elsewhere: looking into
    /// source code is what takes time.
    #[serde(default)]
    pub(crate) facts_if: BTreeMap<String, Condition>,
    /// Named conditions, for other conditions and templates.
    #[serde(default)]
    pub(crate) flags: BTreeMap<String, Condition>,
    /// Packages that make an app of what depends on them. Stated where a repository may be a workspace of npm's kind: then the
    /// app is one of its members unless the root itself starts something.
    #[serde(default)]
    pub(crate) app_dependencies: Vec<String>,
    /// What has to hold besides `detect` once facts are known; where it does not, the repository is not this language.
    #[serde(default)]
    pub(crate) confirm: Condition,
    /// Repositories of this language that cannot be built, and why: the first that applies ends the detection.
    #[serde(default)]
    pub(crate) refusals: Vec<Refusal>,
    /// Debian packages that dependencies need and no package manager of the language brings.
    #[serde(default)]
    pub(crate) system_packages: Vec<SystemPackages>,
    #[serde(default)]
    pub(crate) package_managers: Vec<Named>,
    /// The framework: the first that applies.
    #[serde(default)]
    pub(crate) variants: Vec<Named>,
    /// When an app in a directory of its own is built from the root of the repository (workspaces). Otherwise the build sees
    /// that directory only.
    pub(crate) root_context: Option<Condition>,
    /// The command that installs dependencies: the first that applies.
    #[serde(default)]
    pub(crate) install: Vec<Command>,
    /// The build command: the first that applies.
    #[serde(default)]
    pub(crate) build: Vec<Command>,
    /// The start command of `web` without a Procfile: the first that applies.
    #[serde(default)]
    pub(crate) start: Vec<Start>,
    #[serde(default)]
    pub(crate) evidence: Vec<Remark>,
    #[serde(default)]
    pub(crate) warnings: Vec<Remark>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) when: Condition,
}

/// What cannot be built. `file` is the fact that holds the path of the file to look at; `problem` and `next` are templates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    pub(crate) when: Condition,
    pub(crate) file: String,
    pub(crate) problem: String,
    pub(crate) next: String,
}

/// Debian packages for a dependency, named directly or found in a lock file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SystemPackages {
    /// Dependencies any of which needs them.
    #[serde(default, rename = "for")]
    pub(crate) dependencies: Vec<String>,
    #[serde(default)]
    pub(crate) when: Condition,
    /// Installed in the build stage.
    #[serde(default)]
    pub(crate) build: Vec<String>,
    /// Installed in the stage that runs.
    #[serde(default)]
    pub(crate) run: Vec<String>,
}

/// A command line for `/bin/sh -c`, and the reason it was chosen. Both are templates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    #[serde(default)]
    pub(crate) when: Condition,
    pub(crate) command: String,
    #[serde(default)]
    pub(crate) because: String,
}

/// How `web` runs: by a command, or as files that the image serves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    #[serde(default)]
    pub(crate) when: Condition,
    /// A command line: a template.
    pub(crate) command: Option<String>,
    /// The directory whose files are served, as it is after the build: a template. The image's own command serves it.
    pub(crate) serves: Option<String>,
    /// All that the image needs of the app after the build: templates. By default everything.
    #[serde(default)]
    pub(crate) ships: Vec<String>,
    pub(crate) because: String,
}

/// A sentence for the user: a template.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remark {
    #[serde(default)]
    pub(crate) when: Condition,
    pub(crate) text: String,
}
