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

/// The first of these files whose name needs no care in a Dockerfile: whoever finds one by a pattern knows it by no other name.
pub(crate) fn named<'r>(repository: &'r Repository<'_>, of: &[String]) -> Option<&'r str> {
    let mut found = of.iter().flat_map(|pattern| repository.matching(pattern));
    found.find(|path| is_harmless(path))
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

/// The first of these files with a line that leads out of the app: an editable package or a folder above it (both are seen from the
/// app's directory), or a file above it that is included (which is seen from the file).
///
/// # Errors
/// The repository cannot be read.
pub(crate) fn reaching_up(
    repository: &Repository<'_>,
    of: &[String],
) -> Result<Option<String>, DetectError> {
    for path in of.iter().flat_map(|pattern| repository.matching(pattern)) {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let text = repository.source(path)?;
        let mut lines = text
            .lines()
            .map(|line| line.split(" #").next().unwrap_or_default().trim());
        let is_above = |target: &str| {
            let target = target.trim_start();
            let target = target.strip_prefix("file:").unwrap_or(target);
            target == ".." || target.starts_with("../")
        };
        let leads_out = |line: &str| match Line::parse(line) {
            Line::Include(other) => is_relative(other) && join(directory, other).is_none(),
            Line::Local => {
                let target = line.strip_prefix("--editable").or(line.strip_prefix("-e"));
                is_above(target.unwrap_or(line).trim_start_matches(['=', ' ']))
            }
            Line::Requirement(text) => text.split_once('@').is_some_and(|(_, target)| {
                target.trim_start().starts_with("file:") && is_above(target)
            }),
            Line::Nothing => false,
        };
        if lines.any(leads_out) {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

fn is_relative(path: &str) -> bool {
    !path.starts_with('/') && !path.contains("://")
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
    if !is_relative(other) {
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
    fn lines_that_lead_out_of_the_app() {
        for (path, text, expected) in [
            ("requirements.txt", "-e ../core\n", true),
            ("requirements.txt", "--editable=../core\n", true),
            ("requirements.txt", "../core[web]\n", true),
            ("requirements.txt", "core @ file:../core\n", true),
            ("requirements.txt", "-r ../base.txt\n", true),
            ("requirements.txt", "-c../c.txt\n", true),
            ("requirements/prod.txt", "-r ../base.txt\n", false),
            ("requirements/prod.txt", "-r ../../base.txt\n", true),
            ("requirements/prod.txt", "-e ../core\n", true),
            (
                "requirements.txt",
                "# -e ../core\nflask # see ../core\n",
                false,
            ),
            ("requirements.txt", "--find-links ../wheels\n", false),
            (
                "requirements.txt",
                "core @ git+https://x.org/a/../b\n",
                false,
            ),
            ("requirements.txt", "-r https://x.org/../a.txt\n", false),
            ("requirements.txt", "-e ./core\n-r base.txt\n", false),
        ] {
            let tree = MapTree::new().with(path, text);
            let repository = Repository::new(&tree).unwrap();
            let of = [
                "requirements.txt".to_owned(),
                "requirements/*.txt".to_owned(),
            ];
            let found = reaching_up(&repository, &of).unwrap();
            assert_eq!(found.is_some(), expected, "{path}: {text}");
        }
    }

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
