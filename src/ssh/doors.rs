//! What the SSH server calls: the keys and apps it asks for, the pipeline pushes go to, the commands words go to.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::commands::Session;
use crate::deploy::{Attached, Deploys, Push, RefUpdate};
use crate::git::Repositories;
use crate::model::{AppName, Kind, Problem, SshKey, Timestamp};
use crate::store::{Store, StoreError};

/// Runs the words of an exec request, unsplit as they came; returns the exit status.
///
/// A client that leaves shows in the session: `stdin` ends and `output` is closed (`output.closed().await` waits for it).
/// The future is not dropped then; what it does about it is its own affair.
pub type RunWords = Arc<dyn Fn(String, Session) -> BoxFuture<'static, u8> + Send + Sync>;

/// Whether the command in an exec string puts the caller's terminal through to a terminal of its own (`run`, `enter`).
/// Its bytes then pass untouched both ways; any other command is given a simple line terminal.
pub type TakesTerminal = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Everything behind the SSH server. Cheap to clone.
#[derive(Clone)]
pub struct SshDoors {
    /// Keys and apps.
    pub registry: Arc<dyn Registry>,
    /// The repositories.
    pub repositories: Repositories,
    /// Where pushes go.
    pub pushes: Arc<dyn PushDoor>,
    /// Where words go.
    pub run: RunWords,
    /// Which words want the terminal untouched.
    pub takes_terminal: TakesTerminal,
}

/// The keys that may log in, and the apps that may be pushed to: the store, or a test's.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// The key with this fingerprint (`SHA256:...`).
    async fn key(&self, fingerprint: &str) -> Result<Option<SshKey>, Problem>;
    /// Changes whenever a key may have been removed.
    fn key_removals(&self) -> watch::Receiver<u64>;
    /// Whether an app exists.
    async fn has_app(&self, name: &AppName) -> Result<bool, Problem>;
    /// Creates an app; fine when it exists. Refused where pushes create none.
    async fn create_app(&self, name: &AppName) -> Result<(), Problem>;
}

/// Where a push goes: the pipeline, or a test's. The methods are those of [`Deploys`].
#[async_trait]
pub trait PushDoor: Send + Sync + 'static {
    /// pre-receive: may this push come in at all.
    async fn admit(&self, push: &Push, updates: &[RefUpdate]) -> Result<(), Problem>;
    /// proc-receive, once for each branch.
    async fn prepare(&self, push: &Push, update: &RefUpdate) -> Result<Attached, Problem>;
    /// post-receive.
    async fn commit(&self, push: &Push, updates: &[RefUpdate])
    -> Result<Option<Attached>, Problem>;
    /// receive-pack has ended, in whatever way.
    async fn settle(&self, push: &Push);
}

#[async_trait]
impl PushDoor for Deploys {
    async fn admit(&self, push: &Push, updates: &[RefUpdate]) -> Result<(), Problem> {
        Deploys::admit(self, push, updates).await
    }

    async fn prepare(&self, push: &Push, update: &RefUpdate) -> Result<Attached, Problem> {
        Deploys::prepare(self, push, update).await
    }

    async fn commit(
        &self,
        push: &Push,
        updates: &[RefUpdate],
    ) -> Result<Option<Attached>, Problem> {
        Deploys::commit(self, push, updates).await
    }

    async fn settle(&self, push: &Push) {
        Deploys::settle(self, push).await;
    }
}

#[async_trait]
impl Registry for Store {
    async fn key(&self, fingerprint: &str) -> Result<Option<SshKey>, Problem> {
        Ok(self.ssh_key_by_fingerprint(fingerprint).await?)
    }

    fn key_removals(&self) -> watch::Receiver<u64> {
        self.ssh_key_removals()
    }

    async fn has_app(&self, name: &AppName) -> Result<bool, Problem> {
        Ok(self.app(name).await?.is_some())
    }

    async fn create_app(&self, name: &AppName) -> Result<(), Problem> {
        if self.is_autocreation_disabled().await? {
            return Err(no_such_app(name));
        }
        name.require_new()?;
        match Store::create_app(self, name, Timestamp::now()).await {
            Ok(_) => Ok(()),
            // Two first pushes at once: the other one was faster.
            Err(StoreError::Taken { .. }) if Registry::has_app(self, name).await? => Ok(()),
            Err(StoreError::Taken { by, .. }) => Err(Problem::new(
                Kind::Taken,
                format!("App {name} cannot be created"),
                match by {
                    Some(app) => format!("the name is taken by {app}"),
                    None => "the name is taken".to_owned(),
                },
                "push to another name",
            )),
            Err(error) => Err(error.into()),
        }
    }
}

/// A push to an app that does not exist, and is not to be created by it.
pub(super) fn no_such_app(app: &AppName) -> Problem {
    Problem {
        next: format!("create it with `apps:create {app}`, or see the names with `apps:list`"),
        ..Problem::no_such_app(app)
    }
}
