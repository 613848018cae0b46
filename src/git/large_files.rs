//! Contents of large files, streamed by one `git cat-file --batch` for as long as they are asked for.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::child;
use super::walk::File;

/// Bytes read from git at once; a pipe holds as much.
const READ_BYTES: usize = 64 * 1024;

/// The child that reads them; it ends when this is dropped. Blocks, so it belongs to a thread.
pub(super) struct LargeFiles {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl LargeFiles {
    /// Starts git on a repository.
    ///
    /// # Errors
    /// When git cannot be started.
    pub(super) fn open(repository: &Path) -> io::Result<Self> {
        let mut child = child::blocking_git()
            .arg("--git-dir")
            .arg(repository)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(questions), Some(answers)) => Ok(Self {
                child,
                questions,
                answers: BufReader::with_capacity(READ_BYTES, answers),
            }),
            _ => Err(io::Error::other("git gave no pipes")),
        }
    }

    /// Gives the content of a file to `take`, which reads to its end: exactly as many bytes as the file's size says.
    ///
    /// # Errors
    /// Those of `take`, and when git does not give the file; then no other file can be read.
    pub(super) fn read(
        &mut self,
        file: &File,
        take: impl FnOnce(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()> {
        let id = file.id.to_hex();
        writeln!(self.questions, "{id}")?;
        self.questions.flush()?;
        // `<id> blob <size>`, or what is wrong (git-cat-file(1), "BATCH OUTPUT").
        let mut head = String::new();
        self.answers.read_line(&mut head)?;
        if head.trim_end() != format!("{id} blob {}", file.size_bytes) {
            return Err(io::Error::other(format!(
                "git does not have {id} as it was: {}",
                head.trim_end()
            )));
        }
        take(&mut Exactly {
            inner: &mut self.answers,
            left_bytes: file.size_bytes,
        })?;
        // Each content is followed by a line feed.
        self.answers.read_exact(&mut [0])
    }
}

impl Drop for LargeFiles {
    fn drop(&mut self) {
        // It waits for a question, or writes an answer that nobody wants.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads exactly so many bytes: fewer is an error, since the tar has promised them; more are not read.
struct Exactly<R> {
    inner: R,
    left_bytes: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted =
            usize::try_from(self.left_bytes).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some(space) = buffer.get_mut(..wanted).filter(|space| !space.is_empty()) else {
            return Ok(0);
        };
        let count = self.inner.read(space)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left_bytes = self.left_bytes.saturating_sub(count as u64);
        Ok(count)
    }
}
