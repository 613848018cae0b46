//! Nx repositories whose projects start nothing by themselves: everything is installed at the root, `nx build` builds one. What
//! builds a project its project.json says, or, where a plugin of nx.json finds it out, the configuration beside it.

use serde_json::{Value, json};

use super::code::{self, clean_directory, directory_from};
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

/// Plugins of nx.json by which a project needs no `build` target of its own, and the configuration that stands for one
/// (<https://nx.dev/concepts/inferred-tasks>).
const PLUGINS: &[(&str, &str)] = &[
    ("@nx/next/plugin", "next.config.*"),
    ("@nx/vite/plugin", "vite.config.*"),
    ("@nx/webpack/plugin", "webpack.config.*"),
    ("@nx/rspack/plugin", "rspack.config.*"),
];

/// `{name, kind, output, main, start, target, others}` of the project that is the app: `kind` is `next`, `static` or `node`,
/// `output` the directory its build makes, `main` the file to start there, `start` the target that starts it, where it has one,
/// `target` the one that builds it, where a plugin gives it that. The project nx.json names as the default goes first.
///
/// # Errors
/// project.json of the only or likeliest app is no JSON (comments are allowed there).
pub(crate) fn value(repository: &Repository<'_>) -> Result<Option<Value>, DetectError> {
    if !repository.has("nx.json") && !repository.has("workspace.json") {
        return Ok(None);
    }
    // A broken nx.json is for Nx to complain about.
    let settings = repository.json("nx.json").ok().flatten();
    let default = settings
        .as_ref()
        .and_then(|json| json.get("defaultProject")?.as_str())
        .map(str::to_owned);
    let plugins = settings.as_deref().map(plugins).unwrap_or_default();
    let mut found: Vec<(bool, bool, Value)> = Vec::new();
    for path in [
        "project.json",
        "apps/*/project.json",
        "apps/*/*/project.json",
        "*/project.json",
        // A package of a workspace is a project, too.
        "apps/*/package.json",
        "apps/*/*/package.json",
        "*/package.json",
    ]
    .iter()
    .flat_map(|pattern| repository.matching(pattern))
    {
        let Ok(Some(project)) = repository.json(path) else {
            continue;
        };
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
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
        let app = match app(directory, last, &project) {
            Some(app) => Some(app),
            None => inferred(repository, directory, last, &project, &plugins)?,
        };
        if let Some(app) = app {
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

/// The plugins of [`PLUGINS`] that are in use, each with the name of the target that builds.
fn plugins(settings: &Value) -> Vec<(&'static str, String)> {
    let used = settings.get("plugins").and_then(Value::as_array);
    let used = used.into_iter().flatten().filter_map(|plugin| {
        let name = plugin.as_str().or_else(|| plugin.get("plugin")?.as_str())?;
        let (known, _) = PLUGINS.iter().find(|(known, _)| *known == name)?;
        let target = plugin.pointer("/options/buildTargetName");
        let target = target.and_then(Value::as_str).unwrap_or("build");
        is_harmless(target).then(|| (*known, target.to_owned()))
    });
    used.collect()
}

/// A project whose build a plugin knows from the configuration beside it.
fn inferred(
    repository: &Repository<'_>,
    directory: &str,
    last: &str,
    project: &Value,
    plugins: &[(&'static str, String)],
) -> Result<Option<Value>, DetectError> {
    let beside = |name: &str| match directory {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    };
    for (plugin, pattern) in PLUGINS {
        let Some((_, target)) = plugins.iter().find(|(used, _)| used == plugin) else {
            continue;
        };
        let pattern = beside(pattern);
        if repository.matching(&pattern).is_empty() {
            continue;
        }
        let configuration = [pattern];
        let written = |keys: &[&str]| -> Result<Option<String>, DetectError> {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            let values = code::values(repository, &configuration, &keys)?;
            Ok(values
                .iter()
                .find_map(|path| directory_from(directory, path)))
        };
        let (kind, output) = match *plugin {
            "@nx/next/plugin" => ("next", Some(directory.to_owned())),
            // Without a page it is a library.
            "@nx/vite/plugin" if !repository.has(&beside("index.html")) => continue,
            "@nx/vite/plugin" => {
                let output = written(&["outDir:\""])?;
                (
                    "static",
                    output.or_else(|| clean_directory(&beside("dist"))),
                )
            }
            _ => {
                let is_node =
                    code::file_with(repository, &configuration, &["target:\"node\"".to_owned()])?;
                // Code is read without the quote behind a comma.
                let output = written(&[
                    "path:join(__dirname,",
                    "path:path.join(__dirname,",
                    "path:resolve(__dirname,",
                    "path:path.resolve(__dirname,",
                ])?;
                let kind = if is_node.is_some() { "node" } else { "static" };
                (
                    kind,
                    output.or_else(|| clean_directory(&format!("dist/{directory}"))),
                )
            }
        };
        let named = project.pointer("/nx/name").or_else(|| project.get("name"));
        let name = named.and_then(Value::as_str).unwrap_or(last);
        if let Some(output) = output.filter(|_| is_harmless(name)) {
            return Ok(Some(json!({
                "name": name, "directory": directory, "kind": kind, "output": output, "main": "main.js", "start": null, "target": target,
            })));
        }
    }
    Ok(None)
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
    fn builds_that_plugins_know_from_configuration() {
        let plugins = r#"{"plugins": [{"plugin": "@nx/vite/plugin", "options": {"buildTargetName": "bundle"}}, "@nx/webpack/plugin", "@nx/next/plugin"]}"#;
        let chosen = |files: &[(&str, &str)]| {
            let mut tree = MapTree::new().with("nx.json", plugins);
            for (path, content) in files {
                tree = tree.with(*path, *content);
            }
            let value = value(&Repository::new(&tree).unwrap()).unwrap()?;
            let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
            Some(
                [
                    text("name")?,
                    text("kind")?,
                    text("output")?,
                    text("target")?,
                ]
                .join(" "),
            )
        };
        let vite =
            "export default defineConfig(() => ({ build: { outDir: '../../dist/apps/shop' } }));";
        let webpack = "module.exports = { output: { path: join(__dirname, '../../dist/api') }, plugins: [new NxAppWebpackPlugin({ target: 'node' })] };";
        let package = r#"{"name": "@org/shop", "private": true}"#;
        for (files, expected) in [
            (
                vec![
                    (
                        "apps/shop/project.json",
                        r#"{"name": "shop", "targets": {}}"#,
                    ),
                    ("apps/shop/vite.config.mts", vite),
                    ("apps/shop/index.html", ""),
                ],
                Some("shop static dist/apps/shop bundle"),
            ),
            (
                vec![
                    ("apps/shop/package.json", package),
                    ("apps/shop/vite.config.ts", "build: { outDir: './dist' }"),
                    ("apps/shop/index.html", ""),
                ],
                Some("@org/shop static apps/shop/dist bundle"),
            ),
            (
                vec![
                    ("apps/lib/package.json", package),
                    ("apps/lib/vite.config.ts", ""),
                ],
                None,
            ),
            (
                vec![
                    (
                        "apps/api/package.json",
                        r#"{"name": "@org/api", "nx": {"name": "api"}}"#,
                    ),
                    ("apps/api/webpack.config.js", webpack),
                ],
                Some("api node dist/api build"),
            ),
            (
                vec![
                    ("apps/web/project.json", "{}"),
                    ("apps/web/next.config.js", ""),
                ],
                Some("web next apps/web build"),
            ),
            (
                vec![
                    ("apps/web/project.json", r#"{"name": "a b"}"#),
                    ("apps/web/next.config.js", ""),
                ],
                None,
            ),
        ] {
            assert_eq!(chosen(&files).as_deref(), expected, "{files:?}");
        }
    }

    #[test]
    fn without_nx_there_are_no_projects() {
        let tree = MapTree::new().with("apps/shop/project.json", "{}");
        assert_eq!(value(&Repository::new(&tree).unwrap()).unwrap(), None);
    }
}
