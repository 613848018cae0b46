//! Whether the memory limit of builds holds.

use super::{Finding, Status};
use crate::commands::{Authorized, Platform};
use crate::engine::BuildMemory;
use crate::model::Problem;

const CHECK: &str = "memory limit of builds";

/// Nothing where no build has a limit.
pub(super) async fn all(
    platform: &Platform,
    authorized: &Authorized,
) -> Result<Option<Finding>, Problem> {
    let mut is_limited = platform.deploys.build_limits().memory_bytes.is_some();
    for app in authorized.visible_apps(platform).await? {
        let builder = platform.store.builder(app.id).await?;
        is_limited |= builder.memory_limit_bytes().is_some();
    }
    if !is_limited {
        return Ok(None);
    }
    Ok(Some(finding(platform.engine.build_memory().await)))
}

fn finding(memory: BuildMemory) -> Finding {
    match memory {
        BuildMemory::Watched { by } => Finding::ok(CHECK, format!("held by means of {by}")),
        BuildMemory::Unwatched { why, remedy } => Finding::new(
            CHECK,
            Status::Warning,
            format!("does not hold: {why}"),
            remedy,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_does_not_hold_is_a_warning_with_its_remedy() {
        let held = finding(BuildMemory::Watched {
            by: "cgroups of version 2".to_owned(),
        });
        assert_eq!(
            held,
            Finding::ok(CHECK, "held by means of cgroups of version 2")
        );
        let unwatched = finding(BuildMemory::Unwatched {
            why: "there are no cgroups".to_owned(),
            remedy: "mount them".to_owned(),
        });
        let expected = "does not hold: there are no cgroups";
        assert_eq!(
            unwatched,
            Finding::new(CHECK, Status::Warning, expected, "mount them")
        );
    }
}
