//! The files a compiler begins with (doc.rust-lang.org/cargo/reference/cargo-targets.html), where they are not in their usual places.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::repository::Repository;

/// Manifests looked into, and files named: more are a sign of something that is no app.
const MAX_MANIFESTS: usize = 500;
const MAX_ROOTS: usize = 100;

/// Source files that a manifest anywhere in the repository names, sorted. A manifest that cannot be read names none: it may be a
/// text for a test, and where cargo needs it, it says so itself.
pub(super) fn unusual(repository: &Repository<'_>) -> BTreeSet<String> {
    let mut roots = BTreeSet::new();
    for file in repository
        .matching("**/Cargo.toml")
        .into_iter()
        .take(MAX_MANIFESTS)
    {
        let Ok(Some(manifest)) = repository.toml_document(file) else {
            continue;
        };
        let folder = file.strip_suffix("Cargo.toml").unwrap_or_default();
        let named =
            named(&manifest).map(|path| format!("{folder}{}", path.trim_start_matches("./")));
        roots.extend(named.filter(|path| path.ends_with(".rs") && repository.has(path)));
    }
    roots.into_iter().take(MAX_ROOTS).collect()
}

fn named(manifest: &Value) -> impl Iterator<Item = &str> {
    const ALONE: [&str; 2] = ["/lib/path", "/package/build"];
    const LISTS: [&str; 4] = ["bin", "example", "bench", "test"];
    let alone = ALONE.iter().filter_map(|key| manifest.pointer(key));
    let listed = LISTS
        .iter()
        .filter_map(|key| manifest.get(key)?.as_array())
        .flatten()
        .filter_map(|target| target.get("path"));
    alone.chain(listed).filter_map(Value::as_str)
}
