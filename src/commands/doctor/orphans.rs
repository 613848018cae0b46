//! What belongs to no app any more.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Status};
use crate::commands::Platform;
use crate::model::{AppName, Problem};

/// Apps that are not in the database, and of which something is left in Docker or among the repositories: after a database was
/// put back from an older copy, or a crash. Nothing of them is removed by itself, for it may be all that is left of an app.
pub(super) async fn all(platform: &Platform) -> Result<Vec<Finding>, Problem> {
    let mut left: BTreeMap<AppName, Vec<&'static str>> = BTreeMap::new();
    for app in platform.repositories.apps().await? {
        left.entry(app).or_default().push("its repository");
    }
    // Whether Docker answers is a finding of its own.
    for app in platform.engine.apps().await.unwrap_or_default() {
        let of_app = left.entry(app).or_default();
        of_app.push("containers, images or a network in Docker");
    }
    // Looked at last: an app that is created meanwhile has a row before anything else.
    let apps = platform.store.apps().await?;
    let known: BTreeSet<AppName> = apps.into_iter().map(|app| app.name).collect();
    left.retain(|app, _| !known.contains(app));
    Ok(left.iter().map(|(app, what)| finding(app, what)).collect())
}

fn finding(app: &AppName, what: &[&str]) -> Finding {
    Finding::new(
        format!("left of {app}"),
        Status::Warning,
        format!("{}, and there is no such app", what.join(" and ")),
        format!(
            "`apps:create {app}` takes it up again, and `apps:destroy {app}` after that removes it"
        ),
    )
}
