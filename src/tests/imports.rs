//! Holds the picture of the modules true: a module imports only from further right, and the two libraries know nothing of
//! Docker, SQLite or `mini`.
//!
//! ```text
//! boot > ssh http > commands > deploy functions backup > reconcile > events > engine store git > model
//! ```

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules from left to right. Those of one rank may not import each other.
const RANKS: &[&[&str]] = &[
    &["boot"],
    &["ssh", "http"],
    &["commands"],
    &["deploy", "functions", "backup"],
    &["reconcile"],
    &["events"],
    &["engine", "store", "git", "access_log"],
    &["model"],
];

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

/// Whether `from` may name `to`.
fn is_allowed(from: &str, to: &str) -> bool {
    from == to
        || match (rank(from), rank(to)) {
            (Some(from), Some(to)) => from < to,
            // Not a module: a macro, or an item of the crate's root.
            (_, None) => true,
            (None, Some(_)) => false,
        }
}

/// The modules that a source text names behind `crate::`, with the line each is on.
fn named(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, _) in code.match_indices("crate::") {
            let is_whole =
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
            if !is_whole {
                continue;
            }
            let rest = &code[at + "crate::".len()..];
            match rest.strip_prefix('{') {
                None => found.push((number + 1, first_word(rest))),
                Some(_) => {
                    let group = whole_group(source, number, at);
                    let heads = heads(&group);
                    found.extend(heads.into_iter().map(|head| (number + 1, head)));
                }
            }
        }
    }
    found
}

fn first_word(text: &str) -> String {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    text.chars().take_while(is_word).collect()
}

/// The text between the braces of a `use crate::{...}` that begins on line `number` at column `at`.
fn whole_group(source: &str, number: usize, at: usize) -> String {
    let lines: Vec<&str> = source.lines().skip(number).collect();
    let text = lines.join("\n");
    let open = at + "crate::".len();
    let mut depth = 0;
    let mut group = String::new();
    for c in text[open..].chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        group.push(c);
    }
    group.trim_start_matches('{').to_owned()
}

/// The first word of each member of a group: `a::{b, c}, d` gives `a` and `d`.
fn heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let members = group.split(|c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    members
        .map(|member| first_word(member.trim()))
        .filter(|head| !head.is_empty())
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn modules_import_only_from_further_right() {
    let src = root().join("src");
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap();
        // `main.rs` and `lib.rs` are wiring; tests look at everything.
        let module = module.strip_suffix(".rs").unwrap_or(module);
        if ["main", "lib", "tests"].contains(&module) {
            continue;
        }
        if rank(module).is_none() {
            wrong.push(format!(
                "src/{module} is not in the picture: give it a place in it"
            ));
            continue;
        }
        seen.insert(module.to_owned());
        for (line, to) in named(&fs::read_to_string(&path).unwrap()) {
            if !is_allowed(module, &to) {
                let place = path.strip_prefix(root()).unwrap().display();
                wrong.push(format!("{module} imports from {to}: {place}:{line}"));
            }
        }
    }
    assert!(seen.contains("model") && seen.contains("boot"), "{seen:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_libraries_know_neither_docker_nor_sqlite_nor_mini() {
    for library in ["proxy", "buildpacks"] {
        let manifest = root().join(library).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for unwanted in ["mini", "bollard", "rusqlite"] {
                assert!(
                    !table.contains_key(unwanted),
                    "{library}/Cargo.toml: {section} names {unwanted}"
                );
            }
        }
    }
}

#[test]
fn the_directions_are_those_of_the_picture() {
    for (from, to, expected) in [
        ("boot", "model", true),
        ("ssh", "commands", true),
        ("ssh", "http", false),
        ("deploy", "functions", false),
        ("deploy", "reconcile", true),
        ("reconcile", "deploy", false),
        ("engine", "store", false),
        ("store", "git", false),
        ("events", "store", true),
        ("model", "events", false),
        ("model", "Crate", true),
    ] {
        assert_eq!(is_allowed(from, to), expected, "{from} -> {to}");
    }
}

#[test]
fn every_way_of_naming_a_module_is_seen() {
    let source = "use crate::model::A;\npub use crate::{events::{B, C}, store::D,\n engine};\n\
                  fn f(x: crate::git::E) {} // crate::boot\nuse other_crate::x;\nlet y = $crate::z;\n";
    let names: Vec<String> = named(source).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["model", "events", "store", "engine", "git"]);
}
