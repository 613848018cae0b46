//! Accepting connections, whatever they arrive on.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::routes;
use super::socket::ApiSocket;
use crate::commands::Platform;
use crate::model::Caller;

/// How long the head of a request may take.
pub(super) const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after accepting failed for want of file descriptors.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a connection came in, which decides who may be asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The socket in the data directory: whoever can open it owns the server. A door for TCP, which asks for a token,
    /// is to come.
    Console,
}

impl Door {
    /// Who asks.
    pub(super) fn caller(self) -> Caller {
        match self {
            Door::Console => Caller::Console,
        }
    }
}

/// What a request has reached.
#[derive(Clone)]
pub(super) struct Reached {
    pub(super) platform: Platform,
    pub(super) door: Door,
    /// Commands, also those whose connection has become a session or is gone: they are waited for as connections are.
    pub(super) work: TaskTracker,
}

/// Serves the API on `socket` until `stop`, then lets go of it and waits for the requests that are being answered, and for
/// commands. While someone else has it as well, who comes meanwhile waits in its queue.
pub async fn serve(socket: Arc<ApiSocket>, platform: Platform, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let reached = Reached {
                    platform: platform.clone(),
                    door: Door::Console,
                    work: connections.clone(),
                };
                connections.spawn(connection(stream, reached, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the API could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(socket);
    connections.close();
    connections.wait().await;
}

/// Serves one connection. One that waits for its next request ends at `stop`.
async fn connection<S>(stream: S, reached: Reached, stop: CancellationToken)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let reached = reached.clone();
        async move { Ok::<_, std::convert::Infallible>(routes::answer(request, reached).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the API ended early");
    }
}
