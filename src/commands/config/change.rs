//! What is set and unset of config vars, and the deploys that put it into effect.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::commands::each::{Act, each};
use crate::commands::{Authorized, Dialog, Platform, Scope};
use crate::model::{
    App, AppName, ConfigKey, ConfigVars, Kind, Problem, ReleaseVersion, TooLarge, require_startable,
};

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
    /// Refuses what no process could be given: with all that it has then, none would start.
    pub(super) async fn check(
        &self,
        platform: &Platform,
        authorized: &Authorized,
    ) -> Result<(), Problem> {
        let store = &platform.store;
        let global = store.global_config().await?;
        let require = |whose: &AppName, global: &ConfigVars, own: ConfigVars| {
            let mut merged = global.clone();
            merged.extend(own);
            require_startable(&merged).map_err(|error| refusal(whose.as_str(), &error))
        };
        match &self.scope {
            Scope::App(_) => {
                let app = authorized.app()?;
                let own = self.applied_to(store.config(app.id).await?);
                require(&app.name, &global, own)
            }
            Scope::Global => {
                let global = self.applied_to(global);
                require_startable(&global).map_err(|error| refusal("every app", &error))?;
                for app in store.apps().await? {
                    require(&app.name, &global, store.config(app.id).await?)?;
                }
                Ok(())
            }
        }
    }

    /// Config vars as they are after it.
    fn applied_to(&self, mut vars: ConfigVars) -> ConfigVars {
        vars.retain(|key, _| !self.unset.contains(key));
        vars.extend(self.set.clone());
        vars
    }

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
                let act = WithAll { keys, description };
                let releases = each(&act, apps, platform, dialog).await?.into_iter();
                Ok(Deployed {
                    releases: releases
                        .filter_map(|(app, release)| Some((app, release?)))
                        .collect(),
                    ..Deployed::default()
                })
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

/// The refusal of what would leave an app, or every app, with these.
fn refusal(whose: &str, error: &TooLarge) -> Problem {
    Problem::new(
        Kind::Invalid,
        format!("No config var was set: {error}"),
        format!("{whose}: {}", error.why()),
        "Put large values into a file of the app, or into its storage: `help storage:mount`",
    )
}

/// The deploy of each app that runs with config vars which all apps have.
struct WithAll {
    /// Those that changed.
    keys: BTreeSet<ConfigKey>,
    description: String,
}

impl Act for WithAll {
    /// None for one that has its own of them all.
    type Done = Option<ReleaseVersion>;

    async fn act(
        &self,
        platform: &Platform,
        app: &App,
        dialog: &mut Dialog,
    ) -> Result<Option<ReleaseVersion>, Problem> {
        let own = platform.store.config(app.id).await?;
        if self.keys.iter().all(|key| own.contains_key(key)) {
            let text = format!("{} has its own of these, and stays as it is", app.name);
            dialog.detail(text).await;
            return Ok(None);
        }
        dialog
            .header(format!("Deploying {} with them", app.name))
            .await;
        super::deploy(platform, app, dialog, self.description.clone()).await
    }

    fn failed_for(&self, apps: String) -> Problem {
        Problem::new(
            Kind::AppFailed,
            format!("Not every app runs with the config vars: {apps}"),
            "they are stored, and the deploys of these apps failed; what each said is above",
            "Correct what is wrong, then `ps:restart APP`",
        )
    }
}
