//! Walks every `fixtures/<case>/` of every language folder. `UPDATE_FIXTURES=1 cargo test -p mini-buildpacks` rewrites what is
//! expected; read the difference before committing it.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::{DirTree, Options, detect};

#[test]
fn fixtures_are_what_is_detected() {
    let mut failures = Vec::new();
    let mut cases = 0;
    for folder in folders(Path::new(env!("CARGO_MANIFEST_DIR"))) {
        if !folder.join("buildpack.toml").exists() {
            continue;
        }
        let of_language = folders(&folder.join("fixtures"));
        assert!(
            !of_language.is_empty(),
            "{} has no fixtures",
            folder.display()
        );
        for case in of_language {
            cases += 1;
            check(&case, &mut failures);
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {cases} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// `detection.json` holds the detection without its Dockerfile, or the error; `Dockerfile` the text.
fn check(case: &Path, failures: &mut Vec<String>) {
    let tree = DirTree::open(case.join("app")).unwrap();
    let (json, text) = match detect(&tree, &Options::default()) {
        Ok(detection) => {
            let mut json = serde_json::to_value(&detection).unwrap();
            json.as_object_mut().unwrap().remove("dockerfile");
            (json, detection.dockerfile)
        }
        Err(error) => (
            serde_json::json!({"what": error.what(), "why": error.why(), "next": error.next()}),
            String::new(),
        ),
    };
    if let Some(problem) = work_folder_problem(&text) {
        failures.push(format!("{}: {problem}", case.display()));
    }
    let json = format!("{}\n", serde_json::to_string_pretty(&json).unwrap());
    for (name, content) in [("detection.json", json), ("Dockerfile", text)] {
        let path = case.join(name);
        if env::var_os("UPDATE_FIXTURES").is_some() {
            if content.is_empty() {
                let _ = fs::remove_file(&path);
            } else {
                fs::write(&path, content).unwrap();
            }
        } else if fs::read_to_string(&path).unwrap_or_default() != content {
            failures.push(format!("{}: now\n{content}", path.display()));
        }
    }
}

/// What is wrong with the work folder of the last stage: it belongs to root unless a step before `WORKDIR` makes it, which has to
/// be so because apps write beside their code (a SQLite file, uploads, what a compiler makes at the start).
fn work_folder_problem(dockerfile: &str) -> Option<String> {
    let last = dockerfile.rsplit("\nFROM ").next()?;
    let user = last
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("USER "))?;
    let Some(folder) = last
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("WORKDIR "))
    else {
        // The web server of pages, which has nothing to write beside them.
        return (user != "101:101").then(|| "no WORKDIR in the last stage".to_owned());
    };
    let makes_it = |line: &str| {
        let words: Vec<&str> = line.split([' ', ';']).collect();
        words.windows(3).any(|three| match three {
            ["chown", owner, path] => *path == folder && is_owner(owner, user),
            ["-R", owner, path] => Path::new(folder).starts_with(path) && is_owner(owner, user),
            _ => false,
        })
    };
    let is_copy = |line: &str| line.starts_with("COPY") && line.contains("--chown");
    let copies = last.lines().position(is_copy);
    match last.lines().position(makes_it) {
        None => Some(format!("{folder} is not made {user}'s")),
        Some(made) if copies.is_some_and(|copies| copies < made) => Some(format!(
            "{folder} is made {user}'s after the app is in it, which doubles the layer"
        )),
        Some(_) => None,
    }
}

fn is_owner(owner: &str, user: &str) -> bool {
    owner == user || owner.split_once(':') == Some((user, user))
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn examples_are_what_their_folders_say() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for (folder, language, start, image) in [
        (
            "dockerfile",
            "dockerfile",
            Some("python web.py"),
            "python:3.13-slim",
        ),
        ("go-hello", "go", Some("./bin/go-hello"), "golang:1.26"),
        (
            "node-express",
            "node",
            Some("node server.js"),
            "node:22-slim",
        ),
        (
            "python-flask",
            "python",
            Some("gunicorn app:app --bind 0.0.0.0:$PORT"),
            "python:3.13-slim",
        ),
        ("static-site", "static", None, "nginx:1.28"),
    ] {
        let tree = DirTree::open(examples.join(folder)).unwrap();
        let detection = detect(&tree, &Options::default()).unwrap();
        assert_eq!(detection.language, language, "{folder}");
        assert_eq!(detection.start.as_deref(), start, "{folder}");
        assert_eq!(
            detection.base_images.first().map(String::as_str),
            Some(image),
            "{folder}"
        );
        assert!(
            detection.warnings.is_empty(),
            "{folder}: {:?}",
            detection.warnings
        );
    }
}
