//! angular.json: where `ng build` puts what browsers get, and the server, if there is one.

use serde_json::{Value, json};

use super::code::clean_directory;
use crate::error::DetectError;
use crate::repository::Repository;

/// `{name, output, server}`: the project `ng build` builds by default, the directory with its index.html, and the program to
/// start where it renders on a server.
///
/// # Errors
/// angular.json is no JSON (comments are allowed there).
pub(crate) fn value(repository: &Repository<'_>, file: &str) -> Result<Option<Value>, DetectError> {
    let Some(workspace) = repository.json(file)? else {
        return Ok(None);
    };
    let Some(projects) = workspace.get("projects").and_then(Value::as_object) else {
        return Ok(None);
    };
    let is_application =
        |project: &Value| project.get("projectType").and_then(Value::as_str) != Some("library");
    let named = workspace.get("defaultProject").and_then(Value::as_str);
    let named = named.and_then(|name| projects.get_key_value(name));
    let Some((name, project)) =
        named.or_else(|| projects.iter().find(|(_, project)| is_application(project)))
    else {
        return Ok(None);
    };
    let build = ["targets", "architect"]
        .iter()
        .find_map(|key| project.get(key)?.get("build"));
    let builder = build
        .and_then(|build| build.get("builder")?.as_str())
        .unwrap_or_default();
    let option = |key: &str| build.and_then(|build| build.get("options")?.get(key));
    // `application` builds put browser and server side by side, the older ones make one directory.
    let is_application_builder = builder.ends_with(":application");
    let path = option("outputPath");
    let base = path.and_then(|path| path.as_str().or_else(|| path.get("base")?.as_str()));
    let base = base
        .and_then(clean_directory)
        .or_else(|| clean_directory(&format!("dist/{name}")));
    let Some(base) = base else {
        return Ok(None);
    };
    let browser = match path.and_then(|path| path.get("browser")?.as_str()) {
        Some("") => None,
        Some(other) => clean_directory(other),
        None => Some("browser".to_owned()),
    };
    let output = match browser.filter(|_| is_application_builder) {
        Some(browser) => format!("{base}/{browser}"),
        None => base.clone(),
    };
    let is_rendered = option("ssr").is_some_and(|ssr| *ssr != Value::Bool(false))
        && option("outputMode").and_then(Value::as_str) != Some("static");
    let server =
        (is_application_builder && is_rendered).then(|| format!("{base}/server/server.mjs"));
    Ok(Some(
        json!({"name": name, "output": output, "server": server}),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn check(project: &str, output: &str, server: Option<&str>) {
        let text = format!("{{\"projects\": {{ // the app\n\"shop\": {project}}}}}");
        let tree = MapTree::new().with("angular.json", text);
        let value = value(&Repository::new(&tree).unwrap(), "angular.json")
            .unwrap()
            .unwrap();
        assert_eq!(
            value,
            json!({"name": "shop", "output": output, "server": server}),
            "{project}"
        );
    }

    #[test]
    fn where_builds_go() {
        check(
            r#"{"architect": {"build": {"builder": "@angular-devkit/build-angular:browser", "options": {"outputPath": "dist/x"}}}}"#,
            "dist/x",
            None,
        );
        check(
            r#"{"architect": {"build": {"builder": "@angular/build:application"}}}"#,
            "dist/shop/browser",
            None,
        );
        check(
            r#"{"targets": {"build": {"builder": "@angular/build:application", "options": {"ssr": {"entry": "s.ts"}, "outputMode": "server"}}}}"#,
            "dist/shop/browser",
            Some("dist/shop/server/server.mjs"),
        );
        check(
            r#"{"architect": {"build": {"builder": "x:application", "options": {"ssr": true, "outputMode": "static", "outputPath": {"base": "o", "browser": ""}}}}}"#,
            "o",
            None,
        );
        check(
            r#"{"architect": {"build": {"builder": "x:browser", "options": {"outputPath": "../../etc"}}}}"#,
            "dist/shop",
            None,
        );
        check("{}", "dist/shop", None);
    }
}
