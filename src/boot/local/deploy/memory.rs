//! What is remembered of the first deploy of a folder: its app and its server.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::folder::{Folder, WorkTree, git};
use crate::boot::local::host::{self, Host};
use crate::model::{AppName, Kind, Problem};

/// The folder where it is kept, where it is no remote of git.
pub(super) const FOLDER: &str = ".mini";
const FILE: &str = "deploy.toml";
/// The remote of git that is the same.
const REMOTE: &str = "mini";

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// The app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app: Option<AppName>,
    /// The server, where it is not that of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<Host>,
}

/// Where it is kept for a folder.
pub(super) struct Memory<'f> {
    folder: &'f Folder,
}

impl<'f> Memory<'f> {
    pub(super) fn of(folder: &'f Folder) -> Self {
        Self { folder }
    }

    /// What is known: a file in the folder, and else the remote `mini` of its work tree. Below the root of one, that says
    /// where the server is, but not which app this is.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&self) -> Result<Kept, Problem> {
        let file = self.read_file()?;
        if file.app.is_some() && file.host.is_some() {
            return Ok(file);
        }
        let remote = self.remote();
        let is_root = self.folder.work_tree == Some(WorkTree::Root);
        let (app, host) = match remote {
            Some((host, app)) => (app.filter(|_| is_root), Some(host)),
            None => (None, None),
        };
        Ok(Kept {
            // A file without a host means the server of this machine.
            host: if file.app.is_some() { file.host } else { host },
            app: file.app.or(app),
        })
    }

    /// Remembers it, at the root of a work tree as a remote, so that `git push mini main` goes to the same app.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, kept: &Kept) -> Result<(), Problem> {
        let is_root = self.folder.work_tree == Some(WorkTree::Root);
        if let (Some(host), Some(app), true) = (&kept.host, &kept.app, is_root)
            && self.remote().is_none()
        {
            let words = ["remote", "add", REMOTE, &host.remote(app)];
            return git(&self.folder.path, words).map(drop);
        }
        self.write_file(kept)
            .map_err(|error| self.failed("written", &error.to_string()))
    }

    fn remote(&self) -> Option<(Host, Option<AppName>)> {
        self.folder.work_tree?;
        // Fails where there is none.
        let said = git(&self.folder.path, ["remote", "get-url", "--push", REMOTE]).ok()?;
        host::of_remote(String::from_utf8_lossy(&said).trim())
    }

    fn file(&self) -> PathBuf {
        self.folder.path.join(FOLDER).join(FILE)
    }

    fn read_file(&self) -> Result<Kept, Problem> {
        let text = match fs::read_to_string(self.file()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(error) => return Err(self.failed("read", &error.to_string())),
        };
        toml::from_str(&text).map_err(|error| self.failed("read", error.message()))
    }

    fn write_file(&self, kept: &Kept) -> io::Result<()> {
        let text = toml::to_string(kept).map_err(io::Error::other)?;
        let folder = self.folder.path.join(FOLDER);
        fs::create_dir_all(&folder)?;
        // It is about this machine and its user, not a part of the app.
        fs::write(folder.join(".gitignore"), "*\n")?;
        fs::write(self.file(), text)
    }

    fn failed(&self, done: &str, why: &str) -> Problem {
        Problem::new(
            Kind::Invalid,
            format!("{} could not be {done}", self.file().display()),
            why,
            "Correct or remove the file; it has the lines `app = \"NAME\"` and `host = \"ssh://mini@SERVER:2222\"`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(app: &str, host: Option<&str>) -> Kept {
        Kept {
            app: Some(app.parse().unwrap()),
            host: host.map(|host| host.parse().unwrap()),
        }
    }

    #[test]
    fn a_folder_remembers_in_a_file_and_a_work_tree_in_its_remote() {
        let plain = tempfile::tempdir().unwrap();
        let folder = Folder::open(plain.path()).unwrap();
        let memory = Memory::of(&folder);
        assert_eq!(memory.read().unwrap(), Kept::default());
        for kept in [
            kept("shop", Some("ssh://mini@example.com:2222")),
            kept("shop", None),
        ] {
            memory.write(&kept).unwrap();
            assert_eq!(memory.read().unwrap(), kept);
        }
        let file = plain.path().join(FOLDER).join(FILE);
        assert_eq!(fs::read_to_string(&file).unwrap(), "app = \"shop\"\n");
        fs::write(&file, "app = 1").unwrap();
        assert!(memory.read().unwrap_err().next.contains("app = \"NAME\""));

        let tree = tempfile::tempdir().unwrap();
        git(tree.path(), ["init", "--quiet"]).unwrap();
        fs::create_dir(tree.path().join("web")).unwrap();
        let folder = Folder::open(tree.path()).unwrap();
        let memory = Memory::of(&folder);
        let there = kept("blog", Some("mini"));
        memory.write(&there).unwrap();
        assert_eq!(memory.read().unwrap(), there);
        assert!(!tree.path().join(FOLDER).exists());
        let said = git(tree.path(), ["remote", "get-url", "mini"]).unwrap();
        assert_eq!(said, b"mini:blog\n");
        // A part of it is another app, on the same server.
        let part = Folder::open(&tree.path().join("web")).unwrap();
        let memory = Memory::of(&part);
        let host = there.host.clone();
        assert_eq!(memory.read().unwrap(), Kept { app: None, host });
        memory.write(&kept("web", Some("mini"))).unwrap();
        assert_eq!(memory.read().unwrap(), kept("web", Some("mini")));
    }
}
