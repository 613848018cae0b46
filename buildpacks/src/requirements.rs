//! Requirements files as pip reads them, as far as names and includes go
//! (pip.pypa.io/en/stable/reference/requirements-file-format).

use std::collections::BTreeSet;

use crate::error::DetectError;
use crate::repository::Repository;
use crate::template::is_harmless;

/// What a requirements file and those it includes ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirements {
    /// Normalised names (PEP 503), and `name[extra]` for each extra.
    pub(crate) names: BTreeSet<String>,
    /// The file and all it includes, relative to the root.
    pub(crate) files: BTreeSet<String>,
    /// Whether installing needs more of the repository than these files (`-e .`, `./lib`, an include that cannot be named).
    pub(crate) needs_source: bool,
}

/// Reads `file` and what it includes, each file once.
pub(crate) fn read(
    repository: &Repository<'_>,
    file: &str,
) -> Result<Option<Requirements>, DetectError> {
    if !repository.has(file) {
        return Ok(None);
    }
    let mut found = Requirements::default();
    let mut pending = vec![file.to_owned()];
    while let Some(path) = pending.pop() {
        if found.files.contains(&path) {
            continue;
        }
        let Some(text) = repository.text(&path)? else {
            found.needs_source = true;
            continue;
        };
        found.files.insert(path.clone());
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for line in text.replace("\\\r\n", " ").replace("\\\n", " ").lines() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            match Line::parse(line) {
                Line::Nothing => {}
                Line::Include(other) => match join(directory, other) {
                    Some(other) if repository.has(&other) && is_harmless(&other) => {
                        pending.push(other)
                    }
                    _ => found.needs_source = true,
                },
                Line::Local => found.needs_source = true,
                Line::Requirement(text) => found.names.extend(names_of(text)),
            }
        }
    }
    Ok(Some(found))
}

enum Line<'a> {
    Nothing,
    Include(&'a str),
    Local,
    Requirement(&'a str),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        if line.is_empty() || line.starts_with('#') {
            return Self::Nothing;
        }
        for option in ["-r", "--requirement", "-c", "--constraint"] {
            let rest = line
                .strip_prefix(option)
                .filter(|rest| option.len() == 2 || rest.starts_with([' ', '=']));
            if let Some(rest) = rest {
                return Self::Include(rest.trim_start_matches([' ', '=']).trim());
            }
        }
        let target = ["-e ", "--editable ", "--editable="]
            .iter()
            .find_map(|option| line.strip_prefix(option))
            .unwrap_or(line)
            .trim();
        if target.starts_with('.') || target.starts_with('/') || target.starts_with("file:") {
            return Self::Local;
        }
        if line.starts_with('-') {
            return Self::Nothing;
        }
        Self::Requirement(line)
    }
}

/// The normalised name of a requirement string, and `name[extra]` for each extra. Nothing for what is no requirement.
pub(crate) fn names_of(requirement: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let requirement = requirement.trim();
    let end = requirement
        .find(|c| !is_name(c))
        .unwrap_or(requirement.len());
    let Some((name, rest)) = requirement
        .split_at_checked(end)
        .filter(|(name, _)| !name.is_empty())
    else {
        return Vec::new();
    };
    let name = normalised(name);
    let extras = rest
        .trim_start()
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or("", |(extras, _)| extras);
    let with_extras = extras
        .split(',')
        .map(str::trim)
        .filter(|extra| !extra.is_empty());
    let mut names: Vec<String> = with_extras
        .map(|extra| format!("{name}[{}]", normalised(extra)))
        .collect();
    names.push(name);
    names
}

/// PEP 503: lower case, runs of `-`, `_`, `.` are one `-`.
fn normalised(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    lower
        .split(['-', '_', '.'])
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

/// `other` seen from `directory`, inside the repository.
fn join(directory: &str, other: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    if other.starts_with('/') || other.contains("://") {
        return None;
    }
    for part in other.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    #[test]
    fn includes_loops_and_local_packages() {
        let tree = MapTree::new()
            .with("requirements.txt", "-r reqs/base.txt\nGunicorn==1 # x\nfastapi[standard,All]>=0.1; python_version > '3'\n--no-binary :all:\n")
            .with("reqs/base.txt", "-r ../requirements.txt\n-c more.txt\nDjango_Rest.Framework\\\n  ==1\n")
            .with("reqs/more.txt", "# nothing\n")
            .with("local.txt", "-e .\n")
            .with("out.txt", "-r ../../etc/passwd\n");
        let repository = Repository::new(&tree).unwrap();
        let found = read(&repository, "requirements.txt").unwrap().unwrap();
        assert_eq!(
            found.names.into_iter().collect::<Vec<_>>(),
            [
                "django-rest-framework",
                "fastapi",
                "fastapi[all]",
                "fastapi[standard]",
                "gunicorn"
            ]
        );
        assert_eq!(
            found.files.into_iter().collect::<Vec<_>>(),
            ["reqs/base.txt", "reqs/more.txt", "requirements.txt"]
        );
        assert!(!found.needs_source);
        assert!(
            read(&repository, "local.txt")
                .unwrap()
                .unwrap()
                .needs_source
        );
        assert!(read(&repository, "out.txt").unwrap().unwrap().needs_source);
        assert_eq!(read(&repository, "none.txt").unwrap(), None);
    }
}
