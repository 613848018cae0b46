//! `mini.toml`, our own file. A key that there is not is a mistake, so that a slip of the pen does not go unnoticed.

use super::{Overrides, check_package, check_process_type, check_variable, unusable};
use crate::detector::inside;
use crate::document::{Document, Entry};
use crate::error::DetectError;
use crate::repository::Repository;
use crate::said::Said;

const FILE: &str = "mini.toml";

/// The one of the app's directory, else the one at the root of the repository, unless that is about another directory.
pub(super) fn read(repository: &Repository<'_>) -> Result<Overrides, DetectError> {
    let mut found = Overrides::default();
    let Some(document) = Document::toml(repository, &repository.here_or_at_root(FILE))? else {
        return Ok(found);
    };
    if !repository.has(FILE)
        && let Some(said) = named_directory(&document)?
        && inside(&said)? != repository.directory()
    {
        return Ok(found);
    }
    for table in document.entries("")? {
        let entries = match table.key {
            "build" | "processes" | "release" | "versions" | "environment" => {
                document.entries(&table.pointer)?
            }
            _ => {
                return Err(unknown(
                    &document,
                    &table,
                    "build, processes, release, versions, environment",
                ));
            }
        };
        for entry in &entries {
            match table.key {
                "build" => build(&document, entry, &mut found)?,
                "processes" => {
                    let said = document.text(entry)?;
                    check_process_type(entry.key, &said.origin)?;
                    found.processes.insert(entry.key.to_owned(), said);
                }
                "release" if entry.key == "command" => {
                    found.release = Some(document.text(entry)?);
                }
                "release" => return Err(unknown(&document, entry, "command")),
                "versions" => {
                    let said = document.scalar(entry)?;
                    found.versions.insert(entry.key.to_owned(), said);
                }
                _ => {
                    let said = document.scalar(entry)?;
                    check_variable(entry.key, &said.origin)?;
                    found.environment.insert(entry.key.to_owned(), said);
                }
            }
        }
    }
    Ok(found)
}

fn build(document: &Document, entry: &Entry<'_>, found: &mut Overrides) -> Result<(), DetectError> {
    match entry.key {
        "buildpack" => found.buildpack = Some(document.text(entry)?),
        // Read before everything else, by `directory`.
        "directory" => {
            document.text(entry)?;
        }
        "dockerfile" => found.dockerfile = Some(document.text(entry)?),
        "target" => found.target = Some(document.text(entry)?),
        "web-root" => found.web_root = Some(super::web_root(&document.text(entry)?)?),
        "install-command" => found.install = Some(document.text(entry)?),
        "build-command" => found.build = Some(document.text(entry)?),
        "packages" => {
            found.packages = document.texts(entry)?;
            found.packages.iter().try_for_each(check_package)?;
        }
        "arguments" => {
            for argument in document.entries(&entry.pointer)? {
                let said = document.scalar(&argument)?;
                check_variable(argument.key, &said.origin)?;
                found.arguments.insert(argument.key.to_owned(), said);
            }
        }
        _ => {
            let known = "buildpack, directory, dockerfile, target, install-command, build-command, web-root, packages, arguments";
            return Err(unknown(document, entry, known));
        }
    }
    Ok(())
}

/// The directory of the app, as the file at the root of the repository names it.
pub(crate) fn directory(root: &Repository<'_>) -> Result<Option<Said>, DetectError> {
    match Document::toml(root, FILE)? {
        Some(document) => named_directory(&document),
        None => Ok(None),
    }
}

fn named_directory(document: &Document) -> Result<Option<Said>, DetectError> {
    let entries = document.entries("/build")?;
    let named = entries.iter().find(|entry| entry.key == "directory");
    named.map(|entry| document.text(entry)).transpose()
}

fn unknown(document: &Document, entry: &Entry<'_>, known: &str) -> DetectError {
    unusable(
        &document.origin(&entry.pointer),
        &format!(
            "there is no `{}` here, there are {known}",
            entry.key.replace(char::is_control, " ")
        ),
    )
}
