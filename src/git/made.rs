//! Commits that are made here, of files that came another way than by a push. `git fast-import` takes them one after the
//! other, so that nothing is unpacked anywhere.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::intake::Intake;
use super::repositories::{blocking, find_commit, open};
use super::{GitError, Repositories, child};
use crate::model::{AppName, CommitId, Timestamp};

/// What a commit says beside its files.
#[derive(Debug, Clone)]
pub struct CommitNote {
    /// The message.
    pub message: String,
    /// Who asked for it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// The commit it comes after; its files do not stay.
    pub parent: Option<CommitId>,
}

/// A commit while its files are written. Dropped before its end, it leaves nothing.
pub struct CommitWriter {
    child: Child,
    input: io::BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Taken once it is over.
    intake: Option<Intake>,
}

/// git needs a name for it until it is known by its id. It stays in the intake.
const REFERENCE: &str = "refs/mini/made";

impl Repositories {
    /// Begins a commit. Blocks, as everything of [`CommitWriter`] does.
    ///
    /// # Errors
    /// `Missing`, `Io`.
    pub fn begin_commit(&self, app: &AppName, note: &CommitNote) -> Result<CommitWriter, GitError> {
        CommitWriter::begin(self.intake(app)?, note)
    }

    /// Whether two commits have the same files.
    pub async fn has_same_files(
        &self,
        app: &AppName,
        one: &CommitId,
        other: &CommitId,
    ) -> Result<bool, GitError> {
        let path = self.path(app);
        let commits = [one.clone(), other.clone()];
        blocking(move || {
            let repository = open(&path)?;
            let [one, other] = commits.map(|commit| {
                let found = find_commit(&repository, &commit)?;
                let tree = found.tree_id().map_err(GitError::reading)?;
                Ok::<_, GitError>(tree.detach())
            });
            Ok(one? == other?)
        })
        .await
    }
}

impl CommitWriter {
    fn begin(intake: Intake, note: &CommitNote) -> Result<Self, GitError> {
        let mut command = child::blocking_git();
        let mut child = command
            .arg("--git-dir")
            .arg(intake.path())
            .args(["fast-import", "--quiet", "--done"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => GitError::Missing("git is not installed".to_owned()),
                _ => GitError::Io(error),
            })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(GitError::Failed(
                "git was started without its ends".to_owned(),
            ));
        };
        let mut writer = Self {
            child,
            input: io::BufWriter::new(input),
            output: BufReader::new(output),
            intake: Some(intake),
        };
        writer.head(note)?;
        Ok(writer)
    }

    fn head(&mut self, note: &CommitNote) -> io::Result<()> {
        // What would end a name or an address in git's format (`git help fast-import`, "committer").
        let actor: String = note
            .actor
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '<' | '>'))
            .collect();
        let message = note.message.as_bytes();
        write!(
            self.input,
            "commit {REFERENCE}\nmark :1\ncommitter {actor} <{actor}@mini> {} +0000\ndata {}\n",
            note.at.as_second(),
            message.len()
        )?;
        self.input.write_all(message)?;
        self.input.write_all(b"\n")?;
        if let Some(parent) = &note.parent {
            writeln!(self.input, "from {parent}")?;
        }
        self.input.write_all(b"deleteall\n")
    }

    /// A file to keep something in while the commit is made. It goes with it.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn scratch(&self) -> Result<File, GitError> {
        let folder = self.intake.as_ref().map_or(Path::new(""), Intake::path);
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        Ok(options.open(folder.join("scratch"))?)
    }

    /// Adds a file of exactly `size_bytes`. A second one of the same path takes its place.
    ///
    /// # Errors
    /// `Io` when `content` has less; then the commit is lost.
    pub fn file(
        &mut self,
        path: &[u8],
        is_executable: bool,
        size_bytes: u64,
        content: &mut dyn Read,
    ) -> Result<(), GitError> {
        let mode = if is_executable { "100755" } else { "100644" };
        self.entry(mode, path, size_bytes, content)
    }

    /// Adds a file with the content of one that is there.
    ///
    /// # Errors
    /// `Io`; without the other file the commit is lost.
    pub fn copy(&mut self, from: &[u8], to: &[u8]) -> Result<(), GitError> {
        let [from, to] = [from, to].map(quoted);
        self.input.write_all(b"C ")?;
        self.input.write_all(&from)?;
        self.input.write_all(b" ")?;
        self.input.write_all(&to)?;
        Ok(self.input.write_all(b"\n")?)
    }

    /// Adds a symlink.
    ///
    /// # Errors
    /// `Io`.
    pub fn symlink(&mut self, path: &[u8], mut target: &[u8]) -> Result<(), GitError> {
        let size_bytes = target.len() as u64;
        self.entry("120000", path, size_bytes, &mut target)
    }

    fn entry(
        &mut self,
        mode: &str,
        path: &[u8],
        size_bytes: u64,
        content: &mut dyn Read,
    ) -> Result<(), GitError> {
        write!(self.input, "M {mode} inline ")?;
        self.input.write_all(&quoted(path))?;
        write!(self.input, "\ndata {size_bytes}\n")?;
        let copied = io::copy(&mut content.take(size_bytes), &mut self.input)?;
        if copied < size_bytes {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(self.input.write_all(b"\n")?)
    }

    /// Ends it and gives its id. No branch is at it yet.
    ///
    /// # Errors
    /// `Failed` when git does not take it.
    pub fn finish(mut self) -> Result<CommitId, GitError> {
        let ended = self.end();
        let intake = self.intake.take();
        let status = self.child.wait()?;
        let id = ended?;
        if !status.success() {
            return Err(refused());
        }
        if let Some(intake) = intake {
            intake.keep()?;
        }
        id.trim().parse().map_err(|_| refused())
    }

    fn end(&mut self) -> io::Result<String> {
        self.input.write_all(b"get-mark :1\ndone\n")?;
        self.input.flush()?;
        let mut id = String::new();
        self.output.read_line(&mut id)?;
        Ok(id)
    }
}

impl Drop for CommitWriter {
    fn drop(&mut self) {
        if self.intake.is_some() {
            // Before its repository goes. Neither fails but for a child that is gone.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn refused() -> GitError {
    GitError::Failed("git did not take the commit".to_owned())
}

/// A path between quotes, as fast-import reads any.
fn quoted(path: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in path {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b'\n' => quoted.extend(b"\\n"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::TreeLimits;

    fn note(message: &str, parent: Option<CommitId>) -> CommitNote {
        CommitNote {
            message: message.to_owned(),
            actor: "Ann <x>\n".to_owned(),
            at: "2026-08-21T10:00:00Z".parse().unwrap(),
            parent,
        }
    }

    #[tokio::test]
    async fn a_commit_has_the_files_that_were_written_and_no_branch() {
        let folder = tempfile::tempdir().unwrap();
        let repositories = Repositories::open(folder.path(), TreeLimits::default()).unwrap();
        let app: AppName = "shop".parse().unwrap();
        repositories.create(&app).await.unwrap();
        let mut writer = repositories.begin_commit(&app, &note("One", None)).unwrap();
        for path in ["a \"b\"\\\nc", "folder/ä", "old"] {
            writer
                .file(path.as_bytes(), false, 3, &mut &b"one and what follows"[..])
                .unwrap();
        }
        writer.symlink(b"link", b"old").unwrap();
        let first = writer.finish().unwrap();
        let tree = repositories.tree(&app, &first).await.unwrap();
        assert_eq!(tree.files(), ["a \"b\"\\\nc", "folder/ä", "link", "old"]);
        assert_eq!(tree.read("old", 10).unwrap().unwrap(), b"one");
        assert_eq!(repositories.subject(&app, &first).await.unwrap(), "One");

        let mut writer = repositories
            .begin_commit(&app, &note("Two", Some(first.clone())))
            .unwrap();
        writer.file(b"new", true, 0, &mut io::empty()).unwrap();
        let second = writer.finish().unwrap();
        let tree = repositories.tree(&app, &second).await.unwrap();
        assert_eq!(tree.files(), ["new"]);
        assert!(
            !repositories
                .has_same_files(&app, &first, &second)
                .await
                .unwrap()
        );
        assert!(
            repositories
                .has_same_files(&app, &first, &first)
                .await
                .unwrap()
        );
        let references = repositories.references(&app).await.unwrap().unwrap();
        assert!(references.at.is_empty(), "{references:?}");
    }

    /// How many packs there are below a folder that git has not finished.
    fn unfinished_packs(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap();
        let counts = entries.map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().as_encoded_bytes();
            match path.is_dir() {
                true => unfinished_packs(&path),
                false => usize::from(name.starts_with(b"tmp_pack")),
            }
        });
        counts.sum()
    }

    #[tokio::test]
    async fn a_commit_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let repositories = Repositories::open(folder.path(), TreeLimits::default()).unwrap();
        let app: AppName = "shop".parse().unwrap();
        repositories.create(&app).await.unwrap();
        let mut writer = repositories.begin_commit(&app, &note("One", None)).unwrap();
        for path in [b"a", b"b"] {
            let size_bytes = 1 << 20;
            let mut content = io::repeat(b'x').take(size_bytes);
            writer.file(path, false, size_bytes, &mut content).unwrap();
        }
        let short = writer.file(b"c", false, 9, &mut &b"short"[..]);
        assert!(matches!(short, Err(GitError::Io(_))), "{short:?}");
        let repos = folder.path().join("repos");
        while unfinished_packs(&repos) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        drop(writer);
        let references = repositories.references(&app).await.unwrap().unwrap();
        assert!(references.at.is_empty(), "{references:?}");
        assert_eq!(unfinished_packs(&repos), 0);
        let beside: Vec<_> = std::fs::read_dir(&repos).unwrap().collect();
        assert_eq!(beside.len(), 1, "{beside:?}");
    }
}
