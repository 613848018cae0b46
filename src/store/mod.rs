//! Owns all SQL: the database file, its migrations, and transactions named after what they mean.
//! Must not know containers, git, or when a transaction ought to happen.

use std::path::Path;

use crate::model::{
    App, AppId, AppName, BranchName, CommitId, ConfigKey, ConfigVars, Deploy, DeployId,
    DeployStatus, Domain, DomainName, KeyName, ProcessType, Release, ReleaseStatus, ReleaseVersion,
    Scale, Secret, SshKey, Step, Timestamp,
};

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The name is taken; `by` says by what, where that helps.
    #[error("{name} is taken")]
    Taken {
        /// The name.
        name: String,
        /// The app that has it.
        by: Option<AppName>,
    },
    /// No such row.
    #[error("{what} does not exist")]
    NotFound {
        /// What was sought.
        what: String,
    },
    /// The database was written by a newer mini.
    #[error("the database has schema {found}, this mini knows up to {known}")]
    Newer {
        /// Schema version found.
        found: i64,
        /// Newest schema version known.
        known: i64,
    },
    /// The file is not a database, or damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The file or its folder cannot be written.
    #[error("the database cannot be written: {0}")]
    ReadOnly(String),
    /// The encryption key is missing, unreadable, or not the one the values were encrypted with.
    #[error("{0}")]
    Key(String),
    /// The disk is full.
    #[error("no space is left on the disk")]
    DiskFull,
    /// Anything else.
    #[error("the database failed")]
    Sql(#[from] rusqlite::Error),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// A release that is to be recorded; its number is given by the store.
pub struct NewRelease(pub Release);

/// Everything the reconciler has to know, read in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// All apps.
    pub apps: Vec<App>,
    /// Host names by app.
    pub domains: Vec<Domain>,
    /// Scale by app.
    pub scales: Vec<(AppId, Scale)>,
    /// Releases that are candidate, prepared, current or draining, with their config.
    pub releases: Vec<Release>,
    /// Process types asked to be started anew, and when.
    pub restarts: Vec<(AppId, ProcessType, Timestamp)>,
}

/// The database of an installation. Cheap to clone.
#[derive(Clone)]
pub struct Store {}

#[allow(unused_variables, missing_docs, clippy::todo)]
impl Store {
    /// Opens or creates `<data_dir>/mini.db` and `<data_dir>/keys/config.key` (0600), migrating forward.
    pub fn open(data_dir: &Path) -> Result<Store, StoreError> {
        todo!()
    }
    /// Finishes what is queued and closes the file.
    pub async fn close(&self) -> Result<(), StoreError> {
        todo!()
    }

    // apps
    pub async fn create_app(&self, name: &AppName, at: Timestamp) -> Result<App, StoreError> {
        todo!()
    }
    pub async fn apps(&self) -> Result<Vec<App>, StoreError> {
        todo!()
    }
    pub async fn app(&self, name: &AppName) -> Result<Option<App>, StoreError> {
        todo!()
    }
    pub async fn rename_app(&self, id: AppId, name: &AppName) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn destroy_app(&self, id: AppId) -> Result<(), StoreError> {
        todo!()
    }
    /// Adopts the deploy branch if none is set yet; returns the one in force.
    pub async fn adopt_branch(
        &self,
        id: AppId,
        branch: &BranchName,
    ) -> Result<BranchName, StoreError> {
        todo!()
    }
    pub async fn set_stopped(&self, id: AppId, is_stopped: bool) -> Result<(), StoreError> {
        todo!()
    }

    // domains
    pub async fn domains(&self, app: AppId) -> Result<Vec<DomainName>, StoreError> {
        todo!()
    }
    /// `Taken` names the other app; adding one the app has already returns false.
    pub async fn add_domain(&self, app: AppId, name: &DomainName) -> Result<bool, StoreError> {
        todo!()
    }
    pub async fn remove_domain(&self, app: AppId, name: &DomainName) -> Result<bool, StoreError> {
        todo!()
    }

    // config
    pub async fn config(&self, app: AppId) -> Result<ConfigVars, StoreError> {
        todo!()
    }
    pub async fn set_config(
        &self,
        app: AppId,
        set: ConfigVars,
        unset: Vec<ConfigKey>,
    ) -> Result<(), StoreError> {
        todo!()
    }

    // scale
    pub async fn scale(&self, app: AppId) -> Result<Scale, StoreError> {
        todo!()
    }
    pub async fn set_scale(&self, app: AppId, scale: &Scale) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn request_restart(
        &self,
        app: AppId,
        process_type: &ProcessType,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        todo!()
    }

    // releases
    /// Records a candidate and gives it the next number of its app.
    pub async fn add_release(&self, release: Release) -> Result<Release, StoreError> {
        todo!()
    }
    pub async fn releases(&self, app: AppId) -> Result<Vec<Release>, StoreError> {
        todo!()
    }
    pub async fn release(
        &self,
        app: AppId,
        version: ReleaseVersion,
    ) -> Result<Option<Release>, StoreError> {
        todo!()
    }
    pub async fn set_release_status(
        &self,
        app: AppId,
        version: ReleaseVersion,
        status: ReleaseStatus,
    ) -> Result<(), StoreError> {
        todo!()
    }
    /// One transaction: `version` becomes current (and the app runs again if `start` is set), the one that was current
    /// drains until `drain_until`. Returns the previous current release.
    pub async fn promote(
        &self,
        app: AppId,
        version: ReleaseVersion,
        drain_until: Timestamp,
        start: bool,
    ) -> Result<Option<ReleaseVersion>, StoreError> {
        todo!()
    }
    /// Forgets retired and failed releases beyond the newest `keep` distinct images of an app (never current, draining,
    /// candidate or prepared ones). Returns the images that are still referred to.
    pub async fn prune_releases(
        &self,
        app: AppId,
        keep: usize,
    ) -> Result<Vec<crate::model::ImageId>, StoreError> {
        todo!()
    }

    // deploys
    pub async fn add_deploy(&self, deploy: &Deploy) -> Result<Vec<DeployId>, StoreError> {
        todo!()
    }
    pub async fn set_deploy_step(
        &self,
        id: &DeployId,
        step: Step,
        release: Option<ReleaseVersion>,
    ) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn finish_deploy(
        &self,
        id: &DeployId,
        status: DeployStatus,
        failure: Option<String>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        todo!()
    }
    /// Newest first.
    pub async fn deploys(&self, app: AppId, limit: usize) -> Result<Vec<Deploy>, StoreError> {
        todo!()
    }
    pub async fn deploy(&self, id: &DeployId) -> Result<Option<Deploy>, StoreError> {
        todo!()
    }
    /// All with status running: after a start these were interrupted.
    pub async fn unfinished_deploys(&self) -> Result<Vec<Deploy>, StoreError> {
        todo!()
    }

    // keys
    pub async fn ssh_keys(&self) -> Result<Vec<SshKey>, StoreError> {
        todo!()
    }
    pub async fn ssh_key_by_fingerprint(
        &self,
        fingerprint: &str,
    ) -> Result<Option<SshKey>, StoreError> {
        todo!()
    }
    pub async fn add_ssh_key(&self, key: &SshKey) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn remove_ssh_key(&self, name: &KeyName) -> Result<bool, StoreError> {
        todo!()
    }

    // reconciler
    pub async fn desired(&self) -> Result<Desired, StoreError> {
        todo!()
    }
}

#[allow(unused)]
fn keep_imports(_: CommitId, _: Secret) {}
