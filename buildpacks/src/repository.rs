//! The repository during one detection: its file list, and each manifest read and parsed once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::encoding::decode;
use crate::error::DetectError;
use crate::glob::Glob;
use crate::tree::{Tree, TreeError};

/// No file is read beyond this. A lock file may be larger: its presence is enough.
pub(crate) const MAX_FILE_BYTES: usize = 1 << 20;

/// Directories that hold tools' files, never an application's.
pub(crate) fn is_skipped_directory(name: &str) -> bool {
    matches!(
        name,
        ".git" | ".hg" | ".svn" | "node_modules" | "__pycache__" | ".venv" | ".tox" | ".nox"
    )
}

/// A tree with a filtered, sorted file list and a cache of what was read.
///
/// Paths are relative to the directory of the app. One with a `/` in front is relative to the root of the repository, which is
/// the same where the app is the whole of it: then the `/` is dropped, and a path that was asked for with it is given without. It is
/// so, too, in a directory that stands alone; there two `/` in front lead to the root.
pub(crate) struct Repository<'a> {
    tree: &'a dyn Tree,
    /// The directory of the app with a `/` behind; empty where the app is the whole repository.
    prefix: String,
    /// Whether the directory is a repository of its own, for all that this language asks.
    is_alone: bool,
    files: BTreeSet<String>,
    /// The same by the number of `/` in them: most patterns say how many.
    depths: Vec<Vec<String>>,
    /// All files with a `/` in front; empty where the app is the whole repository.
    root_files: BTreeSet<String>,
    texts: RefCell<BTreeMap<String, Option<Rc<str>>>>,
    pub(crate) jsons: RefCell<BTreeMap<String, Rc<serde_json::Value>>>,
    sources: RefCell<Sources>,
}

/// Source code that was read: several questions look at the same files.
#[derive(Default)]
struct Sources {
    texts: BTreeMap<String, Rc<str>>,
    bytes: usize,
}

impl Sources {
    /// More than the sources of most repositories, and little beside a build.
    const MAX_BYTES: usize = 32 << 20;

    fn keep(&mut self, path: &str, text: &Rc<str>) {
        if self.bytes + text.len() <= Self::MAX_BYTES {
            self.bytes += text.len();
            self.texts.insert(path.to_owned(), Rc::clone(text));
        }
    }
}

impl<'a> Repository<'a> {
    #[cfg(test)]
    pub(crate) fn new(tree: &'a dyn Tree) -> Result<Self, DetectError> {
        Self::in_directory(tree, "")
    }

    /// The app in `directory`, empty for the root. There may be no such directory: then there are no files.
    pub(crate) fn in_directory(tree: &'a dyn Tree, directory: &str) -> Result<Self, DetectError> {
        let is_application_file = |path: &String| {
            let directories = path
                .rsplit_once('/')
                .map_or("", |(directories, _)| directories);
            // A control character in a name could end a line of the Dockerfile; no manifest is called so.
            !path.is_empty()
                && !path.contains(char::is_control)
                && !directories.split('/').any(is_skipped_directory)
        };
        let all = tree.files()?.into_iter().filter(is_application_file);
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        let (files, root_files) = if prefix.is_empty() {
            (all.collect(), BTreeSet::new())
        } else {
            let root_files: BTreeSet<String> = all.map(|path| format!("/{path}")).collect();
            let inside = root_files
                .iter()
                .filter_map(|path| path.strip_prefix('/')?.strip_prefix(prefix.as_str()));
            (inside.map(str::to_owned).collect(), root_files)
        };
        let mut depths: Vec<Vec<String>> = Vec::new();
        for path in &files {
            let path: &String = path;
            let depth = path.matches('/').count();
            if depths.len() <= depth {
                depths.resize_with(depth + 1, Vec::new);
            }
            if let Some(paths) = depths.get_mut(depth) {
                paths.push(path.clone());
            }
        }
        Ok(Self {
            tree,
            prefix,
            is_alone: false,
            depths,
            sources: RefCell::default(),
            files,
            root_files,
            texts: RefCell::default(),
            jsons: RefCell::default(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The directory of the app, empty for the root of the repository.
    pub(crate) fn directory(&self) -> &str {
        self.prefix.trim_end_matches('/')
    }

    /// A path as it is written from the root of the repository, for people and for the tree.
    #[expect(
        clippy::wrong_self_convention,
        reason = "it makes no repository: it says from where the path is seen"
    )]
    pub(crate) fn from_root(&self, path: &str) -> String {
        match path.strip_prefix("//").or_else(|| path.strip_prefix('/')) {
            Some(inside) if self.is_alone && !path.starts_with("//") => {
                format!("{}{inside}", self.prefix)
            }
            Some(rooted) => rooted.to_owned(),
            None => format!("{}{path}", self.prefix),
        }
    }

    /// The path if it is there, else the same at the root of the repository: `.nvmrc` of an app in a monorepo.
    pub(crate) fn here_or_at_root(&self, path: &str) -> String {
        let root = if self.is_alone { "//" } else { "/" };
        let at_root = format!("{root}{path}");
        if !self.has(path) && self.has(&at_root) {
            at_root
        } else {
            path.to_owned()
        }
    }

    /// The list a path belongs to, and the path as it stands there.
    fn list_of<'p>(&self, path: &'p str) -> (&BTreeSet<String>, &'p str) {
        if let Some(rooted) = path.strip_prefix('/').filter(|path| path.starts_with('/')) {
            return (&self.root_files, rooted);
        }
        match path.strip_prefix('/') {
            Some(rooted) if self.prefix.is_empty() || self.is_alone => (&self.files, rooted),
            Some(_) => (&self.root_files, path),
            None => (&self.files, path),
        }
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        let (files, path) = self.list_of(path);
        files.contains(path)
    }

    /// Whether any file is below `path`.
    pub(crate) fn has_folder(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        self.files
            .range(inside.clone()..)
            .next()
            .is_some_and(|file| file.starts_with(&inside))
    }

    /// Names at the root, directories with a `/` behind, for telling the user what was seen.
    pub(crate) fn root_names(&self) -> BTreeSet<String> {
        let names = self.files.iter().map(|path| match path.split_once('/') {
            Some((directory, _)) => format!("{directory}/"),
            None => path.clone(),
        });
        names.collect()
    }

    /// Files matching a pattern of Docker's form, in order of depth, then name.
    pub(crate) fn matching(&self, pattern: &str) -> Vec<&str> {
        let (files, pattern) = self.list_of(pattern);
        if let Some(path) = files.get(pattern) {
            return vec![path];
        }
        // Without a special character it could only have been that file.
        if !pattern.contains(['*', '?', '[', '\\']) {
            return Vec::new();
        }
        let Ok(glob) = Glob::new(pattern.trim_start_matches('/')) else {
            return Vec::new();
        };
        if let Some(depth) = glob.depth().filter(|_| !pattern.starts_with('/')) {
            let paths = self.depths.get(depth).into_iter().flatten();
            return paths
                .map(String::as_str)
                .filter(|path| glob.is_match(path))
                .collect();
        }
        let mut found: Vec<&str> = files
            .iter()
            .map(String::as_str)
            .filter(|path| glob.is_match(path.trim_start_matches('/')))
            .collect();
        found.sort_by_key(|path| (path.matches('/').count(), *path));
        found
    }

    /// The first file any of the patterns names, patterns in order.
    pub(crate) fn first_of<'p>(
        &self,
        patterns: impl IntoIterator<Item = &'p String>,
    ) -> Option<&str> {
        patterns
            .into_iter()
            .find_map(|pattern| self.matching(pattern).first().copied())
    }

    /// A file's text, `None` where there is no such file.
    ///
    /// # Errors
    /// The file is larger than [`MAX_FILE_BYTES`], cannot be read, or is not text.
    pub(crate) fn text(&self, path: &str) -> Result<Option<Rc<str>>, DetectError> {
        if !self.has(path) {
            return Ok(None);
        }
        if let Some(known) = self.texts.borrow().get(path) {
            return Ok(known.clone());
        }
        let place = self.from_root(path);
        let text = match self.tree.read(&place, MAX_FILE_BYTES)? {
            Some(bytes) => Some(Rc::from(decode(&place, &bytes)?)),
            None => None,
        };
        self.texts
            .borrow_mut()
            .insert(path.to_owned(), text.clone());
        Ok(text)
    }

    /// A file's text, or its first lines where the whole is too large to be read; empty where there is no such file.
    pub(crate) fn beginning(&self, path: &str) -> Result<Rc<str>, DetectError> {
        const BYTES: usize = 16 << 10;
        match self.text(path) {
            Err(DetectError::FileTooLarge { .. }) => {}
            other => return Ok(other?.unwrap_or_default()),
        }
        let place = self.from_root(path);
        let mut bytes = self.tree.beginning(&place, BYTES)?.unwrap_or_default();
        // The last line may be half a line.
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(end.unwrap_or_default());
        Ok(Rc::from(decode(&place, &bytes)?))
    }

    /// The same repository seen from a directory in it.
    pub(crate) fn inside(&self, directory: &str) -> Result<Self, DetectError> {
        Self::in_directory(self.tree, directory)
    }

    /// The same directory as if there was nothing around it. Versions alone are still looked for at the root.
    pub(crate) fn alone(&self) -> Result<Self, DetectError> {
        let mut alone = Self::in_directory(self.tree, self.directory())?;
        alone.is_alone = true;
        Ok(alone)
    }

    /// Whether nothing around the directory matters.
    pub(crate) fn is_alone(&self) -> bool {
        self.is_alone || self.prefix.is_empty()
    }

    /// Source code that is only glanced at: too large or badly encoded files are no error here.
    pub(crate) fn source(&self, path: &str) -> Result<Rc<str>, DetectError> {
        if let Some(known) = self.sources.borrow().texts.get(path) {
            return Ok(Rc::clone(known));
        }
        let text: Rc<str> = match self.tree.read(&self.from_root(path), MAX_FILE_BYTES) {
            Ok(bytes) => Rc::from(String::from_utf8_lossy(&bytes.unwrap_or_default())),
            Err(TreeError::TooLarge { .. }) => Rc::default(),
            Err(other) => return Err(other.into()),
        };
        self.sources.borrow_mut().keep(path, &text);
        Ok(text)
    }

    /// A file's raw bytes, within the same limit.
    pub(crate) fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, DetectError> {
        if self.has(path) {
            Ok(self.tree.read(&self.from_root(path), MAX_FILE_BYTES)?)
        } else {
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    #[test]
    fn texts_in_every_encoding() {
        let utf16: Vec<u8> = "\u{feff}flask\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let tree = MapTree::new()
            .with("a", utf16)
            .with("b", "\u{feff}x")
            .with("c", b"ok\nb\xe9\n".to_vec())
            .with("node_modules/d", "");
        let repository = Repository::new(&tree).unwrap();
        assert_eq!(&*repository.text("a").unwrap().unwrap(), "flask\r\n");
        assert_eq!(&*repository.text("b").unwrap().unwrap(), "x");
        let error = repository.text("c").unwrap_err();
        assert!(
            matches!(error, DetectError::InvalidManifest { line: Some(2), .. }),
            "{error:?}"
        );
        assert!(!repository.has("node_modules/d"));
    }

    #[test]
    fn a_slash_leads_to_the_root_of_the_repository() {
        let tree = MapTree::new()
            .with("pnpm-lock.yaml", "x")
            .with("apps/web/package.json", "{")
            .with("apps/web/src/a.js", "")
            .with("apps/api/package.json", "");
        let app = Repository::in_directory(&tree, "apps/web").unwrap();
        assert!(
            app.has("package.json") && app.has("/pnpm-lock.yaml") && !app.has("pnpm-lock.yaml")
        );
        assert_eq!(app.matching("*/*.js"), ["src/a.js"]);
        assert_eq!(
            app.matching("/apps/*/package.json"),
            ["/apps/api/package.json", "/apps/web/package.json"]
        );
        assert_eq!(app.here_or_at_root("pnpm-lock.yaml"), "/pnpm-lock.yaml");
        assert_eq!(&*app.text("/pnpm-lock.yaml").unwrap().unwrap(), "x");
        let error = app.json("package.json").unwrap_err();
        assert_eq!(error.location(), Some(("apps/web/package.json", Some(1))));
        let alone = app.alone().unwrap();
        assert!(alone.has("/package.json") && !alone.has("/pnpm-lock.yaml"));
        assert_eq!(alone.matching("/*.json"), ["package.json"]);
        assert_eq!(alone.from_root("/package.json"), "apps/web/package.json");
        assert_eq!(alone.here_or_at_root("pnpm-lock.yaml"), "//pnpm-lock.yaml");
        assert_eq!(&*alone.text("//pnpm-lock.yaml").unwrap().unwrap(), "x");
        let whole = Repository::new(&tree).unwrap();
        assert_eq!(whole.matching("/pnpm-lock.yaml"), ["pnpm-lock.yaml"]);
        assert_eq!(whole.here_or_at_root("none"), "none");
    }
}
