//! Backups that are missed when they are needed.

use super::{Finding, Status};
use crate::commands::Platform;
use crate::commands::backup::report::{standing, words};
use crate::model::{BackupStanding, Problem};

/// How it stands with the backups of this server.
pub(super) async fn standing_of(platform: &Platform) -> Result<Finding, Problem> {
    let standing = standing(platform).await?;
    let (status, remedy) = match &standing {
        BackupStanding::Unscheduled => (
            Status::Warning,
            "have them made: `backup:schedule --to DIR --at 03:00`",
        ),
        BackupStanding::First | BackupStanding::Good { .. } => (Status::Ok, ""),
        BackupStanding::Failed { .. } => (
            Status::Failed,
            "correct that, then try at once: `backup:run`",
        ),
        BackupStanding::Overdue { .. } => (
            Status::Failed,
            "see the log of the server, then try at once: `backup:run`",
        ),
    };
    Ok(Finding::new("backups", status, words(&standing), remedy))
}
