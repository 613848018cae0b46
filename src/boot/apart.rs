//! Starting a program that is nobody's child here.
//!
//! systemd asks who the parent of a service's main process is (pid_is_my_child in its sources) once, when it is told of it. A server that
//! the one before has started is that one's child at this moment, and systemd takes it for a stranger for as long as it lives: a
//! stop does not wait for its end, but kills it at once. So a process in between starts it and ends, which makes it a child of process 1.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::Command;

/// What the process in between is started with: `mini start-apart PROGRAM WORDS...`. Nobody types that.
pub(super) const WORD: &str = "start-apart";

/// A program that was started, until it has ended.
pub(super) struct Apart(UnixStream);

impl Apart {
    /// Starts it. Its standard input is a socket on which nothing comes, and which tells us when it is gone.
    ///
    /// # Errors
    /// What the system says; that the program itself cannot be started is told on standard error, and by its end.
    pub(super) async fn start(
        program: &Path,
        words: Vec<OsString>,
        without: &str,
    ) -> io::Result<Apart> {
        let (near, far) = StdUnixStream::pair()?;
        near.set_nonblocking(true)?;
        let near = UnixStream::from_std(near)?;
        // Whatever lies in its place by now, it is the program that runs.
        let status = Command::new("/proc/self/exe")
            .arg(WORD)
            .arg(program)
            .args(words)
            .env_remove(without)
            .stdin(Stdio::from(OwnedFd::from(far)))
            .status()
            .await?;
        match status.success() {
            true => Ok(Apart(near)),
            false => Err(io::Error::other(format!(
                "the process that was to start it has ended ({status})"
            ))),
        }
    }

    /// Resolves when it has ended.
    pub(super) async fn ended(mut self) {
        // It writes nothing: whatever comes, it is the end.
        let _ = self.0.read_u8().await;
    }
}

/// The process in between.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    let Some((program, words)) = words.split_first() else {
        return ExitCode::FAILURE;
    };
    match std::process::Command::new(program).args(words).spawn() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("{}: {error}\n", program.to_string_lossy());
            super::say(crate::engine::Stream::Stderr, &line);
            ExitCode::FAILURE
        }
    }
}
