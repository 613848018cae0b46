//! One deploy while it runs: what it is, who holds on to it, how it can be stopped, and what it says.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Attached;
use crate::events::{EventBody, Journal, Subject};
use crate::model::{
    App, BranchName, CommitId, DeployId, DeployStatus, Kind, Problem, Step, Trigger,
};

/// Where a deploy stands, as far as anyone waits for it.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// On its way.
    Working,
    /// Prepared: waits for its branch to move.
    Prepared,
    /// Over.
    Ended(Result<(), Problem>),
}

/// The pushes that wait for a deploy, and whether git has moved the branch.
#[derive(Debug, Clone, Default)]
pub(super) struct Holders {
    /// Ids of the pushes whose receive-pack still runs.
    pub(super) pushes: BTreeSet<String>,
    /// Whether a post-receive hook has reported the branch moved.
    pub(super) is_committed: bool,
    /// The push whose git moves the branch, once the release is prepared; the others wait for it.
    pub(super) mover: Option<String>,
}

impl Run {
    /// Waits until the branch has been moved (true), or it is for `push` to move it (false): only one of several pushes of
    /// one commit can.
    pub(super) async fn is_moved_by_another(&self, push: &str) -> bool {
        let mut holders = self.holders.subscribe();
        loop {
            let free = |holders: &Holders| holders.is_committed || holders.mover.is_none();
            // Fails only without a sender, and this run has it.
            let _ = holders.wait_for(free).await;
            let mut is_moved = None;
            self.holders.send_if_modified(|holders| {
                if holders.is_committed {
                    is_moved = Some(true);
                } else if holders.mover.is_none() {
                    holders.mover = Some(push.to_owned());
                    is_moved = Some(false);
                }
                is_moved == Some(false)
            });
            if let Some(is_moved) = is_moved {
                return is_moved;
            }
        }
    }
}

/// What a push wants its branch to become.
#[derive(Debug, Clone)]
pub(super) struct Move {
    /// The branch.
    pub(super) branch: BranchName,
    /// Where it was when the push began.
    pub(super) from: Option<CommitId>,
}

/// One deploy while it runs.
pub(super) struct Run {
    pub(super) id: DeployId,
    pub(super) app: App,
    pub(super) trigger: Trigger,
    pub(super) commit: Option<CommitId>,
    pub(super) actor: String,
    pub(super) branch: Option<Move>,
    pub(super) cancel: CancellationToken,
    pub(super) holders: watch::Sender<Holders>,
    phase: watch::Sender<Phase>,
    journal: Journal,
}

impl Run {
    pub(super) fn new(
        id: DeployId,
        app: App,
        trigger: Trigger,
        actor: String,
        source: Option<(CommitId, Option<Move>)>,
        journal: Journal,
    ) -> Self {
        let (commit, branch) = match source {
            Some((commit, branch)) => (Some(commit), branch),
            None => (None, None),
        };
        Self {
            id,
            app,
            trigger,
            commit,
            actor,
            branch,
            cancel: CancellationToken::new(),
            holders: watch::Sender::default(),
            phase: watch::Sender::new(Phase::Working),
            journal,
        }
    }

    /// What its events are filed under.
    pub(super) fn subject(&self) -> Subject {
        Subject::Deploy(self.id.clone())
    }

    /// Files an event.
    pub(super) async fn emit(&self, body: EventBody) {
        self.journal.emit(&self.subject(), body).await;
    }

    pub(super) async fn header(&self, text: impl Into<String>) {
        self.emit(EventBody::Header { text: text.into() }).await;
    }

    pub(super) async fn section(&self, text: impl Into<String>) {
        self.emit(EventBody::Section { text: text.into() }).await;
    }

    pub(super) async fn line(&self, text: impl Into<String>) {
        self.emit(EventBody::Line { text: text.into() }).await;
    }

    pub(super) async fn warn(&self, text: impl Into<String>) {
        self.emit(EventBody::Warning { text: text.into() }).await;
    }

    /// Says that the release is prepared; whoever waits for that goes on.
    pub(super) async fn set_prepared(&self) {
        self.emit(EventBody::StepStarted {
            step: Step::Prepared,
        })
        .await;
        self.phase.send_replace(Phase::Prepared);
    }

    /// Says how it ended; nothing follows.
    pub(super) async fn set_ended(&self, result: Result<(), Problem>) {
        self.emit(match &result {
            Ok(()) => EventBody::Done,
            Err(problem) => EventBody::Failed {
                problem: problem.clone(),
            },
        })
        .await;
        self.phase.send_replace(Phase::Ended(result));
    }

    /// It never began; of that there is no record.
    pub(super) fn give_up(&self, problem: Problem) {
        self.phase.send_replace(Phase::Ended(Err(problem)));
    }

    /// Whether it deploys the config vars as they are once its turn has come. All do, but for one that only makes an image anew
    /// ([`super::pipeline::Entry::Restore`]): of all rebuilds that alone knows its commit before.
    pub(super) fn takes_config(&self) -> bool {
        self.trigger != Trigger::Rebuild || self.commit.is_none()
    }

    /// Whether it is over.
    pub(super) fn is_ended(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Ended(_))
    }

    /// A hold until the release is prepared or the deploy is over.
    pub(super) fn attach_until_prepared(&self) -> Attached {
        let events = self.journal.follow(&self.subject(), 1);
        let events = events.take_while(is_before_prepared);
        self.attached(events.boxed(), |phase| match phase {
            Phase::Working => None,
            Phase::Prepared => Some(Ok(())),
            Phase::Ended(result) => Some(result.clone()),
        })
    }

    /// A hold until the deploy is over, with the events after it was prepared, or all where it never waits for that.
    pub(super) fn attach_until_ended(&self) -> Attached {
        let all = self.journal.follow(&self.subject(), 1);
        let is_prepared = matches!(*self.phase.borrow(), Phase::Prepared);
        let events = if is_prepared {
            all.skip_while(is_before_prepared).skip(1).boxed()
        } else {
            all
        };
        self.attached(events, |phase| match phase {
            Phase::Working | Phase::Prepared => None,
            Phase::Ended(result) => Some(result.clone()),
        })
    }

    fn attached(
        &self,
        events: futures_util::stream::BoxStream<'static, crate::events::Event>,
        verdict: impl Fn(&Phase) -> Option<Result<(), Problem>> + Send + Sync + 'static,
    ) -> Attached {
        let mut phase = self.phase.subscribe();
        let outcome = async move {
            match phase.wait_for(|phase| verdict(phase).is_some()).await {
                Ok(phase) => verdict(&phase).unwrap_or(Ok(())),
                Err(_) => Err(lost()),
            }
        };
        Attached {
            deploy: self.id.clone(),
            events,
            outcome: outcome.boxed(),
            is_moved: Arc::default(),
        }
    }
}

fn is_before_prepared(event: &crate::events::Event) -> std::future::Ready<bool> {
    std::future::ready(!matches!(
        event.body,
        EventBody::StepStarted {
            step: Step::Prepared
        }
    ))
}

/// The answer to whoever waits for a deploy whose task is gone.
pub(super) fn lost() -> Problem {
    Problem::new(
        Kind::Internal,
        "the deploy was lost inside mini",
        "its task ended without a result; the log of the server says more",
        "run the same command again; what served before still serves",
    )
}

/// The answer to a deploy that was stopped on request.
pub(super) fn canceled(app: &App) -> Problem {
    Problem::new(
        Kind::Canceled,
        format!("{} was not deployed: the deploy was canceled", app.name),
        "someone ran builds:cancel, the app is being renamed or destroyed, or mini is stopping",
        "push again when you are ready; what served before still serves",
    )
}

/// How a deploy that ended with `result` is recorded.
pub(super) fn status_of(result: &Result<(), Problem>, is_superseded: bool) -> DeployStatus {
    match result {
        Ok(()) => DeployStatus::Succeeded,
        Err(_) if is_superseded => DeployStatus::Superseded,
        Err(problem) if problem.kind == Kind::Canceled => DeployStatus::Canceled,
        Err(_) => DeployStatus::Failed,
    }
}
