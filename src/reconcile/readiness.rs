//! Which processes that take requests accept connections: each new one is tried until it does, and the loop is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::routes::takes_requests;
use crate::engine::{Process, ProcessId, ProcessState};
use crate::model::Timestamp;
use crate::store::Desired;

/// How long one connection attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// The pause between attempts at first, so that a fast app is found as soon as it listens; it grows by a quarter each time
/// up to [`SLOWEST`], so that a slow one waits little longer than it took.
const FASTEST: Duration = Duration::from_millis(1);
/// The longest pause between attempts.
const SLOWEST: Duration = Duration::from_millis(500);

/// Probes of all web processes that run now.
pub(super) struct Readiness {
    probes: Mutex<BTreeMap<ProcessId, Probe>>,
    wake: Arc<Notify>,
}

struct Probe {
    started_at: Option<Timestamp>,
    address: SocketAddr,
    is_ready: watch::Receiver<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Readiness {
    /// Probes that call `wake` when a process becomes ready.
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self {
            probes: Mutex::default(),
            wake,
        }
    }

    /// Begins to probe a process of a known release that runs and is to take requests; does nothing for any other.
    pub(super) fn probe_requested(&self, desired: &Desired, process: &Process) {
        if let Some(address) = listening_address(desired, process) {
            self.probe(&process.id, process.started_at, address);
        }
    }

    /// Begins to probe a process unless that is under way; one that was started again since is probed anew, for it may
    /// have another address and does not listen yet.
    fn probe(&self, id: &ProcessId, started_at: Option<Timestamp>, address: SocketAddr) {
        let mut probes = self.lock();
        if let Some(probe) = probes.get(id)
            && probe.address == address
            && (probe.started_at == started_at || probe.started_at.is_none())
        {
            return;
        }
        let (found, is_ready) = watch::channel(false);
        let wake = self.wake.clone();
        let task = tokio::spawn(async move {
            connect(address).await;
            if found.send(true).is_ok() {
                wake.notify_one();
            }
        });
        let probe = Probe {
            started_at,
            address,
            is_ready,
            _task: AbortOnDropHandle::new(task),
        };
        probes.insert(id.clone(), probe);
    }

    /// Whether a process accepts connections.
    pub(super) fn is_ready(&self, id: &ProcessId) -> bool {
        self.lock()
            .get(id)
            .is_some_and(|probe| *probe.is_ready.borrow())
    }

    /// Forgets all processes but those named.
    pub(super) fn keep_only(&self, is_kept: impl Fn(&ProcessId) -> bool) {
        self.lock().retain(|id, _| is_kept(id));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProcessId, Probe>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a process of a known release that is to take requests listens when it does.
pub(super) fn listening_address(desired: &Desired, process: &Process) -> Option<SocketAddr> {
    if process.state != ProcessState::Running {
        return None;
    }
    let app = desired.apps.iter().find(|app| app.name == process.app)?;
    if !takes_requests(desired, app.id, &process.process_type) {
        return None;
    }
    let release = desired
        .releases
        .iter()
        .find(|release| release.app == app.id && release.version == process.release)?;
    Some(SocketAddr::new(process.address?, release.port))
}

/// Resolves once `address` accepts a connection.
async fn connect(address: SocketAddr) {
    let mut pause = FASTEST;
    loop {
        if let Ok(Ok(_)) = tokio::time::timeout(ATTEMPT, TcpStream::connect(address)).await {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(SLOWEST);
    }
}
