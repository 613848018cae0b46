//! Pages in a folder beside a program, which a build script makes and the program's code serves.

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::repository::Repository;

/// Source files looked into.
const MAX_FILES: usize = 400;
/// What build scripts make.
const MADE: [&str; 2] = ["dist", "build"];

/// `{file, served_by}`: the package.json of the first of `folders` that has a build script whose work is not in the repository, and
/// the source file that names what it makes. Nothing where installing needs more than the folder: a workspace around it, a package
/// outside of it, or yarn of version 2 and later.
///
/// # Errors
/// A package.json is broken.
pub(crate) fn value(
    repository: &Repository<'_>,
    folders: &[String],
    sources: &[String],
) -> Result<Option<Value>, DetectError> {
    for folder in folders {
        let file = format!("{folder}/package.json");
        let Some(package) = repository.json(&file)? else {
            continue;
        };
        let script = package.pointer("/scripts/build").and_then(Value::as_str);
        let is_built = script.is_some_and(|script| !script.trim().is_empty());
        if !is_built || is_made(repository, folder) || !is_apart(repository, folder, &package)? {
            continue;
        }
        let mut seen = 0usize;
        for path in sources.iter().flat_map(|of| repository.matching(of)) {
            let is_aside = path.ends_with("_test.go") || path.starts_with("vendor/");
            if is_aside || seen == MAX_FILES {
                continue;
            }
            seen += 1;
            if is_serving(path, &repository.source(path)?, folder) {
                return Ok(Some(json!({"file": file, "served_by": path})));
            }
        }
    }
    Ok(None)
}

/// Whether what is built is committed. A file that only keeps the folder in the repository (`.gitkeep`) does not count.
fn is_made(repository: &Repository<'_>, folder: &str) -> bool {
    MADE.iter().any(|made| {
        let files = repository.matching(&format!("{folder}/{made}/**"));
        let mut names = files.iter().map(|path| path.rsplit('/').next());
        names.any(|name| name.is_some_and(|name| !name.starts_with('.')))
    })
}

/// Whether the folder's packages are installed from nothing but the folder.
fn is_apart(
    repository: &Repository<'_>,
    folder: &str,
    package: &Value,
) -> Result<bool, DetectError> {
    let is_workspace = repository.has("pnpm-workspace.yaml")
        || repository
            .source("package.json")?
            .contains("\"workspaces\"");
    let is_berry = repository.has(".yarnrc.yml")
        || repository.has(&format!("{folder}/.yarnrc.yml"))
        || repository
            .source(&format!("{folder}/yarn.lock"))?
            .contains("__metadata:");
    let tables = ["dependencies", "devDependencies"];
    let mut versions = tables
        .iter()
        .filter_map(|key| package.get(key)?.as_object())
        .flat_map(|table| table.values())
        .filter_map(Value::as_str);
    let outside = ["workspace:", "file:../", "link:../", "../"];
    let reaches_out =
        versions.any(|version| outside.iter().any(|before| version.starts_with(before)));
    Ok(!is_workspace && !is_berry && !reaches_out)
}

/// Whether a Go file embeds what is built in `folder`, or has its path as a string.
fn is_serving(path: &str, source: &str, folder: &str) -> bool {
    let beside = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let ends = |rest: &str| rest.is_empty() || rest.starts_with('/');
    let is_meant = |text: &str, base: &str| {
        let text = text.strip_prefix("./").unwrap_or(text);
        let text = if base.is_empty() {
            Some(text)
        } else {
            text.strip_prefix(base)
                .and_then(|text| text.strip_prefix('/'))
        };
        text.is_some_and(|text| {
            MADE.iter()
                .any(|made| text.strip_prefix(made).is_some_and(ends))
        })
    };
    // Patterns of an embedding are seen from the folder of the file.
    let embedded_from = match folder.strip_prefix(beside) {
        Some("") => Some(""),
        Some(rest) if beside.is_empty() => Some(rest),
        Some(rest) => rest.strip_prefix('/'),
        None => None,
    };
    source.lines().any(|line| {
        let line = line.trim();
        if let Some(patterns) = line.strip_prefix("//go:embed ") {
            let mut patterns = patterns.split_whitespace().map(|word| {
                let word = word.trim_matches(['"', '`']);
                word.strip_prefix("all:").unwrap_or(word)
            });
            return embedded_from
                .is_some_and(|base| patterns.any(|pattern| is_meant(pattern, base)));
        }
        let code = line.split(" //").next().unwrap_or_default();
        // What stands between quotes is every second part.
        !line.starts_with("//")
            && ['"', '`'].iter().any(|quote| {
                let mut texts = code.split(*quote).skip(1).step_by(2);
                texts.any(|text| is_meant(text, folder))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    const PACKAGE: &str = r#"{"scripts": {"build": "vite build"}}"#;

    fn check(tree: MapTree, expected: Option<&str>) {
        let repository = Repository::new(&tree).unwrap();
        let folders = ["web".to_owned(), "client".to_owned()];
        let sources = ["*.go".to_owned(), "**/*.go".to_owned()];
        let found = value(&repository, &folders, &sources).unwrap();
        let served = found.as_ref().and_then(|found| found["served_by"].as_str());
        assert_eq!(served, expected);
    }

    fn web(package: &str) -> MapTree {
        let source = "//go:embed all:web/dist\nvar pages embed.FS\n";
        MapTree::new()
            .with("web/package.json", package)
            .with("main.go", source)
    }

    #[test]
    fn what_is_built_and_served() {
        check(web(PACKAGE), Some("main.go"));
        check(web(PACKAGE).with("web/dist/.gitkeep", ""), Some("main.go"));
        check(web(r#"{"scripts": {"css:build": "sass ."}}"#), None);
        check(web(PACKAGE).with("web/dist/app.js", ""), None);
        check(web(PACKAGE).with("pnpm-workspace.yaml", ""), None);
        check(
            web(PACKAGE).with("package.json", r#"{"workspaces": ["web"]}"#),
            None,
        );
        check(
            web(PACKAGE).with("web/yarn.lock", "__metadata:\n  version: 8\n"),
            None,
        );
        check(
            web(r#"{"scripts": {"build": "x"}, "dependencies": {"a": "workspace:*"}}"#),
            None,
        );
    }

    #[test]
    fn code_that_serves() {
        for (path, source, expected) in [
            ("main.go", "//go:embed client/dist/*", true),
            ("main.go", "//go:embed dist", false),
            ("client/embed.go", "//go:embed dist", true),
            ("client/embed.go", "//go:embed all:build/static", true),
            ("web/embed.go", "//go:embed dist", false),
            ("a/b.go", "http.Dir(\"./client/dist\")", true),
            ("a/b.go", "http.Dir(`client/build/`)", true),
            ("a/b.go", "import \"x.org/client/builder\"", false),
            ("a/b.go", "import \"client/builder\"", false),
            ("a/b.go", "import \"x.org/client/build\"", false),
            ("a/b.go", "// serves \"client/dist\"", false),
            ("a/b.go", "http.Dir(\"web/dist\")", false),
        ] {
            assert_eq!(
                is_serving(path, source, "client"),
                expected,
                "{path} {source}"
            );
        }
    }
}
