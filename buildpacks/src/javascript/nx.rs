//! Nx repositories whose projects have no package.json of their own: everything is installed at the root, `nx build` builds one.

use serde_json::{Value, json};

use super::code::clean_directory;
use crate::error::DetectError;
use crate::repository::Repository;
use crate::template::is_harmless;

/// Kinds of projects by the program that builds them, and how each is run.
const KINDS: &[(&str, &str)] = &[
    ("next:build", "next"),
    ("/next:", "next"),
    ("vite:build", "static"),
    ("angular:application", "static"),
    ("angular:browser", "static"),
    ("web:webpack", "static"),
    ("web:build", "static"),
    ("rollup", "static"),
    ("node:build", "node"),
    ("node:webpack", "node"),
    ("webpack:webpack", "node"),
    ("esbuild:esbuild", "node"),
    ("js:tsc", "node"),
    ("js:swc", "node"),
];

/// `{name, kind, output, main, others}` of the project that is the app: `kind` is `next`, `static` or `node`, `output` the
/// directory its build makes, `main` the file to start there.
///
/// # Errors
/// project.json of the only or likeliest app is no JSON (comments are allowed there).
pub(crate) fn value(repository: &Repository<'_>) -> Result<Option<Value>, DetectError> {
    if !repository.has("nx.json") && !repository.has("workspace.json") {
        return Ok(None);
    }
    let mut found: Vec<(bool, Value)> = Vec::new();
    for path in [
        "project.json",
        "apps/*/project.json",
        "apps/*/*/project.json",
        "*/project.json",
    ]
    .iter()
    .flat_map(|pattern| repository.matching(pattern))
    {
        let Ok(Some(project)) = repository.json(path) else {
            continue;
        };
        let directory = path.strip_suffix("/project.json").unwrap_or_default();
        let last = directory.rsplit('/').next().unwrap_or_default();
        let is_aside = last.ends_with("-e2e") || last == "e2e";
        let is_library = project.get("projectType").and_then(Value::as_str) == Some("library");
        if is_aside
            || is_library
            || found
                .iter()
                .any(|(_, known)| known.get("directory") == Some(&directory.into()))
        {
            continue;
        }
        if let Some(app) = app(directory, last, &project) {
            found.push((
                matches!(last, "web" | "app" | "www" | "frontend" | "site"),
                app,
            ));
        }
    }
    found.sort_by_key(|(is_usual, _)| !is_usual);
    let names: Vec<Value> = found
        .iter()
        .filter_map(|(_, app)| app.get("name").cloned())
        .collect();
    let Some((_, mut chosen)) = found.into_iter().next() else {
        return Ok(None);
    };
    if let Some(object) = chosen.as_object_mut() {
        let others: Vec<Value> = names.into_iter().skip(1).collect();
        object.insert("others".to_owned(), others.into());
    }
    Ok(Some(chosen))
}

fn app(directory: &str, last: &str, project: &Value) -> Option<Value> {
    let name = project.get("name").and_then(Value::as_str).unwrap_or(last);
    let build = ["targets", "architect"]
        .iter()
        .find_map(|key| project.get(key)?.get("build"))?;
    let executor = ["executor", "builder"]
        .iter()
        .find_map(|key| build.get(key)?.as_str())?;
    let (_, kind) = KINDS.iter().find(|(part, _)| executor.contains(part))?;
    let option = |key: &str| {
        let production = build.pointer(&format!("/configurations/production/{key}"));
        production
            .or_else(|| build.pointer(&format!("/options/{key}")))?
            .as_str()
    };
    let replaced = |text: &str| {
        text.replace("{projectRoot}", directory)
            .replace("{workspaceRoot}/", "")
            .replace("{projectName}", name)
    };
    // A React app is bundled by webpack too; only its options tell.
    let is_page = option("index").is_some() || option("baseHref").is_some();
    let is_node = option("target") == Some("node") || option("platform") == Some("node");
    let kind = if *kind == "node" && is_page && !is_node {
        "static"
    } else {
        kind
    };
    let output = option("outputPath").map(replaced).unwrap_or_else(|| {
        if directory.is_empty() {
            format!("dist/{name}")
        } else {
            format!("dist/{directory}")
        }
    });
    let output = clean_directory(&output)?;
    let main = option("outputFileName")
        .and_then(clean_directory)
        .unwrap_or_else(|| "main.js".to_owned());
    is_harmless(name).then(|| {
        json!({"name": name, "directory": directory, "kind": kind, "output": output, "main": main})
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn check(executor: &str, options: &str, expected: (&str, &str)) {
        let project = format!(
            "{{\"targets\": {{\"build\": {{\"executor\": \"{executor}\", \"options\": {options}}}}}}}"
        );
        let tree = MapTree::new()
            .with("nx.json", "{}")
            .with("apps/shop/project.json", project)
            .with("apps/shop-e2e/project.json", "{}")
            .with("apps/broken/project.json", "{");
        let value = value(&Repository::new(&tree).unwrap()).unwrap().unwrap();
        let text = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(
            (text("kind").as_str(), text("output").as_str()),
            expected,
            "{executor}"
        );
    }

    #[test]
    fn kinds_of_projects() {
        check(
            "@nx/next:build",
            r#"{"outputPath": "dist/{projectRoot}"}"#,
            ("next", "dist/apps/shop"),
        );
        check("@nx/vite:build", "{}", ("static", "dist/apps/shop"));
        check(
            "@nx/webpack:webpack",
            r#"{"target": "node"}"#,
            ("node", "dist/apps/shop"),
        );
        check(
            "@nrwl/webpack:webpack",
            r#"{"index": "apps/shop/src/index.html"}"#,
            ("static", "dist/apps/shop"),
        );
        check(
            "@nx/esbuild:esbuild",
            r#"{"outputPath": "out"}"#,
            ("node", "out"),
        );
    }

    #[test]
    fn without_nx_there_are_no_projects() {
        let tree = MapTree::new().with("apps/shop/project.json", "{}");
        assert_eq!(value(&Repository::new(&tree).unwrap()).unwrap(), None);
    }
}
