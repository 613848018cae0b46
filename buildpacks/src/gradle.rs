//! The project of a Gradle build that is the app (docs.gradle.org/current/userguide/multi_project_builds.html). No parser of
//! Groovy or Kotlin: lines are looked at one by one, and a Procfile overrules what is found.

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::repository::Repository;
use crate::template::is_harmless;

/// Projects looked into; a build with more has its app among the first, or a Procfile.
const MAX_PROJECTS: usize = 200;

/// What a plugin makes of a project, the likeliest first: its kind, and what a line that applies it contains. A version catalogue
/// has names of its own choice, which mostly say what they stand for.
const PROGRAMS: &[(&str, &[&str])] = &[
    (
        "spring",
        &[
            "org.springframework.boot",
            "spring-boot\"",
            "plugins.spring.boot",
            "plugins.springBoot",
            "plugins.springboot",
            "org.grails.grails-web",
        ],
    ),
    ("quarkus", &["io.quarkus", "plugins.quarkus"]),
    (
        "micronaut",
        &[
            "io.micronaut.application",
            "io.micronaut.minimal.application",
            "plugins.micronaut.application",
            "plugins.micronaut.minimal",
        ],
    ),
    ("ktor", &["io.ktor.plugin", "plugins.ktor"]),
    (
        "shadow",
        &[
            "com.github.johnrengelman.shadow",
            "com.gradleup.shadow",
            "plugins.shadow",
        ],
    ),
    (
        "application",
        &[
            "id 'application'",
            "id \"application\"",
            "id(\"application\")",
            "plugin: 'application'",
            "plugin: \"application\"",
            "plugin:'application'",
            "plugin:\"application\"",
            "-application-conventions",
        ],
    ),
];

/// `{project, directory, script, kind, name}`: the project's path for Gradle (`:services:web`, empty for the root), its directory,
/// its build script, what makes a program of it (see [`PROGRAMS`]; empty if nothing does), and what its program is called, `null`
/// where only Gradle knows.
///
/// # Errors
/// A file of the build is no text.
pub(crate) fn app(repository: &Repository<'_>) -> Result<Option<Value>, DetectError> {
    let mut best: Option<(usize, String, String, String)> = None;
    for directory in directories(repository)? {
        let places = [".gradle", ".gradle.kts"]
            .iter()
            .map(|ending| match directory.as_str() {
                "." => format!("build{ending}"),
                directory => format!("{directory}/build{ending}"),
            });
        let Some(script) = places.into_iter().find(|path| repository.has(path)) else {
            continue;
        };
        let text = repository.source(&script)?;
        let rank = rank(&text);
        // A jar of Ktor's or of shadow's is what the application plugin next to it would start.
        if best.as_ref().is_none_or(|(least, ..)| rank < *least) {
            best = Some((rank, directory, script, text.to_string()));
        }
    }
    let Some((rank, directory, script, text)) = best else {
        return Ok(None);
    };
    let kind = PROGRAMS.get(rank).map_or("", |(kind, _)| *kind);
    let project = match directory.as_str() {
        "." => String::new(),
        directory => format!(":{}", directory.replace('/', ":")),
    };
    Ok(Some(json!({
        "project": project,
        "name": name(repository, &directory, &text)?,
        "directory": directory,
        "script": script,
        "kind": kind,
    })))
}

/// The place in [`PROGRAMS`] of the first kind that a line applies, behind all of them if none does.
fn rank(script: &str) -> usize {
    let lines = || {
        script.lines().map(str::trim).filter(|line| {
            // At the root, versions are stated for the projects below.
            let is_for_others = line.contains("apply false") || line.contains("apply(false)");
            let is_code =
                !line.starts_with("//") && !line.starts_with('*') && !line.starts_with("classpath");
            is_code
                && !is_for_others
                && !line.starts_with("implementation")
                && !line.starts_with("mavenBom")
        })
    };
    let applies = |(kind, marks): &(&str, &[&str])| {
        lines().any(|line| {
            let is_short =
                *kind == "application" && (line == "application" || line == "`application`");
            let is_plugin = ["id", "alias", "apply", "plugin", "kotlin(", "\"", "'"]
                .iter()
                .any(|word| line.starts_with(word));
            is_short || is_plugin && marks.iter().any(|mark| line.contains(mark))
        })
    };
    PROGRAMS.iter().position(applies).unwrap_or(PROGRAMS.len())
}

/// The root, then what `include` names in settings.gradle, then the folders at the root with a build script.
fn directories(repository: &Repository<'_>) -> Result<Vec<String>, DetectError> {
    let mut found = vec![".".to_owned()];
    let mut add = |directory: String| {
        if found.len() < MAX_PROJECTS && !found.contains(&directory) && is_harmless(&directory) {
            found.push(directory);
        }
    };
    for settings in ["settings.gradle", "settings.gradle.kts"] {
        let text = repository.source(settings)?;
        let mut goes_on = false;
        for line in text.lines().map(str::trim) {
            let begins = line
                .strip_prefix("include")
                .is_some_and(|rest| rest.starts_with([' ', '(', '\'', '"']));
            if begins || goes_on {
                let code = line.split("//").next().unwrap_or_default();
                let quoted = code.split(['"', '\'']).skip(1).step_by(2);
                for name in quoted {
                    let directory = name.trim_matches(':').replace(':', "/");
                    let is_inside = directory
                        .split('/')
                        .all(|part| !matches!(part, "" | "." | ".."));
                    if is_inside {
                        add(directory);
                    }
                }
                goes_on = code.trim_end().ends_with([',', '(']) && !code.contains(')');
            }
        }
    }
    for pattern in ["*/build.gradle", "*/build.gradle.kts"] {
        for path in repository.matching(pattern) {
            let (directory, _) = path.split_once('/').unwrap_or((path, ""));
            if directory != "buildSrc" && directory != "build-logic" {
                add(directory.to_owned());
            }
        }
    }
    Ok(found)
}

/// What Gradle calls the program: `applicationName`, else the project's name, that of the root from settings.gradle.
fn name(
    repository: &Repository<'_>,
    directory: &str,
    script: &str,
) -> Result<Option<String>, DetectError> {
    let in_quotes = |line: &str| {
        let (_, value) = line.split_once('=')?;
        let value = value.trim().strip_prefix(['"', '\''])?;
        let end = value.find(['"', '\''])?;
        value.get(..end).map(str::to_owned)
    };
    let is_plain = |name: &String| {
        !name.is_empty() && !name.contains(|c: char| c.is_control() || c == '/' || c == '$')
    };
    if script.contains("applicationName") {
        let mut lines = script
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("applicationName"));
        return Ok(lines.find_map(in_quotes).filter(is_plain));
    }
    if directory != "." {
        return Ok(directory.rsplit('/').next().map(str::to_owned));
    }
    for settings in ["settings.gradle", "settings.gradle.kts"] {
        let text = repository.source(settings)?;
        let mut lines = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("rootProject.name"));
        if let Some(name) = lines.find_map(in_quotes).filter(is_plain) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    /// `directory kind name`.
    fn check(files: &[(&str, &str)], expected: &str) {
        let tree = files
            .iter()
            .fold(MapTree::new(), |tree, (path, text)| tree.with(*path, *text));
        let repository = Repository::new(&tree).unwrap();
        let app = app(&repository).unwrap().unwrap_or_default();
        let word = |key: &str| app[key].as_str().unwrap_or("-").to_owned();
        let found = format!("{} {} {}", word("directory"), word("kind"), word("name"));
        assert_eq!(found, expected, "{files:?}");
    }

    #[test]
    fn the_project_with_a_program_is_the_app() {
        check(&[("build.gradle", "plugins {\n  id 'java'\n}\n")], ".  -");
        check(
            &[
                (
                    "settings.gradle.kts",
                    "rootProject.name = \"all\"\ninclude(\":core\", \":services:web\")\n",
                ),
                (
                    "build.gradle.kts",
                    "plugins {\n    id(\"org.springframework.boot\") version \"3.4.1\" apply false\n}\n",
                ),
                (
                    "core/build.gradle.kts",
                    "plugins { `java-library` }\ndependencies {\n    implementation(\"org.springframework.boot:spring-boot-starter\")\n}\n",
                ),
                (
                    "services/web/build.gradle.kts",
                    "plugins {\n    java\n    id(\"org.springframework.boot\")\n}\n",
                ),
            ],
            "services/web spring web",
        );
        check(
            &[
                (
                    "settings.gradle",
                    "rootProject.name = 'shop'\ninclude 'lib',\n    'cli'\n",
                ),
                (
                    "lib/build.gradle",
                    "plugins {\n    // id 'application'\n    id 'java-library'\n}\n",
                ),
                (
                    "cli/build.gradle",
                    "plugins {\n    id 'application'\n}\napplication {\n    applicationName = 'go'\n}\n",
                ),
            ],
            "cli application go",
        );
        check(
            &[
                ("settings.gradle.kts", "rootProject.name = \"kt\"\n"),
                (
                    "build.gradle.kts",
                    "plugins {\n    alias(libs.plugins.ktor)\n    application\n}\n",
                ),
            ],
            ". ktor kt",
        );
        check(
            &[
                ("build.gradle", "apply plugin: 'application'\n"),
                ("settings.gradle", "include '../x'\n"),
            ],
            ". application -",
        );
        check(&[("pom.xml", "")], "- - -");
    }
}
