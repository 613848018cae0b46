//! The folder that is deployed, and the git work tree it may be in.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::model::{AppName, Kind, Problem};

/// A folder.
#[derive(Debug)]
pub(super) struct Folder {
    /// Its real path.
    pub(super) path: PathBuf,
    /// Its place in a git work tree, if it is in one.
    pub(super) work_tree: Option<WorkTree>,
}

/// Where a folder is in a git work tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkTree {
    /// At its root.
    Root,
    /// Somewhere below.
    Below,
}

impl Folder {
    /// # Errors
    /// It is none, or it is in a git work tree that git does not read.
    pub(super) fn open(dir: &Path) -> Result<Self, Problem> {
        let unreadable = |why: String| {
            Problem::new(
                Kind::Invalid,
                format!("{} cannot be deployed", dir.display()),
                why,
                "Give a folder: mini deploy DIR",
            )
        };
        let path = dir
            .canonicalize()
            .map_err(|error| unreadable(error.to_string()))?;
        if !path.is_dir() {
            return Err(unreadable("it is not a folder".to_owned()));
        }
        let is_in_one = path.ancestors().any(|above| above.join(".git").exists());
        let work_tree = if is_in_one { work_tree(&path)? } else { None };
        Ok(Self { path, work_tree })
    }

    /// A name for an app made of that of the folder.
    ///
    /// # Errors
    /// There is nothing in it that an app may be called.
    pub(super) fn app_name(&self) -> Result<AppName, Problem> {
        let name = self.path.file_name().unwrap_or_default();
        let name = made_valid(&name.to_string_lossy());
        name.parse().map_err(|_| {
            Problem::new(
                Kind::Usage,
                "The app needs a name",
                format!(
                    "that of the folder {} is none for an app",
                    self.path.display()
                ),
                "Name it: mini deploy --app NAME",
            )
        })
    }
}

/// Lower case, a hyphen for each run of other characters, 63 characters at most.
fn made_valid(name: &str) -> String {
    let mut valid = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => valid.push(c),
            _ if valid.ends_with('-') || valid.is_empty() => {}
            _ => valid.push('-'),
        }
        if valid.len() == 63 {
            break;
        }
    }
    valid.trim_end_matches('-').to_owned()
}

/// Asks git, which knows of links to other places (`.git` files), of repositories without a work tree, and of owners.
fn work_tree(path: &Path) -> Result<Option<WorkTree>, Problem> {
    let said = git(
        path,
        ["rev-parse", "--is-inside-work-tree", "--show-prefix"],
    )?;
    let said = String::from_utf8_lossy(&said);
    let mut lines = said.lines();
    Ok(match (lines.next(), lines.next()) {
        (Some("true"), None | Some("")) => Some(WorkTree::Root),
        (Some("true"), Some(_)) => Some(WorkTree::Below),
        _ => None,
    })
}

/// What git says in a folder, with the user's own settings.
pub(super) fn git<S: AsRef<OsStr>>(
    folder: &Path,
    words: impl IntoIterator<Item = S>,
) -> Result<Vec<u8>, Problem> {
    let refused = |why: String| {
        Problem::new(
            Kind::Unavailable,
            format!("git does not read {}", folder.display()),
            why,
            "Its .gitignore is honoured by git itself: see what `git status` says there",
        )
    };
    let ran = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(words)
        .stdin(Stdio::null())
        .output();
    let ran = ran.map_err(|error| refused(format!("git could not be run: {error}")))?;
    if ran.status.success() {
        Ok(ran.stdout)
    } else {
        let said = String::from_utf8_lossy(&ran.stderr);
        Err(refused(said.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_an_app_a_name_that_it_may_have() {
        for (folder, name) in [
            ("shop", "shop"),
            ("My Shop (2)", "my-shop-2"),
            ("__api_v2__", "api-v2"),
            ("Café", "caf"),
            (".hidden", "hidden"),
            ("日本", ""),
        ] {
            assert_eq!(made_valid(folder), name, "{folder}");
        }
        let long = made_valid(&"ab-".repeat(40));
        assert!(long.parse::<AppName>().is_ok(), "{long}");
        let folder = Folder {
            path: "/".into(),
            work_tree: None,
        };
        let problem = folder.app_name().unwrap_err();
        assert_eq!(problem.next, "Name it: mini deploy --app NAME");
    }
}
