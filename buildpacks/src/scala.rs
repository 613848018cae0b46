//! The program of a Scala build: the project of an sbt build that is packed (scala-sbt.org/1.x/docs/Multi-Project.html), or a
//! module of Mill (mill-build.org). No parser of Scala: statements are told apart by their brackets, and a Procfile overrules
//! what is found.

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::repository::Repository;
use crate::template::is_harmless;

mod statements;

use statements::{quoted_behind, statements, word_at};

/// Plugins that give a project the task `stage`: those of sbt-native-packager, and Play's, which contain them.
const STAGED: &[&str] = &[
    "JavaAppPackaging",
    "JavaServerAppPackaging",
    "PlayScala",
    "PlayJava",
    "PlayService",
    "PlayMinimalJava",
    "LagomScala",
    "LagomJava",
    "DockerPlugin",
    "UniversalPlugin",
    "packageArchetype",
];

/// A project of an sbt build.
struct Project {
    id: String,
    directory: String,
    /// What defines it, with the settings that stand by themselves for the one at the root.
    text: String,
}

impl Project {
    fn has(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }

    fn is_root(&self) -> bool {
        self.directory == "."
    }

    /// What its script is called (`normalizedName` of sbt), `None` for the root where nothing names it: that takes its name from
    /// the folder it is built in.
    fn script(&self) -> Option<String> {
        let text = &self.text;
        quoted_behind(text, "executableScriptName")
            .or_else(|| {
                let name = quoted_behind(text, "name");
                let own = (!self.is_root()).then(|| self.id.clone());
                name.or(own).map(|name| normalized(&name))
            })
            .filter(|name| !name.is_empty() && !name.contains('/'))
    }
}

/// `{project, directory, script, jar, packs, is_sbt_2, is_play, others, java, version_file}`: the project's id (empty for the root), its
/// directory, the name of its script, the jar that `assembly` makes, what packs it (`stage`, `assembly`, `pack`, or nothing), and
/// the newest Java that the build runs on where that is not any (`sbt-11`, `scala-17`: who says so), with the file that has the
/// version of Scala.
///
/// # Errors
/// A file of the build is no text.
pub(crate) fn sbt_app(repository: &Repository<'_>) -> Result<Option<Value>, DetectError> {
    if !repository.has("build.sbt") && !repository.has("project/build.properties") {
        return Ok(None);
    }
    let plugins = joined(repository, &["project/*.sbt", "project/project/*.sbt"])?;
    let build = joined(repository, &["*.sbt", "project/Build.scala"])?;
    let mut projects = projects(&build);
    for project in &mut projects {
        if !project.is_root() {
            let own = joined(repository, &[&format!("{}/build.sbt", project.directory)])?;
            project.text.push_str(&own);
        }
    }
    let of = |words: &[&str]| -> Vec<&Project> {
        projects
            .iter()
            .filter(|project| project.has(words))
            .collect()
    };
    let (packs, found) = if plugins.contains("sbt-native-packager")
        || plugins.contains("playframework")
        || plugins.contains("typesafe.play")
        || plugins.contains("lagom")
    {
        ("stage", of(STAGED))
    } else {
        ("", Vec::new())
    };
    let (packs, found) = if !found.is_empty() {
        (packs, found)
    } else if plugins.contains("sbt-assembly") {
        // Every project has the task: the likeliest has settings for it, or a main class.
        let mut likely = of(&["assembly", "mainClass"]);
        if likely.is_empty() {
            likely = projects.iter().collect();
        }
        ("assembly", likely)
    } else if plugins.contains("sbt-pack") {
        (
            "pack",
            of(&["PackPlugin", "packSettings", "packAutoSettings"]),
        )
    } else {
        ("", Vec::new())
    };
    let java = java(repository, &build)?;
    // Play before what is packed besides it, then the root, then their order.
    let rank = |project: &&Project| (!project.has(&["Play", "Lagom"]), !project.is_root());
    let Some(app) = found.iter().min_by_key(|project| rank(project)) else {
        return Ok(Some(
            json!({"packs": "", "java": java.newest, "version_file": java.file}),
        ));
    };
    let others: Vec<&str> = found
        .iter()
        .filter(|project| project.directory != app.directory)
        .map(|project| project.directory.as_str())
        .collect();
    Ok(Some(json!({
        "project": if app.is_root() { "" } else { app.id.as_str() },
        "directory": app.directory,
        "script": app.script(),
        "jar": quoted_behind(&app.text, "assemblyJarName").filter(|jar| !jar.contains('/')),
        "packs": packs,
        "is_sbt_2": sbt_version(repository)?.is_some_and(|[major, _, _]| major >= 2),
        "is_play": app.has(&["PlayScala", "PlayJava", "PlayService", "PlayMinimalJava"]),
        "others": others,
        "java": java.newest,
        "version_file": java.file,
    })))
}

/// The first module of a Mill build that can be packed: its name, empty for the build itself.
///
/// # Errors
/// The file of the build is no text.
pub(crate) fn mill_module(repository: &Repository<'_>) -> Result<Option<Value>, DetectError> {
    let build = joined(repository, &["build.mill", "build.sc", "build.mill.scala"])?;
    if build.is_empty() {
        return Ok(repository.has("build.mill.yaml").then(|| json!("")));
    }
    let objects = statements(&build).into_iter().filter_map(|statement| {
        let (name, rest) = statement.strip_prefix("object ")?.split_once("extends")?;
        let name = name.trim().trim_matches('`');
        let kind = rest.split(['{', '\n']).next().unwrap_or_default();
        let is_packed = kind.contains("Module") && !kind.contains("TestModule");
        is_packed.then(|| {
            let is_build = kind.contains("RootModule") || name == "package";
            if is_build {
                String::new()
            } else {
                name.to_owned()
            }
        })
    });
    let named: Vec<String> = objects
        .filter(|name| name.is_empty() || is_harmless(name))
        .collect();
    Ok(named.into_iter().next().map(Value::from))
}

/// The text of all these files, comments left out.
fn joined(repository: &Repository<'_>, of: &[&str]) -> Result<String, DetectError> {
    let mut text = String::new();
    for path in of.iter().flat_map(|pattern| repository.matching(pattern)) {
        text.push_str(&statements::without_comments(&repository.source(path)?));
        text.push('\n');
    }
    Ok(text)
}

/// The projects of a build, that at the root first, and there even if nothing names it.
fn projects(build: &str) -> Vec<Project> {
    let mut root = Project {
        id: String::new(),
        directory: ".".to_owned(),
        text: String::new(),
    };
    let mut found: Vec<Project> = Vec::new();
    for statement in statements(build) {
        match project(statement) {
            Some(project) if project.is_root() => root.text.push_str(&project.text),
            Some(project) => found.push(project),
            // Settings that stand by themselves are the root's; definitions belong to nobody.
            None if !["val ", "lazy ", "def "]
                .iter()
                .any(|word| statement.starts_with(word)) =>
            {
                root.text.push_str(statement);
            }
            None => {}
        }
        root.text.push('\n');
    }
    found.insert(0, root);
    found
}

/// `lazy val NAME = (project in file("DIRECTORY"))`; without `file` the directory has the name of the project.
fn project(statement: &str) -> Option<Project> {
    let definition = statement.strip_prefix("lazy ").unwrap_or(statement);
    let (name, body) = definition
        .trim_start()
        .strip_prefix("val ")?
        .split_once('=')?;
    let id = word_at(name)?;
    let is_project = ["project", "Project("].iter().any(|word| {
        let body = body.trim_start().trim_start_matches('(').trim_start();
        body.strip_prefix(word).is_some_and(|rest| {
            word.ends_with('(') || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        })
    });
    if !is_project {
        return None;
    }
    let directory = body.split_once("file(").and_then(|(_, rest)| {
        let rest = rest.trim_start().strip_prefix('"')?;
        Some(rest.split_once('"')?.0)
    });
    let directory = directory
        .unwrap_or(&id)
        .trim_start_matches("./")
        .trim_matches('/');
    let directory = if directory.is_empty() { "." } else { directory };
    let is_inside = directory == "."
        || directory
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."));
    let directory = directory.to_owned();
    (is_inside && is_harmless(&directory) && is_harmless(&id)).then(|| Project {
        directory,
        id,
        text: body.to_owned(),
    })
}

/// As sbt has it: lower case, with a dash for what is no letter, digit or underscore.
fn normalized(name: &str) -> String {
    let mut text = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            text.push(c);
        } else if !text.ends_with('-') {
            text.push('-');
        }
    }
    text
}

/// The newest Java with long support that a build runs on, and the file with the version of Scala.
#[derive(Default)]
struct Newest {
    newest: Option<String>,
    file: Option<String>,
}

/// The release of sbt that builds the app.
fn sbt_version(repository: &Repository<'_>) -> Result<Option<[u32; 3]>, DetectError> {
    let properties = repository.beginning("project/build.properties")?;
    let mut lines = properties.lines();
    let version = lines.find_map(|line| line.trim().strip_prefix("sbt.version"));
    Ok(version.and_then(|rest| numbers(rest.trim_start_matches([' ', '=']))))
}

/// By docs.scala-lang.org/overviews/jdk-compatibility/overview.html, which has a table for the compiler and one for sbt.
fn java(repository: &Repository<'_>, build: &str) -> Result<Newest, DetectError> {
    let by_sbt = sbt_version(repository)?.and_then(|version| match version {
        [0, ..] | [1, 0, _] => Some(8),
        [1, 1..=5, _] => Some(11),
        [1, 6..=8, _] => Some(17),
        _ => None,
    });
    let mut by_scala = None;
    let mut file = None;
    for path in [
        "build.sbt",
        "project/Dependencies.scala",
        "project/Build.scala",
    ] {
        if file.is_none() && repository.source(path)?.contains("scalaVersion") {
            file = Some(path.to_owned());
        }
    }
    // `scalaVersion := "2.13.8"`, or the name of a value.
    let version = quoted_behind(build, "scalaVersion").or_else(|| {
        let (_, rest) = build.split_once("scalaVersion")?;
        let name = word_at(rest.trim_start().strip_prefix(":=")?)?;
        quoted_behind(build, &name)
    });
    if let Some(version) = version.as_deref().and_then(numbers) {
        by_scala = match version {
            [2, ..=10, _] | [2, 11, ..=11] | [2, 12, ..=3] => Some(8),
            [2, 11, _] | [2, 12, ..=14] | [2, 13, ..=5] => Some(11),
            [2, 12, ..=17] | [2, 13, ..=10] | [3, ..=2, _] | [3, 3, 0] => Some(17),
            _ => None,
        };
    }
    let newest = match (by_sbt, by_scala) {
        (Some(sbt), scala) if scala.is_none_or(|scala| sbt <= scala) => Some(format!("sbt-{sbt}")),
        (_, Some(scala)) => Some(format!("scala-{scala}")),
        _ => None,
    };
    Ok(Newest { newest, file })
}

/// The first three numbers of a version; those that are missing are nought.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut parts = version
        .trim()
        .split(['.', '-'])
        .map(|part| part.parse().ok());
    Some([
        parts.next()??,
        parts.next().flatten().unwrap_or_default(),
        parts.next().flatten().unwrap_or_default(),
    ])
}

#[cfg(test)]
mod tests;
