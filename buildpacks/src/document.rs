//! A TOML or JSON file of the repository whose values know the line they stand on.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::DetectError;
use crate::manifest::{line_of_pointer, to_json};
use crate::repository::Repository;
use crate::said::{Origin, Said, place};

/// The file, parsed. Values are named by JSON pointers in TOML files too.
pub(crate) struct Document {
    /// The path from the root of the repository.
    file: String,
    value: Value,
    lines: Lines,
}

enum Lines {
    /// By pointer.
    Toml(BTreeMap<String, usize>),
    /// Found in the text.
    Json(String),
}

/// One value of a table.
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a str,
    pub(crate) pointer: String,
    pub(crate) value: &'a Value,
}

impl Document {
    /// The TOML file at `path`, `None` where there is none.
    pub(crate) fn toml(
        repository: &Repository<'_>,
        path: &str,
    ) -> Result<Option<Self>, DetectError> {
        let Some(document) = repository.toml_lines(path)? else {
            return Ok(None);
        };
        let (value, lines) = document;
        Ok(Some(Self {
            file: repository.from_root(path),
            value,
            lines: Lines::Toml(lines),
        }))
    }

    /// The JSON file at `path`, `None` where there is none.
    pub(crate) fn json(
        repository: &Repository<'_>,
        path: &str,
    ) -> Result<Option<Self>, DetectError> {
        let (Some(value), Some(text)) = (repository.json(path)?, repository.text(path)?) else {
            return Ok(None);
        };
        Ok(Some(Self {
            file: repository.from_root(path),
            value: (*value).clone(),
            lines: Lines::Json(text.to_string()),
        }))
    }

    fn line(&self, pointer: &str) -> Option<usize> {
        match &self.lines {
            Lines::Toml(lines) => lines.get(pointer).copied(),
            Lines::Json(text) => line_of_pointer(text, pointer),
        }
    }

    pub(crate) fn origin(&self, pointer: &str) -> Origin {
        Origin::File {
            file: self.file.clone(),
            line: self.line(pointer),
        }
    }

    /// The values of the table at `pointer`; none where there is no such table.
    ///
    /// # Errors
    /// What is there is no table.
    pub(crate) fn entries(&self, pointer: &str) -> Result<Vec<Entry<'_>>, DetectError> {
        match self.value.pointer(pointer) {
            None => Ok(Vec::new()),
            Some(Value::Object(table)) => Ok(table
                .iter()
                .map(|(key, value)| Entry {
                    key,
                    pointer: child(pointer, key),
                    value,
                })
                .collect()),
            Some(_) => Err(self.wrong(pointer, "has to be a table")),
        }
    }

    /// One line of text.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn text(&self, entry: &Entry<'_>) -> Result<Said, DetectError> {
        self.text_without(entry, char::is_control)
    }

    /// The same of a command, between whose words tabs may be.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn command(&self, entry: &Entry<'_>) -> Result<Said, DetectError> {
        self.text_without(entry, |letter| letter.is_control() && letter != '\t')
    }

    fn text_without(
        &self,
        entry: &Entry<'_>,
        is_refused: impl Fn(char) -> bool,
    ) -> Result<Said, DetectError> {
        let text = entry.value.as_str().map(str::trim);
        let text = text.filter(|text| !text.is_empty() && !text.contains(&is_refused));
        match text {
            Some(text) => Ok(Said {
                value: text.to_owned(),
                origin: self.origin(&entry.pointer),
            }),
            None => Err(self.wrong(&entry.pointer, "has to be one line of text in quotes")),
        }
    }

    /// Text, a number or a yes and no, as text.
    ///
    /// # Errors
    /// It is a list or a table, or has more than one line.
    pub(crate) fn scalar(&self, entry: &Entry<'_>) -> Result<Said, DetectError> {
        let text = match entry.value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(answer) => answer.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(self.wrong(&entry.pointer, "has to be text in quotes"));
            }
        };
        if text.contains(char::is_control) {
            return Err(self.wrong(&entry.pointer, "has to be one line of text"));
        }
        Ok(Said {
            value: text,
            origin: self.origin(&entry.pointer),
        })
    }

    /// A list of texts.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn texts(&self, entry: &Entry<'_>) -> Result<Vec<Said>, DetectError> {
        let wrong = || self.wrong(&entry.pointer, "has to be a list of texts in quotes");
        let items = entry.value.as_array().ok_or_else(wrong)?;
        let texts = items.iter().map(|item| {
            let text = item.as_str().map(str::trim);
            let text = text.filter(|text| !text.is_empty() && !text.contains(char::is_control));
            text.map(|text| Said {
                value: text.to_owned(),
                origin: self.origin(&entry.pointer),
            })
        });
        texts.collect::<Option<_>>().ok_or_else(wrong)
    }

    /// A value that cannot be what it is meant to be.
    pub(crate) fn wrong(&self, pointer: &str, problem: &str) -> DetectError {
        DetectError::InvalidManifest {
            file: self.file.clone(),
            line: self.line(pointer),
            problem: format!("`{}` {problem}", dotted(pointer)),
        }
    }

    /// A sentence about a value that has no effect here.
    pub(crate) fn ignored(&self, pointer: &str) -> String {
        let place = place(&self.file, self.line(pointer));
        format!("{place}: `{}` has no effect here", dotted(pointer))
    }
}

fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A pointer as people write keys: `build.packages`.
fn dotted(pointer: &str) -> String {
    let keys = pointer.split('/').skip(1);
    let keys: Vec<String> = keys
        .map(|key| key.replace("~1", "/").replace("~0", "~"))
        .collect();
    keys.join(".").replace(char::is_control, " ")
}

/// A value, and the line of each key in it by its pointer.
pub(crate) type Lined = (Value, BTreeMap<String, usize>);

/// The value of a TOML table with its lines.
pub(crate) fn with_lines(text: &str, table: &toml::de::DeTable<'_>) -> Lined {
    let mut lines = BTreeMap::new();
    let starts: Vec<usize> = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| *byte == b'\n')
        .map(|(at, _)| at)
        .collect();
    note(&starts, "", table, &mut lines);
    (to_json(&toml::de::DeValue::Table(table.clone())), lines)
}

fn note(
    line_ends: &[usize],
    pointer: &str,
    table: &toml::de::DeTable<'_>,
    lines: &mut BTreeMap<String, usize>,
) {
    for (key, value) in table.iter() {
        let pointer = child(pointer, key.get_ref());
        let line = line_ends.partition_point(|end| *end < key.span().start) + 1;
        if let toml::de::DeValue::Table(inner) = value.get_ref() {
            note(line_ends, &pointer, inner, lines);
        }
        lines.insert(pointer, line);
    }
}
