//! `/metrics` on addresses of its own, for monitoring that cannot reach the socket of the API. Nothing else is served
//! there, and nobody is asked who they are.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::routes;
use super::server::{ACCEPT_PAUSE, HEAD_PATIENCE};
use crate::commands::Platform;

/// Connections at once; the others wait. A monitor needs one.
const MOST_CONNECTIONS: usize = 16;

/// Serves the figures on sockets that listen already, until `stop`.
pub async fn serve_metrics(
    listeners: Vec<StdListener>,
    platform: Platform,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    for listener in listeners {
        tasks.spawn(serve(listener, platform.clone(), stop.clone()));
    }
    tasks.close();
    tasks.wait().await;
}

async fn serve(listener: StdListener, platform: Platform, stop: CancellationToken) {
    let listening = || -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let listener = match listening() {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a socket for the figures cannot be used");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (platform, stop) = (platform.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, platform, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for the figures could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, platform: Platform, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let platform = platform.clone();
        async move { Ok::<_, Infallible>(routes::answer_metrics(request, &platform).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection for the figures ended early");
    }
}
