//! Starting and stopping the data threads.

use crate::handle::{ProxyHandle, Shared, Stop};
use crate::listen::{Listeners, ListeningSocket};
use crate::settings::ProxySettings;
use crate::tls::Tls;
use crate::worker::Setup;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};
use tokio::sync::mpsc;

/// How long a client's connection without a request is left open when another process serves already. Clients that ask
/// often come within it; those that do not are used to find their connection closed (nginx: 75 s, when it is not busy).
const PATIENCE: Duration = Duration::from_secs(10);

/// A running proxy: it accepts, routes and forwards until [`Proxy::shutdown`].
///
/// Dropped without it, the threads stop at once and cut what is in flight.
#[derive(Debug)]
pub struct Proxy {
    handle: ProxyHandle,
    threads: Vec<JoinHandle<()>>,
    ended: mpsc::Receiver<()>,
}

/// Why a proxy could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A data thread or its runtime could not be made.
    #[error("cannot start a thread of the proxy")]
    Thread(#[source] io::Error),
    /// A listening socket could not be shared among the threads.
    #[error("cannot share a listening socket among the threads of the proxy")]
    Socket(#[source] io::Error),
    /// TLS could not be set up: the system gave no random numbers.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

impl Proxy {
    /// Starts `settings.threads` data threads (at least one) that serve all of `listeners`.
    ///
    /// Connections are accepted once there is a table ([`ProxyHandle::set_table`], an empty one will do): until then
    /// they wait in the queue of their socket, so that a server that starts again answers nobody wrongly.
    /// The listeners' number of sockets need not match the threads. On an error nothing keeps running.
    pub fn start(listeners: Vec<Listeners>, settings: ProxySettings) -> Result<Proxy, StartError> {
        let count = settings.threads.max(1);
        let https_port = listeners
            .iter()
            .find(|listeners| listeners.is_tls())
            .map(|listeners| listeners.local_address().port());
        let mut sockets: Vec<Vec<ListeningSocket>> = (0..count).map(|_| Vec::new()).collect();
        for listeners in listeners {
            let of_one_address = listeners.into_sockets(count).map_err(StartError::Socket)?;
            // All must be served: the kernel also gives connections to a socket nobody accepts from.
            for (index, socket) in of_one_address.into_iter().enumerate() {
                if let Some(of_one_thread) = sockets.get_mut(index % count) {
                    of_one_thread.push(socket);
                }
            }
        }
        let shared = Arc::new(Shared::new(count, settings.max_connections_per_address));
        // Also without a listener that speaks it: a port that does may be opened later.
        let tls = Tls::new(Arc::clone(&shared.certificates)).map_err(StartError::Tls)?;
        let tls = Arc::new(tls);
        let settings = Arc::new(settings);
        let (end, ended) = mpsc::channel(1);
        let (started, starts) = std::sync::mpsc::channel();
        let mut proxy = Proxy {
            handle: ProxyHandle { shared },
            threads: Vec::with_capacity(count),
            ended,
        };
        for (index, sockets) in sockets.into_iter().enumerate() {
            let setup = Setup {
                index,
                sockets,
                shared: Arc::clone(&proxy.handle.shared),
                settings: Arc::clone(&settings),
                tls: Arc::clone(&tls),
                https_port,
                started: started.clone(),
                end: end.clone(),
            };
            let thread = thread::Builder::new()
                .name(format!("proxy-{index}"))
                .spawn(move || setup.run())
                .map_err(StartError::Thread)?;
            proxy.threads.push(thread);
        }
        drop((started, end));
        // Each thread reports once, within microseconds; one that died without a word is an error too.
        for _ in 0..count {
            let died = || io::Error::other("a thread ended before it had started");
            let report = starts.recv().unwrap_or_else(|_| Err(died()));
            report.map_err(StartError::Thread)?;
        }
        Ok(proxy)
    }

    /// A handle to control it with; any number may exist.
    pub fn handle(&self) -> ProxyHandle {
        self.handle.clone()
    }

    /// Stops accepting, lets requests in flight and upgraded connections finish for at most `drain`, cuts
    /// what is left and ends the threads.
    ///
    /// Idle client connections are closed at once. Connections that wait in the queue of a listening
    /// socket are accepted and answered first. Cancelled, the threads stop all the same; nobody waits for them then.
    ///
    /// On listeners that stay open elsewhere it is as [`Proxy::shutdown_beside`] has it.
    pub async fn shutdown(self, drain: Duration) {
        self.shutdown_beside(drain, async {}).await;
    }

    /// The same while `others` are on their way: whatever else this process has to end.
    ///
    /// Where all listeners stay open elsewhere ([`Listeners::staying_open`]), as with systemd, whoever serves there next does
    /// not begin before this process has ended. So that nobody waits for one long download, or for `others`, the threads accept
    /// and answer on meanwhile, one request for each connection. When `others` have ended, and nothing is left of what was open
    /// at first or `drain` is over, they stop accepting, and what is in flight has 5 seconds (`drain`, where that is less);
    /// those in the queue wait there.
    pub async fn shutdown_beside(self, drain: Duration, others: impl Future<Output = ()>) {
        let patience = Duration::ZERO;
        self.stop(Stop { drain, patience });
        others.await;
        self.end().await;
    }

    /// The same for when another process serves on the same sockets already, so that there is time: a client's
    /// connection that is kept open between two requests is closed with the answer to its next one, which says
    /// so, and not at a moment when the client may be sending. One that asks nothing for 10 seconds is closed.
    pub async fn hand_over(self, drain: Duration) {
        let patience = PATIENCE.min(drain);
        self.stop(Stop { drain, patience });
        self.end().await;
    }

    async fn end(mut self) {
        let signal = &self.handle.shared.signal;
        signal.send_modify(|signal| signal.is_last = true);
        // Closed when the last thread lets go of its end; until then no message ever comes.
        let _ = self.ended.recv().await;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the proxy had panicked");
            }
        }
        // The last records are on their way: their reader comes to its end after them.
        self.handle.shared.outlets.store(None);
    }

    fn stop(&self, stop: Stop) {
        // A port is opened either before this, and then all threads have it, or not at all.
        let _swapping = self.handle.swapping();
        self.handle.release_ports();
        self.handle
            .shared
            .signal
            .send_modify(|signal| signal.stop = Some(stop));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.handle.shared.outlets.store(None);
            self.stop(Stop::default());
            let signal = &self.handle.shared.signal;
            signal.send_modify(|signal| signal.is_last = true);
        }
    }
}
