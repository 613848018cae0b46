//! The ends of a running command: who asks, bytes in, bytes out. A door makes one for each command it lets in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::engine::{Stream, TerminalSize};
use crate::model::Caller;

/// Whether input has ended before its end: the connection broke, or a person pressed Ctrl-C. Set by the door before it ends the
/// input, so that nobody takes what has come for all there is.
#[derive(Debug, Clone, Default)]
pub struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Says so.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The ends of one running command.
pub struct Session {
    /// Who asks.
    pub caller: Caller,
    /// What they type; closed at the end of their input. The door spools, so a command that never reads does no harm.
    pub stdin: mpsc::Receiver<Bytes>,
    /// Whether that end is none of theirs.
    pub cut: Cut,
    /// What they see. A send fails when they are gone.
    pub output: mpsc::Sender<(Stream, Bytes)>,
    /// Their terminal; `None` inside when they have none.
    pub terminal: watch::Receiver<Option<TerminalSize>>,
    /// Where a person types at a terminal: set while it shall not show what they type. The door sees to that before it
    /// passes on what is said afterwards. `None` where the input is no terminal's.
    pub hidden: Option<watch::Sender<bool>>,
}
