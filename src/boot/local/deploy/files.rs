//! Which files of a folder are sent: those that a push would bring, without those that a build would not see anyway.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use mini_buildpacks::dockerignore::{self, Dockerignore};
use mini_buildpacks::{DirTree, Options, Tree, TreeError, detect};

use super::folder::{Folder, WorkTree, git};
use super::memory;
use crate::model::{Kind, Problem, Timestamp};

/// The largest `.dockerignore` that is read, bytes; the server has the same bound.
const IGNORE_LIMIT: usize = 1 << 20;
/// What says how an app is built and run, beside what detection reads.
const ALWAYS: [&str; 6] = [
    "Procfile",
    "app.json",
    "CHECKS",
    "Dockerfile",
    "mini.toml",
    ".dockerignore",
];

/// The files of a folder that are sent.
#[derive(Debug)]
pub(super) struct Chosen {
    /// The folder.
    pub(super) root: PathBuf,
    /// Relative to it, in order, each once.
    pub(super) paths: BTreeSet<Vec<u8>>,
    /// Sum of their sizes, bytes.
    pub(super) total_bytes: u64,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

impl Chosen {
    /// How much it is, in words.
    pub(super) fn summary(&self) -> String {
        let files = match self.paths.len() {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        let size = match self.total_bytes {
            bytes if bytes < 1 << 20 => format!("{} KiB", bytes.div_ceil(1 << 10)),
            bytes => format!("{} MiB", bytes.div_ceil(1 << 20)),
        };
        format!("{files} ({size})")
    }
}

/// # Errors
/// The folder cannot be read, there is nothing in it, or its `.dockerignore` has a mistake.
pub(super) fn choose(folder: Folder) -> Result<Chosen, Problem> {
    let Folder {
        path: root,
        work_tree,
    } = folder;
    let listed = match work_tree {
        Some(WorkTree::Root | WorkTree::Below) => in_work_tree(&root)?,
        None => in_folder(&root)?,
    };
    let seen = Seen::of(&root, &listed);
    let (ignored, needed) = seen.ignored(&root, work_tree.is_none())?;
    let mut chosen = Chosen {
        root,
        paths: BTreeSet::new(),
        total_bytes: 0,
        warnings: Vec::new(),
    };
    for (path, size_bytes) in listed {
        let name = String::from_utf8_lossy(&path);
        let is_needed = needed.contains(name.as_ref()) || ALWAYS.contains(&name.as_ref());
        let is_memory = name.split('/').next() == Some(memory::FOLDER);
        if is_memory || (ignored.is_ignored(&name) && !is_needed) {
            continue;
        }
        if name == ".env" {
            chosen.warnings.push(
                ".env is sent along and becomes a part of the image; keep it out with a line in .dockerignore, and set its \
                 values with config:set"
                    .to_owned(),
            );
        }
        chosen.total_bytes = chosen.total_bytes.saturating_add(size_bytes);
        chosen.paths.insert(path);
    }
    if chosen.paths.is_empty() {
        return Err(Problem::new(
            Kind::Invalid,
            format!("There is nothing to deploy in {}", chosen.root.display()),
            "it has no files, or all of them are ignored",
            "Look at .gitignore and .dockerignore",
        ));
    }
    Ok(chosen)
}

type Listed = Vec<(Vec<u8>, u64)>;

/// What git would take: tracked files as they are now, and new ones that are not ignored. Submodules and repositories inside
/// are looked into.
fn in_work_tree(root: &Path) -> Result<Listed, Problem> {
    let mut listed = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        let words = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        let said = git(&root.join(&below), words)?;
        for name in said
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            let name = name.strip_suffix(b"/").unwrap_or(name);
            let path = below.join(OsStr::from_bytes(name));
            match fs::symlink_metadata(root.join(&path)) {
                // Tracked, and removed since.
                Err(_) => {}
                Ok(found) if found.is_dir() => {
                    // An empty folder is what a submodule is that was not fetched; git would list its own repository there.
                    if root.join(&path).join(".git").exists() {
                        pending.push(path);
                    }
                }
                Ok(found) => listed.push((path.into_os_string().into_vec(), found.len())),
            }
        }
    }
    Ok(listed)
}

/// All but what nobody wants, or what its `.dockerignore` leaves out.
fn in_folder(root: &Path) -> Result<Listed, Problem> {
    let own = read_ignore(root, ".dockerignore")?;
    let has_own = own.is_some();
    let ignored = own.unwrap_or_else(Dockerignore::sensible);
    let mut listed = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        let unreadable = |error: std::io::Error| {
            Problem::new(
                Kind::Invalid,
                format!("{} cannot be read", root.join(&below).display()),
                error.to_string(),
                "Leave it out with a line in .dockerignore, or let yourself read it",
            )
        };
        for entry in fs::read_dir(root.join(&below)).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = below.join(entry.file_name());
            let name = path.to_string_lossy();
            let is_git = entry.file_name().eq_ignore_ascii_case(".git");
            // What a file of one's own leaves out may be taken back further below, and is decided file by file.
            let is_left_out = ignored.is_ignored(&name) && !(has_own && ignored.has_exceptions());
            let found = entry.metadata().map_err(unreadable)?;
            if is_git {
                continue;
            }
            if found.is_dir() {
                if !is_left_out {
                    pending.push(path);
                }
            } else if (found.is_file() || found.is_symlink()) && (has_own || !is_left_out) {
                listed.push((path.into_os_string().into_vec(), found.len()));
            }
        }
    }
    Ok(listed)
}

/// A folder as detection reads it, with a record of what it asked for.
struct Seen {
    files: Vec<String>,
    tree: Option<DirTree>,
    read: RefCell<BTreeSet<String>>,
}

impl Seen {
    fn of(root: &Path, listed: &Listed) -> Self {
        let names = listed.iter();
        Self {
            files: names
                .map(|(path, _)| String::from_utf8_lossy(path).into_owned())
                .collect(),
            tree: DirTree::open(root).ok(),
            read: RefCell::default(),
        }
    }

    /// What a build would not see, and which of it the server has to read all the same. The same rules as the server's,
    /// which looks at all of it again.
    fn ignored(
        self,
        root: &Path,
        is_plain: bool,
    ) -> Result<(Dockerignore, BTreeSet<String>), Problem> {
        let options = Options {
            today: Some(Timestamp::now().strftime("%Y-%m-%d").to_string()),
            ..Options::default()
        };
        // What cannot be detected here may be named by the app's settings; if not, the server says so best.
        let found = detect(&self, &options).ok();
        let own = found
            .as_ref()
            .and_then(|found| found.dockerfile_path.clone());
        let is_whole = found.as_ref().is_none_or(|found| found.context == ".");
        let is_known = found.is_some();
        let mut ignored = None;
        if is_whole {
            let dockerfile = own.as_deref().unwrap_or("Dockerfile");
            for path in dockerignore::candidates(dockerfile) {
                self.read.borrow_mut().insert(path.clone());
                ignored = read_ignore(root, &path)?;
                if ignored.is_some() {
                    break;
                }
            }
        }
        let ignored = ignored.unwrap_or_else(|| {
            if is_plain || (is_known && own.is_none()) {
                Dockerignore::sensible()
            } else {
                Dockerignore::default()
            }
        });
        Ok((ignored, self.read.into_inner()))
    }
}

impl Tree for Seen {
    fn files(&self) -> Result<Vec<String>, TreeError> {
        Ok(self.files.clone())
    }

    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        self.read.borrow_mut().insert(path.to_owned());
        let tree = self.tree.as_ref();
        tree.map_or(Ok(None), |tree| tree.read(path, limit_bytes))
    }

    fn beginning(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        self.read.borrow_mut().insert(path.to_owned());
        let tree = self.tree.as_ref();
        tree.map_or(Ok(None), |tree| tree.beginning(path, limit_bytes))
    }
}

/// The patterns in a file of a folder; `None` where there is none.
fn read_ignore(root: &Path, path: &str) -> Result<Option<Dockerignore>, Problem> {
    let invalid = |why: String| {
        Problem::new(
            Kind::Invalid,
            format!("{path} cannot be read"),
            why,
            "Correct the file, and deploy again",
        )
    };
    let tree = DirTree::open(root).map_err(|error| invalid(error.to_string()))?;
    match tree.read(path, IGNORE_LIMIT) {
        Ok(None) => Ok(None),
        Ok(Some(text)) => Dockerignore::parse(&text)
            .map(Some)
            .map_err(|error| invalid(error.to_string())),
        Err(error) => Err(invalid(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
