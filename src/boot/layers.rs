//! Where settings come from: a file, then `MINI_*` variables, then flags. Each layer gives texts by name; a later one
//! wins. What the texts mean is in `settings`.

use std::collections::BTreeMap;
use std::path::Path;

/// Texts of one setting with the place they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// For messages: "`build_timeout` in /etc/mini/mini.toml".
    pub(super) place: String,
    /// One text, or several where the setting is a list.
    pub(super) texts: Vec<String>,
}

/// The settings given, by name.
pub(super) type Layer = BTreeMap<String, Given>;

/// Reads the settings file. Mistakes are collected, not returned at the first.
pub(super) fn from_file(path: &Path, known: &[&str], mistakes: &mut Vec<String>) -> Layer {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            mistakes.push(format!("{shown} cannot be read: {error}"));
            return Layer::new();
        }
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            mistakes.push(format!("{shown} is not TOML: {}", error.to_string().trim_end()));
            return Layer::new();
        }
    };
    let mut layer = Layer::new();
    for (name, value) in table {
        let place = format!("`{name}` in {shown}");
        if !known.contains(&name.as_str()) {
            mistakes.push(format!("{place} is not a setting"));
            continue;
        }
        match texts(&value) {
            Some(texts) => {
                layer.insert(name, Given { place, texts });
            }
            None => mistakes.push(format!("{place} must be a text, a number, or a list of texts")),
        }
    }
    layer
}

fn texts(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Boolean(flag) => Some(vec![flag.to_string()]),
        toml::Value::Array(items) => items
            .iter()
            .map(|item| texts(item).and_then(|mut texts| texts.pop()))
            .collect(),
        toml::Value::Table(table) => table
            .iter()
            .map(|(key, value)| value.as_str().map(|value| format!("{key}={value}")))
            .collect(),
        toml::Value::Float(_) | toml::Value::Datetime(_) => None,
    }
}

/// Reads `MINI_*` variables; lists are separated by commas.
pub(super) fn from_variables(
    variables: impl Iterator<Item = (String, String)>,
    known: &[&str],
) -> Layer {
    variables
        .filter_map(|(variable, value)| {
            let name = variable.strip_prefix("MINI_")?.to_ascii_lowercase();
            if !known.contains(&name.as_str()) {
                return None;
            }
            let texts =
                value.split(',').map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            Some((name, Given { place: format!("the variable {variable}"), texts: texts.collect() }))
        })
        .collect()
}

/// Lays `over` on `under`.
pub(super) fn merge(mut under: Layer, over: Layer) -> Layer {
    under.extend(over);
    under
}
