//! A data thread: its runtime, its accept loops, its following of the table, its end.

use crate::access_log::LogBuffer;
use crate::certificates::Certificates;
use crate::deadline;
use crate::drain::OpenConnections;
use crate::gate::Visit;
use crate::handle::{HttpChallenges, Shared, Stop};
use crate::ledger::Ledger;
use crate::listen::ListeningSocket;
use crate::listening::{Listener, Listening, LocalPort};
use crate::routes::Routes;
use crate::settings::ProxySettings;
use crate::stamps::Stamps;
use crate::tls::Tls;
use arc_swap::Guard;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc as blocking};
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{spawn_local, yield_now};
use tokio::time::Instant;

/// An idle connection is closed after this many ticks of the thread's idle clock.
const TICKS_IDLE: u32 = 4;
/// What was begun while a thread waited for earlier requests may take this long once nobody is accepted any more: until another
/// process serves, everybody waits.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// What a data thread is started with.
pub(crate) struct Setup {
    pub(crate) index: usize,
    pub(crate) sockets: Vec<ListeningSocket>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) tls: Arc<Tls>,
    pub(crate) https_port: Option<u16>,
    /// Told whether the thread has come up.
    pub(crate) started: blocking::Sender<io::Result<()>>,
    /// Dropped last of all.
    pub(crate) end: mpsc::Sender<()>,
}

/// What all connections and requests of one thread share.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its number among the threads.
    pub(crate) index: usize,
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) routes: Routes,
    pub(crate) open: Rc<OpenConnections>,
    pub(crate) stamps: Stamps,
    pub(crate) log: Rc<LogBuffer>,
    pub(crate) http2: h2::server::Builder,
    pub(crate) tls: Arc<Tls>,
    /// Where plain HTTP is redirected to, if TLS is spoken anywhere.
    pub(crate) https_port: Option<u16>,
    /// Wakes requests that wait for an upstream: there may be one now.
    pub(crate) changed: Notify,
    /// Those opened beside the listeners; `None` once the thread ends.
    pub(crate) ports: RefCell<Option<Vec<LocalPort>>>,
    /// How often the list of ports had changed when it was followed last.
    followed_ports: Cell<u64>,
    pub(crate) shared: Arc<Shared>,
}

impl Setup {
    /// Serves until told to stop.
    pub(crate) fn run(mut self) {
        let Some(ledger) = self.shared.ledgers.get(self.index).cloned() else {
            return;
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default());
        // Owned by the runtime alone: they must be closed when it stops accepting, not when it ends.
        let sockets = std::mem::take(&mut self.sockets);
        let serve = self.serve(Arc::clone(&ledger), sockets);
        let served = runtime.and_then(|runtime| runtime.block_on(serve));
        if let Err(error) = served {
            // Nobody listens any more if another thread failed first.
            let _ = self.started.send(Err(error));
        }
        ledger.end();
        self.shared.announce_drained();
        drop(self.end);
    }

    async fn serve(&self, ledger: Arc<Ledger>, sockets: Vec<ListeningSocket>) -> io::Result<()> {
        let worker = self.worker(ledger);
        let mut listeners = Vec::with_capacity(sockets.len());
        let entrance = Rc::default();
        for socket in sockets {
            listeners.push(Listener::new(socket, None, &entrance)?);
        }
        let _ = self.started.send(Ok(()));
        worker.work(listeners).await;
        Ok(())
    }

    pub(crate) fn worker(&self, ledger: Arc<Ledger>) -> Rc<Worker> {
        Rc::new(Worker {
            index: self.index,
            settings: Arc::clone(&self.settings),
            routes: Routes::new(
                Arc::clone(&self.shared),
                Arc::clone(&ledger),
                Arc::clone(&self.settings),
            ),
            open: Rc::new(OpenConnections::new(Arc::clone(&ledger))),
            stamps: Stamps::new(),
            log: Rc::new(LogBuffer::new(&self.shared.outlets, Arc::clone(&ledger))),
            http2: crate::http2::builder(&self.settings),
            tls: Arc::clone(&self.tls),
            https_port: self.https_port,
            changed: Notify::new(),
            ports: RefCell::new(Some(Vec::new())),
            followed_ports: Cell::new(0),
            ledger,
            shared: Arc::clone(&self.shared),
        })
    }
}

impl Worker {
    pub(crate) fn certificates(&self) -> Guard<Arc<Certificates>> {
        self.shared.certificates.load()
    }

    pub(crate) fn http_challenges(&self) -> Arc<HttpChallenges> {
        self.shared.http_challenges.load_full()
    }

    async fn work(self: Rc<Self>, listeners: Vec<Listener>) {
        let listening = Listening::begin(&self, listeners);
        spawn_local(deadline::watch());
        spawn_local(Rc::clone(&self).close_idle_upstreams());
        let log = Rc::clone(&self.log);
        spawn_local(async move { log.flush_in_time().await });
        let (stop, stopped) = oneshot::channel();
        spawn_local(Rc::clone(&self).follow(stop));
        let Stop { drain, patience } = stopped.await.unwrap_or_default();
        let mut end = Instant::now() + drain;
        // The next process comes when this one has ended, and until then nobody else accepts.
        if patience.is_zero() && listening.stays_open() {
            self.open.stop_earlier();
            // Whether it is over or not: what is left has the last moments.
            let _ = tokio::time::timeout_at(end, self.open.earlier_closed()).await;
            let mut signal = self.shared.signal.subscribe();
            // Its sender is in `shared`: it cannot close.
            let _ = signal.wait_for(|signal| signal.is_last).await;
            end = Instant::now() + LAST_MOMENTS.min(drain);
        }
        listening.end(&self).await;
        // From here on none is opened any more.
        let ports = self.ports.borrow_mut().take();
        for port in ports.unwrap_or_default() {
            port.end(&self).await;
        }
        yield_now().await;
        if !patience.is_zero() {
            self.open.leave();
            // Whether it is over or not: what is left is asked to finish.
            let _ = tokio::time::timeout(patience, self.open.all_closed()).await;
        }
        self.open.stop();
        if tokio::time::timeout_at(end, self.open.all_closed())
            .await
            .is_err()
        {
            tracing::warn!("the drain time is over: open connections are cut");
        }
    }

    /// A place for one more connection of an address, where those are limited. A trusted proxy has any number of them:
    /// they are many visitors', and which visitor has how many cannot be told.
    ///
    /// An error is to be answered by closing it without a word: who makes so many of them does not read.
    pub(crate) fn visit(&self, peer: IpAddr) -> Result<Option<Visit>, Crowded> {
        let Some(crowd) = &self.shared.crowd else {
            return Ok(None);
        };
        if self.settings.trusts(peer) {
            return Ok(None);
        }
        let visit = crowd.enter(peer);
        if visit.is_none() {
            tracing::debug!(%peer, "this address has too many connections open");
        }
        visit.map(Some).ok_or(Crowded)
    }

    /// Follows each new table, also while draining; passes on once that and how it is told to stop.
    async fn follow(self: Rc<Self>, stop: oneshot::Sender<Stop>) {
        let mut signal = self.shared.signal.subscribe();
        let mut stop = Some(stop);
        loop {
            // What was signalled before this subscribed is seen here as well.
            let now = *signal.borrow_and_update();
            if now.epoch != self.ledger.followed() {
                self.routes.follow();
            }
            if self.followed_ports.replace(now.ports) != now.ports {
                self.follow_ports();
            }
            self.changed.notify_waiters();
            if let Some(how) = now.stop
                && let Some(stop) = stop.take()
            {
                let _ = stop.send(how);
            }
            // The sender is in `shared`, which this holds: it cannot close.
            if signal.changed().await.is_err() {
                return;
            }
        }
    }

    async fn close_idle_upstreams(self: Rc<Self>) {
        let tick = self.settings.idle_timeout / TICKS_IDLE;
        loop {
            // Sleeps for good while nothing is idle: a quiet proxy does not wake.
            self.routes.clock().kept.notified().await;
            loop {
                tokio::time::sleep(tick).await;
                self.routes.clock().tick();
                if !self.routes.close_idle(TICKS_IDLE) {
                    break;
                }
            }
        }
    }
}

/// An address has as many connections as it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowded;
