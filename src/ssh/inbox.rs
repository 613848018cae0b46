//! The way into a channel: input spooled, so that what nobody reads never stops the connection.

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf, Sig};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::spool::{Spool, SpoolLimits};
use super::terminal::{self, End};
use crate::commands::Cut;
use crate::engine::{Stream, TerminalSize};

/// Items between the spool and its reader.
const ITEMS: usize = 16;

/// Sends what is typed back to the terminal.
pub(super) struct Echo {
    pub(super) output: mpsc::Sender<(Stream, Bytes)>,
    /// Whether it is a secret.
    pub(super) hidden: watch::Receiver<bool>,
}

/// What a channel brings.
pub(super) struct Inbox {
    /// Input; ends with the client's.
    pub(super) input: mpsc::Receiver<Bytes>,
    /// Set before the input ends where the client's has not.
    pub(super) cut: Cut,
    /// The size of the client's terminal, if it has one.
    pub(super) size: watch::Receiver<Option<TerminalSize>>,
}

/// Begins to read a channel, which goes on until the client closes it: also its window changes and signals come this way,
/// and a channel nobody reads stops all others (CRATES.md, section 1, traps 3 and 4). `over` is cancelled when the client
/// leaves or asks for the end. With `echo` the client's terminal is given the simple line terminal.
pub(super) fn open(
    read: ChannelReadHalf,
    limits: SpoolLimits,
    size: Option<TerminalSize>,
    echo: Option<Echo>,
    over: CancellationToken,
) -> Inbox {
    let (sender, input) = mpsc::channel(ITEMS);
    let (size, size_receiver) = watch::channel(size);
    let cut = Cut::default();
    let pump = Pump {
        read,
        spool: Spool::new(limits),
        sender: Some(sender),
        at_end: false,
        size,
        echo,
        cut: cut.clone(),
        is_closed: false,
        over,
    };
    tokio::spawn(pump.run());
    Inbox {
        input,
        cut,
        size: size_receiver,
    }
}

struct Pump {
    read: ChannelReadHalf,
    spool: Spool,
    /// Gone once the reader is, or has had everything.
    sender: Option<mpsc::Sender<Bytes>>,
    at_end: bool,
    cut: Cut,
    /// The client has left.
    is_closed: bool,
    size: watch::Sender<Option<TerminalSize>>,
    echo: Option<Echo>,
    over: CancellationToken,
}

impl Pump {
    async fn run(mut self) {
        loop {
            if self.at_end && self.spool.is_empty() {
                self.sender = None;
            }
            let has_output = self.sender.is_some() && !self.spool.is_empty();
            // What was sent to its end is still for whoever reads it.
            if self.is_closed && !has_output {
                return;
            }
            let has_room = self.sender.is_none() || self.spool.has_room();
            let sender = self.sender.clone();
            let permit = async {
                match &sender {
                    Some(sender) => sender.reserve().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.read.wait(), if has_room && !self.is_closed => match message {
                    Some(ChannelMsg::Close) | None => self.close(),
                    Some(message) => self.take(message).await,
                },
                permit = permit, if has_output => match (permit, self.spool.pop().await) {
                    (Ok(permit), Ok(Some(bytes))) => permit.send(bytes),
                    (Ok(_), Ok(None)) => {}
                    (Ok(_), Err(error)) => self.fail(&error),
                    // The command reads no more; what comes is dropped.
                    (Err(_), _) => {
                        self.sender = None;
                        self.spool.clear();
                    }
                },
            }
        }
    }

    async fn take(&mut self, message: ChannelMsg) {
        match message {
            ChannelMsg::Data { data } if !self.at_end && self.sender.is_some() => {
                let data = match self.echo {
                    Some(_) => self.typed(&data),
                    None => data,
                };
                if !data.is_empty()
                    && let Err(error) = self.spool.push(data).await
                {
                    self.fail(&error);
                }
            }
            ChannelMsg::Eof => self.at_end = true,
            ChannelMsg::WindowChange {
                col_width,
                row_height,
                ..
            } if self.size.borrow().is_some() => {
                self.size
                    .send_replace(Some(terminal_size(col_width, row_height)));
            }
            ChannelMsg::Signal {
                signal: Sig::HUP | Sig::INT | Sig::KILL | Sig::QUIT | Sig::TERM,
            } => self.end(),
            // Anything else is for clients, or was answered by the login's handler.
            _ => {}
        }
    }

    fn typed(&mut self, data: &[u8]) -> Bytes {
        let is_hidden = self.echo.as_ref().is_some_and(|echo| *echo.hidden.borrow());
        let typed = terminal::typed(data, is_hidden);
        if let Some(echo) = &self.echo
            && !typed.echo.is_empty()
        {
            // A terminal that takes no more output needs no echo either.
            let _ = echo.output.try_send((Stream::Stdout, typed.echo));
        }
        match typed.end {
            Some(End::Input) => self.at_end = true,
            Some(End::Command) => {
                self.end();
                // An answer that was being typed is none.
                return Bytes::new();
            }
            None => {}
        }
        typed.input
    }

    fn close(&mut self) {
        self.is_closed = true;
        match self.at_end {
            true => self.over.cancel(),
            false => self.end(),
        }
    }

    /// Ends the input before its end.
    fn end(&mut self) {
        if !self.at_end || !self.spool.is_empty() {
            self.cut.set();
        }
        self.sender = None;
        self.spool.clear();
        self.at_end = true;
        self.over.cancel();
    }

    fn fail(&mut self, error: &std::io::Error) {
        tracing::error!(error = %error, "input of a command could not be spooled");
        self.cut.set();
        self.end();
    }
}

pub(super) fn terminal_size(columns: u32, rows: u32) -> TerminalSize {
    TerminalSize {
        columns: u16::try_from(columns).unwrap_or(u16::MAX),
        rows: u16::try_from(rows).unwrap_or(u16::MAX),
    }
}
