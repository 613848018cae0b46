//! `nixpacks.toml`, as far as its meaning is plain without Nix (nixpacks.com/docs/configuration/file). What is not is a warning.

use super::{Overrides, check_package, check_variable, joined, variable};
use crate::document::{Document, Entry};
use crate::error::DetectError;
use crate::repository::Repository;
use crate::said::Said;

/// Stands for what nixpacks would do by itself.
const DEFAULT: &str = "...";

pub(super) fn read(repository: &Repository<'_>) -> Result<Overrides, DetectError> {
    let mut found = Overrides::default();
    let Some(document) = Document::toml(repository, "nixpacks.toml")? else {
        return Ok(found);
    };
    for table in document.entries("")? {
        match table.key {
            "start" => {
                for entry in document.entries(&table.pointer)? {
                    if entry.key == "cmd" {
                        found
                            .processes
                            .insert("web".to_owned(), document.text(&entry)?);
                    } else {
                        found.warnings.push(document.ignored(&entry.pointer));
                    }
                }
            }
            "variables" => {
                for entry in document.entries(&table.pointer)? {
                    variable(&document, &entry, &mut found)?;
                }
            }
            "phases" => {
                for phase in document.entries(&table.pointer)? {
                    self::phase(&document, &phase, &mut found)?;
                }
            }
            // One provider that is a language of ours.
            "providers" => {
                let providers = document.texts(&table)?;
                match providers.as_slice() {
                    [only] if variable::is_language(&only.value) => {
                        found.buildpack = Some(only.clone());
                    }
                    _ => found.warnings.push(document.ignored(&table.pointer)),
                }
            }
            _ => found.warnings.push(document.ignored(&table.pointer)),
        }
    }
    Ok(found)
}

fn variable(
    document: &Document,
    entry: &Entry<'_>,
    found: &mut Overrides,
) -> Result<(), DetectError> {
    let said = document.scalar(entry)?;
    check_variable(entry.key, &said.origin)?;
    match entry.key.strip_prefix("NIXPACKS_") {
        Some(rest) if variable::take(rest, said.clone(), found)? => {}
        Some(_) => found.warnings.push(document.ignored(&entry.pointer)),
        None => {
            found.environment.insert(entry.key.to_owned(), said);
        }
    }
    Ok(())
}

fn phase(document: &Document, phase: &Entry<'_>, found: &mut Overrides) -> Result<(), DetectError> {
    for entry in document.entries(&phase.pointer)? {
        match (phase.key, entry.key) {
            (_, "aptPkgs") => {
                let packages = document.texts(&entry)?;
                packages.iter().try_for_each(|said| {
                    if said.value == DEFAULT {
                        Ok(())
                    } else {
                        check_package(said)
                    }
                })?;
                found
                    .packages
                    .extend(packages.into_iter().filter(|said| said.value != DEFAULT));
            }
            ("install" | "build", "cmds") => {
                let commands = document.texts(&entry)?;
                let is_plain = |said: &Said| said.value != DEFAULT;
                if !commands.iter().all(is_plain) {
                    found.warnings.push(document.ignored(&entry.pointer));
                } else if phase.key == "install" {
                    found.install = joined(commands);
                } else {
                    found.build = joined(commands);
                }
            }
            // The order of phases and what they cache is ours.
            (_, "dependsOn" | "cacheDirectories") => {}
            _ => found.warnings.push(document.ignored(&entry.pointer)),
        }
    }
    Ok(())
}
