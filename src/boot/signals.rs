//! The signals that end the server.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::model::{Kind, Problem};

/// SIGTERM and SIGINT. SIGHUP is taken and ignored: a terminal that closes must not take the server along.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _hang_up: Signal,
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
            _hang_up: catch(SignalKind::hangup())?,
        })
    }

    /// The next one. Cancelled, it loses none.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
