//! Templates for commands and Dockerfiles, with one rule: a value from the repository is written only if it is harmless as it
//! stands, or through a filter that makes it so. A template that forgets the filter fails instead of letting it through.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use crate::import_path::module;
use crate::procfile;

/// Texts that several languages include.
const PARTS: &[(&str, &str)] = &[
    ("nginx", include_str!("../static/nginx.tmpl")),
    ("node-tool", include_str!("../node/tool.tmpl")),
    ("playwright", include_str!("../node/playwright.tmpl")),
];

/// Renders `text` with `values`.
///
/// # Errors
/// What is wrong with the template, or the value it would have written as it is.
pub(crate) fn render(text: &str, values: &impl Serialize) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true);
    environment.set_syntax(syntax.build().map_err(|error| error.to_string())?);
    environment.set_formatter(|out, _, value| {
        if value.is_safe() || value.as_str().is_none_or(is_harmless) {
            out.write_str(&value.to_string())
                .map_err(|_| refused("output"))
        } else {
            Err(refused(&format!("{value:?} is written without a filter")))
        }
    });
    for (name, part) in PARTS {
        environment
            .add_template(name, part)
            .map_err(|error| format!("{error:#}"))?;
    }
    environment.add_filter("exec", exec);
    environment.add_filter("run", run);
    environment.add_filter("part", |command: String| {
        Value::from_safe_string(part(&command))
    });
    environment.add_filter("sh", |text: String| {
        Value::from_safe_string(shell_word(&text))
    });
    environment.add_filter("say", |text: String| {
        Value::from_safe_string(text.replace(char::is_control, " "))
    });
    environment.add_filter("module", |path: String, root: Option<String>| {
        let root = root.filter(|root| root != ".");
        let inside =
            root.and_then(|root| path.strip_prefix(&format!("{root}/")).map(str::to_owned));
        module(&inside.unwrap_or(path))
    });
    environment.add_filter("module_name", |module: String| module_name(&module));
    environment.add_filter("parent", |path: String| {
        path.rsplit_once('/')
            .map_or(".".to_owned(), |(parent, _)| parent.to_owned())
    });
    environment.add_filter("from_root", |path: String| {
        path.trim_start_matches('/').to_owned()
    });
    environment.add_filter("name", |path: String| {
        path.rsplit('/').next().unwrap_or_default().to_owned()
    });
    environment
        .render_str(text, Value::from(Serde(values)))
        .map_err(|error| format!("{error:#}"))
}

/// Whether a template makes use of a variable.
pub(crate) fn mentions(text: &str, variable: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let tags = text
        .split('{')
        .skip(1)
        .filter_map(|tag| tag.split('}').next());
    tags.flat_map(|tag| tag.split(|c: char| !is_word(c)))
        .any(|word| word == variable)
}

/// Letters, digits and punctuation that mean nothing to a shell or to Docker.
pub(crate) fn is_harmless(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._/:@=+,-".contains(&byte))
}

/// A command as the JSON array `CMD` takes: the only place commands of an app are written.
fn exec(command: String) -> Result<Value, Error> {
    let argv = procfile::shell_argv(&command).map(|word| serde_json::to_string(&word));
    let mut words = Vec::new();
    for word in argv {
        words.push(word.map_err(|_| refused("a command that is no JSON string"))?);
    }
    Ok(Value::from_safe_string(format!("[{}]", words.join(", "))))
}

/// Whether a command means behind `RUN` what it means to a shell.
fn is_plain(command: &str) -> bool {
    let has_plain_letters = command
        .chars()
        .all(|c| is_harmless(c.encode_utf8(&mut [0; 4])) || " $\"'&".contains(c));
    let begins_plainly = |c: char| c.is_ascii_alphanumeric();
    has_plain_letters && command.trim_start_matches("./").starts_with(begins_plainly)
}

/// A command behind `RUN`: as it is where that reads the same, else as a JSON array.
fn run(command: String) -> Result<Value, Error> {
    if is_plain(&command) {
        return Ok(Value::from_safe_string(command));
    }
    exec(command)
}

/// A command between `&&` in a `RUN`, where a JSON array is no command: as it is where that reads the same, else one word for a
/// shell of its own. Docker ends an instruction at a line break, whatever is quoted, so printf makes those.
fn part(command: &str) -> String {
    let command = command.trim();
    if is_plain(command) {
        return command.to_owned();
    }
    if command.contains(char::is_control) || command.ends_with('\\') {
        let escaped: String = command.chars().map(escaped_for_printf).collect();
        return format!("/bin/sh -c \"$(printf %b {})\"", shell_word(&escaped));
    }
    format!("/bin/sh -c {}", shell_word(command))
}

fn escaped_for_printf(c: char) -> String {
    match c {
        '\\' => r"\\".to_owned(),
        '\n' => r"\n".to_owned(),
        c if c.is_control() => format!(r"\0{:o}", u32::from(c)),
        c => c.to_string(),
    }
}

/// One word of a POSIX shell line.
fn shell_word(text: &str) -> String {
    if !text.is_empty() && is_harmless(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The last part of a module path that is no version: `example.com/shop/v2` is `shop`.
pub(crate) fn module_name(module: &str) -> String {
    let is_version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let module = module
        .split("//")
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches('"');
    module
        .rsplit('/')
        .find(|part| !is_version(part))
        .unwrap_or_default()
        .to_owned()
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(template: &str, value: &str, expected: &str) {
        let values = BTreeMap::from([("x", value)]);
        assert_eq!(render(template, &values).unwrap(), expected);
    }

    #[test]
    fn filters() {
        check(
            "CMD {{ x | exec }}",
            "npm start",
            r#"CMD ["/bin/sh", "-c", "exec npm start"]"#,
        );
        check(
            "CMD {{ x | exec }}",
            "a \"b\"\nRUN evil",
            r#"CMD ["/bin/sh", "-c", "a \"b\"\nRUN evil"]"#,
        );
        check("RUN {{ x | run }}", "npm run build", "RUN npm run build");
        check(
            "RUN {{ x | run }}",
            "a\nb",
            r#"RUN ["/bin/sh", "-c", "a\nb"]"#,
        );
        check(
            "RUN {{ x | run }}",
            "a \\",
            r#"RUN ["/bin/sh", "-c", "exec a \\"]"#,
        );
        check(
            "RUN {{ x | run }}",
            "[x]",
            r#"RUN ["/bin/sh", "-c", "[x]"]"#,
        );
        check("a && {{ x | part }}", "go build", "a && go build");
        check(
            "a && {{ x | part }}",
            "make || it's",
            r"a && /bin/sh -c 'make || it'\''s'",
        );
        check(
            "a && {{ x | part }}",
            "b\nRUN \\x",
            r#"a && /bin/sh -c "$(printf %b 'b\nRUN \\x')""#,
        );
        check("node {{ x | sh }}", "a b.js", "node 'a b.js'");
        check("node {{ x | sh }}", "it's", r"node 'it'\''s'");
        check(
            "{{ x | module }} {{ x | parent }} {{ x | name }}",
            "a/b/__init__.py",
            "a.b a/b __init__.py",
        );
        check("{{ x | module('a') }}", "a/b/wsgi.py", "b.wsgi");
        check("{{ x | module('.') }}", "a/b.py", "a.b");
    }

    #[test]
    fn nothing_is_written_unseen() {
        for value in ["a b", "a\nRUN evil", "$(x)", "a;b", "`x`"] {
            assert!(
                render("FROM {{ x }}", &BTreeMap::from([("x", value)])).is_err(),
                "{value:?}"
            );
        }
        assert!(render("{{ y }}", &BTreeMap::from([("x", 1)])).is_err());
        assert_eq!(render("{{ x }}", &BTreeMap::from([("x", 1)])).unwrap(), "1");
    }
}
