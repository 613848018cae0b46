//! Child processes: run to their end, or watched while they run.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::wait::PATIENCE;

/// The longest any one command of a test may run; the longest is a first install from a package registry.
const LIMIT: Duration = Duration::from_secs(240);

/// A child that runs, in a process group of its own.
pub(crate) struct Running {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Collected,
    stderr: Collected,
    readers: Vec<JoinHandle<()>>,
    is_over: bool,
}

/// A child that has ended.
pub(crate) struct Ran {
    line: String,
    /// The exit code; 128 and the signal for one that was killed, as a shell has it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    fn gather(&self, mut source: impl Read + Send + 'static) -> JoinHandle<()> {
        let own = self.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                let mut bytes = own.0.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend_from_slice(&buffer[..count]);
            }
        })
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Running {
    /// Starts a command.
    pub(crate) fn start(command: &mut Command) -> Self {
        let line = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{line} was not started: {error}"));
        let (stdout, stderr) = (Collected::default(), Collected::default());
        let readers = vec![
            stdout.gather(child.stdout.take().expect("stdout is piped")),
            stderr.gather(child.stderr.take().expect("stderr is piped")),
        ];
        Self {
            line,
            stdin: child.stdin.take(),
            child,
            stdout,
            stderr,
            readers,
            is_over: false,
        }
    }

    /// What it has said so far.
    pub(crate) fn text(&self) -> String {
        self.stdout.text() + &self.stderr.text()
    }

    /// Waits until it has said `wanted`.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, wanted: &str) {
        let begun = Instant::now();
        loop {
            let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            let text = self.text();
            if text.contains(wanted) {
                return;
            }
            // What it said last may be still on its way from the readers.
            let is_late = begun.elapsed() > PATIENCE || (ended && self.are_readers_done());
            assert!(
                !is_late,
                "{} has not said `{wanted}`, but:\n{text}",
                self.line
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn are_readers_done(&self) -> bool {
        self.readers.iter().all(JoinHandle::is_finished)
    }

    /// Writes to its standard input.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        // A child that has ended already does not read; how it ended is what the test looks at.
        let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
    }

    /// Sends a signal to it and all its children, as a terminal does.
    pub(crate) fn signal(&self, signal: Signal) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        // It may have ended meanwhile.
        let _ = kill_process_group(group.expect("a process id is not zero"), signal);
    }

    /// Closes its input and waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Ran {
        self.stdin = None;
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if begun.elapsed() > LIMIT {
                self.signal(Signal::KILL);
                panic!(
                    "{} did not end within {LIMIT:?}:\n{}",
                    self.line,
                    self.text()
                );
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        self.is_over = true;
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader does not panic");
        }
        Ran {
            line: self.line.clone(),
            code: status
                .code()
                .or(status.signal().map(|signal| 128 + signal))
                .unwrap_or(-1),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ran {
    Running::start(command).finish()
}

/// Runs a command to its end, with an input.
#[track_caller]
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Ran {
    let mut running = Running::start(command);
    running.write(input);
    running.finish()
}

impl Ran {
    /// Both streams.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// It must have ended with 0; gives its standard output.
    #[track_caller]
    pub(crate) fn succeeds(&self) -> &str {
        assert_eq!(self.code, 0, "{self}");
        &self.stdout
    }

    /// It must have ended with this code.
    #[track_caller]
    pub(crate) fn ends_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// It must have failed.
    #[track_caller]
    pub(crate) fn fails(&self) -> &Self {
        assert_ne!(self.code, 0, "{self}");
        self
    }

    /// It must have said each of these, on either stream.
    #[track_caller]
    pub(crate) fn says(&self, wanted: &[&str]) -> &Self {
        let text = self.text();
        for wanted in wanted {
            assert!(text.contains(wanted), "`{wanted}` is missing\n{self}");
        }
        self
    }

    /// It must not have said this.
    #[track_caller]
    pub(crate) fn says_not(&self, unwanted: &str) -> &Self {
        assert!(
            !self.text().contains(unwanted),
            "`{unwanted}` was said\n{self}"
        );
        self
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.line)?;
        writeln!(f, "ended with {}", self.code)?;
        writeln!(f, "--- stdout\n{}", self.stdout)?;
        write!(f, "--- stderr\n{}", self.stderr)
    }
}
