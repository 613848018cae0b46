//! Owns every user intention, one file each: arguments, permission, call, answer.
//! Must not know which door the words came through.

mod session;

pub use session::Session;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::deploy::Deploys;
use crate::engine::ContainerEngine;
use crate::events::Journal;
use crate::git::Repositories;
use crate::model::{DomainName, Timestamp};
use crate::reconcile::Reconciler;
use crate::store::Store;

/// What commands work with. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// The database.
    pub store: Store,
    /// The journal.
    pub journal: Journal,
    /// Docker.
    pub engine: Arc<dyn ContainerEngine>,
    /// The repositories.
    pub repositories: Repositories,
    /// The pipeline.
    pub deploys: Deploys,
    /// The reconciler.
    pub reconciler: Reconciler,
    /// Facts about this server.
    pub facts: Arc<ServerFacts>,
}

/// Facts about the running server that reports show.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where SSH listens.
    pub ssh: Vec<SocketAddr>,
    /// Where the proxy listens.
    pub http: Vec<SocketAddr>,
    /// Base domains, the first is shown first.
    pub base_domains: Vec<DomainName>,
    /// When the server started.
    pub started_at: Timestamp,
}
