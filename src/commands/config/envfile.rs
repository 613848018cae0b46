//! Files with config vars: `KEY=value` lines as programs read them from `.env`, or JSON.

use serde_json::Value;

use crate::model::{ConfigKey, ConfigVars, Secret};

/// What begins a value that may have anything in it.
const QUOTES: [char; 2] = ['"', '\''];

/// The config vars of a file; of a key that stands there twice the last counts. No message repeats a value.
///
/// # Errors
/// Where something is neither a variable nor a comment, with its line.
pub(super) fn read(text: &str) -> Result<ConfigVars, String> {
    let text = text.trim_start_matches('\u{feff}');
    match text.trim_start().chars().next() {
        Some('{' | '[') => read_json(text),
        Some(_) | None => read_lines(text),
    }
}

fn read_lines(text: &str) -> Result<ConfigVars, String> {
    let mut vars = ConfigVars::new();
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let begin = text.len() - rest.len();
        let (raw, behind) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = behind;
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = move |why: &str| format!("line {number}: {why}");
        let assignment = match line.strip_prefix("export") {
            Some(assignment) if assignment.starts_with([' ', '\t']) => assignment.trim_start(),
            Some(_) | None => line,
        };
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| wrong("there is no `=`, and it is no comment"))?;
        let key = key_of(key.trim()).map_err(|why| wrong(&why))?;
        let value = value.trim_start();
        let value = match value.starts_with(QUOTES) {
            true => {
                // From the quote on, over the lines that follow.
                let from = text.len() - rest.len();
                let at = begin + raw.trim_end().len() - value.len();
                let (value, behind) = quoted(text.get(at..).unwrap_or_default())
                    .ok_or_else(|| wrong("a quote is opened and not closed"))?;
                let (comment, after) = behind.split_once('\n').unwrap_or((behind, ""));
                if !matches!(comment.trim().chars().next(), None | Some('#')) {
                    return Err(wrong("there is something behind the closing quote"));
                }
                let lines = text.get(from..text.len() - after.len()).unwrap_or_default();
                number += lines.matches('\n').count();
                rest = after;
                value
            }
            false => plain(value).to_owned(),
        };
        if value.contains('\0') {
            return Err(wrong("a value cannot hold a zero byte"));
        }
        vars.insert(key, Secret::new(value));
    }
    Ok(vars)
}

/// The value that `text` begins with, in quotes, and what stands behind it. One that a shell would put together of several,
/// such as `'it'\''s'`, is one.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        if let Some(inner) = rest.strip_prefix('\'') {
            let (part, behind) = inner.split_once('\'')?;
            value.push_str(part);
            rest = behind;
        } else if let Some(inner) = rest.strip_prefix('"') {
            rest = double_quoted(inner, &mut value)?;
        } else if let Some(behind) = rest.strip_prefix("\\'") {
            value.push('\'');
            rest = behind;
        } else {
            return Some((value, rest));
        }
    }
}

/// Reads up to the closing quote, and gives what stands behind it.
fn double_quoted<'t>(text: &'t str, value: &mut String) -> Option<&'t str> {
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some(chars.as_str()),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            char => value.push(char),
        }
    }
}

/// A value without quotes ends before a comment.
fn plain(value: &str) -> &str {
    let end = [" #", "\t#"]
        .iter()
        .filter_map(|mark| value.find(mark))
        .min();
    let value = end.and_then(|end| value.get(..end)).unwrap_or(value);
    match value.starts_with('#') {
        true => "",
        false => value.trim(),
    }
}

fn read_json(text: &str) -> Result<ConfigVars, String> {
    // Its messages name line and column, and no value.
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let mut vars = ConfigVars::new();
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                insert(&mut vars, &key, &value)?;
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                let (Some(Value::String(name)), Some(value)) =
                    (entry.get("name"), entry.get("value"))
                else {
                    return Err("an entry of the list has no `name` and `value`".to_owned());
                };
                insert(&mut vars, name, value)?;
            }
        }
        _ => return Err("it is neither an object nor a list".to_owned()),
    }
    Ok(vars)
}

fn insert(vars: &mut ConfigVars, name: &str, value: &Value) -> Result<(), String> {
    let key = key_of(name)?;
    let value = match value {
        Value::String(text) if !text.contains('\0') => text.clone(),
        Value::Number(number) if number.is_f64() => {
            return Err(format!(
                "the value of {key} is a number that may not stay as it is written; put it in quotes"
            ));
        }
        Value::Number(number) => number.to_string(),
        Value::Bool(is_so) => is_so.to_string(),
        _ => return Err(format!("the value of {key} is no text")),
    };
    vars.insert(key, Secret::new(value));
    Ok(())
}

fn key_of(name: &str) -> Result<ConfigKey, String> {
    name.parse()
        .map_err(|error: crate::model::InvalidName| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let vars = read(text).unwrap();
        let found: Vec<(&str, &str)> = vars
            .iter()
            .map(|(key, value)| (key.as_str(), value.reveal()))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn lines_are_read_as_programs_read_them() {
        check(
            "\u{feff}# a comment\r\n\r\nA=1\r\nexport B = two words # why\nC='it #is'\n",
            &[("A", "1"), ("B", "two words"), ("C", "it #is")],
        );
        check(
            "A=\"1\\n2 \\$x \\q\" # c\nB=",
            &[("A", "1\n2 $x \\q"), ("B", "")],
        );
        check("A='one\ntwo\n'\nB=a#b\nA=3", &[("A", "3"), ("B", "a#b")]);
        check("A='it'\\''s'\nB=''", &[("A", "it's"), ("B", "")]);
        check(
            "URL=postgres://u:p@h/d?a=b",
            &[("URL", "postgres://u:p@h/d?a=b")],
        );
        check("exported=1\nA=#x", &[("A", ""), ("exported", "1")]);
        check("", &[]);
    }

    #[test]
    fn json_is_read_in_both_forms() {
        check(
            r#"{"B": "x\ny", "A": 1, "C": true}"#,
            &[("A", "1"), ("B", "x\ny"), ("C", "true")],
        );
        check(r#" [{"name": "A", "value": "1"}]"#, &[("A", "1")]);
    }

    #[test]
    fn what_is_no_variable_is_refused_with_its_line_and_without_its_value() {
        for (text, why) in [
            ("A=1\nhunter2", "line 2: there is no `=`"),
            ("A='1\n2'\nB C=hunter2", "line 3: A config var name"),
            ("A=\"hunter2", "line 1: a quote"),
            ("A='x' hunter2", "line 1: there is something behind"),
            ("A=x\0hunter2", "line 1: a value cannot"),
            (r#"{"A": ["hunter2"]}"#, "the value of A is no text"),
            (r#"{"A": 1.10}"#, "the value of A is a number"),
            (
                r#"{"A": 123456789012345678901}"#,
                "the value of A is a number",
            ),
            (r#"{"A": "hunter2"#, "it is no JSON"),
            ("[1]", "has no `name`"),
        ] {
            let said = read(text).unwrap_err();
            assert!(
                said.starts_with(why) || said.contains(why),
                "{text:?}: {said}"
            );
            assert!(!said.contains("hunter2"), "{text:?}: {said}");
        }
    }
}
