//! Named probes: the ways a `buildpack.toml` may look a value up in a repository. Each is useful to any language.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::DetectError;
use crate::javascript::{angular, code, nx, script, task, workspace};
use crate::repository::{Repository, line_of_pointer};
use crate::requirements;
use crate::source_code;

/// Where a fact comes from.
#[derive(Debug, Deserialize)]
#[serde(tag = "probe", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Probe {
    /// The path of the first file (or pattern) that exists.
    FirstFile { of: Vec<String> },
    /// The paths of all of these that exist.
    AllFiles { of: Vec<String> },
    /// A string, boolean or list of strings in a JSON file.
    Json { file: String, key: String },
    /// The same in a TOML file, by dotted key.
    Toml { file: String, key: String },
    /// The path of a file that a JSON file names, with one of `endings` behind it. Nothing if no such file exists.
    NamedFile {
        file: String,
        key: String,
        endings: Vec<String>,
    },
    /// What follows `prefix` on the first line that starts with it.
    Line { file: String, prefix: String },
    /// The path of the first file, patterns in order, that contains one of the texts.
    FileWith {
        of: Vec<String>,
        contains: Vec<String>,
    },
    /// `NAME = CALL(` at the start of a line: `{file, name}`.
    AssignedCall { of: Vec<String>, calls: Vec<String> },
    /// `def NAME(` at the start of a line: `{file, name}`.
    DefinedFunction { of: Vec<String>, names: Vec<String> },
    /// The directories with a file that has exactly this line, `.` for the root.
    DirectoriesWith {
        of: Vec<String>,
        except: String,
        line: String,
    },
    /// The path of the first file whose code contains one of the texts, written without spaces and with double quotes.
    CodeWith {
        of: Vec<String>,
        contains: Vec<String>,
    },
    /// The directory behind `NAME: "..."` in the code of one of the files.
    CodeDirectory { of: Vec<String>, names: Vec<String> },
    /// The letters a string in a JSON file begins with, of the first key that has one: `pnpm` of `pnpm@9.1.0`.
    JsonWord { file: String, keys: Vec<String> },
    /// The directory a string in a JSON file names, of the first key that has one.
    JsonDirectory { file: String, keys: Vec<String> },
    /// What a script of a package.json (the first there is) comes down to: `{name, commands}` and true for each of `kinds`
    /// whose patterns its last command fits.
    Script {
        file: String,
        names: Vec<String>,
        #[serde(default)]
        kinds: BTreeMap<String, Vec<String>>,
    },
    /// The packages for development that scripts of a package.json (and the commands of the Procfile) need to run.
    ScriptPackages {
        file: String,
        scripts: Vec<String>,
        #[serde(default)]
        procfile: bool,
    },
    /// The packages that are installed together; see [`workspace::value`].
    Workspace,
    /// The project of an angular.json; see [`angular::value`].
    Angular { file: String },
    /// A task of a deno.json; see [`task::value`].
    Task { of: Vec<String>, names: Vec<String> },
    /// The project of an Nx repository; see [`nx::value`].
    Nx,
    /// A requirements file with all it includes: `{files, needs_source}`.
    Requirements { file: String },
}

/// Where the names of dependencies come from.
#[derive(Debug, Deserialize)]
#[serde(tag = "probe", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum DependencySource {
    /// The keys of an object in a JSON file.
    JsonKeys { file: String, key: String },
    /// A requirements file with all it includes; extras as `name[extra]`.
    Requirements { file: String },
    /// A list of requirement strings in a TOML file.
    TomlRequirements { file: String, key: String },
}

impl Probe {
    /// The value, `None` where there is nothing to be found.
    pub(crate) fn value(&self, repository: &Repository<'_>) -> Result<Option<Value>, DetectError> {
        Ok(match self {
            Self::FirstFile { of } => repository.first_of(of).map(Value::from),
            Self::AllFiles { of } => Some(
                of.iter()
                    .flat_map(|pattern| repository.matching(pattern))
                    .map(Value::from)
                    .collect(),
            ),
            Self::Json { file, key } => match repository
                .json(file)?
                .and_then(|json| json.pointer(key).cloned())
            {
                Some(value) => {
                    let text = repository.text(file)?;
                    let line = text.and_then(|text| line_of_pointer(&text, key));
                    Some(plain(value).ok_or_else(|| unusable(repository, file, line, key))?)
                }
                None => None,
            },
            Self::NamedFile { file, key, endings } => {
                let json = repository.json(file)?;
                let named = json
                    .as_ref()
                    .and_then(|json| json.pointer(key))
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let named = named
                    .strip_prefix("./")
                    .unwrap_or(named)
                    .trim_end_matches('/');
                endings
                    .iter()
                    .map(|ending| format!("{named}{ending}"))
                    .find(|path| repository.has(path))
                    .map(Value::from)
            }
            Self::Toml { file, key } => match repository.toml(file, key)? {
                Some((value, line)) => {
                    Some(plain(value).ok_or_else(|| unusable(repository, file, Some(line), key))?)
                }
                None => None,
            },
            Self::Line { file, prefix } => {
                let text = repository.beginning(file)?;
                let rest = text
                    .lines()
                    .find_map(|line| line.trim().strip_prefix(prefix.as_str()));
                rest.map(str::trim).and_then(|rest| plain(rest.into()))
            }
            Self::FileWith { of, contains } => {
                source_code::file_with(repository, of, contains)?.map(Value::from)
            }
            Self::AssignedCall { of, calls } => {
                source_code::assigned_call(repository, of, calls)?.map(definition)
            }
            Self::DefinedFunction { of, names } => {
                source_code::defined_function(repository, of, names)?.map(definition)
            }
            Self::DirectoriesWith { of, except, line } => Some(
                source_code::directories_with(repository, of, except, line)?
                    .into_iter()
                    .map(Value::from)
                    .collect(),
            ),
            Self::CodeWith { of, contains } => {
                code::file_with(repository, of, contains)?.map(Value::from)
            }
            Self::CodeDirectory { of, names } => {
                code::directory(repository, of, names)?.map(Value::from)
            }
            Self::JsonWord { file, keys } => json_text(repository, file, keys)?.map(|text| {
                let is_letter = |c: &char| c.is_ascii_alphabetic();
                text.chars()
                    .take_while(is_letter)
                    .collect::<String>()
                    .into()
            }),
            Self::JsonDirectory { file, keys } => json_text(repository, file, keys)?
                .and_then(|text| code::clean_directory(&text))
                .map(Value::from),
            Self::Script { file, names, kinds } => match repository.json(file)? {
                Some(package) => script::value(&package, names, kinds),
                None => None,
            },
            Self::ScriptPackages {
                file,
                scripts,
                procfile,
            } => match repository.json(file)? {
                Some(package) => {
                    let mut commands: Vec<Vec<String>> = scripts
                        .iter()
                        .flat_map(|name| script::commands(&package, name))
                        .collect();
                    let lines = if *procfile {
                        repository.beginning("Procfile")?
                    } else {
                        "".into()
                    };
                    for line in lines.lines().filter_map(|line| line.split_once(':')) {
                        commands.extend(script::commands_of_line(&package, line.1));
                    }
                    let found = script::packages_for_development(&package, &commands);
                    Some(found.into_iter().map(Value::from).collect())
                }
                None => None,
            },
            Self::Workspace => workspace::value(repository)?,
            Self::Angular { file } => angular::value(repository, file)?,
            Self::Task { of, names } => task::value(repository, of, names)?,
            Self::Nx => nx::value(repository)?,
            Self::Requirements { file } => requirements::read(repository, file)?.map(|found| {
                let files: Vec<_> = found.files.into_iter().collect();
                json!({"files": files, "needs_source": found.needs_source})
            }),
        })
    }
}

impl DependencySource {
    /// The names, in the form conditions use.
    pub(crate) fn names(
        &self,
        repository: &Repository<'_>,
    ) -> Result<BTreeSet<String>, DetectError> {
        Ok(match self {
            Self::JsonKeys { file, key } => match repository
                .json(file)?
                .as_ref()
                .and_then(|json| json.pointer(key))
            {
                Some(Value::Object(map)) => map.keys().cloned().collect(),
                _ => BTreeSet::new(),
            },
            Self::Requirements { file } => requirements::read(repository, file)?
                .map(|found| found.names)
                .unwrap_or_default(),
            Self::TomlRequirements { file, key } => match repository.toml(file, key)? {
                Some((Value::Array(items), _)) => items
                    .iter()
                    .filter_map(Value::as_str)
                    .flat_map(requirements::names_of)
                    .collect(),
                _ => BTreeSet::new(),
            },
        })
    }
}

/// The text at the first of several pointers that has one.
fn json_text(
    repository: &Repository<'_>,
    file: &str,
    keys: &[String],
) -> Result<Option<String>, DetectError> {
    let json = repository.json(file)?;
    let found = json
        .as_ref()
        .and_then(|json| keys.iter().find_map(|key| json.pointer(key)?.as_str()));
    Ok(found.map(str::to_owned))
}

/// Strings without control characters, booleans, and lists of such strings.
fn plain(value: Value) -> Option<Value> {
    let is_fine = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| !text.contains(char::is_control))
    };
    match &value {
        Value::Bool(_) => Some(value),
        Value::Array(items) => items.iter().all(is_fine).then_some(value),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            is_fine(&value).then_some(value)
        }
    }
}

fn unusable(
    repository: &Repository<'_>,
    file: &str,
    line: Option<usize>,
    key: &str,
) -> DetectError {
    let problem = format!("{key} has to be one line of text");
    DetectError::InvalidManifest {
        file: repository.from_root(file),
        line,
        problem,
    }
}

fn definition((file, name): (String, String)) -> Value {
    json!({"file": file, "name": name})
}
