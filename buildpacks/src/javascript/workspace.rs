//! Workspaces of npm, pnpm, yarn and bun: the packages of one repository that are installed together.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Value, json};

use super::code::clean_directory;
use super::script;
use crate::error::DetectError;
use crate::repository::Repository;

/// Beyond this many, manifests are not copied one by one.
const MAX_MEMBERS: usize = 200;
/// What the one with the visitors is mostly called, likeliest first.
const USUAL_NAMES: &[&str] = &[
    "web",
    "www",
    "app",
    "site",
    "website",
    "frontend",
    "server",
    "api",
    "backend",
    "main",
    "client",
    "dashboard",
    "docs",
];
/// What is no app whatever it can do.
const ASIDE: &[&str] = &[
    "e2e",
    "example",
    "examples",
    "storybook",
    "test",
    "tests",
    "playground",
];

/// A package of a workspace.
#[derive(Debug, Clone)]
struct Member {
    directory: String,
    package: Rc<Value>,
}

impl Member {
    fn name(&self) -> Option<&str> {
        self.package.get("name").and_then(Value::as_str)
    }

    fn has_script(&self, name: &str) -> bool {
        let script = self.package.pointer(&format!("/scripts/{name}"));
        script
            .and_then(Value::as_str)
            .is_some_and(|text| !text.trim().is_empty())
    }

    fn dependencies(&self) -> impl Iterator<Item = &str> {
        let tables = ["dependencies", "devDependencies", "peerDependencies"];
        let tables = tables
            .into_iter()
            .filter_map(|key| self.package.get(key)?.as_object());
        tables.flat_map(|table| table.keys().map(String::as_str))
    }
}

/// The packages below the root, and what could not be taken apart.
struct Members {
    members: Vec<Member>,
    /// Some have to be copied with the rest of the source: too many, or directories with names that need care.
    is_partial: bool,
}

/// Which member of the workspace at the root is the app, and why; nothing where the root itself is started, or where there is
/// no workspace. `frameworks` are packages that make an app of what depends on them.
///
/// # Errors
/// The package.json of the root is broken.
pub(crate) fn app(
    repository: &Repository<'_>,
    frameworks: &[String],
) -> Result<Option<(String, String)>, DetectError> {
    let Some(root) = repository.json("package.json")? else {
        return Ok(None);
    };
    let starts_itself = ["start", "start:prod", "start:production"]
        .iter()
        .any(|name| !script::commands(&root, name).is_empty());
    let names_a_file = root
        .get("main")
        .and_then(Value::as_str)
        .is_some_and(|main| repository.has(main.trim_start_matches("./")));
    if starts_itself || names_a_file || repository.has("server.js") || repository.has("Procfile") {
        return Ok(None);
    }
    let found = members(repository)?.members;
    let mut candidates: Vec<&Member> = found
        .iter()
        .filter(|member| {
            let parts = member.directory.split('/');
            let is_aside = parts
                .clone()
                .any(|part| ASIDE.contains(&part) || part.ends_with("-e2e"));
            let is_app = member.has_script("start")
                || member
                    .dependencies()
                    .any(|name| frameworks.iter().any(|known| known == name));
            is_app && !is_aside
        })
        .collect();
    candidates.sort_by_key(|member| {
        let last = member.directory.rsplit('/').next().unwrap_or_default();
        let usual = USUAL_NAMES.iter().position(|name| *name == last);
        let is_below_apps = member.directory.starts_with("apps/");
        // A library may depend on a framework too, but it has nothing that builds or starts it.
        let runs = member.has_script("start") || member.has_script("build");
        (
            !runs,
            !is_below_apps,
            usual.unwrap_or(USUAL_NAMES.len()),
            member.directory.clone(),
        )
    });
    let Some((chosen, others)) = candidates.split_first() else {
        return Ok(None);
    };
    // What only its own development server shows is an app too, but not one that says how it is started.
    let is_shown = |member: &&Member| {
        member.directory.starts_with("apps/")
            && member.has_script("dev")
            && !candidates
                .iter()
                .any(|other| other.directory == member.directory)
    };
    let others = others.iter().copied();
    let others: Vec<&str> = others
        .chain(found.iter().filter(is_shown))
        .map(|member| member.directory.as_str())
        .collect();
    let reason = if others.is_empty() {
        format!("{} is the only app of the workspace", chosen.directory)
    } else {
        format!(
            "{} is taken for the app of the workspace by its name; there {} also {}",
            chosen.directory,
            if others.len() == 1 { "is" } else { "are" },
            others.join(", ")
        )
    };
    Ok(Some((chosen.directory.clone(), reason)))
}

/// What an installation of the workspace around the app takes: `{manifests: [{file, directory}], is_partial, libraries: [{name,
/// directory}], name}`. Libraries are the members the app needs that have a build script, in the order to build them. Nothing
/// where the root has no workspace, or where the app is not part of it.
///
/// # Errors
/// The package.json of the root is broken.
pub(crate) fn value(repository: &Repository<'_>) -> Result<Option<Value>, DetectError> {
    let Members {
        members,
        is_partial,
    } = members(repository)?;
    let directory = if repository.is_alone() {
        ""
    } else {
        repository.directory()
    };
    let app = members.iter().find(|member| member.directory == directory);
    if members.is_empty() || (app.is_none() && !directory.is_empty()) {
        return Ok(None);
    }
    let manifests: Vec<Value> = members
        .iter()
        .map(|member| json!({"file": format!("{}/package.json", member.directory), "directory": member.directory}))
        .collect();
    let libraries: Vec<Value> = app
        .map(|app| in_order(app, &members))
        .unwrap_or_default()
        .into_iter()
        .filter(|member| member.has_script("build"))
        .map(|member| json!({"name": member.name(), "directory": member.directory}))
        .collect();
    Ok(Some(json!({
        "manifests": manifests,
        "is_partial": is_partial,
        "libraries": libraries,
        "name": app.and_then(Member::name),
    })))
}

/// The members an app depends on, each behind those it needs itself. A circle is cut where it closes.
fn in_order<'m>(app: &Member, members: &'m [Member]) -> Vec<&'m Member> {
    let by_name: BTreeMap<&str, &Member> = members
        .iter()
        .filter_map(|member| Some((member.name()?, member)))
        .collect();
    let mut order: Vec<&Member> = Vec::new();
    let mut seen = BTreeSet::from([app.directory.as_str()]);
    // Each entry: a member, and whether what it needs has been looked at already.
    let mut pending: Vec<(&Member, bool)> = Vec::new();
    let needed = |member: &Member| -> Vec<&Member> {
        let mut found: Vec<&Member> = member
            .dependencies()
            .filter_map(|name| by_name.get(name).copied())
            .collect();
        found.reverse();
        found
    };
    pending.extend(needed(app).into_iter().map(|member| (member, false)));
    while let Some((member, is_ready)) = pending.pop() {
        if is_ready {
            order.push(member);
        } else if seen.insert(&member.directory) {
            pending.push((member, true));
            pending.extend(needed(member).into_iter().map(|inner| (inner, false)));
        }
    }
    order
}

fn members(repository: &Repository<'_>) -> Result<Members, DetectError> {
    let patterns = patterns(repository)?;
    let mut is_partial = false;
    let mut directories: BTreeSet<String> = BTreeSet::new();
    for pattern in &patterns {
        let (pattern, is_left_out) = match pattern.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (pattern.as_str(), false),
        };
        let pattern = pattern.trim_start_matches("./").trim_matches('/');
        for path in repository.matching(&format!("/{pattern}/package.json")) {
            let path = path.trim_start_matches('/');
            let directory = path.strip_suffix("/package.json").unwrap_or_default();
            match clean_directory(directory) {
                Some(directory) if is_left_out => {
                    directories.remove(&directory);
                }
                Some(directory) => {
                    directories.insert(directory);
                }
                None => is_partial = true,
            }
        }
    }
    is_partial |= directories.len() > MAX_MEMBERS;
    let mut members = Vec::new();
    for directory in directories.into_iter().take(MAX_MEMBERS) {
        // Only the app's own manifest has to be right: an example that is broken on purpose is no reason to refuse.
        if let Ok(Some(package)) = repository.json(&format!("/{directory}/package.json")) {
            members.push(Member { directory, package });
        }
    }
    Ok(Members {
        members,
        is_partial,
    })
}

/// Where members are: `packages` of pnpm-workspace.yaml, else `workspaces` of package.json, else `packages` of lerna.json.
fn patterns(repository: &Repository<'_>) -> Result<Vec<String>, DetectError> {
    if let Some(text) = repository.text("/pnpm-workspace.yaml")? {
        let found = yaml_list(&text, "packages");
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let strings = |value: &Value| -> Vec<String> {
        let items = value
            .as_array()
            .or_else(|| value.get("packages")?.as_array());
        let items = items.into_iter().flatten().filter_map(Value::as_str);
        items.map(str::to_owned).collect()
    };
    for (file, key) in [("/package.json", "workspaces"), ("/lerna.json", "packages")] {
        if let Some(value) = repository
            .json(file)?
            .as_ref()
            .and_then(|json| json.get(key))
        {
            return Ok(strings(value));
        }
    }
    Ok(Vec::new())
}

/// The items of a top-level list of strings: all that is needed of YAML here, and nothing of it can go wrong.
fn yaml_list(text: &str, key: &str) -> Vec<String> {
    let bare = |item: &str| {
        let item = item.trim();
        let inner = item.strip_prefix(['"', '\'']);
        match inner {
            Some(inner) => inner
                .split(['"', '\''])
                .next()
                .unwrap_or_default()
                .to_owned(),
            None => item
                .split(" #")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    };
    let mut lines = text.lines().skip_while(|line| {
        line.strip_prefix(key)
            .is_none_or(|rest| !rest.trim_start().starts_with(':'))
    });
    let Some(first) = lines.next() else {
        return Vec::new();
    };
    let behind = first
        .split_once(':')
        .map_or("", |(_, behind)| behind)
        .trim();
    if let Some(inline) = behind.strip_prefix('[') {
        let inline = inline.split(']').next().unwrap_or_default();
        return inline
            .split(',')
            .map(bare)
            .filter(|item| !item.is_empty())
            .collect();
    }
    let is_inside = |line: &&str| line.trim().is_empty() || line.starts_with([' ', '-', '#', '\t']);
    let items = lines
        .take_while(is_inside)
        .filter_map(|line| line.trim().strip_prefix('-'));
    items.map(bare).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn tree(root: &str) -> MapTree {
        MapTree::new()
            .with("package.json", root)
            .with("apps/web/package.json", r#"{"name": "web", "scripts": {"build": "b", "start": "s"}, "dependencies": {"ui": "*"}}"#)
            .with("apps/docs/package.json", r#"{"name": "docs", "scripts": {"start": "s"}}"#)
            .with("packages/ui/package.json", r#"{"name": "ui", "scripts": {"build": "b"}, "dependencies": {"base": "*", "web": "*"}}"#)
            .with("packages/base/package.json", r#"{"name": "base", "scripts": {"build": "b"}, "dependencies": {"ui": "*"}}"#)
            .with("packages/broken/package.json", "{")
    }

    const ROOT: &str = r#"{"workspaces": ["apps/*", "./packages/*/", "!packages/none"]}"#;

    #[test]
    fn the_app_of_a_workspace() {
        let app_of = |tree: &MapTree| app(&Repository::new(tree).unwrap(), &[]).unwrap();
        let (directory, reason) = app_of(&tree(ROOT)).unwrap();
        assert_eq!(directory, "apps/web");
        assert!(reason.ends_with("there is also apps/docs"), "{reason}");
        let starts = r#"{"workspaces": {"packages": ["apps/*"]}, "scripts": {"start": "node x"}}"#;
        assert_eq!(app_of(&tree(starts)), None);
        assert_eq!(app_of(&tree("{}")), None);
        let pnpm = tree("{}").with(
            "pnpm-workspace.yaml",
            "# x\npackages:\n  - 'apps/*' # a\n  - \"packages/*\"\ncatalog:\n  - no\n",
        );
        assert_eq!(app_of(&pnpm).unwrap().0, "apps/web");
    }

    #[test]
    fn circles_of_packages_are_cut() {
        let tree = tree(ROOT);
        let repository = Repository::in_directory(&tree, "apps/web").unwrap();
        let value = value(&repository).unwrap().unwrap();
        let libraries = value.get("libraries").unwrap().as_array().unwrap();
        let names: Vec<&str> = libraries
            .iter()
            .filter_map(|library| library.get("name")?.as_str())
            .collect();
        assert_eq!(names, ["base", "ui"]);
        assert_eq!(value.get("manifests").unwrap().as_array().unwrap().len(), 4);
    }

    #[test]
    fn lists_of_yaml() {
        for (text, expected) in [
            (
                "packages:\n- a\n- 'b/*'\n\n- c # d\nx: y\n- no",
                &["a", "b/*", "c"][..],
            ),
            ("packages: [\"a\", b]\n", &["a", "b"]),
            ("packages:\n", &[]),
            ("other:\n  - a\n", &[]),
            ("packages", &[]),
        ] {
            assert_eq!(yaml_list(text, "packages"), expected, "{text}");
        }
    }
}
