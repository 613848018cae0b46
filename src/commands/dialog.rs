//! A running command's talk with its caller: lines out, prompts and answers in.

use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::{mpsc, watch};

use super::options::{Format, Options};
use super::page::{self, Page};
use super::session::{Cut, Session};
use crate::engine::{OneOffIo, Stream, TerminalSize};
use crate::model::{Caller, Kind, Problem, Secret};

/// Longest line a prompt takes, bytes.
const LINE_LIMIT: usize = 4096;
/// Pieces of a dialog aside that wait to be collected.
const ASIDE_PIECES: usize = 16;
/// How long somebody may be left wondering what a command waits for.
const HINT_AFTER: Duration = Duration::from_secs(3);
/// What the Backspace key sends; a door's line terminal passes it on.
const BACKSPACE: [u8; 2] = [0x7f, 0x08];

/// The connection broke, or the caller pressed Ctrl-C, before all of the input was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended before the input did, so it may not be whole")]
pub struct CutShort;

/// What a caller sends, to its end.
pub struct Input {
    stdin: mpsc::Receiver<Bytes>,
    cut: Cut,
}

impl Input {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// In place of an end that is none; nothing comes after it.
    pub async fn next(&mut self) -> Option<Result<Bytes, CutShort>> {
        match self.stdin.recv().await {
            Some(bytes) => Some(Ok(bytes)),
            None => self.cut.is_set().then_some(Err(CutShort)),
        }
    }
}

/// A running command's talk with its caller.
pub struct Dialog {
    session: Session,
    options: Options,
    /// What came in one piece with the line that was read last.
    unread: Bytes,
    /// Whether that line ended with a carriage return, so that a line feed right behind it ends no other.
    skips_line_feed: bool,
}

impl Dialog {
    /// Wraps a session.
    pub fn new(session: Session, options: Options) -> Self {
        Self {
            session,
            options,
            unread: Bytes::new(),
            skips_line_feed: false,
        }
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.session.caller
    }

    /// What was asked of every command alike.
    pub fn options(&self) -> Options {
        self.options
    }

    /// The caller's terminal, if there is one.
    pub fn terminal(&self) -> Option<TerminalSize> {
        *self.session.terminal.borrow()
    }

    /// Whether the reader shows colours.
    pub fn has_colour(&self) -> bool {
        self.options.colour || self.terminal().is_some()
    }

    /// An empty page for this reader.
    pub fn page(&self) -> Page {
        Page::new(self.options.quiet, self.has_colour())
    }

    /// Whether the text form is wanted.
    pub fn is_text(&self) -> bool {
        self.options.format == Format::Text
    }

    /// Sends text. A reader that left is no error: what was begun goes on.
    pub async fn write(&self, stream: Stream, text: impl Into<String>) {
        let text = text.into();
        // Where a container has the terminal (`run`), it is raw and needs both; elsewhere the door leaves it as it is.
        let text = match self.terminal() {
            Some(_) => text.replace('\n', "\r\n"),
            None => text,
        };
        let _ = self.session.output.send((stream, Bytes::from(text))).await;
    }

    /// Sends bytes to standard output as they are; false when the reader has left.
    pub async fn bytes(&self, bytes: Bytes) -> bool {
        let sent = self.session.output.send((Stream::Stdout, bytes)).await;
        sent.is_ok()
    }

    /// Progress: standard output in the text form, standard error where standard output is to hold JSON only.
    pub async fn progress(&self, text: impl Into<String>) {
        let stream = if self.is_text() {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        self.write(stream, text).await;
    }

    /// A step, `-----> text`; left out when quiet.
    pub async fn header(&self, text: impl AsRef<str>) {
        if !self.options.quiet {
            self.progress(page::header(text.as_ref())).await;
        }
    }

    /// A line under a heading.
    pub async fn detail(&self, text: impl AsRef<str>) {
        self.progress(page::detail(text.as_ref())).await;
    }

    /// A warning, on standard error.
    pub async fn warning(&self, text: impl AsRef<str>) {
        self.write(Stream::Stderr, page::warning(text.as_ref()))
            .await;
    }

    /// A dialog of the same caller, without input, whose words are collected to be said later: for several things that are
    /// done at once. What was said ends when it is dropped.
    pub fn aside(&self) -> (Dialog, mpsc::Receiver<(Stream, Bytes)>) {
        let (output, said) = mpsc::channel(ASIDE_PIECES);
        let session = Session {
            caller: self.session.caller.clone(),
            stdin: mpsc::channel(1).1,
            cut: Cut::default(),
            output,
            terminal: watch::channel(None).1,
            hidden: None,
        };
        let options = Options {
            colour: self.has_colour(),
            ..self.options
        };
        (Dialog::new(session, options), said)
    }

    /// Sends a page.
    pub async fn show(&self, page: Page) {
        for (stream, text) in page.parts() {
            self.write(stream, text).await;
        }
    }

    /// Prints `prompt` and reads one line; `None` when the input ends before one. What is typed is shown by the door.
    pub async fn ask(&mut self, prompt: &str) -> Option<String> {
        self.write(Stream::Stderr, prompt).await;
        self.line().await
    }

    /// None also where it was cut short.
    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            while self.unread.has_remaining() {
                let byte = self.unread.get_u8();
                let is_of_end = std::mem::take(&mut self.skips_line_feed) && byte == b'\n';
                match byte {
                    _ if is_of_end => {}
                    b'\n' | b'\r' => {
                        self.skips_line_feed = byte == b'\r';
                        return String::from_utf8(line).ok();
                    }
                    _ if BACKSPACE.contains(&byte) => {
                        line.pop();
                    }
                    _ if line.len() >= LINE_LIMIT => {
                        self.unread.clear();
                        return None;
                    }
                    _ => line.push(byte),
                }
            }
            match self.session.stdin.recv().await {
                Some(piece) => self.unread = piece,
                None => break,
            }
        }
        // The last line of a file need not end with a line feed.
        Some(line)
            .filter(|line| !line.is_empty() && !self.session.cut.is_set())
            .and_then(|line| String::from_utf8(line).ok())
    }

    /// Asks for a secret. A person at a terminal is asked for it twice, and the terminal does not show it; elsewhere it is
    /// the first line of the input, and only somebody who lets it wait is told what for. `None` when there is none.
    ///
    /// # Errors
    /// When the two differ.
    pub async fn ask_secret(&mut self, what: &str) -> Result<Option<Secret>, Problem> {
        let Some(hidden) = self.session.hidden.clone() else {
            let output = self.session.output.clone();
            let hint = async {
                tokio::time::sleep(HINT_AFTER).await;
                let hint = format!("Waiting on standard input for: {what}");
                // Whoever has left needs no hint.
                let _ = output
                    .send((Stream::Stderr, Bytes::from(page::warning(&hint))))
                    .await;
                std::future::pending::<()>().await;
            };
            return tokio::select! {
                line = self.line() => Ok(line.map(Secret::new)),
                () = hint => Ok(None),
            };
        };
        hidden.send_replace(true);
        let first = self.ask(&format!("{what}: ")).await;
        let is_given = first.as_ref().is_some_and(|first| !first.is_empty());
        let second = match is_given {
            true => self.ask(&format!("{what}, once more: ")).await,
            false => None,
        };
        hidden.send_replace(false);
        if is_given && first != second {
            return Err(Problem::new(
                Kind::Invalid,
                "The two are not the same",
                "what was typed the second time differs from the first",
                "Run the command again",
            ));
        }
        Ok(first.map(Secret::new))
    }

    /// Reads the whole input, at most `limit` bytes of it.
    ///
    /// # Errors
    /// It is longer, or the caller has left before its end.
    pub async fn read_all(&mut self, limit: usize) -> Result<Vec<u8>, Problem> {
        let mut all = Vec::new();
        let mut input = self.input();
        while let Some(chunk) = input.next().await {
            let chunk = chunk.map_err(|cut| {
                Problem::new(
                    Kind::Canceled,
                    "Nothing was done with the input",
                    cut.to_string(),
                    "Send it again",
                )
            })?;
            if all.len() + chunk.len() > limit {
                return Err(Problem::new(
                    Kind::Invalid,
                    format!("The input is longer than {limit} bytes"),
                    "",
                    "Check that the right file is given",
                ));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// The input itself, for a command that passes it on. Afterwards that of this dialog is at its end.
    pub fn input(&mut self) -> Input {
        Input {
            stdin: self.stdin(),
            cut: self.session.cut.clone(),
        }
    }

    fn stdin(&mut self) -> mpsc::Receiver<Bytes> {
        let (_, empty) = mpsc::channel(1);
        let mut stdin = std::mem::replace(&mut self.session.stdin, empty);
        if self.unread.is_empty() {
            return stdin;
        }
        let unread = std::mem::take(&mut self.unread);
        let (forward, whole) = mpsc::channel(1);
        // It ends with the input, or with whoever reads it.
        tokio::spawn(async move {
            let mut next = Some(unread);
            while let Some(piece) = next {
                if forward.send(piece).await.is_err() {
                    return;
                }
                next = stdin.recv().await;
            }
        });
        whole
    }

    /// Whether the caller has left.
    pub fn is_gone(&self) -> bool {
        self.session.output.is_closed()
    }

    /// Resolves when the caller has left.
    pub async fn gone(&self) {
        self.session.output.closed().await;
    }

    /// The ends for a one-off process. Afterwards the input of this dialog is at its end.
    pub fn lend(&mut self, with_terminal: bool) -> OneOffIo {
        let resize = if with_terminal {
            self.session.terminal.clone()
        } else {
            watch::channel(None).1
        };
        OneOffIo {
            stdin: self.stdin(),
            output: self.session.output.clone(),
            resize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dialog whose caller has sent these pieces, and no more.
    async fn dialog(pieces: &[&'static str]) -> Dialog {
        let (typed, stdin) = mpsc::channel(8);
        for piece in pieces {
            let piece = Bytes::from_static(piece.as_bytes());
            typed.send(piece).await.unwrap();
        }
        let session = Session {
            caller: Caller::Console,
            stdin,
            cut: Cut::default(),
            output: mpsc::channel(8).0,
            terminal: watch::channel(None).1,
            hidden: None,
        };
        Dialog::new(session, Options::default())
    }

    /// The second answer was lost where both came in one piece.
    #[tokio::test]
    async fn every_line_is_an_answer_however_the_pieces_are_cut() {
        for pieces in [
            ["one\ntwo\n", "three"].as_slice(),
            &["one\r\ntwo\r\nthree\r\n"],
            &["one\r", "\ntwo\r", "three\n"],
            &["o", "ne\ntx\u{7f}w", "o\nthree\r"],
        ] {
            let mut dialog = dialog(pieces).await;
            for expected in ["one", "two", "three"] {
                let line = dialog.line().await;
                assert_eq!(line.as_deref(), Some(expected), "{pieces:?}");
            }
            assert_eq!(dialog.line().await, None, "{pieces:?}");
        }
        let mut dialog = dialog(&["one\n\ntwo\n"]).await;
        for expected in ["one", "", "two"] {
            assert_eq!(dialog.line().await.as_deref(), Some(expected));
        }
    }

    #[tokio::test]
    async fn what_comes_behind_an_answer_is_input_like_the_rest() {
        let mut dialog = dialog(&["yes\nfirst ", "second"]).await;
        assert_eq!(dialog.line().await.as_deref(), Some("yes"));
        assert_eq!(dialog.read_all(100).await.unwrap(), b"first second");
        assert_eq!(dialog.line().await, None);
    }
}
