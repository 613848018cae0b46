//! `git:sync`

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::Given;
use super::given::follow;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::git::{GitError, RemoteAccess, RemoteSource};
use crate::model::{
    AppName, BranchName, CommitId, GitTransport, GitUrl, Kind, Permission, Problem,
};
use crate::store::Store;

/// How often the disk is looked at while a repository comes in.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Deploy a branch, tag or commit of a repository elsewhere: git:sync --build blog https://github.com/me/blog.git main
///
/// The server fetches it over https or ssh and deploys it as a push is, the branch it has of the app moves there where that succeeds.
/// Without REF it is the branch that the repository shows first. Without --build or --build-if-changes it is only fetched, to
/// see that it can be.
///
/// Of a private repository, give the server a token first: git:auth github.com USER TOKEN. Over ssh (git@github.com:me/blog.git)
/// it shows its deploy key in place of one, to hosts that it may fetch from: git:allow-host github.com, git:generate-deploy-key.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// Deploy it, also where it runs already
    #[arg(long, conflicts_with = "build_if_changes")]
    #[serde(default)]
    pub build: bool,
    /// Deploy it if its files are others than those that run
    #[arg(long)]
    #[serde(default)]
    pub build_if_changes: bool,
    /// The app
    pub app: AppName,
    /// The repository
    pub url: GitUrl,
    /// A branch, a tag or a commit
    #[arg(value_name = "REF")]
    #[serde(default)]
    pub reference: Option<BranchName>,
}

impl Command for Sync {
    type Output = Given;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Given, Problem> {
        let deploys = &platform.deploys;
        let tip = deploys.branch_tip(&self.app).await?;
        dialog.header(format!("Fetching {}", self.url)).await;
        let commit = self.fetched(platform, dialog).await?;
        dialog.detail(format!("Commit {}", commit.short())).await;
        let caller = dialog.caller();
        let attached = if self.build {
            Some(
                deploys
                    .deploy_commit(&self.app, caller, tip, commit)
                    .await?,
            )
        } else if self.build_if_changes {
            deploys.give_commit(&self.app, caller, tip, commit).await?
        } else {
            dialog
                .header("It can be had. Nothing is deployed without --build or --build-if-changes")
                .await;
            return Ok(Given::nothing(&self.app));
        };
        follow(platform, dialog, &self.app, attached).await
    }
}

impl Sync {
    /// What the server has for the host.
    async fn access(&self, store: &Store) -> Result<RemoteAccess, Problem> {
        let host = self.url.host();
        if self.url.transport() != GitTransport::Ssh {
            let known = store.git_credential(host).await?;
            let known = known.filter(|_| self.url.is_private());
            return Ok(known.map_or(RemoteAccess::Open, RemoteAccess::Token));
        }
        let refused = |why: String, next: String| {
            let what = format!("{} was not fetched", self.url);
            Err(Problem::new(Kind::AppFailed, what, why, next))
        };
        let keys = store.git_host_keys(host).await?;
        if keys.is_empty() {
            return refused(
                format!("the server does not know by which keys it is to tell {host} from others"),
                format!("have it look, and compare what it finds: `git:allow-host {host}`"),
            );
        }
        let Some(key) = store.deploy_key().await? else {
            return refused(
                "the server has no key to show".to_owned(),
                "make one with `git:generate-deploy-key`, and give it to the repository".to_owned(),
            );
        };
        Ok(RemoteAccess::Ssh { key, host: keys })
    }

    async fn fetched(&self, platform: &Platform, dialog: &Dialog) -> Result<CommitId, Problem> {
        let source = RemoteSource {
            url: self.url.clone(),
            reference: self.reference.clone(),
            access: self.access(&platform.store).await?,
        };
        tokio::select! {
            fetched = platform.repositories.fetch(&self.app, source) => {
                fetched.map_err(|error| self.refused(&error))
            }
            why = shortage(platform) => Err(Problem::new(
                Kind::Unavailable,
                format!("{} was not fetched: the disk of the server is nearly full", self.url),
                why,
                "Free some space (`builds:prune` removes what mini no longer needs), and run the command again",
            )),
            () = dialog.gone() => Err(Problem::new(
                Kind::Canceled,
                "You left before it was fetched",
                "",
                "Run the command again",
            )),
        }
    }

    fn refused(&self, error: &GitError) -> Problem {
        match error {
            GitError::Unusable { what, next } => Problem::new(
                Kind::AppFailed,
                format!("{} was not deployed", self.app),
                what.clone(),
                next.clone(),
            ),
            error => {
                tracing::error!(app = %self.app, ?error, "a repository was not fetched");
                Problem::new(
                    Kind::Internal,
                    format!("{} was not deployed", self.app),
                    "the repository on the server could not be read or written",
                    "try again; if it stays, the log of the server says more",
                )
            }
        }
    }
}

/// Ends when the disk is nearly full.
async fn shortage(platform: &Platform) -> String {
    loop {
        if let Some(why) = platform.deploys.disk_shortage().await {
            return why;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
