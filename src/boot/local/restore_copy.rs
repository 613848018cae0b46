//! `mini database:restore-copy`: back to the database from before an upgrade, for a mini from before it.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use crate::commands::{Output, Page};
use crate::model::{Kind, Problem};
use crate::store::{Restored, Store, StoreError};

/// Put the databases back to the copies that a newer mini made before it brought them forward
///
/// A newer mini changes the form of its databases when it first starts, and copies them before. This puts the copies back, so
/// that this mini, the older one, can go on with them. What was written since then is only in the newer file, which is set
/// aside; apps and pushes of that time are made again. Does nothing where this mini can read the databases as they are. Stop
/// the server first: `systemctl stop mini`.
#[derive(Debug, Args)]
pub(super) struct RestoreCopy {}

/// What was put back.
#[derive(Debug, Serialize)]
pub(super) struct PutBack {
    databases: Vec<Restored>,
}

impl RestoreCopy {
    pub(super) fn run(&self, data_dir: &Path) -> Result<PutBack, Problem> {
        if !data_dir.is_dir() {
            return Err(Problem::new(
                Kind::NotFound,
                format!("There is no data directory {}", data_dir.display()),
                "",
                "Name it: `mini database:restore-copy --data-dir DIR`",
            ));
        }
        let databases = Store::restore_copies(data_dir).map_err(|error| {
            let is_in_use = matches!(error, StoreError::InUse { .. });
            let problem = Problem::from(error);
            match is_in_use {
                true => Problem {
                    next: "Stop the server first: `systemctl stop mini`".to_owned(),
                    ..problem
                },
                false => problem,
            }
        })?;
        Ok(PutBack { databases })
    }
}

impl Output for PutBack {
    fn print(&self, page: &mut Page) {
        if self.databases.is_empty() {
            page.line("This mini can read the databases as they are; nothing was put back");
        }
        for restored in &self.databases {
            page.line(format!(
                "{} has schema {} again, as it was at {}; the newer one is {}",
                restored.database, restored.schema, restored.copied_at, restored.set_aside
            ));
        }
    }
}
