//! Carries out what was planned. Only this starts and stops processes of apps.
//!
//! Each action runs as a task of its own, at most one per process, so that a slow stop holds up nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::group::stop_grace;
use super::history::{History, wait_before};
use super::look::Parts;
use super::plan::{Action, Observed, ProcessKey};
use super::readiness::Readiness;
use crate::engine::{EngineError, Process, ProcessId};
use crate::model::{AppId, AppName, ReleaseStatus, ReleaseVersion, Timestamp};
use crate::store::{Desired, StoreError};

/// How many processes are started at once; more only makes each slower (two cores: measured with 20 apps).
const STARTS_AT_ONCE: usize = 4;

/// What an action works on; one action at a time for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Target {
    Key(ProcessKey),
    Id(ProcessId),
    Release(AppId, ReleaseVersion),
}

type Finished = (Target, Result<(), Failure>);

/// Why an action was in vain.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was in vain last time; it is tried again after a while, for most likely it will be in vain again.
#[derive(Debug)]
pub(super) struct Vain {
    /// How often in a row, from 1.
    pub count: u32,
    until: Instant,
    /// What the engine or the store said.
    pub why: String,
}

impl Vain {
    /// Whether it is too early to try again.
    fn is_waiting(&self) -> bool {
        self.until > Instant::now()
    }
}

/// What one look has found, for the actions that follow from it.
pub(super) struct Seen<'a> {
    pub parts: &'a Parts,
    pub readiness: &'a Arc<Readiness>,
    pub wake: &'a Notify,
    pub observed: &'a Observed,
    pub desired: &'a Arc<Desired>,
}

/// The actions under way.
pub(super) struct Actions {
    busy: HashMap<Target, AppName>,
    /// What failed, but for starts, whose refusals the history keeps for all to see.
    vain: HashMap<Target, Vain>,
    tasks: JoinSet<Finished>,
    starts: Arc<Semaphore>,
}

impl Default for Actions {
    fn default() -> Actions {
        Actions {
            busy: HashMap::new(),
            vain: HashMap::new(),
            tasks: JoinSet::new(),
            starts: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
        }
    }
}

impl Actions {
    /// The apps that something is done about.
    pub(super) fn apps(&self) -> impl Iterator<Item = &AppName> {
        self.busy.values()
    }

    /// How long until something that failed may be tried again; none if nothing has failed.
    pub(super) fn until_next_try(&self) -> Option<Duration> {
        let now = Instant::now();
        let left = self.vain.values().map(|vain| vain.until - now);
        left.filter(|left| !left.is_zero()).min()
    }

    /// Forgets what failed about things that are no longer there.
    pub(super) fn keep_failures(&mut self, processes: &[Process]) {
        self.vain.retain(|target, _| match target {
            Target::Id(id) => processes.iter().any(|process| process.id == *id),
            Target::Key(_) | Target::Release(..) => true,
        });
    }

    /// Why nothing is done about a process now that something should be done about: it was in vain a moment ago. None where
    /// it is under way.
    pub(super) fn in_vain(&self, id: &ProcessId) -> Option<&Vain> {
        let target = Target::Id(id.clone());
        let vain = self.vain.get(&target).filter(|vain| vain.is_waiting());
        vain.filter(|_| !self.busy.contains_key(&target))
    }

    /// Waits until an action has ended; for ever while none is under way.
    pub(super) async fn finish_one(&mut self, history: &mut History) {
        match self.tasks.join_next().await {
            Some(finished) => self.finish(finished, history),
            None => std::future::pending().await,
        }
    }

    /// Takes note of the actions that have ended.
    pub(super) fn finish_ended(&mut self, history: &mut History) {
        while let Some(finished) = self.tasks.try_join_next() {
            self.finish(finished, history);
        }
    }

    /// Waits for all actions under way, but no longer than `limit`. The engine goes on with what it was asked for then, and
    /// the next server sees what has come of it.
    pub(super) async fn finish_all(mut self, limit: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            let left = self.tasks.len();
            tracing::warn!(
                left,
                ?limit,
                "the server stops before the engine is done with all processes; the next one looks after them"
            );
        }
    }

    /// Begins an action unless its target has one under way, or had one in vain a moment ago; returns the app for which
    /// one is under way.
    pub(super) fn begin(&mut self, action: Action, seen: &Seen<'_>) -> Option<AppName> {
        let app_of = |id: &ProcessId| {
            seen.observed
                .processes
                .iter()
                .find(|process| process.id == *id)
                .map(|process| process.app.clone())
        };
        let engine = seen.parts.engine.clone();
        let grace_of = |app: &AppName| {
            let rules = &seen.parts.rules;
            let mut apps = seen.desired.apps.iter();
            match apps.find(|candidate| candidate.name == *app) {
                Some(app) => stop_grace(seen.desired, app.id, rules),
                None => rules.stop_grace,
            }
        };
        match action {
            Action::SetRoutes(table) => {
                seen.parts.proxy.set_table(table);
                // What left the table may be ended now.
                seen.wake.notify_one();
                None
            }
            Action::Start { group, index } => {
                let app = group.app.clone();
                let key = ProcessKey {
                    app: app.clone(),
                    release: group.release,
                    process_type: group.process_type.clone(),
                    index,
                };
                let starts = self.starts.clone();
                let (readiness, desired) = (seen.readiness.clone(), seen.desired.clone());
                let target = Target::Key(key);
                self.spawn(target, app, async move {
                    let _permit = starts.acquire().await;
                    let process = engine.start(&group, index).await?;
                    // Now, and not after the next look, which has to ask the engine for everything.
                    readiness.probe_requested(&desired, &process);
                    Ok(())
                })
            }
            Action::Restart(id) => {
                let app = app_of(&id)?;
                self.spawn(Target::Id(id.clone()), app, async move {
                    let restarted = engine.restart(&id).await;
                    if let Err(EngineError::CannotStart { .. }) = &restarted {
                        // Something that it was made with is gone, and that a new one is made with again.
                        engine.remove(&id).await?;
                    }
                    Ok(restarted?)
                })
            }
            Action::Stop(id) => {
                let app = app_of(&id)?;
                let grace = grace_of(&app);
                self.spawn(Target::Id(id.clone()), app, async move {
                    Ok(engine.stop(&id, grace).await?)
                })
            }
            Action::Remove(id) => {
                let app = app_of(&id)?;
                self.spawn(Target::Id(id.clone()), app, async move {
                    Ok(engine.remove(&id).await?)
                })
            }
            Action::Retire(app, version) => {
                let store = seen.parts.store.clone();
                let mut apps = seen.desired.apps.iter();
                let name = apps.find(|candidate| candidate.id == app)?.name.clone();
                self.spawn(Target::Release(app, version), name, async move {
                    let status = ReleaseStatus::Retired;
                    match store.set_release_status(app, version, status).await {
                        // Its app was destroyed meanwhile.
                        Err(StoreError::NotFound { .. }) => Ok(()),
                        recorded => Ok(recorded?),
                    }
                });
                // Nobody waits for that.
                None
            }
        }
    }

    fn spawn(
        &mut self,
        target: Target,
        app: AppName,
        work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) -> Option<AppName> {
        if self.busy.contains_key(&target) {
            return Some(app);
        }
        if self.vain.get(&target).is_some_and(Vain::is_waiting) {
            return None;
        }
        self.busy.insert(target.clone(), app.clone());
        self.tasks.spawn(async move { (target, work.await) });
        Some(app)
    }

    fn finish(&mut self, finished: Result<Finished, JoinError>, history: &mut History) {
        match finished {
            Ok((target, result)) => {
                let app = self.busy.remove(&target);
                match (&target, result) {
                    (Target::Key(key), Ok(())) => history.accept(key),
                    (Target::Key(key), Err(error)) => {
                        tracing::warn!(?key, %error, "a process could not be started");
                        history.refuse(key.clone(), error.to_string(), Timestamp::now());
                    }
                    (Target::Id(_) | Target::Release(..), Ok(())) => {
                        self.vain.remove(&target);
                    }
                    (Target::Id(_) | Target::Release(..), Err(error)) => {
                        let count = self.vain.get(&target).map_or(1, |vain| vain.count + 1);
                        let wait = wait_before(count + 1);
                        tracing::warn!(?target, ?app, %error, ?wait, "a process could not be changed; it is tried again");
                        let until = Instant::now() + wait;
                        let why = error.to_string();
                        self.vain.insert(target, Vain { count, until, why });
                    }
                }
            }
            Err(panic) => {
                tracing::error!(%panic, "an action of the reconciler panicked");
                // Its target is not known; forgetting all marks lets the next look begin it again. The engine's
                // operations are safe to repeat.
                self.busy.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A restart that fails at once, such as of a container that Docker has broken, was tried again without a pause, for ever.
    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_after_a_while_and_not_at_once() {
        let mut actions = Actions::default();
        let mut history = History::default();
        let id = ProcessId("a".to_owned());
        let target = Target::Id(id.clone());
        let begin = |actions: &mut Actions, result: Result<(), Failure>| {
            let app = "shop".parse().unwrap();
            actions
                .spawn(target.clone(), app, async move { result })
                .is_some()
        };
        let refused = || -> Result<(), Failure> {
            let said = "no such file".to_owned();
            Err(Failure::from(EngineError::CannotStart { said }))
        };
        for (count, wait) in [(1, 1), (2, 2), (3, 4)] {
            assert!(begin(&mut actions, refused()));
            assert!(actions.in_vain(&id).is_none(), "under way");
            actions.finish_one(&mut history).await;
            assert!(!begin(&mut actions, refused()), "again at once");
            let vain = actions.in_vain(&id).unwrap();
            assert_eq!((vain.count, vain.why.as_str()), (count, "no such file"));
            let wait = Duration::from_secs(wait);
            assert_eq!(actions.until_next_try(), Some(wait));
            tokio::time::advance(wait).await;
            assert_eq!(actions.until_next_try(), None);
        }
        assert!(begin(&mut actions, Ok(())));
        actions.finish_one(&mut history).await;
        assert!(
            begin(&mut actions, Ok(())),
            "what went well may be done again"
        );
    }

    /// A stop or an upgrade of mini took as long as any app gives its processes to end: an hour.
    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_left_to_the_engine_when_the_server_stops() {
        let mut actions = Actions::default();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let app: AppName = "shop".parse().unwrap();
        let short = Target::Id(ProcessId("short".to_owned()));
        actions.spawn(short, app.clone(), async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let _ = done.send(());
            Ok(())
        });
        let long = Target::Id(ProcessId("long".to_owned()));
        actions.spawn(long, app, std::future::pending());
        actions.finish_all(Duration::from_secs(30)).await;
        assert_eq!(is_done.await, Ok(()), "it had the time");
    }
}
