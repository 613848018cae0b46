//! Apps whose image is gone from Docker.

use super::{Finding, Status};
use crate::commands::ps::report::restoring;
use crate::commands::{Authorized, Platform};
use crate::deploy::Restoration;
use crate::model::{App, Problem};

/// Each app that cannot run because its image is gone.
pub(super) async fn all(
    platform: &Platform,
    authorized: &Authorized,
) -> Result<Vec<Finding>, Problem> {
    let restorations = platform.deploys.restorations();
    let apps = authorized.visible_apps(platform).await?;
    let missing = apps
        .iter()
        .filter_map(|app| Some((app, restorations.get(&app.name)?)));
    Ok(missing
        .map(|(app, restoration)| finding(app, restoration))
        .collect())
}

fn finding(app: &App, restoration: &Restoration) -> Finding {
    let name = &app.name;
    let (status, remedy) = match restoration {
        Restoration::Waiting { .. } => (Status::Warning, "wait for it".to_owned()),
        Restoration::Building { .. } => {
            (Status::Warning, format!("watch it: `builds:output {name}`"))
        }
        Restoration::Failed { .. } => (
            Status::Failed,
            format!("see `builds:output {name}`; `ps:rebuild {name}` tries at once"),
        ),
        Restoration::Impossible { .. } => (Status::Failed, "push its source".to_owned()),
    };
    Finding::new(
        format!("image of {name}"),
        status,
        restoring(restoration),
        remedy,
    )
}
