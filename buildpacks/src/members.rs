//! Whether the directory of the app belongs to the workspace at the root of the repository, as the root's own manifest lists it.

use serde_json::Value;

use crate::error::DetectError;
use crate::glob::Glob;
use crate::repository::Repository;

/// Whether a TOML file lists the app's directory under `members`, and neither it nor a folder around it under `exclude` (dotted keys).
///
/// # Errors
/// The file is not TOML.
pub(crate) fn is_listed(
    repository: &Repository<'_>,
    file: &str,
    members: &str,
    exclude: &str,
) -> Result<bool, DetectError> {
    let directory = repository.directory();
    if repository.is_alone() {
        return Ok(false);
    }
    let patterns = |key: &str| -> Result<Vec<Glob>, DetectError> {
        let Some((Value::Array(items), _)) = repository.toml(file, key)? else {
            return Ok(Vec::new());
        };
        let texts = items.iter().filter_map(Value::as_str);
        Ok(texts
            .filter_map(|text| Glob::new(&clean(text)).ok())
            .collect())
    };
    let around = directory
        .match_indices('/')
        .filter_map(|(end, _)| directory.get(..end));
    let mut folders = around.chain([directory]);
    let (members, excluded) = (patterns(members)?, patterns(exclude)?);
    Ok(members.iter().any(|glob| glob.is_match(directory))
        && !folders.any(|folder| excluded.iter().any(|glob| glob.is_match(folder))))
}

/// Whether a `use` of the go.work at the root names the app's directory (go.dev/ref/mod#go-work-file-use).
///
/// # Errors
/// The file cannot be read as text.
pub(crate) fn is_used(repository: &Repository<'_>, file: &str) -> Result<bool, DetectError> {
    if repository.is_alone() {
        return Ok(false);
    }
    let text = repository.beginning(file)?;
    let mut is_block = false;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let named = if is_block {
            is_block = line != ")";
            line
        } else {
            let rest = line
                .strip_prefix("use")
                .filter(|rest| rest.starts_with([' ', '\t', '(']))
                .unwrap_or_default()
                .trim();
            is_block = rest == "(";
            rest
        };
        let named = clean(named.trim_matches(['"', '`']));
        if !named.is_empty() && named == repository.directory() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A path as it is written from the root: `./apps//web/` is `apps/web`.
fn clean(path: &str) -> String {
    let parts = path.trim().split('/');
    let parts: Vec<&str> = parts.filter(|part| !matches!(*part, "" | ".")).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    #[test]
    fn members_but_for_what_is_excluded() {
        let tree = MapTree::new()
            .with(
                "W.toml",
                "[w]\nmembers = ['apps/*', './tools/gen/']\nexclude = ['apps/old', 'tools']\n",
            )
            .with("apps/web/a", "");
        let check = |directory: &str, expected: bool| {
            let app = Repository::in_directory(&tree, directory).unwrap();
            let is_member = is_listed(&app, "/W.toml", "w.members", "w.exclude").unwrap();
            assert_eq!(is_member, expected, "{directory}");
            let alone = app.alone().unwrap();
            assert!(!is_listed(&alone, "/W.toml", "w.members", "w.exclude").unwrap());
        };
        check("apps/web", true);
        check("apps/web/deep", false);
        check("apps/old", false);
        check("apps", false);
        check("tools/gen", false);
        check("", false);
    }

    #[test]
    fn modules_that_go_work_uses() {
        let text = "go 1.24\n\nuse ( // all\n\t./api\n\t\"./svc/shop/\"\n\t// ./old\n)\nuse ./lib // x\nreplace x => ./other\nuser ./none\n";
        let tree = MapTree::new().with("go.work", text);
        for (directory, expected) in [
            ("api", true),
            ("svc/shop", true),
            ("lib", true),
            ("old", false),
            ("svc", false),
            ("other", false),
            ("none", false),
            ("", false),
        ] {
            let app = Repository::in_directory(&tree, directory).unwrap();
            assert_eq!(is_used(&app, "/go.work").unwrap(), expected, "{directory}");
        }
    }
}
