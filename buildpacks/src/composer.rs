//! What Composer wants of PHP itself (getcomposer.org/doc/01-basic-usage.md, "platform packages").

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::DetectError;
use crate::repository::Repository;

/// The extensions (`ext-gd` as `gd`) that a composer.json requires and that the packages of a composer.lock require, those for
/// development aside. A lock file beyond the reading limit counts as empty.
///
/// # Errors
/// A file is not JSON.
pub(crate) fn extensions(
    repository: &Repository<'_>,
    manifest: &str,
    lock: &str,
) -> Result<BTreeSet<String>, DetectError> {
    let mut names = BTreeSet::new();
    if let Some(json) = repository.json(manifest)? {
        names.extend(required(&json));
    }
    let lock = match repository.json(lock) {
        Err(DetectError::FileTooLarge { .. }) => None,
        other => other?,
    };
    let packages = lock
        .as_ref()
        .and_then(|json| json.get("packages")?.as_array());
    for package in packages.into_iter().flatten() {
        names.extend(required(package));
    }
    Ok(names)
}

/// The file that takes a package from a folder above the app. Where there is a lock file it says from where packages come; without
/// one, a repository of the kind `path` has to be there, but where a pattern names it.
///
/// # Errors
/// A file is not JSON.
pub(crate) fn above(
    repository: &Repository<'_>,
    manifest: &str,
    lock: &str,
) -> Result<Option<String>, DetectError> {
    let is_above = |url: &Value| url.as_str().is_some_and(|url| url.starts_with("../"));
    if repository.has(lock) {
        let json = match repository.json(lock) {
            Err(DetectError::FileTooLarge { .. }) => None,
            other => other?,
        };
        let packages = json
            .as_ref()
            .and_then(|json| json.get("packages")?.as_array());
        let mut sources = packages.into_iter().flatten().filter_map(|package| {
            let dist = package.get("dist")?;
            (dist.get("type")?.as_str()? == "path").then(|| dist.get("url"))?
        });
        return Ok(sources.any(is_above).then(|| lock.to_owned()));
    }
    let Some(json) = repository.json(manifest)? else {
        return Ok(None);
    };
    let stated = match json.get("repositories") {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(Value::Object(items)) => items.values().collect(),
        _ => Vec::new(),
    };
    let is_needed = stated.iter().any(|stated| {
        let kind = stated.get("type").and_then(Value::as_str);
        kind == Some("path")
            && stated.get("url").is_some_and(|url| {
                let is_pattern = url
                    .as_str()
                    .is_some_and(|url| url.contains(['*', '{', '?']));
                is_above(url) && !is_pattern
            })
    });
    Ok(is_needed.then(|| manifest.to_owned()))
}

fn required(package: &Value) -> impl Iterator<Item = String> {
    let names = package.get("require").and_then(Value::as_object);
    let names = names.into_iter().flat_map(|names| names.keys());
    names.filter_map(|name| {
        let name = name.strip_prefix("ext-")?.to_ascii_lowercase();
        // Anything else is no extension's name.
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        (is_name && !name.is_empty()).then(|| name.replace("zend-opcache", "opcache"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    #[test]
    fn packages_from_above_the_app() {
        let stated =
            r#"{"repositories": [{"type": "path", "url": "../core"}], "require": {"a/core": "*"}}"#;
        let pattern = r#"{"repositories": {"own": {"type": "path", "url": "../packages/*"}}}"#;
        let locked = |package: &str| {
            format!(
                r#"{{"packages": [{package}], "packages-dev": [{{"dist": {{"type": "path", "url": "../dev"}}}}]}}"#
            )
        };
        let from_above =
            locked(r#"{"name": "a/core", "dist": {"type": "path", "url": "../core"}}"#);
        let from_packagist =
            locked(r#"{"name": "a/core", "dist": {"type": "zip", "url": "https://x.org/a.zip"}}"#);
        for (manifest, lock, expected) in [
            (stated, None, Some("composer.json")),
            (stated, Some(from_above), Some("composer.lock")),
            (stated, Some(from_packagist), None),
            (pattern, None, None),
            (
                r#"{"repositories": [{"type": "vcs", "url": "../core"}]}"#,
                None,
                None,
            ),
        ] {
            let mut tree = MapTree::new().with("composer.json", manifest);
            if let Some(lock) = lock {
                tree = tree.with("composer.lock", lock);
            }
            let repository = Repository::new(&tree).unwrap();
            let found = above(&repository, "composer.json", "composer.lock").unwrap();
            assert_eq!(found.as_deref(), expected, "{manifest}");
        }
    }

    #[test]
    fn extensions_of_the_app_and_of_its_packages() {
        let tree = MapTree::new()
            .with("composer.json", r#"{"require": {"php": ">=8", "ext-GD": "*", "ext-x;y": "*"}, "require-dev": {"ext-xdebug": "*"}}"#)
            .with("composer.lock", r#"{"packages": [{"require": {"ext-intl": "*"}}, {"name": "a"}], "packages-dev": [{"require": {"ext-pcov": "*"}}]}"#);
        let repository = Repository::new(&tree).unwrap();
        let found = extensions(&repository, "composer.json", "composer.lock").unwrap();
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["gd", "intl"]);
    }
}
