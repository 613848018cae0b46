//! The way out of a channel: bytes with back-pressure, then the end in the order clients need it.

use bytes::Bytes;
use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio_util::sync::CancellationToken;

use crate::engine::Stream;

/// SSH's number for standard error among the extended data (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// The client has left, or has asked for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

pub(super) struct Outbox {
    write: ChannelWriteHalf<Msg>,
    over: CancellationToken,
}

impl Outbox {
    /// `over` ends waiting sends: russh leaves a sender that waits for window waiting when its connection ends.
    pub(super) fn new(write: ChannelWriteHalf<Msg>, over: CancellationToken) -> Self {
        Self { write, over }
    }

    /// Waits until the client wants more.
    pub(super) async fn send(&self, stream: Stream, bytes: Bytes) -> Result<(), Gone> {
        let sent = async {
            match stream {
                Stream::Stdout => self.write.data_bytes(bytes).await,
                Stream::Stderr => self.write.extended_data_bytes(STDERR, bytes).await,
            }
        };
        tokio::select! {
            biased;
            () = self.over.cancelled() => Err(Gone),
            result = sent => result.map_err(|_| Gone),
        }
    }

    /// Text on standard error.
    pub(super) async fn say(&self, text: String) -> Result<(), Gone> {
        self.send(Stream::Stderr, text.into()).await
    }

    /// Exit status, end of data, close: in this order and through this one half, else OpenSSH loses the status or hangs.
    pub(super) async fn finish(self, exit_status: u32) {
        // Each fails only when the connection is gone.
        let _ = self.write.exit_status(exit_status).await;
        let _ = self.write.eof().await;
        let _ = self.write.close().await;
    }
}
