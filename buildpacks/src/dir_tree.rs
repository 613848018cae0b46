//! A directory on disk as a [`Tree`].

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::repository::is_skipped_directory;
use crate::tree::{Tree, TreeError};

/// Deeper files say nothing about what an application is, and a bound keeps paths under the system's `PATH_MAX`.
const MAX_DEPTH: usize = 32;
/// Twice the upload limit of the server, so that whatever can be pushed can also be listed.
const MAX_FILES: usize = 200_000;

/// A directory on disk.
///
/// Symlinks are followed only where they end at a regular file inside the directory; linked directories are not entered, so a
/// loop cannot be walked. Directories that hold tools' own files (`.git`, `node_modules`, ...) are not listed.
#[derive(Debug, Clone)]
pub struct DirTree {
    root: PathBuf,
}

impl DirTree {
    /// Opens `path`, which must be a directory.
    ///
    /// # Errors
    /// [`TreeError::Root`] if it does not exist, is no directory, or may not be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TreeError> {
        let path = path.as_ref();
        let failed = |source| TreeError::Root {
            path: path.display().to_string(),
            source,
        };
        let root = path.canonicalize().map_err(failed)?;
        if !root.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
        }
        Ok(Self { root })
    }

    /// Where `path` really is, if that is a regular file inside the root.
    fn resolve(&self, path: &str) -> Option<PathBuf> {
        let relative = Path::new(path);
        if !relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return None;
        }
        let real = self.root.join(relative).canonicalize().ok()?;
        let is_inside = real.starts_with(&self.root);
        // Asked before opening: opening a named pipe would wait for its writer.
        (is_inside && fs::metadata(&real).is_ok_and(|meta| meta.is_file())).then_some(real)
    }
}

impl Tree for DirTree {
    fn files(&self) -> Result<Vec<String>, TreeError> {
        let mut files = Vec::new();
        let mut pending = vec![(self.root.clone(), String::new(), 0usize)];
        while let Some((directory, prefix, depth)) = pending.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(source) if depth == 0 => {
                    return Err(TreeError::Root {
                        path: directory.display().to_string(),
                        source,
                    });
                }
                // A directory we may not enter below the root cannot be part of a build either way.
                Err(_) => continue,
            };
            for entry in entries.flatten() {
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = format!("{prefix}{name}");
                if kind.is_dir() {
                    if depth < MAX_DEPTH && !is_skipped_directory(&name) {
                        pending.push((entry.path(), format!("{path}/"), depth + 1));
                    }
                } else if kind.is_file() || (kind.is_symlink() && self.resolve(&path).is_some()) {
                    if files.len() == MAX_FILES {
                        return Err(TreeError::TooManyFiles { limit: MAX_FILES });
                    }
                    files.push(path);
                }
            }
        }
        Ok(files)
    }

    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        let Some(real) = self.resolve(path) else {
            return Ok(None);
        };
        let failed = |source| TreeError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(&real).map_err(failed)?;
        let size_bytes = file.metadata().map_err(failed)?.len();
        let limit = limit_bytes as u64;
        let too_large = |size_bytes| TreeError::TooLarge {
            path: path.to_owned(),
            size_bytes,
            limit_bytes: limit,
        };
        if size_bytes > limit {
            return Err(too_large(size_bytes));
        }
        let mut content = Vec::new();
        // The size is a claim of the file system (0 in /proc); what was read decides.
        file.take(limit.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(failed)?;
        if content.len() as u64 > limit {
            return Err(too_large(content.len() as u64));
        }
        Ok(Some(content))
    }

    fn beginning(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        let Some(real) = self.resolve(path) else {
            return Ok(None);
        };
        let failed = |source| TreeError::Read {
            path: path.to_owned(),
            source,
        };
        let mut content = Vec::new();
        let file = File::open(&real).map_err(failed)?;
        file.take(limit_bytes as u64)
            .read_to_end(&mut content)
            .map_err(failed)?;
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn symlinks_never_lead_out_and_loops_end() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/real"), "r").unwrap();
        symlink("sub/real", dir.path().join("inside")).unwrap();
        symlink(outside.path().join("secret"), dir.path().join("leak")).unwrap();
        symlink(outside.path(), dir.path().join("leakdir")).unwrap();
        symlink("..", dir.path().join("sub/up")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let tree = DirTree::open(dir.path()).unwrap();
        let mut files = tree.files().unwrap();
        files.sort();
        assert_eq!(files, ["inside", "sub/real"]);
        assert_eq!(tree.read("inside", 10).unwrap().unwrap(), b"r");
        for path in [
            "leak",
            "leakdir/secret",
            "loop",
            "../secret",
            "/etc/passwd",
            "sub",
            "",
            "sub/../../x",
        ] {
            assert!(tree.read(path, 10).unwrap().is_none(), "{path}");
        }
    }

    #[test]
    fn too_large_and_odd_names() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("big"))
            .unwrap()
            .set_len(100 << 20)
            .unwrap();
        fs::write(
            dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9")),
            "x",
        )
        .unwrap();
        let tree = DirTree::open(dir.path()).unwrap();
        assert!(matches!(
            tree.read("big", 1 << 20),
            Err(TreeError::TooLarge {
                size_bytes: 104_857_600,
                ..
            })
        ));
        let files = tree.files().unwrap();
        assert!(files.contains(&"caf\u{fffd}".to_owned()), "{files:?}");
        assert!(tree.read("caf\u{fffd}", 10).unwrap().is_none());
    }

    #[test]
    fn deep_directories_end() {
        let dir = tempfile::tempdir().unwrap();
        let deep: PathBuf = std::iter::repeat_n("d", 200).collect();
        fs::create_dir_all(dir.path().join(&deep)).unwrap();
        fs::write(dir.path().join(&deep).join("f"), "").unwrap();
        assert!(
            DirTree::open(dir.path())
                .unwrap()
                .files()
                .unwrap()
                .is_empty()
        );
        assert!(matches!(
            DirTree::open(dir.path().join("none")),
            Err(TreeError::Root { .. })
        ));
    }
}
