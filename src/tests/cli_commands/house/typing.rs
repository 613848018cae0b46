//! A caller who types lines at a platform, and the transcript of it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use mini::commands::{self, Cut, Session};
use mini::engine::Stream;
use tokio::sync::{mpsc, watch};

use super::steadied::steadied;
use super::{HANGS_AFTER, House};

impl House {
    /// Types a line and writes down what came back.
    pub(crate) async fn types(&mut self, line: &str) -> u8 {
        self.types_with(line, "").await
    }

    /// Types a line with something on standard input.
    pub(crate) async fn types_with(&mut self, line: &str, input: &str) -> u8 {
        self.sends(line, input.as_bytes()).await
    }

    /// The same with any bytes.
    pub(crate) async fn sends(&mut self, line: &str, input: &[u8]) -> u8 {
        let (typed, stdin) = mpsc::channel(4);
        if !input.is_empty() {
            typed.send(Bytes::from(input.to_vec())).await.unwrap();
        }
        drop(typed);
        let (mut shown, code) = self.session(line, stdin).await;
        if !shown.is_empty() && !shown.ends_with('\n') {
            shown.push('\n');
        }
        self.transcript.push_str(&format!("$ {line}\n{shown}"));
        if code != 0 {
            self.transcript.push_str(&format!("(exit {code})\n"));
        }
        code
    }

    /// Types a line that asks for JSON and reads the answer.
    pub(crate) async fn json(&self, line: &str) -> serde_json::Value {
        let (shown, _) = self.session(line, mpsc::channel(1).1).await;
        serde_json::from_str(&shown).unwrap()
    }

    /// Types a line as a person at a terminal, and then one of these at each prompt, which has to hide it. Prompts are in
    /// brackets.
    pub(crate) async fn types_at_terminal(&mut self, line: &str, answers: &[&str]) -> u8 {
        let (typed, stdin) = mpsc::channel(4);
        let mut answers = answers.iter();
        let (output, mut said) = mpsc::channel::<(Stream, Bytes)>(4);
        let hidden = watch::Sender::new(false);
        let mut is_hidden = hidden.subscribe();
        let session = Session {
            caller: self.caller.clone(),
            stdin,
            cut: Cut::default(),
            output,
            terminal: watch::channel(None).1,
            hidden: Some(hidden),
        };
        let reading = async {
            let mut shown = String::new();
            while let Some((_, bytes)) = said.recv().await {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if !text.ends_with(": ") {
                    shown.push_str(&text);
                    continue;
                }
                assert!(*is_hidden.borrow_and_update(), "{text}");
                shown.push_str(&format!("[{text}]\n"));
                let answer = answers.next().expect("no prompt was expected");
                typed
                    .send(Bytes::from(format!("{answer}\n")))
                    .await
                    .unwrap();
            }
            assert_eq!(answers.next(), None, "was not asked for");
            shown
        };
        let command = commands::run_words(&self.platform, line, session);
        let both = async { tokio::join!(reading, command) };
        let ended = tokio::time::timeout(HANGS_AFTER, both).await;
        let (shown, code) = ended.expect("the command did not end");
        assert!(
            !*is_hidden.borrow(),
            "the terminal hides what is typed next"
        );
        self.transcript.push_str(&format!("$ {line}\n{shown}"));
        if code != 0 {
            self.transcript.push_str(&format!("(exit {code})\n"));
        }
        code
    }

    async fn session(&self, line: &str, stdin: mpsc::Receiver<Bytes>) -> (String, u8) {
        let (output, mut said) = mpsc::channel::<(Stream, Bytes)>(4);
        let session = Session {
            caller: self.caller.clone(),
            stdin,
            cut: Cut::default(),
            output,
            terminal: watch::channel(None).1,
            hidden: None,
        };
        let reading = async {
            let mut shown = String::new();
            while let Some((_, bytes)) = said.recv().await {
                shown.push_str(&String::from_utf8_lossy(&bytes));
            }
            shown
        };
        let both =
            async { tokio::join!(reading, commands::run_words(&self.platform, line, session)) };
        tokio::time::timeout(HANGS_AFTER, both)
            .await
            .expect("the command did not end")
    }

    /// Types a line and leaves in the middle of what comes on standard input.
    pub(crate) async fn leaves(&self, line: &str, input: &[u8]) -> u8 {
        let (typed, stdin) = mpsc::channel(4);
        typed.send(Bytes::from(input.to_vec())).await.unwrap();
        let (session, said) = self.silent();
        let session = Session { stdin, ..session };
        session.cut.set();
        drop((typed, said));
        let command = commands::run_words(&self.platform, line, session);
        let ended = tokio::time::timeout(HANGS_AFTER, command).await;
        ended.expect("the command did not end")
    }

    /// A session of one who types nothing, and where what it says arrives.
    pub(crate) fn silent(&self) -> (Session, mpsc::Receiver<(Stream, Bytes)>) {
        let (output, said) = mpsc::channel(64);
        let session = Session {
            caller: self.caller.clone(),
            stdin: mpsc::channel(1).1,
            cut: Cut::default(),
            output,
            terminal: watch::channel(None).1,
            hidden: None,
        };
        (session, said)
    }

    /// Where its database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("mini.db")
    }

    /// Begins a line and leaves it running; what it says arrives on the receiver.
    pub(crate) fn begins(&self, line: &str) -> mpsc::Receiver<(Stream, Bytes)> {
        let (session, said) = self.silent();
        let platform = self.platform.clone();
        let line = line.to_owned();
        tokio::spawn(async move { commands::run_words(&platform, &line, session).await });
        said
    }

    /// What was typed and came back so far, as it came.
    pub(crate) fn verbatim(&mut self) -> String {
        std::mem::take(&mut self.transcript)
    }

    /// What was typed and came back so far, with what differs from run to run replaced.
    pub(crate) fn transcript(&mut self) -> String {
        let folder = self.folder.path().display().to_string();
        let text = self.verbatim();
        let text = text.replace(&folder, "DIR");
        text.split_inclusive('\n')
            .map(|line| steadied(line, self.port))
            .collect()
    }
}

/// The next thing a command says.
pub(crate) async fn next_said(said: &mut mpsc::Receiver<(Stream, Bytes)>) -> String {
    let part = tokio::time::timeout(Duration::from_secs(30), said.recv()).await;
    String::from_utf8_lossy(&part.unwrap().unwrap().1).into_owned()
}
