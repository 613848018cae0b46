//! Copies of a repository while pushes go on: git itself packs what the references of one moment reach, and a copy is a
//! repository made of that pack. What a push has in quarantine, or what git's clean-up moves meanwhile, is no concern then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::repositories::{blocking, open};
use super::{GitError, Repositories, child};
use crate::model::{AppName, CommitId};

/// The references of a repository as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// The content of `HEAD`: `ref: refs/heads/main`.
    pub head: String,
    /// The object each reference is at, by its full name.
    pub at: BTreeMap<String, String>,
}

impl References {
    /// One line for each reference, `OBJECT NAME`, as in git's `packed-refs`.
    pub fn to_text(&self) -> String {
        self.at.iter().fold(String::new(), |mut text, (name, id)| {
            // Writing to a string never fails.
            let _ = writeln!(text, "{id} {name}");
            text
        })
    }

    /// Reads what [`References::to_text`] wrote, believing nothing.
    ///
    /// # Errors
    /// `Failed` with the first line that is not one of ours.
    pub fn from_text(head: &str, text: &str) -> Result<References, GitError> {
        let refused = |line: &str| GitError::Failed(format!("`{line}` is no reference"));
        let head = head.trim_end();
        let target = head.strip_prefix("ref: ").unwrap_or_default();
        if !is_name(target) {
            return Err(refused(head));
        }
        let mut at = BTreeMap::new();
        for line in text.lines() {
            match line.split_once(' ') {
                Some((id, name)) if is_id(id) && is_name(name) => {
                    at.insert(name.to_owned(), id.to_owned());
                }
                Some(_) | None => return Err(refused(line)),
            }
        }
        Ok(References {
            head: head.to_owned(),
            at,
        })
    }
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_name(text: &str) -> bool {
    text.starts_with("refs/") && gix::refs::FullName::try_from(text).is_ok()
}

impl Repositories {
    /// The references of an app's repository; `None` where there is no repository.
    pub async fn references(&self, app: &AppName) -> Result<Option<References>, GitError> {
        let path = self.path(app);
        blocking(move || {
            let head = match fs::read_to_string(path.join("HEAD")) {
                Ok(head) => head.trim_end().to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let repository = open(&path)?;
            let mut at = BTreeMap::new();
            let references = repository.references().map_err(GitError::reading)?;
            for reference in references.all().map_err(GitError::reading)? {
                let reference = reference.map_err(GitError::reading)?;
                // A symbolic one would be another name for one that is here as well; pushes make none.
                if let Some(id) = reference.try_id() {
                    let name = reference.name().as_bstr().to_string();
                    at.insert(name, id.to_string());
                }
            }
            Ok(Some(References { head, at }))
        })
        .await
    }

    /// Which of these commits the repository of an app has.
    pub async fn present(
        &self,
        app: &AppName,
        commits: Vec<CommitId>,
    ) -> Result<Vec<CommitId>, GitError> {
        let path = self.path(app);
        blocking(move || {
            let repository = open(&path)?;
            let has = |commit: &CommitId| {
                gix::ObjectId::from_hex(commit.as_str().as_bytes())
                    .is_ok_and(|id| repository.has_object(id))
            };
            Ok(commits.into_iter().filter(has).collect())
        })
        .await
    }

    /// Begins a copy of all that these objects reach. Blocks.
    ///
    /// # Errors
    /// `Missing`, `Io`.
    pub fn pack(&self, app: &AppName, tips: &[String]) -> Result<Outgoing, GitError> {
        let path = self.path(app);
        let mut command = child::blocking_git();
        // One thread and a bounded window: a backup is not to take the machine from those who push.
        command
            .args(["-c", "pack.threads=1", "-c", "pack.windowMemory=64m"])
            .arg("--git-dir")
            .arg(&path)
            .args([
                "pack-objects",
                "--revs",
                "--stdout",
                "--quiet",
                "--delta-base-offset",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = start(command)?;
        let stdin = child.stdin.take();
        let mut text = tips.join("\n");
        text.push('\n');
        let written = match stdin {
            // Git reads all of it before it writes.
            Some(mut stdin) => stdin.write_all(text.as_bytes()),
            None => Ok(()),
        };
        let mut outgoing = Outgoing {
            stdout: child.stdout.take(),
            child,
            path,
        };
        match written {
            Ok(()) => Ok(outgoing),
            // It has ended early, and says why.
            Err(error) => match outgoing.end() {
                Ok(()) => Err(error.into()),
                Err(failed) => Err(failed),
            },
        }
    }
}

/// A pack on its way out of a repository. Read it to its end, then ask how it ended.
#[derive(Debug)]
pub struct Outgoing {
    child: Child,
    stdout: Option<ChildStdout>,
    path: PathBuf,
}

impl Outgoing {
    /// Waits for git, and returns the file `shallow` where histories are cut off: of a moment after the pack was made, so
    /// that it names every commit of the pack whose parents are missing.
    ///
    /// # Errors
    /// `Failed` with what git said.
    pub fn finish(mut self) -> Result<Option<String>, GitError> {
        self.end()?;
        match fs::read_to_string(self.path.join("shallow")) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn end(&mut self) -> Result<(), GitError> {
        drop(self.stdout.take());
        ended(&mut self.child)
    }
}

impl Read for Outgoing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stdout {
            Some(stdout) => stdout.read(buffer),
            None => Ok(0),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        put_down(&mut self.child);
    }
}

/// A repository that is made of a copy. Dropped before its end, it is left half made.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
    references: References,
    child: Option<(Child, Option<ChildStdin>)>,
}

impl Incoming {
    /// Makes the bare repository. Blocks, as all of this.
    ///
    /// # Errors
    /// `Missing`, `Io`, `Failed`.
    pub fn begin(path: &Path, references: References) -> Result<Incoming, GitError> {
        let mut command = child::blocking_git();
        command
            .args([
                "init",
                "--bare",
                "--quiet",
                "--template=",
                "--initial-branch=main",
            ])
            .arg(path)
            .stderr(Stdio::piped());
        ended(&mut start(command)?)?;
        Ok(Incoming {
            path: path.to_owned(),
            references,
            child: None,
        })
    }

    /// Takes a piece of the pack. Git looks at every object on its way in.
    ///
    /// # Errors
    /// `Failed` with what git said about it.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), GitError> {
        if self.child.is_none() {
            let mut command = child::blocking_git();
            command
                .arg("--git-dir")
                .arg(&self.path)
                .args(["index-pack", "--stdin"])
                .stdin(Stdio::piped())
                // It prints the name of the pack.
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let mut child = start(command)?;
            let stdin = child.stdin.take();
            self.child = Some((child, stdin));
        }
        let Some((child, Some(stdin))) = &mut self.child else {
            return Ok(());
        };
        match stdin.write_all(piece) {
            Ok(()) => Ok(()),
            Err(error) => Err(ended(child).err().unwrap_or(error.into())),
        }
    }

    /// Waits until git has stored the pack, and writes the references.
    ///
    /// # Errors
    /// `Failed` with what git said, `Io`.
    pub fn finish(mut self, shallow: Option<&str>) -> Result<(), GitError> {
        if let Some((child, stdin)) = &mut self.child {
            drop(stdin.take());
            ended(child)?;
        }
        if let Some(shallow) = shallow {
            if !shallow.lines().all(is_id) {
                return Err(GitError::Failed("`shallow` holds no ids".to_owned()));
            }
            fs::write(self.path.join("shallow"), shallow)?;
        }
        fs::write(self.path.join("packed-refs"), self.references.to_text())?;
        fs::write(
            self.path.join("HEAD"),
            format!("{}\n", self.references.head),
        )?;
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some((child, stdin)) = &mut self.child {
            drop(stdin.take());
            put_down(child);
        }
    }
}

/// Checks that all that the references of a repository reach is there, and all that these commits reach. Blocks.
///
/// # Errors
/// `Failed` with what is missing.
pub fn check_repository(path: &Path, commits: &[CommitId]) -> Result<(), GitError> {
    let check = |heads: &[CommitId]| {
        let mut command = child::blocking_git();
        command
            .arg("--git-dir")
            .arg(path)
            .args([
                "fsck",
                "--connectivity-only",
                "--no-dangling",
                "--no-progress",
            ])
            .args(heads.iter().map(CommitId::as_str))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        ended(&mut start(command)?)
    };
    check(&[])?;
    // A few at a time: a command line is not endless.
    commits.chunks(500).try_for_each(check)
}

fn start(mut command: std::process::Command) -> Result<Child, GitError> {
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => GitError::Missing("git is not installed".to_owned()),
        _ => GitError::Io(error),
    })
}

/// Waits for git; what it said becomes the error. It says little, so that nothing waits for us to read.
fn ended(child: &mut Child) -> Result<(), GitError> {
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes)?;
        said = String::from_utf8_lossy(&bytes).trim().to_owned();
    }
    if child.wait()?.success() {
        return Ok(());
    }
    if said.is_empty() {
        "it ended without a word".clone_into(&mut said);
    }
    Err(GitError::Failed(said))
}

/// Ends a child that nobody waits for any more; one that has ended is only collected.
fn put_down(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        // It may end just now.
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_were_written_and_nothing_else_is_taken() {
        let id = "a".repeat(40);
        let mut references = References {
            head: "ref: refs/heads/main".to_owned(),
            ..References::default()
        };
        for name in ["refs/heads/main", "refs/tags/v1"] {
            references.at.insert(name.to_owned(), id.clone());
        }
        let text = references.to_text();
        let read = References::from_text("ref: refs/heads/main\n", &text).unwrap();
        assert_eq!(read, references);

        for (head, text) in [
            ("ref: ../../etc/passwd", String::new()),
            ("ref: refs/heads/../../x", String::new()),
            ("ref: refs/heads/main", format!("{id} refs/heads/../../x\n")),
            ("ref: refs/heads/main", format!("{id} HEAD\n")),
            ("ref: refs/heads/main", "zz refs/heads/main\n".to_owned()),
            ("ref: refs/heads/main", format!("{id}\n")),
        ] {
            assert!(References::from_text(head, &text).is_err(), "{head} {text}");
        }
    }
}
