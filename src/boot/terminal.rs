//! The caller's own terminal: raw while a container has it, and always given back as it was.

use std::io::{self, IsTerminal, Read, Write};
use std::thread;

use bytes::Bytes;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use crate::engine::{Stream, TerminalSize};

/// The terminal in raw mode: keys arrive one by one, Ctrl-C is a byte. Restored when dropped.
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    /// Switches; `None` where standard input is no terminal.
    pub(super) fn enter() -> Option<Raw> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// The terminal while a secret is typed: it shows line breaks only. Restored when dropped.
pub(super) struct Hidden {
    before: Termios,
}

impl Hidden {
    /// Switches; `None` where standard input is no terminal.
    pub(super) fn enter() -> Option<Hidden> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&stdin, OptionalActions::Now, &hidden).ok()?;
        Some(Hidden { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// The size of the terminal, where both standard input and output are one.
pub(super) fn size() -> Option<TerminalSize> {
    if !io::stdin().is_terminal() {
        return None;
    }
    output_size()
}

/// The size of the terminal standard output goes to.
pub(super) fn output_size() -> Option<TerminalSize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(&stdout).ok()?;
    Some(TerminalSize {
        columns: size.ws_col,
        rows: size.ws_row,
    })
}

/// Standard input, read by a thread of its own: a read that waits cannot be called back, and must not hold the end of the
/// program. Ends where nobody listens any more.
pub(super) fn stdin() -> mpsc::Receiver<Bytes> {
    let (typed, receiver) = mpsc::channel(4);
    thread::spawn(move || {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match io::stdin().read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
                Ok(length) => {
                    let read = buffer.get(..length).unwrap_or_default();
                    if typed.blocking_send(Bytes::copy_from_slice(read)).is_err() {
                        break;
                    }
                }
            }
        }
    });
    receiver
}

/// Writes bytes to our own standard output or error.
pub(super) fn write(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        }
        Stream::Stderr => io::stderr().lock().write_all(bytes),
    }
}
