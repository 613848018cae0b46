//! Owns desired against actual: a pure `plan`, and the `apply` that carries it out, the only place that starts or stops
//! app processes or changes routes.
//! Must not know why the desired state is what it is.

use crate::engine::ProcessId;
use crate::model::{AppName, DomainName};

/// A way to the running reconciler. Cheap to clone.
#[derive(Clone)]
pub struct Reconciler {}

/// What the reconciler knows of a process beyond what the engine shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The process.
    pub id: ProcessId,
    /// How often it was started again since it last ran well.
    pub restarts: u32,
    /// Whether it is no longer started again.
    pub is_given_up: bool,
}

#[allow(unused_variables, clippy::todo)]
impl Reconciler {
    /// Asks it to look again; returns at once.
    pub fn wake(&self) {
        todo!()
    }

    /// Resolves when it has looked at everything that was written before this call and nothing is left to do for `app`,
    /// or a start failed (the text says why).
    pub async fn settled(&self, app: &AppName) -> Result<(), String> {
        todo!()
    }

    /// Processes of an app that ended by themselves.
    pub fn troubles(&self, app: &AppName) -> Vec<Trouble> {
        todo!()
    }

    /// All host names an app answers at, the one to show first: its own domains, then `<app>.<base>`.
    pub fn host_names(&self, app: &AppName, domains: &[DomainName]) -> Vec<DomainName> {
        todo!()
    }
}
