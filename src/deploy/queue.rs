//! Who deploys now and who waits: per app one at a time, one more waits, and a third takes the place of the one that
//! waits. The one place where this is decided.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::run::Run;
use crate::model::{AppName, DeployId, Kind, Problem};

/// All lines, by app.
#[derive(Default)]
pub(super) struct Queue {
    lines: Mutex<HashMap<AppName, Line>>,
    changed: Notify,
}

#[derive(Default)]
struct Line {
    running: Option<Arc<Run>>,
    waiting: Option<(Arc<Run>, oneshot::Sender<Call>)>,
    locks: usize,
}

/// What the one that waits is told.
enum Call {
    /// It is its turn.
    Go,
    /// A later deploy took its place.
    Superseded(Arc<Run>),
}

/// A place in the line.
pub(super) enum Place {
    /// First: go on.
    First(Turn),
    /// Behind another.
    Behind {
        /// The one that runs.
        ahead: Arc<Run>,
        /// Resolves when it is this one's turn, or with the reason why it never will be.
        call: Waiting,
    },
}

/// The right to deploy an app; dropping it calls the next.
pub(super) struct Turn {
    queue: Arc<Queue>,
    app: AppName,
}

/// The wait of the second in line.
pub(super) struct Waiting {
    queue: Arc<Queue>,
    app: AppName,
    call: oneshot::Receiver<Call>,
}

/// Keeps deploys of an app out while it is held.
pub struct LockOut {
    queue: Arc<Queue>,
    app: AppName,
}

impl Queue {
    /// Takes a place for `run`. With `is_patient` unset it fails at once where it would have to wait.
    pub(super) fn enter(
        self: &Arc<Self>,
        run: &Arc<Run>,
        is_patient: bool,
    ) -> Result<Place, Problem> {
        let app = &run.app.name;
        let mut lines = self.lock();
        let line = lines.entry(app.clone()).or_default();
        if line.locks > 0 {
            return Err(Problem::new(
                Kind::Busy,
                format!("{app} cannot be deployed now"),
                "it is being renamed or destroyed",
                "try again when that is done",
            ));
        }
        let Some(ahead) = line.running.clone() else {
            line.running = Some(run.clone());
            return Ok(Place::First(Turn {
                queue: self.clone(),
                app: app.clone(),
            }));
        };
        if !is_patient {
            return Err(Problem::new(
                Kind::Busy,
                format!("{app} is being deployed already"),
                format!("build {} goes on, and `no-wait` was asked for", ahead.id),
                "push again later, or without `-o no-wait` to wait for it",
            ));
        }
        let (sender, call) = oneshot::channel();
        if let Some((_, earlier)) = line.waiting.replace((run.clone(), sender)) {
            // It may have left already; then nobody has to be told.
            let _ = earlier.send(Call::Superseded(run.clone()));
        }
        let call = Waiting {
            queue: self.clone(),
            app: app.clone(),
            call,
        };
        Ok(Place::Behind { ahead, call })
    }

    /// The deploys of an app that run or wait, the running one first.
    pub(super) fn of(&self, app: &AppName) -> Vec<Arc<Run>> {
        let lines = self.lock();
        let Some(line) = lines.get(app) else {
            return Vec::new();
        };
        let waiting = line.waiting.iter().map(|(run, _)| run.clone());
        line.running.iter().cloned().chain(waiting).collect()
    }

    /// The deploy of an app that waits, if any.
    pub(super) fn waiting(&self, app: &AppName) -> Option<Arc<Run>> {
        let lines = self.lock();
        let (run, _) = lines.get(app)?.waiting.as_ref()?;
        Some(run.clone())
    }

    /// The deploys of all apps that wait for another of their app.
    pub(super) fn all_waiting(&self) -> Vec<DeployId> {
        let lines = self.lock();
        let waiting = lines.values().filter_map(|line| line.waiting.as_ref());
        waiting.map(|(run, _)| run.id.clone()).collect()
    }

    /// All deploys that run or wait.
    pub(super) fn all(&self) -> Vec<Arc<Run>> {
        let apps: Vec<AppName> = self.lock().keys().cloned().collect();
        apps.iter().flat_map(|app| self.of(app)).collect()
    }

    /// Resolves when no deploy of any app runs or waits.
    pub(super) async fn empty(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.all().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Keeps new deploys of an app out from now on.
    pub(super) fn lock_out(self: &Arc<Self>, app: &AppName) -> LockOut {
        self.lock().entry(app.clone()).or_default().locks += 1;
        LockOut {
            queue: self.clone(),
            app: app.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppName, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tidy(lines: &mut HashMap<AppName, Line>, app: &AppName) {
        let is_empty = lines.get(app).is_some_and(|line| {
            line.running.is_none() && line.waiting.is_none() && line.locks == 0
        });
        if is_empty {
            lines.remove(app);
        }
    }
}

impl Waiting {
    /// Waits for the turn.
    pub(super) async fn turn(mut self) -> Result<Turn, Problem> {
        match (&mut self.call).await {
            Ok(Call::Go) => Ok(Turn {
                queue: self.queue.clone(),
                app: self.app.clone(),
            }),
            Ok(Call::Superseded(by)) => {
                let commit = by
                    .commit
                    .as_ref()
                    .map_or("a later change", |commit| commit.short());
                Err(Problem::new(
                    Kind::Canceled,
                    format!("{} was not deployed: a later push took its place", self.app),
                    format!("{commit} was pushed by {} while this one waited", by.actor),
                    "nothing, if the later push contains this one; else push again",
                ))
            }
            Err(_) => Err(super::run::lost()),
        }
    }
}

impl Drop for Waiting {
    /// Whoever stops waiting leaves the line, and passes on a turn that came too late to be taken.
    fn drop(&mut self) {
        let mut lines = self.queue.lock();
        let Some(line) = lines.get_mut(&self.app) else {
            return;
        };
        // A closed channel marks our own place; another's is left alone.
        self.call.close();
        if line
            .waiting
            .as_ref()
            .is_some_and(|(_, sender)| sender.is_closed())
        {
            line.waiting = None;
        }
        if let Ok(Call::Go) = self.call.try_recv() {
            advance(line);
        }
        Queue::tidy(&mut lines, &self.app);
        drop(lines);
        self.queue.changed.notify_waiters();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.queue.lock();
        if let Some(line) = lines.get_mut(&self.app) {
            advance(line);
        }
        Queue::tidy(&mut lines, &self.app);
        drop(lines);
        self.queue.changed.notify_waiters();
    }
}

impl LockOut {
    /// Resolves when the deploys that were there before are gone.
    pub(super) async fn alone(&self) {
        loop {
            let changed = self.queue.changed.notified();
            if self.queue.of(&self.app).is_empty() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for LockOut {
    fn drop(&mut self) {
        let mut lines = self.queue.lock();
        if let Some(line) = lines.get_mut(&self.app) {
            line.locks = line.locks.saturating_sub(1);
        }
        Queue::tidy(&mut lines, &self.app);
    }
}

/// Gives the turn to the one that waits, if any is still there.
fn advance(line: &mut Line) {
    line.running = None;
    if let Some((run, sender)) = line.waiting.take()
        && sender.send(Call::Go).is_ok()
    {
        line.running = Some(run);
    }
}
