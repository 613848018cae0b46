//! What a repository depends on, by name: the ways a `buildpack.toml` may look that up.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::cargo;
use crate::error::DetectError;
use crate::gems;
use crate::repository::Repository;
use crate::requirements;
use crate::source_words::{Words, yaml_keys};
use crate::template::is_harmless;
use crate::xml;

/// Where the names of dependencies come from.
#[derive(Debug, Deserialize)]
#[serde(tag = "probe", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum DependencySource {
    /// The keys of an object in a JSON file.
    JsonKeys { file: String, key: String },
    /// The first of these requirements files with all it includes; extras as `name[extra]`.
    Requirements { of: Vec<String> },
    /// The keys of a table in a TOML file whose values are requirements (Poetry, Pipenv, Cargo), as written and normalised;
    /// extras as `name[extra]`.
    TomlKeys {
        file: String,
        key: String,
        /// Counts only where one of these files is there: that of the tool which installs it.
        #[serde(default)]
        beside: Vec<String>,
    },
    /// The first word of each line that looks like a path on a host (`github.com/x/y v1.2.3`), `require` aside.
    HostPaths { file: String },
    /// The words behind a text in files; see [`Words`].
    WordsBehind(Words),
    /// The keys of a table in a YAML file, one level below a top-level key.
    YamlKeys { file: String, key: String },
    /// The packages of lock files in TOML (`[[package]]` tables with a `name`), as `locked:name`. Says what is installed, not
    /// what the app itself asks for. A lock file beyond the reading limit counts as empty.
    Locked { of: Vec<String> },
    /// The dependencies of all packages of a Cargo workspace.
    CargoDependencies { file: String },
    /// The gems of Gemfiles, and `locked:name` for those of their lock files.
    Gems { of: Vec<String> },
    /// The texts of all elements of that name in XML files (`artifactId`).
    XmlTexts { of: Vec<String>, element: String },
    /// The values of an attribute of any element in XML files (`Include`).
    XmlAttributes { of: Vec<String>, attribute: String },
    /// The texts in quotes of build scripts, up to the version: `org.example:name` of `'org.example:name:1.0'`.
    Coordinates { of: Vec<String> },
    /// A list of requirement strings in a TOML file.
    TomlRequirements {
        file: String,
        key: String,
        /// As for `toml-keys`.
        #[serde(default)]
        beside: Vec<String>,
    },
}

impl DependencySource {
    /// The names, in the form conditions use.
    pub(crate) fn names(
        &self,
        repository: &Repository<'_>,
    ) -> Result<BTreeSet<String>, DetectError> {
        Ok(match self {
            Self::TomlKeys { beside, .. } | Self::TomlRequirements { beside, .. }
                if !beside.is_empty() && repository.first_of(beside).is_none() =>
            {
                BTreeSet::new()
            }
            Self::JsonKeys { file, key } => match repository
                .json(file)?
                .as_ref()
                .and_then(|json| json.pointer(key))
            {
                Some(Value::Object(map)) => map.keys().cloned().collect(),
                _ => BTreeSet::new(),
            },
            Self::Requirements { of } => match repository.first_of(of) {
                Some(file) => requirements::read(repository, file)?
                    .map(|found| found.names)
                    .unwrap_or_default(),
                None => BTreeSet::new(),
            },
            Self::TomlKeys { file, key, .. } => match repository.toml(file, key)? {
                Some((Value::Object(table), _)) => table
                    .iter()
                    .flat_map(|(name, value)| names_in_table(name, value))
                    .collect(),
                _ => BTreeSet::new(),
            },
            Self::HostPaths { file } => {
                let text = repository.text(file)?.unwrap_or_default();
                let words = text.lines().filter_map(|line| {
                    let line = line.trim();
                    let line = line.strip_prefix("require ").unwrap_or(line);
                    line.split_whitespace().next()
                });
                words
                    .filter(|word| word.contains('/') && word.contains('.'))
                    .map(str::to_owned)
                    .collect()
            }
            Self::WordsBehind(words) => words.all(repository)?.into_iter().collect(),
            Self::YamlKeys { file, key } => yaml_keys(repository, file, key)?.into_iter().collect(),
            Self::Locked { of } => {
                let mut names = BTreeSet::new();
                for file in of.iter().filter(|file| repository.has(file)) {
                    let text = repository.source(file)?;
                    names.extend(locked(&text).map(|name| format!("locked:{name}")));
                }
                names
            }
            Self::CargoDependencies { file } => cargo::dependencies(repository, file)?,
            Self::Gems { of } => gems::names(repository, of)?,
            Self::XmlTexts { of, element } => {
                let mut names = BTreeSet::new();
                for file in of.iter().flat_map(|pattern| repository.matching(pattern)) {
                    let elements = xml::of_file(repository, file)?.into_iter();
                    let named = elements.filter(|found| found.name() == element);
                    names.extend(named.map(|found| found.text));
                }
                names
            }
            Self::XmlAttributes { of, attribute } => {
                let mut names = BTreeSet::new();
                for file in of.iter().flat_map(|pattern| repository.matching(pattern)) {
                    let elements = xml::of_file(repository, file)?;
                    let values = elements
                        .iter()
                        .filter_map(|found| found.attribute(attribute));
                    names.extend(values.map(str::to_owned));
                }
                names
            }
            Self::Coordinates { of } => {
                let mut names = BTreeSet::new();
                for file in of.iter().flat_map(|pattern| repository.matching(pattern)) {
                    let text = repository.source(file)?;
                    // Every second piece is inside quotes.
                    let quoted = text
                        .lines()
                        .flat_map(|line| line.split(['"', '\'']).skip(1).step_by(2));
                    let named = quoted
                        .map(|text| text.splitn(3, ':').take(2).collect::<Vec<_>>().join(":"));
                    names.extend(named.filter(|name| !name.is_empty() && is_harmless(name)));
                }
                names
            }
            Self::TomlRequirements { file, key, .. } => match repository.toml(file, key)? {
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

/// What a lock file's `[[package]]` tables are called.
fn locked(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
}

/// The names a table's entry stands for: the key, its normalised form, what Cargo renames, and one per extra or feature.
pub(crate) fn names_in_table(name: &str, value: &Value) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    names.extend(requirements::names_of(name));
    if let Some(renamed) = value.get("package").and_then(Value::as_str) {
        names.push(renamed.to_owned());
    }
    let extras = ["extras", "features"]
        .iter()
        .filter_map(|key| value.get(*key)?.as_array());
    for extra in extras.flatten().filter_map(Value::as_str) {
        names.extend(requirements::names_of(&format!("{name}[{extra}]")));
    }
    names
}
