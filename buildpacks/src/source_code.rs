//! Glances at source code, line by line. No parser: a wrong guess costs a clear failure of the check after the build, and a
//! Procfile overrules it.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::error::DetectError;
use crate::repository::Repository;

/// Files looked into for one question. A repository may have 100,000; an entry point is near the root, and those come first.
const MAX_FILES: usize = 400;

/// The same where every program is wanted, not the first: more than repositories of Go mostly have, and read in under a second.
const MAX_PROGRAM_FILES: usize = 3000;

/// The first file that contains one of `texts`.
pub(crate) fn file_with(
    repository: &Repository<'_>,
    of: &[String],
    texts: &[String],
) -> Result<Option<String>, DetectError> {
    first(repository, of, |source| {
        texts
            .iter()
            .any(|text| source.contains(text.as_str()))
            .then(String::new)
    })
    .map(|found| found.map(|(file, _)| file))
}

/// Which lines to look for in a file that is a program, where a text alone would say too little.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lines {
    /// Files or patterns, in order.
    of: Vec<String>,
    /// The line begins with one of these, without any space before it; with anything where there are none.
    begins: Vec<String>,
    /// It has one of these,
    contains: Vec<String>,
    /// and all of these,
    all: Vec<String>,
    /// and none of these.
    without: Vec<String>,
    /// What begins a comment, at the start of a line or behind a space.
    comment: String,
}

impl Lines {
    /// The first file with such a line.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub(crate) fn file(&self, repository: &Repository<'_>) -> Result<Option<String>, DetectError> {
        for path in self.of.iter().flat_map(|of| repository.matching(of)) {
            // What is too large is looked into at its beginning, and what is no text as well as it can be read.
            let text = match repository.beginning(path) {
                Ok(text) => text,
                Err(_) => repository.source(path)?,
            };
            if text.lines().any(|line| self.is_one(line)) {
                return Ok(Some(path.to_owned()));
            }
        }
        Ok(None)
    }

    fn is_one(&self, line: &str) -> bool {
        let line = if self.comment.is_empty() {
            line
        } else if line.trim_start().starts_with(&self.comment) {
            return false;
        } else {
            let behind = format!(" {}", self.comment);
            line.split(behind.as_str()).next().unwrap_or_default()
        };
        let has = |text: &String| line.contains(text.as_str());
        (self.begins.is_empty() || self.begins.iter().any(|text| line.starts_with(text)))
            && self.contains.iter().any(has)
            && self.all.iter().all(has)
            && !self.without.iter().any(has)
    }
}

/// The first `NAME = CALL(` or `NAME: Type = module.CALL(` at the start of a line: file and name.
pub(crate) fn assigned_call(
    repository: &Repository<'_>,
    of: &[String],
    calls: &[String],
) -> Result<Option<(String, String)>, DetectError> {
    first(repository, of, |source| {
        source.lines().find_map(|line| assignment(line, calls))
    })
}

/// The first `def NAME(` (or `async def`) at the start of a line, for one of `names`.
pub(crate) fn defined_function(
    repository: &Repository<'_>,
    of: &[String],
    names: &[String],
) -> Result<Option<(String, String)>, DetectError> {
    first(repository, of, |source| {
        let definitions = source
            .lines()
            .map(|line| line.strip_prefix("async ").unwrap_or(line))
            .filter_map(|line| line.strip_prefix("def ")?.split_once('('));
        definitions
            .map(|(name, _)| name.trim())
            .find(|name| names.iter().any(|wanted| wanted == name))
            .map(str::to_owned)
    })
}

/// The directories, in the order found, of all files matching `of` (but not `except`) that have `line`, comments aside, and
/// one of `texts` anywhere in them, where there are any.
pub(crate) fn directories_with(
    repository: &Repository<'_>,
    of: &[String],
    except: &str,
    line: &str,
    texts: &[String],
) -> Result<Vec<String>, DetectError> {
    let excluded: BTreeSet<&str> = repository.matching(except).into_iter().collect();
    let mut found: Vec<String> = Vec::new();
    let mut looked_into = 0usize;
    let paths = of.iter().flat_map(|pattern| repository.matching(pattern));
    for path in paths.filter(|path| !excluded.contains(path)) {
        let directory = path
            .rsplit_once('/')
            .map_or(".", |(directory, _)| directory);
        // Folders of examples, tests and copied packages hold programs that are not the app.
        let is_aside = directory.split('/').any(|part| {
            matches!(
                part,
                "vendor"
                    | "testdata"
                    | "test"
                    | "tests"
                    | "examples"
                    | "example"
                    | "internal"
                    | "tools"
                    | "scripts"
                    | "docs"
            ) || part.starts_with('_')
        });
        if is_aside || found.iter().any(|known| known == directory) {
            continue;
        }
        if looked_into == MAX_PROGRAM_FILES {
            break;
        }
        looked_into += 1;
        let source = repository.source(path)?;
        let is_ignored_by_tools = source
            .lines()
            .any(|text| text.trim() == "//go:build ignore");
        let has_text = texts.is_empty() || texts.iter().any(|text| source.contains(text.as_str()));
        if !is_ignored_by_tools
            && has_text
            && source
                .lines()
                .any(|text| text.split("//").next().unwrap_or_default().trim() == line)
        {
            found.push(directory.to_owned());
        }
    }
    Ok(found)
}

/// Tests, examples and documentation make apps of their own, and some people commit their virtual environment.
fn is_beside_the_app(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let is_test = name.starts_with("test_") || name.ends_with("_test.py") || name == "conftest.py";
    is_test
        || parts.any(|folder| {
            matches!(
                folder,
                "tests"
                    | "test"
                    | "examples"
                    | "docs"
                    | "docs_src"
                    | "benchmarks"
                    | "venv"
                    | "env"
                    | "site-packages"
            )
        })
}

fn first(
    repository: &Repository<'_>,
    of: &[String],
    look: impl Fn(&str) -> Option<String>,
) -> Result<Option<(String, String)>, DetectError> {
    let mut seen = BTreeSet::new();
    for path in of.iter().flat_map(|pattern| repository.matching(pattern)) {
        if is_beside_the_app(path) || !seen.insert(path) {
            continue;
        }
        if seen.len() > MAX_FILES {
            break;
        }
        if let Some(found) = look(&repository.source(path)?) {
            return Ok(Some((path.to_owned(), found)));
        }
    }
    Ok(None)
}

fn assignment(line: &str, calls: &[String]) -> Option<String> {
    let (left, right) = line.split_once('=')?;
    // `app, rt = fast_app()`: the app comes first.
    let name = left.split([':', ',']).next()?.trim_end();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let called = right.trim_start().split_once('(')?.0.trim_end();
    let called = called.rsplit('.').next()?;
    (is_name && calls.iter().any(|call| call == called)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    #[test]
    fn assignments() {
        let calls = ["Flask".to_owned()];
        for (line, expected) in [
            ("app = Flask(__name__)", Some("app")),
            ("app: Flask = flask.Flask(__name__)", Some("app")),
            ("    app = Flask(__name__)", None),
            ("app == Flask(x)", None),
            ("a.b = Flask(x)", None),
            ("app, rt = Flask(x)", Some("app")),
            ("app = NotFlask(x)", None),
            ("# app = Flask(x)", None),
        ] {
            assert_eq!(assignment(line, &calls).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn programs_in_folders() {
        let tree = MapTree::new()
            .with("main.go", "// x\npackage main // y\n")
            .with("cmd/api/main.go", "package main\n")
            .with("cmd/api/main_test.go", "package main\n")
            .with("lib/lib.go", "package lib\n// package main\n")
            .with("gen/gen.go", "//go:build ignore\n\npackage main\n")
            .with("vendor/x/main.go", "package main\n");
        let repository = Repository::new(&tree).unwrap();
        let found = directories_with(
            &repository,
            &["**/*.go".to_owned()],
            "**/*_test.go",
            "package main",
            &[],
        )
        .unwrap();
        assert_eq!(found, [".", "cmd/api"]);
    }
}
