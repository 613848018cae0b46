//! `nixpacks.toml` or `nixpacks.json`, as far as its meaning is plain without Nix (nixpacks.com/docs/configuration/file). What is
//! not is a warning.

use super::around::{self, DEFAULT};
use super::nix_package::{self, NixPackage};
use super::{Around, Overrides, check_package, check_variable, variable};
use crate::document::{Document, Entry};
use crate::error::DetectError;
use crate::repository::Repository;
use crate::said::Said;

/// Variables about how nixpacks makes its images.
const NO_MATTER: &[&str] = &[
    "DEBIAN",
    "USE_DENO_2",
    "NO_MUSL",
    "NO_CACHE",
    "METADATA",
    "PATH",
    "PHP_FALLBACK_PATH",
];

pub(super) fn read(repository: &Repository<'_>) -> Result<Overrides, DetectError> {
    let mut found = Overrides::default();
    let document = match Document::toml(repository, "nixpacks.toml")? {
        Some(document) => Some(document),
        None => Document::json(repository, "nixpacks.json")?,
    };
    let Some(document) = document else {
        return Ok(found);
    };
    // Phases of the file's own, by whether they come behind the build.
    let mut own = Around::default();
    for table in document.entries("")? {
        match table.key {
            "start" => {
                for entry in document.entries(&table.pointer)? {
                    match entry.key {
                        "cmd" => {
                            found
                                .processes
                                .insert("web".to_owned(), document.text(&entry)?);
                        }
                        // Every image here has one that is not root.
                        "user" => {}
                        _ => found.warnings.push(document.ignored(&entry.pointer)),
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
                    self::phase(&document, &phase, &mut found, &mut own)?;
                }
            }
            "providers" => providers(&document, &table, &mut found)?,
            _ => found.warnings.push(document.ignored(&table.pointer)),
        }
    }
    if !own.is_empty() {
        match found.build.take() {
            Some(build) => found.build = own.replaced(vec![build]),
            None => {
                found.build_around.before.splice(0..0, own.before);
                found.build_around.behind.extend(own.behind);
            }
        }
    }
    Ok(found)
}

/// The first is the language of the app, unless `...` leaves that open; the others are wanted beside it.
fn providers(
    document: &Document,
    table: &Entry<'_>,
    found: &mut Overrides,
) -> Result<(), DetectError> {
    let mut is_open = false;
    for said in document.texts(table)? {
        if said.value == DEFAULT {
            is_open = true;
        } else if !variable::is_language(&said.value) {
            found.warnings.push(document.ignored(&table.pointer));
        } else if !is_open && found.buildpack.is_none() {
            found.buildpack = Some(said);
        } else {
            found.languages.push(said);
        }
    }
    Ok(())
}

fn variable(
    document: &Document,
    entry: &Entry<'_>,
    found: &mut Overrides,
) -> Result<(), DetectError> {
    let said = document.scalar(entry)?;
    check_variable(entry.key, &said.origin)?;
    match entry.key.strip_prefix("NIXPACKS_") {
        Some(rest) if variable::take_of_others(rest, said.clone(), found)? => {}
        Some(rest) if NO_MATTER.contains(&rest) => {}
        Some(_) => found.warnings.push(document.ignored(&entry.pointer)),
        None => {
            found.environment.insert(entry.key.to_owned(), said);
        }
    }
    Ok(())
}

fn phase(
    document: &Document,
    phase: &Entry<'_>,
    found: &mut Overrides,
    own: &mut Around,
) -> Result<(), DetectError> {
    let entries = document.entries(&phase.pointer)?;
    let depends_on = entries.iter().find(|entry| entry.key == "dependsOn");
    let is_behind = match depends_on {
        Some(entry) => document
            .texts(entry)?
            .iter()
            .any(|said| said.value == "build"),
        None => false,
    };
    for entry in &entries {
        match (phase.key, entry.key) {
            (_, "aptPkgs") => {
                for said in document.texts(entry)? {
                    if said.value != DEFAULT {
                        check_package(&said)?;
                        found.packages.push(said);
                    }
                }
            }
            (_, "nixPkgs" | "nixLibs") => {
                let said = document.texts(entry)?;
                let unknown = nix_packages(said, found);
                if !unknown.is_empty() {
                    found.warnings.push(format!(
                        "{} has {}, which has no known name in Debian: add what it is called there to `aptPkgs`",
                        document.origin(&entry.pointer),
                        unknown.join(", ").replace(char::is_control, " ")
                    ));
                }
            }
            ("install", "cmds") => match around::read(document.texts(entry)?) {
                Ok(line) => found.install = line,
                Err(around) => found.install_around = around,
            },
            ("build", "cmds") => match around::read(document.texts(entry)?) {
                Ok(line) => found.build = line,
                Err(around) => found.build_around = around,
            },
            // Before anything of the app is there, and as root: what it prepares is Nix.
            ("setup", "cmds") => found.warnings.push(document.ignored(&entry.pointer)),
            (_, "cmds") => {
                let commands = document.texts(entry)?;
                let commands = commands.into_iter().filter(|said| said.value != DEFAULT);
                if is_behind {
                    own.behind.extend(commands);
                } else {
                    own.before.extend(commands);
                }
            }
            // The order of phases, what they cache and what Nix is pinned to are ours.
            (_, "name" | "dependsOn" | "cacheDirectories" | "nixpkgsArchive" | "nixOverlays") => {}
            _ => found.warnings.push(document.ignored(&entry.pointer)),
        }
    }
    Ok(())
}

/// Takes what is known, and returns the names that are not.
pub(super) fn nix_packages(names: Vec<Said>, found: &mut Overrides) -> Vec<String> {
    let mut unknown = Vec::new();
    for said in names {
        match nix_package::named(&said.value) {
            _ if said.value == DEFAULT => {}
            Some(NixPackage::Debian(packages)) => {
                found.packages.extend(packages.iter().map(|package| Said {
                    value: package.clone(),
                    origin: said.origin.clone(),
                }));
            }
            Some(NixPackage::Language(language, version)) => {
                // `python3` says no more than that there has to be one.
                let version = version.filter(|version| language != "python" || version != "3");
                if let Some(version) = version {
                    let pin = Said {
                        value: version,
                        origin: said.origin.clone(),
                    };
                    found.versions.entry(language.to_owned()).or_insert(pin);
                }
                found.languages.push(Said {
                    value: language.to_owned(),
                    origin: said.origin,
                });
            }
            Some(NixPackage::Manager) => {}
            None => unknown.push(said.value),
        }
    }
    unknown
}
