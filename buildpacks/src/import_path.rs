//! Where a Python file is imported from: the directory that has to be the current one, and the dotted name from there.

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::repository::Repository;

/// `{file, name, module, root}` for a name defined in `file`. `root` is `.` unless the file imports its neighbours as top-level
/// modules (`from models import x` with a `models.py` beside it and none at the root), as it can when started in its folder; or
/// it is of a package that is installed from `src/`: its other files call that by its name, which `src.name` is not.
pub(crate) fn definition(
    repository: &Repository<'_>,
    file: &str,
    name: &str,
) -> Result<Value, DetectError> {
    let source = repository.source(file)?;
    let root = match root(repository, file, &source) {
        "" if is_installed(repository, file, &source)? => SOURCES,
        root => root,
    };
    let inside = file
        .strip_prefix(root)
        .map_or(file, |rest| rest.trim_start_matches('/'));
    let root = if root.is_empty() { "." } else { root };
    Ok(json!({"file": file, "name": name, "module": module(inside), "root": root}))
}

/// The dotted module name of a path: `shop/__init__.py` is `shop`.
pub(crate) fn module(path: &str) -> String {
    let path = path.strip_suffix(".py").unwrap_or(path);
    path.strip_suffix("/__init__")
        .unwrap_or(path)
        .replace('/', ".")
}

/// Where packages are that are installed under their own name ("src layout" of the Python Packaging User Guide).
const SOURCES: &str = "src";

/// Whether `file` is of a package in `src/` that the repository installs.
fn is_installed(
    repository: &Repository<'_>,
    file: &str,
    source: &str,
) -> Result<bool, DetectError> {
    let mut parts = file.split('/');
    let (Some(SOURCES), Some(package), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(false);
    };
    let is_package = repository.has(&format!("{SOURCES}/{package}/__init__.py"))
        && !repository.has(&format!("{SOURCES}/__init__.py"))
        && !source
            .lines()
            .filter_map(imported)
            .any(|name| name == SOURCES);
    if !is_package {
        return Ok(false);
    }
    let manifest = repository.text("pyproject.toml")?;
    Ok(repository.has("setup.py") || manifest.is_some_and(|text| text.contains("[build-system]")))
}

/// The folder the imports of `file` start from; empty for the root of the repository.
fn root<'f>(repository: &Repository<'_>, file: &'f str, source: &str) -> &'f str {
    let folders: Vec<&str> = file
        .match_indices('/')
        .filter_map(|(at, _)| file.get(..at))
        .collect();
    let has = |folder: &str, name: &str| {
        let path = if folder.is_empty() {
            name.to_owned()
        } else {
            format!("{folder}/{name}")
        };
        repository.has(&format!("{path}.py")) || repository.has_folder(&path)
    };
    for name in source.lines().filter_map(imported) {
        if has("", name) {
            continue;
        }
        if let Some(folder) = folders.iter().find(|folder| has(folder, name)) {
            return folder;
        }
    }
    ""
}

/// The top-level name an import line asks for; nothing for relative imports.
fn imported(line: &str) -> Option<&str> {
    let rest = line
        .strip_prefix("from ")
        .or_else(|| line.strip_prefix("import "))?
        .trim_start();
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    rest.get(..end).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn check(file: &str, source: &str, expected: (&str, &str)) {
        let tree = MapTree::new()
            .with("shared/x.py", "")
            .with("src/models.py", "")
            .with("src/shop/views.py", "")
            .with("app/db.py", "")
            .with(file, source);
        let repository = Repository::new(&tree).unwrap();
        let found = definition(&repository, file, "app").unwrap();
        assert_eq!(
            (found["root"].as_str(), found["module"].as_str()),
            (Some(expected.0), Some(expected.1)),
            "{file} {source}"
        );
    }

    #[test]
    fn a_package_that_is_installed_from_src_goes_by_its_own_name() {
        let bare = [
            ("src/shop/__init__.py", ""),
            ("src/shop/views.py", "from shop import app"),
        ];
        let build = ("pyproject.toml", "[build-system]\n");
        let module = |source: &str, more: &[(&str, &str)]| {
            let mut tree = MapTree::new().with("src/shop/web.py", source);
            for &(path, text) in bare.iter().chain(more) {
                tree = tree.with(path, text);
            }
            let repository = Repository::new(&tree).unwrap();
            let found = definition(&repository, "src/shop/web.py", "app").unwrap();
            found["module"].as_str().unwrap().to_owned()
        };
        assert_eq!(module("from . import views", &[build]), "shop.web");
        assert_eq!(module("from . import views", &[]), "src.shop.web");
        assert_eq!(
            module("from src.shop import views", &[build]),
            "src.shop.web"
        );
        assert_eq!(
            module("from . import views", &[build, ("src/__init__.py", "")]),
            "src.shop.web"
        );
    }

    #[test]
    fn roots() {
        check("main.py", "from fastapi import FastAPI", (".", "main"));
        check(
            "app/main.py",
            "from fastapi import FastAPI",
            (".", "app.main"),
        );
        check("app/main.py", "from app.db import x", (".", "app.main"));
        check("app/main.py", "from .db import x", (".", "app.main"));
        check("app/main.py", "import db, os", ("app", "main"));
        check(
            "src/shop/web.py",
            "from shop.views import x",
            ("src", "shop.web"),
        );
        check(
            "src/web.py",
            "from shared import x\nimport models",
            ("src", "web"),
        );
        check("shop/__init__.py", "import flask", (".", "shop"));
    }
}
