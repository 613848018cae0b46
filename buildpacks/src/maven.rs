//! The module of a Maven project that is the app (maven.apache.org/pom.html).

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::repository::Repository;
use crate::template::is_harmless;
use crate::xml;

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

/// `{module, packaging}`: the directory, `.` for the root, and what is made there. A project without modules is its own module.
///
/// # Errors
/// A pom.xml is not XML.
pub(crate) fn app(repository: &Repository<'_>, file: &str) -> Result<Option<Value>, DetectError> {
    if !repository.has(file) {
        return Ok(None);
    }
    let mut pending = VecDeque::from([".".to_owned()]);
    let mut seen: Vec<String> = Vec::new();
    let mut best: Option<(usize, String, String)> = None;
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
            .any(|text| MAKES_A_PROGRAM.contains(&text));
        // A program before a web archive before a library, each in the order of the modules.
        let rank = match (is_program, packaging.as_str()) {
            (true, _) => 0,
            (false, "war") => 1,
            (false, _) => 2,
        };
        if best.as_ref().is_none_or(|(least, _, _)| rank < *least) {
            best = Some((rank, module, packaging));
        }
    }
    Ok(best.map(|(_, module, packaging)| json!({"module": module, "packaging": packaging})))
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
        let expected =
            expected.map(|(module, packaging)| json!({"module": module, "packaging": packaging}));
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
    fn modules_in_a_circle_end() {
        let pom = "<project><packaging>pom</packaging><modules><module>a</module><module>a</module></modules></project>";
        check(&[("pom.xml", pom), ("a/pom.xml", pom)], None);
    }
}
