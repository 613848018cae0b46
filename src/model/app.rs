//! An app and what belongs to it directly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AppName, BranchName, DomainName, ProcessType, ReleaseVersion, Timestamp};

/// The row id of an app; it survives a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppId(pub i64);

/// An app: what a user pushes to and visits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Row id.
    pub id: AppId,
    /// The name users type.
    pub name: AppName,
    /// When it was created.
    pub created_at: Timestamp,
    /// The branch whose pushes deploy; none until the first push adopts one.
    pub deploy_branch: Option<BranchName>,
    /// Stopped by `ps:stop`: no process runs and visitors get a 503 page.
    pub is_stopped: bool,
    /// The release that serves, once there is one.
    pub current: Option<ReleaseVersion>,
}

/// An app takes no new source until somebody unlocks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppLock {
    /// Since when.
    pub locked_at: Timestamp,
    /// Who locked it.
    pub actor: String,
}

/// A host name given to an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The app that answers there.
    pub app: AppId,
    /// The host name.
    pub name: DomainName,
}

/// How many processes an app runs of each type. A type that is not named runs once if it is `web`, else not at all, as
/// Dokku has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scale(pub BTreeMap<ProcessType, u16>);

impl Scale {
    /// The number of processes wanted of `process_type`.
    pub fn quantity(&self, process_type: &ProcessType) -> u16 {
        match self.0.get(process_type) {
            Some(quantity) => *quantity,
            None => u16::from(process_type.is_web()),
        }
    }
}
