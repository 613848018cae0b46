//! The module of a Maven project that is the app (maven.apache.org/pom.html).

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::repository::Repository;
use crate::template::is_harmless;
use crate::xml::{self, Element};

/// Modules looked into; a build with more has its app among the first, or a Procfile.
const MAX_MODULES: usize = 200;

/// Plugins that make a program of a module, and dependencies that only its program has.
const MAKES_A_PROGRAM: &[&str] = &[
    "spring-boot-maven-plugin",
    "quarkus-maven-plugin",
    "micronaut-maven-plugin",
    "maven-shade-plugin",
    "maven-assembly-plugin",
    "appassembler-maven-plugin",
];

/// Whether maven-assembly-plugin is there but bound to no phase: its goal is then named on the command line.
fn is_left_to_command_line(elements: &[Element]) -> bool {
    let is_plugin = |element: &&Element| element.path.ends_with("build/plugins/plugin");
    let mut starts = elements
        .iter()
        .enumerate()
        .filter(|(_, element)| is_plugin(element))
        .map(|(at, _)| at)
        .peekable();
    while let Some(start) = starts.next() {
        let end = starts.peek().copied().unwrap_or(elements.len());
        let plugin = elements.get(start..end).unwrap_or_default();
        let is_meant = plugin.iter().any(|element| {
            element.name() == "artifactId" && element.text == "maven-assembly-plugin"
        });
        if is_meant {
            return !plugin.iter().any(|element| element.name() == "execution");
        }
    }
    false
}

/// Its goal may be told to do nothing, as where a web archive is meant for a server.
fn is_skipped(elements: &[Element]) -> bool {
    let skip = elements
        .iter()
        .filter(|element| element.name() == "skip" && element.path.contains("plugin/executions/"));
    let mut values = skip.map(|element| element.text.trim());
    values.any(|value| value == "true")
        && elements
            .iter()
            .any(|element| element.name() == "id" && element.text.trim() == "repackage")
}

/// `{module, pom, packaging, makes, program, assembly}`: the directory, `.` for the root, its pom.xml, and what is made there; true where a
/// plugin makes a program of it; where a plugin writes a script that starts it, the script's path; and true where its one jar of everything is made only on demand.
/// A project without modules
/// is its own module.
///
/// # Errors
/// A pom.xml is not XML.
pub(crate) fn app(repository: &Repository<'_>, file: &str) -> Result<Option<Value>, DetectError> {
    if !repository.has(file) {
        return Ok(None);
    }
    let mut pending = VecDeque::from([".".to_owned()]);
    let mut seen: Vec<String> = Vec::new();
    let mut best: Option<(usize, Value)> = None;
    while let Some(module) = pending.pop_front() {
        if seen.len() >= MAX_MODULES {
            break;
        }
        if seen.contains(&module) {
            continue;
        }
        let pom = if module == "." {
            file.to_owned()
        } else {
            format!("{module}/pom.xml")
        };
        seen.push(module.clone());
        let elements = xml::of_file(repository, &pom)?;
        if elements.is_empty() {
            continue;
        }
        let packaging = xml::text_at(&elements, &["project/packaging".to_owned()]);
        let packaging = packaging.map_or("jar".to_owned(), |(text, _)| text);
        let below = elements.iter().filter(|element| {
            element.name() == "module" && element.path.ends_with("modules/module")
        });
        pending.extend(below.filter_map(|element| joined(&module, &element.text)));
        if packaging == "pom" {
            continue;
        }
        let artifacts = elements.iter().filter(|element| {
            element.name() == "artifactId" && !element.path.contains("/pluginManagement/")
        });
        let is_program = artifacts
            .map(|element| element.text.as_str())
            .any(|text| MAKES_A_PROGRAM.contains(&text))
            && !is_skipped(&elements);
        // A program before a web archive before a library, each in the order of the modules.
        let rank = match (is_program, packaging.as_str()) {
            (true, _) => 0,
            (false, "war") => 1,
            (false, _) => 2,
        };
        if best.as_ref().is_none_or(|(least, _)| rank < *least) {
            let found = json!({
                "module": module,
                "pom": pom,
                "packaging": packaging,
                "makes": is_program,
                "program": assembled(&elements),
                "assembly": is_left_to_command_line(&elements),
            });
            best = Some((rank, found));
        }
    }
    Ok(best.map(|(_, found)| found))
}

/// The script that appassembler-maven-plugin writes for the first program it is told of, below the module
/// (mojohaus.org/appassembler/appassembler-maven-plugin/assemble-mojo.html).
fn assembled(elements: &[Element]) -> Option<String> {
    let plugin = elements.iter().position(|element| {
        element.name() == "artifactId" && element.text == "appassembler-maven-plugin"
    })?;
    let inside = elements.get(plugin..)?;
    let text = |ending: &str| {
        let found = inside.iter().find(|element| element.path.ends_with(ending));
        found.map(|element| element.text.trim())
    };
    let program = text("programs/program/id").or_else(|| text("programs/program/name"))?;
    let folder = text("configuration/assembleDirectory").unwrap_or("target/appassembler");
    let folder = folder
        .trim_start_matches("${project.build.directory}")
        .trim_start_matches("${basedir}")
        .trim_matches('/');
    let folder = match folder {
        "" => "target".to_owned(),
        folder if folder.starts_with("target") => folder.to_owned(),
        folder => format!("target/{folder}"),
    };
    let path = format!("{folder}/bin/{program}");
    is_harmless(&path).then_some(path)
}

/// A module's directory below that of its parent, nothing for one outside of the repository.
fn joined(parent: &str, module: &str) -> Option<String> {
    let module = module.trim().trim_end_matches("pom.xml").trim_matches('/');
    let is_inside = !module.is_empty()
        && module
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."))
        && is_harmless(module);
    is_inside.then(|| match parent {
        "." => module.to_owned(),
        parent => format!("{parent}/{module}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn check(poms: &[(&str, &str)], expected: Option<(&str, &str)>) {
        let tree = poms
            .iter()
            .fold(MapTree::new(), |tree, (path, text)| tree.with(*path, *text));
        let repository = Repository::new(&tree).unwrap();
        let found = app(&repository, "pom.xml").unwrap();
        let found = found.map(|found| {
            let text = |key: &str| {
                found
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            (text("module"), text("packaging"))
        });
        let expected =
            expected.map(|(module, packaging)| (module.to_owned(), packaging.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_module_with_a_program_is_the_app() {
        let boot = "<project><build><plugins><plugin><artifactId>spring-boot-maven-plugin</artifactId></plugin></plugins></build></project>";
        check(&[("pom.xml", "<project/>")], Some((".", "jar")));
        check(
            &[
                (
                    "pom.xml",
                    "<project><packaging>pom</packaging><modules><module>lib</module><module>web</module><module>../x</module></modules></project>",
                ),
                ("lib/pom.xml", "<project/>"),
                ("web/pom.xml", boot),
            ],
            Some(("web", "jar")),
        );
        check(&[("other.xml", "")], None);
    }

    #[test]
    fn the_script_of_appassembler() {
        let pom = |configuration: &str| {
            format!(
                "<project><build><plugins><plugin><artifactId>appassembler-maven-plugin</artifactId><configuration>{configuration}<programs><program><mainClass>a.Main</mainClass><name>webapp</name></program></programs></configuration></plugin></plugins></build></project>"
            )
        };
        let check = |configuration: &str, expected: &str| {
            let tree = MapTree::new().with("pom.xml", pom(configuration));
            let found = app(&Repository::new(&tree).unwrap(), "pom.xml")
                .unwrap()
                .unwrap();
            assert_eq!(
                found.get("program"),
                Some(&json!(expected)),
                "{configuration}"
            );
        };
        check("", "target/appassembler/bin/webapp");
        check(
            "<assembleDirectory>target</assembleDirectory>",
            "target/bin/webapp",
        );
        check(
            "<assembleDirectory>${project.build.directory}/dist</assembleDirectory>",
            "target/dist/bin/webapp",
        );
    }

    #[test]
    fn modules_in_a_circle_end() {
        let pom = "<project><packaging>pom</packaging><modules><module>a</module><module>a</module></modules></project>";
        check(&[("pom.xml", pom), ("a/pom.xml", pom)], None);
    }
}
