//! Manifests: files in JSON and TOML, parsed once, with the lines their values are on.

use std::rc::Rc;

use crate::document::{Lined, with_lines};
use crate::error::DetectError;
use crate::jsonc;
use crate::repository::Repository;

impl Repository<'_> {
    /// A JSON file, parsed once. Comments are an error unless the file's own tool allows them.
    pub(crate) fn json(&self, path: &str) -> Result<Option<Rc<serde_json::Value>>, DetectError> {
        if let Some(known) = self.jsons.borrow().get(path) {
            return Ok(Some(Rc::clone(known)));
        }
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        let text = if jsonc::is_allowed_in(path) {
            Rc::from(jsonc::to_json(&text))
        } else {
            text
        };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
            let message = error.to_string();
            let message = message
                .split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned();
            DetectError::InvalidManifest {
                file: self.from_root(path),
                line: Some(error.line().max(1)),
                problem: format!("not JSON: {message}"),
            }
        })?;
        if !value.is_object() {
            let problem = "the file holds no JSON object".to_owned();
            return Err(DetectError::InvalidManifest {
                file: self.from_root(path),
                line: Some(1),
                problem,
            });
        }
        let value = Rc::new(value);
        self.jsons
            .borrow_mut()
            .insert(path.to_owned(), Rc::clone(&value));
        Ok(Some(value))
    }

    /// A whole TOML file, as JSON.
    pub(crate) fn toml_document(
        &self,
        path: &str,
    ) -> Result<Option<serde_json::Value>, DetectError> {
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        let document = self.parsed_toml(path, &text)?;
        let values = document.get_ref().iter();
        let values = values.map(|(key, item)| (key.get_ref().to_string(), to_json(item.get_ref())));
        Ok(Some(values.collect()))
    }

    /// A value of a TOML file and its line. `key` is dotted: `project.requires-python`.
    pub(crate) fn toml(
        &self,
        path: &str,
        key: &str,
    ) -> Result<Option<(serde_json::Value, usize)>, DetectError> {
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        let document = self.parsed_toml(path, &text)?;
        let mut table = document.get_ref();
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            let Some((name, value)) = table.get_key_value(part) else {
                return Ok(None);
            };
            if parts.peek().is_none() {
                return Ok(Some((
                    to_json(value.get_ref()),
                    line_at(&text, name.span().start),
                )));
            }
            let toml::de::DeValue::Table(inner) = value.get_ref() else {
                return Ok(None);
            };
            table = inner;
        }
        Ok(None)
    }

    /// A whole TOML file, and the line of each key by its JSON pointer.
    pub(crate) fn toml_lines(&self, path: &str) -> Result<Option<Lined>, DetectError> {
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        let document = self.parsed_toml(path, &text)?;
        Ok(Some(with_lines(&text, document.get_ref())))
    }

    fn parsed_toml<'t>(
        &self,
        path: &str,
        text: &'t str,
    ) -> Result<toml::Spanned<toml::de::DeTable<'t>>, DetectError> {
        toml::de::DeTable::parse(text).map_err(|error| DetectError::InvalidManifest {
            file: self.from_root(path),
            line: Some(line_at(text, error.span().map_or(0, |span| span.start))),
            problem: format!(
                "not TOML: {}",
                error.message().replace(char::is_control, " ")
            ),
        })
    }
}

/// The line a JSON pointer's last key is written on: the keys searched one behind the other. A guess in odd cases (a key that is
/// also a value before it), so it is shown to people and used for nothing else.
pub(crate) fn line_of_pointer(text: &str, pointer: &str) -> Option<usize> {
    let mut at = 0;
    for key in pointer.split('/').filter(|key| !key.is_empty()) {
        let quoted = format!("\"{}\"", key.replace("~1", "/").replace("~0", "~"));
        let found = text.get(at..)?.match_indices(&quoted).find(|(start, _)| {
            let behind = text.get(at + start + quoted.len()..).unwrap_or_default();
            behind.trim_start().starts_with(':')
        })?;
        at += found.0 + quoted.len();
    }
    Some(line_at(text, at))
}

/// The line of a byte offset, from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

pub(crate) fn to_json(value: &toml::de::DeValue<'_>) -> serde_json::Value {
    use toml::de::DeValue;
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(answer) => (*answer).into(),
        DeValue::Integer(number) => number.to_string().into(),
        DeValue::Float(number) => number.to_string().into(),
        DeValue::Datetime(when) => when.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, item)| (key.get_ref().to_string(), to_json(item.get_ref())))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    #[test]
    fn lines_of_values() {
        let json = "{\n \"a\": \"engines\",\n \"engines\": {\n  \"node\": 1}}";
        assert_eq!(line_of_pointer(json, "/engines/node"), Some(4));
        assert_eq!(line_of_pointer(json, "/engines/npm"), None);
        let tree = MapTree::new()
            .with("p.toml", "[project]\nname = 'x'\nrequires-python = '>=3'\n")
            .with("bad.toml", "a = 1\nb = = 2\n");
        let repository = Repository::new(&tree).unwrap();
        assert_eq!(
            repository
                .toml("p.toml", "project.requires-python")
                .unwrap()
                .unwrap(),
            (">=3".into(), 3)
        );
        assert_eq!(repository.toml("p.toml", "project.name.x").unwrap(), None);
        assert!(matches!(
            repository.toml("bad.toml", "a").unwrap_err(),
            DetectError::InvalidManifest { line: Some(2), .. }
        ));
    }
}
