//! Cargo packages and workspaces, as far as programs go (doc.rust-lang.org/cargo/reference/cargo-targets.html#binaries and
//! .../workspaces.html): which binaries there are, and which one is the app.

mod package;
mod roots;
mod workspace;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::repository::Repository;
use package::Package;
use workspace::Workspace;

/// `{programs, app, packages, because, others, roots}`: the program that is the app, the packages to build for it and for what the
/// Procfile names, their programs, why it was chosen, and the programs that might have been meant instead (none where the
/// choice is clear). Nothing where there is no program. `packages` is empty where a plain `cargo build` builds the right ones. `roots`
/// are source files in places of their own that a manifest names.
///
/// # Errors
/// A manifest of the workspace is broken.
pub(crate) fn programs(
    repository: &Repository<'_>,
    file: &str,
) -> Result<Option<Value>, DetectError> {
    let Some(workspace) = Workspace::read(repository, file)? else {
        return Ok(None);
    };
    let with_programs: Vec<&Package> = workspace
        .packages
        .iter()
        .filter(|package| !package.programs.is_empty())
        .collect();
    let Some((package, mut because, is_sure)) = workspace.app_package(&with_programs) else {
        return Ok(None);
    };
    let Some((app, why, is_sure_of_program)) = package.app() else {
        return Ok(None);
    };
    if because.is_empty() || package.programs.len() > 1 {
        because = why;
    }
    let procfile = repository.bytes("Procfile")?.unwrap_or_default();
    let procfile = String::from_utf8_lossy(&procfile);
    let is_in_procfile = |name: &String| {
        procfile
            .split(|c: char| c.is_whitespace() || c == '/')
            .any(|word| word == name)
    };
    let built: Vec<&Package> = with_programs
        .iter()
        .copied()
        .filter(|other| other.name == package.name || other.programs.iter().any(is_in_procfile))
        .collect();
    let programs: Vec<&String> = built.iter().flat_map(|package| &package.programs).collect();
    let is_plain = workspace.has_root_package
        && built.len() == 1
        && workspace
            .packages
            .first()
            .is_some_and(|root| root.name == package.name);
    let packages: Vec<&String> = if is_plain {
        Vec::new()
    } else {
        built.iter().map(|package| &package.name).collect()
    };
    let others: Vec<&String> = if is_sure && is_sure_of_program {
        Vec::new()
    } else {
        with_programs
            .iter()
            .flat_map(|package| &package.programs)
            .filter(|name| **name != app)
            .collect()
    };
    Ok(Some(json!({
        "programs": programs, "app": app, "packages": packages, "because": because, "others": others,
        "roots": roots::unusual(repository),
    })))
}

/// The names all packages of the workspace depend on, features as `name[feature]`.
///
/// # Errors
/// A manifest of the workspace is broken.
pub(crate) fn dependencies(
    repository: &Repository<'_>,
    file: &str,
) -> Result<BTreeSet<String>, DetectError> {
    let workspace = Workspace::read(repository, file)?;
    let packages = workspace
        .into_iter()
        .flat_map(|workspace| workspace.packages);
    Ok(packages.flat_map(|package| package.dependencies).collect())
}

#[cfg(test)]
mod tests;
