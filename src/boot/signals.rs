//! The signals that end the server, or have it replaced.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::model::{Kind, Problem};

/// SIGTERM and SIGINT end it, SIGUSR2 asks for a successor. SIGHUP is taken and ignored: a terminal that closes must not take the server along.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    replace: Signal,
    _hang_up: Signal,
}

/// What a signal asks the server for.
pub(super) enum Wish {
    /// To stop.
    End,
    /// To start a server that takes over from it.
    Successor,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Problem> {
        let catch = |kind| {
            signal(kind).map_err(|error| {
                Problem::new(
                    Kind::Internal,
                    "Signals could not be set up",
                    error.to_string(),
                    "",
                )
            })
        };
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            replace: catch(SignalKind::user_defined2())?,
            _hang_up: catch(SignalKind::hangup())?,
        })
    }

    /// The next one that ends the server. Cancelled, it loses none.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The next one, whatever it asks for. Cancelled, it loses none.
    pub(super) async fn next_wish(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.replace.recv() => Wish::Successor,
        }
    }
}
