//! `railpack.json`, as far as its meaning is plain without railpack's own builder (railpack.com/config/file). What is not is a
//! warning.

use serde_json::Value;

use super::around;
use super::{Overrides, check_package, check_variable, variable};
use crate::document::{Document, Entry};
use crate::error::DetectError;
use crate::repository::Repository;
use crate::said::Said;

pub(super) fn read(repository: &Repository<'_>) -> Result<Overrides, DetectError> {
    let mut found = Overrides::default();
    let Some(document) = Document::json(repository, "railpack.json")? else {
        return Ok(found);
    };
    for entry in document.entries("")? {
        match entry.key {
            "$schema" => {}
            "provider" if entry.value.as_str().is_some_and(variable::is_language) => {
                found.buildpack = Some(document.text(&entry)?);
            }
            "buildAptPackages" => {
                found.build_packages = document.texts(&entry)?;
                found.build_packages.iter().try_for_each(check_package)?;
            }
            "packages" => {
                for package in document.entries(&entry.pointer)? {
                    let said = document.scalar(&package)?;
                    if variable::is_runtime(package.key) {
                        found.languages.push(Said {
                            value: package.key.to_owned(),
                            origin: said.origin.clone(),
                        });
                        found.versions.insert(package.key.to_owned(), said);
                    } else {
                        found.warnings.push(document.ignored(&package.pointer));
                    }
                }
            }
            "steps" => {
                for step in document.entries(&entry.pointer)? {
                    self::step(&document, &step, &mut found)?;
                }
            }
            "deploy" => {
                for part in document.entries(&entry.pointer)? {
                    deploy(&document, &part, &mut found)?;
                }
            }
            // What is cached is ours.
            "caches" => {}
            _ => found.warnings.push(document.ignored(&entry.pointer)),
        }
    }
    Ok(found)
}

fn deploy(
    document: &Document,
    entry: &Entry<'_>,
    found: &mut Overrides,
) -> Result<(), DetectError> {
    match entry.key {
        "startCommand" => {
            found
                .processes
                .insert("web".to_owned(), document.text(entry)?);
        }
        "aptPackages" => {
            found.packages = document.texts(entry)?;
            found.packages.iter().try_for_each(check_package)?;
        }
        // What of the build is in the image is ours.
        "inputs" => {}
        "variables" => variables(document, entry, found)?,
        _ => found.warnings.push(document.ignored(&entry.pointer)),
    }
    Ok(())
}

fn variables(
    document: &Document,
    entry: &Entry<'_>,
    found: &mut Overrides,
) -> Result<(), DetectError> {
    for variable in document.entries(&entry.pointer)? {
        let said = document.scalar(&variable)?;
        check_variable(variable.key, &said.origin)?;
        found.environment.insert(variable.key.to_owned(), said);
    }
    Ok(())
}

fn step(document: &Document, step: &Entry<'_>, found: &mut Overrides) -> Result<(), DetectError> {
    for entry in document.entries(&step.pointer)? {
        match (step.key, entry.key) {
            ("install" | "build", "commands") => match commands(document, &entry) {
                Some(commands) if step.key == "install" => match around::read(commands) {
                    Ok(line) => found.install = line,
                    Err(around) => found.install_around = around,
                },
                Some(commands) => match around::read(commands) {
                    Ok(line) => found.build = line,
                    Err(around) => found.build_around = around,
                },
                None => found.warnings.push(document.ignored(&entry.pointer)),
            },
            (_, "caches" | "inputs") => {}
            // There is one environment for the build and the processes; what the image runs with has the say.
            ("install" | "build", "variables") => {
                let mut of_step = Overrides::default();
                variables(document, &entry, &mut of_step)?;
                for (name, said) in of_step.environment {
                    found.environment.entry(name).or_insert(said);
                }
            }
            _ => found.warnings.push(document.ignored(&entry.pointer)),
        }
    }
    Ok(())
}

/// Commands as text or as `{"cmd": "x"}`, and `...`; nothing where one of them copies files or sets a path.
fn commands(document: &Document, entry: &Entry<'_>) -> Option<Vec<Said>> {
    let command = |item: &Value| {
        let text = match item {
            Value::String(text) => text.as_str(),
            Value::Object(table) => table.get("cmd")?.as_str()?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
        };
        let text = text.trim();
        let is_command = !text.is_empty() && !text.contains(char::is_control);
        is_command.then(|| Said {
            value: text.to_owned(),
            origin: document.origin(&entry.pointer),
        })
    };
    entry.value.as_array()?.iter().map(command).collect()
}
