//! Versions in the files of tool installers that serve every language: asdf's `.tool-versions` and mise's `mise.toml`.

use serde_json::Value;

use crate::error::DetectError;
use crate::repository::Repository;
use crate::runtime::check_length;
use crate::said::{Origin, Said};

const ASDF: &str = ".tool-versions";
/// In mise's own order (mise.jdx.dev/configuration.html); the local variants are no part of a repository.
const MISE: &[&str] = &[
    "mise.toml",
    ".mise.toml",
    "mise/config.toml",
    ".mise/config.toml",
    ".config/mise.toml",
    ".config/mise/config.toml",
];

/// The version of the tool that has one of `names`.
///
/// # Errors
/// One of the files is broken, or has something else than a version there.
pub(crate) fn version(
    repository: &Repository<'_>,
    names: &[String],
) -> Result<Option<Said>, DetectError> {
    for file in MISE {
        let file = repository.here_or_at_root(file);
        for name in names {
            let Some((value, line)) = repository.toml(&file, &format!("tools.{name}"))? else {
                continue;
            };
            let place = repository.from_root(&file);
            let Some(text) = mise_version(&value) else {
                return Err(DetectError::InvalidManifest {
                    file: place,
                    line: Some(line),
                    problem: format!("`{name}` has no version in quotes"),
                });
            };
            if let Some(found) = said(text, place, line)? {
                return Ok(Some(found));
            }
        }
    }
    let file = repository.here_or_at_root(ASDF);
    let Some(text) = repository.text(&file)? else {
        return Ok(None);
    };
    for (index, line) in text.lines().enumerate() {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let is_named = words
            .next()
            .is_some_and(|tool| names.iter().any(|name| name == tool));
        if let Some(version) = words.next().filter(|_| is_named) {
            return said(version, repository.from_root(&file), index + 1);
        }
    }
    Ok(None)
}

/// `"22"`, `["22", "20"]` (the first is the one in use) or `{ version = "22" }`.
fn mise_version(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(items) => mise_version(items.first()?),
        Value::Object(table) => table.get("version")?.as_str(),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Nothing for words that leave the version to the machine (`system`, `path:`, `ref:`).
fn said(version: &str, file: String, line: usize) -> Result<Option<Said>, DetectError> {
    check_length(version, &file, Some(line))?;
    let version = version.strip_prefix("prefix:").unwrap_or(version).trim();
    let is_open = version.is_empty() || version == "system" || version.contains(':');
    Ok((!is_open).then(|| Said {
        value: version.to_owned(),
        origin: Origin::File {
            file,
            line: Some(line),
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn check(file: &str, text: &str, expected: Option<(&str, usize)>) {
        let tree = MapTree::new().with(file, text);
        let repository = Repository::new(&tree).unwrap();
        let names = ["nodejs".to_owned(), "node".to_owned()];
        let found = version(&repository, &names).unwrap();
        let found = found.as_ref().map(|said| {
            let line = said.origin.location().and_then(|(_, line)| line);
            (said.value.as_str(), line.unwrap_or_default())
        });
        assert_eq!(found, expected, "{file}: {text}");
    }

    #[test]
    fn versions_of_both_tools() {
        check(
            ".tool-versions",
            "# x\nruby 3.3.0\nnodejs  20.11.1 18 # old\n",
            Some(("20.11.1", 3)),
        );
        check(".tool-versions", "nodejs system\n", None);
        check(".tool-versions", "nodejsx 1\n", None);
        check("mise.toml", "[tools]\nnode = \"22\"\n", Some(("22", 2)));
        check(
            ".mise.toml",
            "[tools]\n\nnode = [\"22.1\", \"20\"]\n",
            Some(("22.1", 3)),
        );
        check(
            "mise.toml",
            "[tools]\nnode = { version = \"24\", postinstall = \"x\" }\n",
            Some(("24", 2)),
        );
        check(
            "mise.toml",
            "[tools]\nnode = \"latest\"\npython = \"3\"\n",
            Some(("latest", 2)),
        );
    }

    #[test]
    fn what_is_no_version_is_named_with_its_line() {
        let tree = MapTree::new().with("mise.toml", "[tools]\nnode = 22\n");
        let repository = Repository::new(&tree).unwrap();
        // A number is read as text.
        let found = version(&repository, &["node".to_owned()]).unwrap();
        assert_eq!(found.map(|said| said.value), Some("22".to_owned()));
        let tree = MapTree::new().with("mise.toml", "[tools]\nnode = true\n");
        let repository = Repository::new(&tree).unwrap();
        let error = version(&repository, &["node".to_owned()]).unwrap_err();
        assert_eq!(error.location(), Some(("mise.toml", Some(2))));
    }
}
