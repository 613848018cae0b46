//! The one check of what a caller may do. A command cannot run without its result.

use super::Platform;
use crate::model::{App, Caller, Kind, Permission, Problem};

/// Proof that the caller may do what the command asked to be allowed; only [`check`] makes one.
#[derive(Debug, Clone)]
pub struct Authorized {
    actor: String,
    app: Option<App>,
    further_app: Option<App>,
}

impl Authorized {
    /// The app the permission was about, as it was when it was checked.
    pub fn app(&self) -> Result<&App, Problem> {
        self.app.as_ref().ok_or_else(asked_for_none)
    }

    /// The app that the further permission was about.
    pub fn further_app(&self) -> Result<&App, Problem> {
        self.further_app.as_ref().ok_or_else(asked_for_none)
    }

    /// The caller's name for records.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// All apps the caller may see, by name.
    pub async fn visible_apps(&self, platform: &Platform) -> Result<Vec<App>, Problem> {
        let mut apps = platform.store.apps().await?;
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(apps)
    }
}

fn asked_for_none() -> Problem {
    Problem::new(
        Kind::Internal,
        "The command asked for no app and then wanted one",
        "",
        "This is a fault of mini, please report it",
    )
}

/// Checks a permission, and a further one if there is one. Today every caller who is let in may do everything; an app that does not exist and, later, one
/// that the caller may not see are refused with the same words.
pub(super) async fn check(
    platform: &Platform,
    caller: &Caller,
    permission: Permission,
    further: Option<Permission>,
) -> Result<Authorized, Problem> {
    let app = allowed(platform, permission).await?;
    let further_app = match further {
        Some(further) => allowed(platform, further).await?,
        None => None,
    };
    Ok(Authorized {
        actor: caller.actor().to_owned(),
        app,
        further_app,
    })
}

async fn allowed(platform: &Platform, permission: Permission) -> Result<Option<App>, Problem> {
    match permission {
        Permission::Anyone | Permission::Administer => Ok(None),
        Permission::ReadApp(name) | Permission::ChangeApp(name) => {
            let found = platform.store.app(&name).await?;
            found.map(Some).ok_or_else(|| Problem::no_such_app(&name))
        }
        Permission::DeployApp(name) => Ok(platform.store.app(&name).await?),
    }
}
