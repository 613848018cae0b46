//! One package: its programs, and which of them is the app.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::dependency_source::names_in_table;
use crate::repository::Repository;

/// What the app is mostly called beside its tools and workers.
pub(super) const WEB_NAMES: &[&str] = &[
    "web", "server", "api", "app", "backend", "http", "site", "main",
];
/// One package of the workspace.
pub(super) struct Package {
    pub(super) name: String,
    default_run: Option<String>,
    pub(super) programs: Vec<String>,
    pub(super) dependencies: BTreeSet<String>,
}

impl Package {
    /// Nothing for a manifest without `[package]`.
    pub(super) fn read(
        repository: &Repository<'_>,
        folder: &str,
        manifest: &Value,
    ) -> Option<Self> {
        let name = manifest.pointer("/package/name")?.as_str()?.to_owned();
        if !is_program_name(&name) {
            return None;
        }
        let default_run = manifest
            .pointer("/package/default-run")
            .and_then(Value::as_str);
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let mut dependencies = BTreeSet::new();
        for key in [
            "/dependencies",
            "/build-dependencies",
            "/workspace/dependencies",
        ] {
            let table = manifest.pointer(key).and_then(Value::as_object);
            dependencies.extend(
                table
                    .into_iter()
                    .flatten()
                    .flat_map(|(name, value)| names_in_table(name, value)),
            );
        }
        Some(Self {
            programs: program_names(repository, &prefix, &name, manifest),
            default_run: default_run.map(str::to_owned),
            dependencies,
            name,
        })
    }

    /// The program that is the app, the reason, and whether that is sure.
    pub(super) fn app(&self) -> Option<(String, String, bool)> {
        let has = |name: &str| {
            self.programs
                .iter()
                .find(|program| *program == name)
                .cloned()
        };
        if let Some(name) = self.default_run.as_deref().and_then(has) {
            return Some((name, "default-run names it".to_owned(), true));
        }
        if let [only] = self.programs.as_slice() {
            return Some((only.clone(), "the only program".to_owned(), true));
        }
        if let Some(name) = has(&self.name) {
            return Some((name, "the program called as its package".to_owned(), true));
        }
        let by_name = WEB_NAMES.iter().find_map(|name| {
            self.programs
                .iter()
                .find(|program| is_called(program, name))
        });
        match by_name {
            Some(name) => Some((name.clone(), "the app by its name".to_owned(), false)),
            None => Some((
                self.programs.first()?.clone(),
                "the first program".to_owned(),
                false,
            )),
        }
    }
}

/// Whether `name` is `word`, or has it as its first or last part (`shop-server`).
pub(super) fn is_called(name: &str, word: &str) -> bool {
    let mut parts = name.split(['-', '_']);
    let first = parts.next();
    first == Some(word) || parts.next_back() == Some(word)
}

/// The binary targets of a package that a plain build builds: those of `[[bin]]`, `src/main.rs` and `src/bin/`.
fn program_names(
    repository: &Repository<'_>,
    prefix: &str,
    package: &str,
    manifest: &Value,
) -> Vec<String> {
    let stated = manifest.get("bin").and_then(Value::as_array);
    let stated: Vec<&Value> = stated.into_iter().flatten().collect();
    let text = |bin: &Value, key: &str| bin.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut programs: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if is_program_name(&name) && !programs.contains(&name) {
            programs.push(name);
        }
    };
    let is_discovered = manifest.pointer("/package/autobins") != Some(&Value::Bool(false));
    if is_discovered {
        let is_renamed = |path: &str, name: &str| {
            stated.iter().any(|bin| {
                text(bin, "name").as_deref() == Some(name)
                    || text(bin, "path").is_some_and(|other| other.trim_start_matches("./") == path)
            })
        };
        if repository.has(&format!("{prefix}src/main.rs")) && !is_renamed("src/main.rs", package) {
            add(package.to_owned());
        }
        let nested = repository.matching(&format!("{prefix}src/bin/*/main.rs"));
        for file in repository
            .matching(&format!("{prefix}src/bin/*.rs"))
            .into_iter()
            .chain(nested)
        {
            let path = file.strip_prefix(prefix).unwrap_or(file);
            let name = path.trim_start_matches("src/bin/");
            let name = name.trim_end_matches("/main.rs").trim_end_matches(".rs");
            if !is_renamed(path, name) {
                add(name.to_owned());
            }
        }
    }
    // What needs a feature that is not among the default ones is not built unless somebody asks for it.
    let features = default_features(manifest);
    let is_optional = |bin: &Value| {
        let needed = bin.get("required-features").and_then(Value::as_array);
        let mut needed = needed.into_iter().flatten().filter_map(Value::as_str);
        needed.any(|feature| !features.contains(feature))
    };
    for bin in stated.iter().filter(|bin| !is_optional(bin)) {
        if let Some(name) = text(bin, "name") {
            add(name);
        }
    }
    programs
}

/// The features a plain build has: `default`, and what each of them turns on.
fn default_features(manifest: &Value) -> BTreeSet<&str> {
    let table = manifest.get("features").and_then(Value::as_object);
    let mut features = BTreeSet::new();
    let mut pending = vec!["default"];
    while let Some(feature) = pending.pop() {
        if features.insert(feature)
            && let Some(more) = table.and_then(|table| table.get(feature)?.as_array())
        {
            pending.extend(more.iter().filter_map(Value::as_str));
        }
    }
    features
}

/// Names become words of the build command and paths in the image.
fn is_program_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
