//! Named probes: the ways a `buildpack.toml` may look a value up in a repository. Each is useful to any language.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cargo;
use crate::composer;
use crate::dotnet;
use crate::error::DetectError;
use crate::gradle;
use crate::import_path;
use crate::javascript::{angular, code, nx, script, task, workspace};
use crate::manifest::line_of_pointer;
use crate::maven;
use crate::members;
use crate::repository::Repository;
use crate::requirements;
use crate::scala;
use crate::served_pages;
use crate::source_code::{self, Lines};
use crate::source_words::{Words, yaml_keys};
use crate::template::module_name;
use crate::xml;

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
    /// The key of a table in a TOML file that has exactly one, tables in order.
    OnlyKey { file: String, keys: Vec<String> },
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
    /// The path of the first file that has such a line; see [`Lines`].
    LineWith(Lines),
    /// Whether the manifest at the root lists the directory of the app; see [`members::is_listed`].
    ListedMember {
        file: String,
        members: String,
        exclude: String,
    },
    /// Whether the go.work at the root uses the directory of the app; see [`members::is_used`].
    UsedModule { file: String },
    /// Pages that a program serves once they are built; see [`served_pages::value`].
    ServedPages {
        folders: Vec<String>,
        of: Vec<String>,
    },
    /// The requirements file that names something above the app; see [`requirements::reaching_up`].
    RequirementsAbove { of: Vec<String> },
    /// The Composer file that takes a package from above the app; see [`composer::above`].
    ComposerAbove { file: String, lock: String },
    /// `NAME = CALL(` at the start of a line: `{file, name, module, root}`, see [`import_path::definition`].
    AssignedCall { of: Vec<String>, calls: Vec<String> },
    /// `def NAME(` at the start of a line: the same.
    DefinedFunction { of: Vec<String>, names: Vec<String> },
    /// The directories with a file that has exactly this line (and one of the texts, where any are given), `.` for the root.
    DirectoriesWith {
        of: Vec<String>,
        except: String,
        line: String,
        #[serde(default)]
        contains: Vec<String>,
        /// A folder with this file of its own is another project, and left out,
        #[serde(default)]
        apart: Option<String>,
        /// unless this file is at the root.
        #[serde(default)]
        joined_by: Option<String>,
    },
    /// The path of the first file whose code contains one of the texts, written without spaces and with double quotes.
    CodeWith {
        of: Vec<String>,
        contains: Vec<String>,
    },
    /// The directory behind `NAME: "..."` in the code of one of the files; see [`code::directory`]. Where the code has a directory with a
    /// page behind `base`, it is seen from there; see [`code::directory_in`].
    CodeDirectory {
        of: Vec<String>,
        names: Vec<String>,
        #[serde(default)]
        base: Option<String>,
        #[serde(default)]
        inside_base: String,
    },
    /// The relative path behind one of `options` in a script of a package.json, of the first of its commands that calls one of
    /// `programs`. With `is_missing` only a path that is not there.
    ScriptOption {
        file: String,
        script: String,
        programs: Vec<String>,
        options: Vec<String>,
        #[serde(default)]
        is_missing: bool,
    },
    /// The letters a string in a JSON file begins with, of the first key that has one: `pnpm` of `pnpm@9.1.0`.
    JsonWord { file: String, keys: Vec<String> },
    /// The directory a string in a JSON file names, of the first key that has one; with `has` only one that has such a file.
    JsonDirectory {
        file: String,
        keys: Vec<String>,
        #[serde(default)]
        has: Option<String>,
    },
    /// The path of a JSON file in which a text of the object at `key` begins with one of these.
    JsonBegins {
        file: String,
        key: String,
        with: Vec<String>,
    },
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
    /// The first of these folders that has a Go-like file of the ending, `{}` standing for the last part of the module path
    /// behind `prefix` in `file`.
    ModuleFolder {
        file: String,
        prefix: String,
        of: Vec<String>,
        ending: String,
    },
    /// The folder behind `prefix` in a file, if it exists in the repository.
    NamedFolder { file: String, prefix: String },
    /// The words behind a text in files: a list. See [`Words`].
    WordsBehind(Words),
    /// The first of them.
    WordBehind(Words),
    /// The keys of a table in a YAML file, one level below a top-level key.
    YamlKeys { file: String, key: String },
    /// The first of these requirements files with all it includes: `{file, files, needs_source}`.
    Requirements { of: Vec<String> },
    /// The programs of a Cargo package or workspace: `{programs, app, packages, because, others}`; see [`cargo::programs`].
    CargoPrograms { file: String },
    /// The text of the first element at one of these paths of an XML file (`project/packaging`).
    Xml { file: String, keys: Vec<String> },
    /// The line behind the first that is exactly this: `BUNDLED WITH` of a Gemfile.lock has the version below it.
    LineAfter { file: String, line: String },
    /// The text in quotes behind `prefix` on the first line that starts with it, in the first of these files that has one.
    Quoted { of: Vec<String>, prefix: String },
    /// The PHP extensions that Composer's files ask for; see [`composer::extensions`].
    ComposerExtensions { file: String, lock: String },
    /// The module of a Maven project that is the app; see [`maven::app`].
    MavenApp { file: String },
    /// The project of a Gradle build that is the app; see [`gradle::app`].
    GradleApp,
    /// The project of an sbt build that is the app; see [`scala::sbt_app`].
    SbtApp,
    /// The module of a Mill build that is the app; see [`scala::mill_module`].
    MillModule,
    /// The .NET project that is the app; see [`dotnet::project`].
    DotnetProject { of: Vec<String> },
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
                    .and_then(Value::as_str);
                let Some(named) = named.filter(|named| !named.is_empty()) else {
                    return Ok(None);
                };
                // `.` and `/` are the app's own directory, of which an index.js is still one.
                let named = if named == "." { "/" } else { named };
                let named = named.strip_prefix("./").unwrap_or(named).trim_matches('/');
                endings
                    .iter()
                    .map(|ending| {
                        format!("{named}{ending}")
                            .trim_start_matches('/')
                            .to_owned()
                    })
                    .find(|path| repository.has(path))
                    .map(Value::from)
            }
            Self::Toml { file, key } => match repository.toml(file, key)? {
                Some((value, line)) => {
                    Some(plain(value).ok_or_else(|| unusable(repository, file, Some(line), key))?)
                }
                None => None,
            },
            Self::OnlyKey { file, keys } => {
                let mut only = None;
                for key in keys {
                    if only.is_none()
                        && let Some((Value::Object(table), _)) = repository.toml(file, key)?
                        && table.len() == 1
                    {
                        only = table.keys().next().cloned().map(Value::from);
                    }
                }
                only.and_then(plain)
            }
            Self::Line { file, prefix } => {
                line_behind(repository, file, prefix)?.and_then(|rest| plain(rest.into()))
            }
            Self::FileWith { of, contains } => {
                source_code::file_with(repository, of, contains)?.map(Value::from)
            }
            Self::LineWith(lines) => lines.file(repository)?.map(Value::from),
            Self::ListedMember {
                file,
                members,
                exclude,
            } => Some(members::is_listed(repository, file, members, exclude)?.into()),
            Self::UsedModule { file } => Some(members::is_used(repository, file)?.into()),
            Self::ServedPages { folders, of } => served_pages::value(repository, folders, of)?,
            Self::RequirementsAbove { of } => {
                requirements::reaching_up(repository, of)?.map(Value::from)
            }
            Self::ComposerAbove { file, lock } => {
                composer::above(repository, file, lock)?.map(Value::from)
            }
            Self::AssignedCall { of, calls } => definition(
                repository,
                source_code::assigned_call(repository, of, calls)?,
            )?,
            Self::DefinedFunction { of, names } => definition(
                repository,
                source_code::defined_function(repository, of, names)?,
            )?,
            Self::DirectoriesWith {
                of,
                except,
                line,
                contains,
                apart,
                joined_by,
            } => {
                let is_joined = joined_by.as_ref().is_some_and(|file| repository.has(file));
                let apart = apart.as_deref().filter(|_| !is_joined);
                let found = source_code::directories_with(repository, of, except, line, contains)?;
                let is_here =
                    |folder: &String| apart.is_none_or(|file| !is_below(repository, folder, file));
                Some(found.into_iter().filter(is_here).map(Value::from).collect())
            }
            Self::ModuleFolder {
                file,
                prefix,
                of,
                ending,
            } => {
                let line = line_behind(repository, file, prefix)?;
                let name = module_name(&line.unwrap_or_default());
                let folders = of.iter().map(|folder| folder.replace("{}", &name));
                folders
                    .into_iter()
                    .find(|folder| {
                        !name.is_empty()
                            && !repository
                                .matching(&format!("{folder}/*{ending}"))
                                .is_empty()
                    })
                    .map(Value::from)
            }
            Self::CodeWith { of, contains } => {
                code::file_with(repository, of, contains)?.map(Value::from)
            }
            Self::CodeDirectory {
                of,
                names,
                base,
                inside_base,
            } => {
                let from = match base {
                    Some(base) => code::page_directory(repository, of, base)?,
                    None => None,
                };
                let found = match from {
                    Some(from) => code::directory_in(repository, of, names, &from, inside_base)?,
                    None => code::directory(repository, of, names)?,
                };
                found.map(Value::from)
            }
            Self::ScriptOption {
                file,
                script,
                programs,
                options,
                is_missing,
            } => {
                let package = repository.json(file)?;
                let found = package
                    .and_then(|package| script::option(&package, script, programs, options))
                    .and_then(|path| code::clean_directory(&path));
                found
                    .filter(|path| !is_missing || !repository.has(path))
                    .map(Value::from)
            }
            Self::JsonWord { file, keys } => json_text(repository, file, keys)?.map(|text| {
                let is_letter = |c: &char| c.is_ascii_alphabetic();
                text.chars()
                    .take_while(is_letter)
                    .collect::<String>()
                    .into()
            }),
            Self::JsonDirectory { file, keys, has } => json_text(repository, file, keys)?
                .and_then(|text| code::clean_directory(&text))
                .filter(|path| {
                    let mut names = has.iter();
                    names.all(|name| repository.has(&format!("{path}/{name}")))
                })
                .map(Value::from),
            Self::JsonBegins { file, key, with } => {
                let json = repository.json(file)?;
                let object = json
                    .as_ref()
                    .and_then(|json| json.pointer(key)?.as_object());
                let mut texts = object
                    .into_iter()
                    .flat_map(|object| object.values().filter_map(Value::as_str));
                texts
                    .any(|text| with.iter().any(|begin| text.starts_with(begin)))
                    .then(|| Value::from(file.as_str()))
            }
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
                        .flat_map(|name| script::whole_commands(&package, name))
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
            Self::NamedFolder { file, prefix } => {
                let named = line_behind(repository, file, prefix)?.unwrap_or_default();
                let named = named.trim_matches(['"', '\'', ' ']);
                let named = named.strip_prefix("./").unwrap_or(named).trim_matches('/');
                (repository.has_folder(named) && !named.starts_with('.'))
                    .then(|| Value::from(named))
                    .and_then(plain)
            }
            Self::WordsBehind(words) => {
                let found = words.all(repository)?;
                Some(found.into_iter().map(Value::from).collect())
            }
            Self::WordBehind(words) => words.all(repository)?.into_iter().next().map(Value::from),
            Self::YamlKeys { file, key } => {
                let found = yaml_keys(repository, file, key)?;
                Some(found.into_iter().map(Value::from).collect())
            }
            Self::Requirements { of } => match requirements::named(repository, of) {
                Some(file) => requirements::read(repository, file)?.map(|found| {
                    let files: Vec<_> = found.files.into_iter().collect();
                    json!({"file": file, "files": files, "needs_source": found.needs_source})
                }),
                None => None,
            },
            Self::CargoPrograms { file } => cargo::programs(repository, file)?,
            Self::Xml { file, keys } => xml::text_at(&xml::of_file(repository, file)?, keys)
                .and_then(|(text, _)| plain(text.into())),
            Self::LineAfter { file, line } => {
                let text = repository.beginning(file)?;
                let mut lines = text.lines().skip_while(|text| text.trim() != line);
                lines.nth(1).and_then(|text| plain(text.trim().into()))
            }
            Self::Quoted { of, prefix } => {
                let mut found = None;
                for file in of {
                    let rest = line_behind(repository, file, prefix)?.unwrap_or_default();
                    let begun = rest.find(['"', '\'']).and_then(|at| rest.get(at..));
                    let text = begun.and_then(|text| {
                        let (quote, text) = text.split_at_checked(1)?;
                        text.split_once(quote)
                    });
                    found = found.or_else(|| text.map(|(text, _)| text.to_owned()));
                }
                found.map(Value::from).and_then(plain)
            }
            Self::ComposerExtensions { file, lock } => {
                let found = composer::extensions(repository, file, lock)?;
                Some(found.into_iter().map(Value::from).collect())
            }
            Self::MavenApp { file } => maven::app(repository, file)?,
            Self::GradleApp => gradle::app(repository)?,
            Self::SbtApp => scala::sbt_app(repository)?,
            Self::MillModule => scala::mill_module(repository)?,
            Self::DotnetProject { of } => dotnet::project(repository, of)?,
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

/// What follows `prefix` on the first line that starts with it.
fn line_behind(
    repository: &Repository<'_>,
    file: &str,
    prefix: &str,
) -> Result<Option<String>, DetectError> {
    let text = repository.beginning(file)?;
    let rest = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(prefix));
    Ok(rest.map(|rest| rest.trim().to_owned()))
}

/// Whether `folder` is, or is inside, a folder other than the root that has `file`.
fn is_below(repository: &Repository<'_>, folder: &str, file: &str) -> bool {
    let ends = folder.match_indices('/').map(|(at, _)| at);
    folder != "."
        && ends
            .chain([folder.len()])
            .filter_map(|end| folder.get(..end))
            .any(|parent| repository.has(&format!("{parent}/{file}")))
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

fn definition(
    repository: &Repository<'_>,
    found: Option<(String, String)>,
) -> Result<Option<Value>, DetectError> {
    found
        .map(|(file, name)| import_path::definition(repository, &file, &name))
        .transpose()
}
