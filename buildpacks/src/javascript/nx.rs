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

/// `{name, kind, output, main, start, others}` of the project that is the app: `kind` is `next`, `static` or `node`, `output` the
/// directory its build makes, `main` the file to start there, `start` the target that starts it, where it has one. The project
/// nx.json names as the default goes first.
///
/// # Errors
/// project.json of the only or likeliest app is no JSON (comments are allowed there).
pub(crate) fn value(repository: &Repository<'_>) -> Result<Option<Value>, DetectError> {
    if !repository.has("nx.json") && !repository.has("workspace.json") {
        return Ok(None);
    }
    // A broken nx.json is for Nx to complain about: it decides nothing here but an order.
    let default = match repository.json("nx.json") {
        Ok(Some(json)) => json
            .get("defaultProject")
            .and_then(Value::as_str)
            .map(str::to_owned),
        _ => None,
    };
    let mut found: Vec<(bool, bool, Value)> = Vec::new();
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
                .any(|(_, _, known)| known.get("directory") == Some(&directory.into()))
        {
            continue;
        }
        if let Some(app) = app(directory, last, &project) {
            let is_default =
                default.is_some() && app.get("name").and_then(Value::as_str) == default.as_deref();
            let is_usual = matches!(last, "web" | "app" | "www" | "frontend" | "site");
            found.push((is_default, is_usual, app));
        }
    }
    found.sort_by_key(|(is_default, is_usual, _)| (!is_default, !is_usual));
    let names: Vec<Value> = found
        .iter()
        .filter_map(|(_, _, app)| app.get("name").cloned())
        .collect();
    let Some((_, _, mut chosen)) = found.into_iter().next() else {
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
    let option = |key: &str| {
        let production = build.pointer(&format!("/configurations/production/{key}"));
        production
            .or_else(|| build.pointer(&format!("/options/{key}")))?
            .as_str()
    };
    // A project that is built by commands of its own is a program if it says where they put it.
    let is_own = executor == "nx:run-commands" && option("outputPath").is_some();
    let kind = KINDS
        .iter()
        .find_map(|(part, kind)| executor.contains(part).then_some(*kind))
        .or_else(|| is_own.then_some("node"))?;
    let replaced = |text: &str| {
        text.replace("{projectRoot}", directory)
            .replace("{workspaceRoot}/", "")
            .replace("{projectName}", name)
    };
    // A React app is bundled by webpack too; only its options tell.
    let is_page = option("index").is_some() || option("baseHref").is_some();
    let is_node = option("target") == Some("node") || option("platform") == Some("node");
    let kind = if kind == "node" && is_page && !is_node {
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
        .unwrap_or_else(|| if is_own { "index.js" } else { "main.js" }.to_owned());
    let target = ["targets", "architect"]
        .iter()
        .find_map(|key| project.get(key)?.get("start"));
    let start = target.map(
        |target| match target.pointer("/configurations/production") {
            Some(_) => format!("{name}:start:production"),
            None => format!("{name}:start"),
        },
    );
    is_harmless(name).then(|| {
        json!({"name": name, "directory": directory, "kind": kind, "output": output, "main": main, "start": start})
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
    fn the_default_project_and_its_start_target() {
        let web = r#"{"targets": {"build": {"executor": "@nx/next:build"}}}"#;
        let api = r#"{"targets": {"build": {"executor": "nx:run-commands", "options": {"outputPath": "out/api"}},
            "start": {"configurations": {"production": {}}}}}"#;
        let tree = MapTree::new()
            .with("nx.json", r#"{"defaultProject": "api"}"#)
            .with("apps/web/project.json", web)
            .with("apps/api/project.json", api);
        let value = value(&Repository::new(&tree).unwrap()).unwrap().unwrap();
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        assert_eq!(text("name"), Some("api"));
        assert_eq!(text("output"), Some("out/api"));
        assert_eq!(text("main"), Some("index.js"));
        assert_eq!(text("start"), Some("api:start:production"));
        assert_eq!(value.get("others"), Some(&json!(["web"])));
    }

    #[test]
    fn without_nx_there_are_no_projects() {
        let tree = MapTree::new().with("apps/shop/project.json", "{}");
        assert_eq!(value(&Repository::new(&tree).unwrap()).unwrap(), None);
    }
}
