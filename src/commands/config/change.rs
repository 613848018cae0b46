//! What is set and unset of config vars, and the deploys that put it into effect.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::commands::progress::left;
use crate::commands::{Authorized, Dialog, Platform, Scope};
use crate::model::{App, AppName, ConfigKey, ConfigVars, Kind, Problem, ReleaseVersion};

/// Config vars to be set and unset, of one app or of all.
pub(super) struct Change {
    pub(super) scope: Scope,
    pub(super) set: ConfigVars,
    pub(super) unset: Vec<ConfigKey>,
    /// Only stored; the next deploy goes by it.
    pub(super) no_restart: bool,
}

/// What runs with the changed config vars.
#[derive(Debug, Default, Serialize)]
pub(super) struct Deployed {
    /// The release of the app; none where they are only stored, and where they are those of all apps.
    release: Option<ReleaseVersion>,
    /// Of each app that was deployed with what all have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    releases: BTreeMap<AppName, ReleaseVersion>,
}

/// The config vars that are set for an app or for all.
pub(super) async fn stored(
    scope: &Scope,
    platform: &Platform,
    authorized: &Authorized,
) -> Result<ConfigVars, Problem> {
    let store = &platform.store;
    Ok(match scope {
        Scope::Global => store.global_config().await?,
        Scope::App(_) => store.config(authorized.app()?.id).await?,
    })
}

/// The same with what an app has of those for all, if `is_merged`.
pub(super) async fn in_force(
    scope: &Scope,
    is_merged: bool,
    platform: &Platform,
    authorized: &Authorized,
) -> Result<ConfigVars, Problem> {
    match scope {
        Scope::App(_) if is_merged => {
            Ok(platform.store.merged_config(authorized.app()?.id).await?)
        }
        Scope::App(_) | Scope::Global => stored(scope, platform, authorized).await,
    }
}

impl Change {
    /// Stores it, and deploys what it is about.
    pub(super) async fn carry_out(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Deployed, Problem> {
        let keys: BTreeSet<ConfigKey> = self.set.keys().chain(&self.unset).cloned().collect();
        if keys.is_empty() {
            return Ok(Deployed::default());
        }
        let description = self.description();
        match &self.scope {
            Scope::App(_) => {
                let app = authorized.app()?;
                super::say_when_builds_follow(app, dialog, keys.iter()).await;
                platform
                    .store
                    .set_config(app.id, self.set, self.unset)
                    .await?;
                if self.no_restart {
                    return Ok(Deployed::default());
                }
                let release = super::deploy(platform, app, dialog, description).await?;
                Ok(Deployed {
                    release,
                    ..Deployed::default()
                })
            }
            Scope::Global => {
                platform
                    .store
                    .set_global_config(self.set, self.unset)
                    .await?;
                if self.no_restart {
                    return Ok(Deployed::default());
                }
                let apps = authorized.visible_apps(platform).await?;
                deploy_all(platform, apps, &keys, dialog, &description).await
            }
        }
    }

    /// One line for the list of releases: "Set A, B", "Unset A".
    fn description(&self) -> String {
        let names = |keys: &mut dyn Iterator<Item = &ConfigKey>| {
            let keys: Vec<&str> = keys.map(ConfigKey::as_str).collect();
            keys.join(", ")
        };
        let set = names(&mut self.set.keys());
        let unset = names(&mut self.unset.iter());
        let scope = match self.scope {
            Scope::Global => " for all apps",
            Scope::App(_) => "",
        };
        match (set.is_empty(), unset.is_empty()) {
            (false, false) => format!("Set {set}, unset {unset}{scope}"),
            (true, false) => format!("Unset {unset}{scope}"),
            _ => format!("Set {set}{scope}"),
        }
    }
}

/// Deploys every app that runs and is not without change, one after the other. One that fails keeps no other from it.
async fn deploy_all(
    platform: &Platform,
    apps: Vec<App>,
    keys: &BTreeSet<ConfigKey>,
    dialog: &mut Dialog,
    description: &str,
) -> Result<Deployed, Problem> {
    let mut deployed = Deployed::default();
    let mut failed = Vec::new();
    for app in apps {
        if app.current.is_none() {
            continue;
        }
        let own = platform.store.config(app.id).await?;
        if keys.iter().all(|key| own.contains_key(key)) {
            dialog
                .detail(format!(
                    "{} has its own of these, and stays as it is",
                    app.name
                ))
                .await;
            continue;
        }
        dialog
            .header(format!("Deploying {} with them", app.name))
            .await;
        match super::deploy(platform, &app, dialog, description.to_owned()).await {
            Ok(release) => deployed
                .releases
                .extend(release.map(|release| (app.name.clone(), release))),
            Err(problem) => {
                dialog.warning(problem.to_string()).await;
                failed.push(app.name.to_string());
            }
        }
        // Without one who waits, all that are left would be deployed at once.
        if dialog.is_gone() {
            return Err(left());
        }
    }
    if failed.is_empty() {
        return Ok(deployed);
    }
    Err(Problem::new(
        Kind::AppFailed,
        format!(
            "Not every app runs with the config vars: {}",
            failed.join(", ")
        ),
        "they are stored, and the deploys of these apps failed; what each said is above",
        "Correct what is wrong, then `ps:restart APP`",
    ))
}
