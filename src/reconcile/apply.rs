//! Carries out what was planned. Only this starts and stops processes of apps.
//!
//! Each action runs as a task of its own, at most one per process, so that a slow stop holds up nothing else.

use std::collections::{BTreeSet, HashMap};
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

/// How often a start is tried again where the engine does not answer: for 1, 2 and 4 seconds, and then it counts as refused.
const STARTS_UNHEARD: u32 = 3;

/// What an action works on; one action at a time for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Target {
    Key(ProcessKey),
    Id(ProcessId),
    Release(AppId, ReleaseVersion),
}

/// What an action was to do, with which target, and what came of it.
type Finished = (&'static str, Target, Result<(), Failure>);

/// What is done to a release whose processes are gone.
const RETIRED: &str = "retired";
/// What is done to a process that is not there.
const STARTED: &str = "started";

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
    /// What was to happen: another thing than that is tried at once.
    change: &'static str,
    /// How often in a row, from 1.
    pub count: u32,
    until: Instant,
    /// What the engine or the store said.
    pub why: String,
}

impl Vain {
    /// Whether it is too early to try this again.
    fn holds_up(&self, change: &'static str) -> bool {
        self.change == change && self.until > Instant::now()
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
    /// What failed, but for starts that were refused: those the history keeps for all to see.
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

    /// Forgets what failed about things that are no longer there, or no longer wanted.
    pub(super) fn keep_failures(&mut self, processes: &[Process], wanted: &BTreeSet<ProcessKey>) {
        self.vain.retain(|target, _| match target {
            Target::Id(id) => processes.iter().any(|process| process.id == *id),
            Target::Key(key) => wanted.contains(key),
            Target::Release(..) => true,
        });
    }

    /// Forgets what failed about these processes: it is tried again at once.
    pub(super) fn forgive<'a>(&mut self, processes: impl Iterator<Item = &'a Process>) {
        for process in processes {
            self.vain.remove(&Target::Id(process.id.clone()));
        }
    }

    /// Why this is not done to a process now that should be: it was in vain a moment ago. None where something is under way.
    pub(super) fn in_vain(&self, id: &ProcessId, change: &'static str) -> Option<&Vain> {
        let target = Target::Id(id.clone());
        let vain = self.vain.get(&target);
        vain.filter(|vain| vain.holds_up(change) && !self.busy.contains_key(&target))
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
        let change = action.change().map_or(STARTED, |(_, change)| change);
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
                self.spawn(change, target, app, async move {
                    let _permit = starts.acquire().await;
                    let process = engine.start(&group, index).await?;
                    // Now, and not after the next look, which has to ask the engine for everything.
                    readiness.probe_requested(&desired, &process);
                    Ok(())
                })
            }
            Action::Restart(id) => {
                let app = app_of(&id)?;
                self.spawn(change, Target::Id(id.clone()), app, async move {
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
                self.spawn(change, Target::Id(id.clone()), app, async move {
                    Ok(engine.stop(&id, grace).await?)
                })
            }
            Action::Remove(id) => {
                let app = app_of(&id)?;
                self.spawn(change, Target::Id(id.clone()), app, async move {
                    Ok(engine.remove(&id).await?)
                })
            }
            Action::Retire(app, version) => {
                let store = seen.parts.store.clone();
                let mut apps = seen.desired.apps.iter();
                let name = apps.find(|candidate| candidate.id == app)?.name.clone();
                self.spawn(RETIRED, Target::Release(app, version), name, async move {
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
        change: &'static str,
        target: Target,
        app: AppName,
        work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) -> Option<AppName> {
        if self.busy.contains_key(&target) {
            return Some(app);
        }
        let vain = self.vain.get(&target);
        if vain.is_some_and(|vain| vain.holds_up(change)) {
            return None;
        }
        self.busy.insert(target.clone(), app.clone());
        self.tasks
            .spawn(async move { (change, target, work.await) });
        Some(app)
    }

    /// How often in a row it was in vain.
    fn tries(&self, target: &Target, change: &'static str) -> u32 {
        let before = self.vain.get(target);
        let before = before.filter(|vain| vain.change == change);
        before.map_or(0, |vain| vain.count)
    }

    fn note_vain(&mut self, change: &'static str, target: Target, why: String) {
        let count = self.tries(&target, change) + 1;
        let vain = Vain {
            change,
            count,
            until: Instant::now() + wait_before(count + 1),
            why,
        };
        self.vain.insert(target, vain);
    }

    fn finish(&mut self, finished: Result<Finished, JoinError>, history: &mut History) {
        match finished {
            Ok((change, target, result)) => {
                let app = self.busy.remove(&target);
                match (&target, result) {
                    (Target::Key(key), Ok(())) => {
                        history.accept(key);
                        self.vain.remove(&target);
                    }
                    (
                        Target::Key(_),
                        Err(Failure::Engine(error @ EngineError::Unavailable { .. })),
                    ) if self.tries(&target, change) < STARTS_UNHEARD => {
                        // It was not refused: a release must not fail because Docker is restarted.
                        tracing::warn!(?target, %error, "a process could not be started; it is tried again");
                        self.note_vain(change, target, error.to_string());
                    }
                    (Target::Key(key), Err(error)) => {
                        self.vain.remove(&target);
                        tracing::warn!(?key, %error, "a process could not be started");
                        history.refuse(key.clone(), error.to_string(), Timestamp::now());
                    }
                    (Target::Id(_) | Target::Release(..), Ok(())) => {
                        self.vain.remove(&target);
                    }
                    (Target::Id(_) | Target::Release(..), Err(error)) => {
                        tracing::warn!(?target, ?app, %error, "a process could not be changed; it is tried again");
                        self.note_vain(change, target, error.to_string());
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
    use crate::engine::ProcessState;
    use crate::model::ProcessType;

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
                .spawn("stopped", target.clone(), app, async move { result })
                .is_some()
        };
        let refused = || -> Result<(), Failure> {
            let said = "no such file".to_owned();
            Err(Failure::from(EngineError::CannotStart { said }))
        };
        for (count, wait) in [(1, 1), (2, 2), (3, 4)] {
            assert!(begin(&mut actions, refused()));
            assert!(actions.in_vain(&id, "stopped").is_none(), "under way");
            actions.finish_one(&mut history).await;
            assert!(!begin(&mut actions, refused()), "again at once");
            let vain = actions.in_vain(&id, "stopped").unwrap();
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

    /// A deploy failed where Docker was restarted at the moment of a start: what was not heard was taken for refused.
    #[tokio::test(start_paused = true)]
    async fn a_start_that_is_not_heard_is_tried_again_before_it_counts_as_refused() {
        let mut actions = Actions::default();
        let mut history = History::default();
        let app: AppName = "shop".parse().unwrap();
        let key = ProcessKey {
            app: app.clone(),
            release: ReleaseVersion(1),
            process_type: ProcessType::web(),
            index: 1,
        };
        let begin = |actions: &mut Actions| {
            let lost = async {
                Err(Failure::from(EngineError::Unavailable {
                    socket: "docker.sock".to_owned(),
                    source: "connection reset".into(),
                }))
            };
            let target = Target::Key(key.clone());
            actions.spawn(STARTED, target, app.clone(), lost).is_some()
        };
        for seconds in [1, 2, 4] {
            assert!(begin(&mut actions));
            actions.finish_one(&mut history).await;
            assert!(history.refusals().is_empty());
            assert!(!begin(&mut actions), "again at once");
            let wait = Duration::from_secs(seconds);
            assert_eq!(actions.until_next_try(), Some(wait));
            tokio::time::advance(wait).await;
        }
        assert!(begin(&mut actions));
        actions.finish_one(&mut history).await;
        let refusals = history.refusals();
        assert!(refusals[&key].why.contains("docker.sock"), "{refusals:?}");
    }

    /// What Docker had let go of was said to be stuck for up to a minute, with what had stood in the way of something else.
    #[tokio::test(start_paused = true)]
    async fn what_has_failed_holds_up_nothing_else_and_only_until_it_is_asked_for() {
        let mut actions = Actions::default();
        let mut history = History::default();
        let app: AppName = "shop".parse().unwrap();
        let process = Process {
            id: ProcessId("a".to_owned()),
            app: app.clone(),
            release: ReleaseVersion(1),
            process_type: ProcessType::web(),
            index: 1,
            state: ProcessState::Running,
            address: None,
            started_at: None,
        };
        let id = &process.id;
        let begin = |actions: &mut Actions, change: &'static str| {
            let said = "it does not end".to_owned();
            let failed = async { Err(Failure::from(EngineError::Refused { said })) };
            let target = Target::Id(id.clone());
            actions.spawn(change, target, app.clone(), failed).is_some()
        };
        assert!(begin(&mut actions, "stopped"));
        actions.finish_one(&mut history).await;
        assert!(actions.in_vain(id, "stopped").is_some());
        assert!(actions.in_vain(id, "removed").is_none());
        assert!(begin(&mut actions, "removed"), "it has ended by itself");
        actions.finish_one(&mut history).await;
        let vain = actions.in_vain(id, "removed").unwrap();
        assert_eq!(vain.count, 1, "that was the first time");
        assert!(!begin(&mut actions, "removed"));
        actions.forgive([&process].into_iter());
        assert!(begin(&mut actions, "removed"), "somebody waits for it");
    }

    /// A stop or an upgrade of mini took as long as any app gives its processes to end: an hour.
    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_left_to_the_engine_when_the_server_stops() {
        let mut actions = Actions::default();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let app: AppName = "shop".parse().unwrap();
        let short = Target::Id(ProcessId("short".to_owned()));
        actions.spawn("stopped", short, app.clone(), async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let _ = done.send(());
            Ok(())
        });
        let long = Target::Id(ProcessId("long".to_owned()));
        actions.spawn("stopped", long, app, std::future::pending());
        actions.finish_all(Duration::from_secs(30)).await;
        assert_eq!(is_done.await, Ok(()), "it had the time");
    }
}
