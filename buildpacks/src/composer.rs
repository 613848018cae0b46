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
