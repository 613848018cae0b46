//! `apps:clone`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, progress};
use crate::model::{
    App, AppName, Caller, ContainerOption, ContainerPhase, Kind, Permission, PortMapping, Problem,
    ReleaseVersion, Timestamp,
};
use crate::store::StoreError;

/// Make an app with the settings and the source of another one, and deploy it
///
/// It gets the repository, the config vars, the scale, and what was set of builds, checks, the proxy, passwords and storage. It
/// answers at an address of its own: domains and certificates stay where they are, and so do ports of the host, releases and
/// what was decided for a while (stop, lock, maintenance). What gives an app a part of the host (docker-options:add) goes along
/// on the server itself alone, with `sudo mini`. What runs is the image that the other app runs, without a build.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clone {
    /// The app
    pub app: AppName,
    /// The name of the new one
    pub new_name: AppName,
    /// Deploy nothing; the first push to it does
    #[arg(long)]
    #[serde(default)]
    pub skip_deploy: bool,
    /// Leave an app that has the name already as it is, without an error
    #[arg(long)]
    #[serde(default)]
    pub ignore_existing: bool,
}

/// What of the app is for the new one, too, and what is not.
struct Parted<T> {
    shared: Vec<T>,
    left: Vec<T>,
}

impl<T> Parted<T> {
    fn by(all: Vec<T>, is_shared: impl FnMut(&T) -> bool) -> Self {
        let (shared, left) = all.into_iter().partition(is_shared);
        Self { shared, left }
    }
}

/// The app that was made.
#[derive(Debug, Serialize)]
pub struct Cloned {
    name: AppName,
    clone_of: AppName,
    /// Whether it was made now; not where an existing one was to be ignored.
    is_new: bool,
    /// What it runs.
    release: Option<ReleaseVersion>,
}

impl Command for Clone {
    type Output = Cloned;

    fn permission(&self) -> Permission {
        // Whoever may clone an app reads its config vars in the other one.
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Cloned, Problem> {
        let app = authorized.app()?;
        self.new_name.require_new()?;
        let mut cloned = Cloned {
            name: self.new_name.clone(),
            clone_of: app.name.clone(),
            is_new: true,
            release: None,
        };
        let claim = platform.repositories.claim(&self.new_name).await;
        if platform.store.app(&self.new_name).await?.is_some() {
            if !self.ignore_existing {
                return Err(super::taken(&self.new_name));
            }
            dialog.warning("Name is already taken").await;
            cloned.is_new = false;
            return Ok(cloned);
        }
        dialog
            .header(format!("Cloning {} to {}", app.name, self.new_name))
            .await;
        let standard = &platform.reconciler.rules().standard;
        let ports = Parted::by(platform.store.ports(app.id).await?, |mapping| {
            standard.has(*mapping)
        });
        // Whoever may not add them may not have them in an app of their own either.
        let is_console = *dialog.caller() == Caller::Console;
        let mut options = Vec::new();
        for phase in ContainerPhase::ALL {
            let own = platform.store.container_options_of(app.id, phase).await?;
            options.extend(own.into_iter().map(|option| (phase, option)));
        }
        let options = Parted::by(options, |(_, option)| is_console || !option.is_dangerous());
        make(
            platform,
            app,
            &self.new_name,
            &ports.shared,
            &options.shared,
        )
        .await?;
        drop(claim);
        tell(
            platform,
            app,
            &self.new_name,
            &ports.left,
            &options.left,
            dialog,
        )
        .await?;
        if self.skip_deploy || app.current.is_none() {
            // Whoever is told that it is there may visit it at once.
            platform.reconciler.wait_for(|_| true).await;
            return Ok(cloned);
        }
        let deployed = async {
            let attached = platform
                .deploys
                .deploy_clone(&self.new_name, dialog.caller(), &app.name)
                .await?;
            progress::follow(dialog, attached).await
        }
        .await;
        if let Err(problem) = deployed {
            dialog
                .warning(format!(
                    "{} is there with the settings of {}, and is not deployed",
                    self.new_name, app.name
                ))
                .await;
            return Err(problem);
        }
        let app = platform.store.app(&self.new_name).await?;
        cloned.release = app.and_then(|app| app.current);
        Ok(cloned)
    }
}

/// The row first, so that the name is taken, and then the repository; where that fails nothing is left. The name is claimed: a push
/// to it that comes meanwhile waits for the end of this.
async fn make(
    platform: &Platform,
    app: &App,
    new_name: &AppName,
    mappings: &[PortMapping],
    options: &[(ContainerPhase, ContainerOption)],
) -> Result<(), Problem> {
    let _lock_out = platform.deploys.lock_out(new_name).await?;
    let store = &platform.store;
    let made = store
        .clone_app(app.id, new_name, mappings, options, Timestamp::now())
        .await
        .map_err(|error| match error {
            StoreError::Taken { by: None, .. } => super::taken(new_name),
            error => error.into(),
        })?;
    let copied = copy(platform, &app.name, new_name).await;
    if copied.is_err() {
        store.destroy_app(made.id).await?;
    }
    copied
}

/// Copies the repository, but not over one that holds something: it belongs to an app whose renaming was broken off.
async fn copy(platform: &Platform, app: &AppName, new_name: &AppName) -> Result<(), Problem> {
    if platform.repositories.is_filled(new_name).await? {
        return Err(Problem::new(
            Kind::Taken,
            "Name is already taken",
            format!(
                "the repository of an app whose renaming to {new_name} was broken off is there"
            ),
            format!("Finish that with `apps:rename OLD-NAME {new_name}`, or choose another name"),
        ));
    }
    Ok(platform.repositories.copy(app, new_name).await?)
}

/// Says what stays behind, and what both have now.
async fn tell(
    platform: &Platform,
    app: &App,
    new_name: &AppName,
    held: &[PortMapping],
    left_out: &[(ContainerPhase, ContainerOption)],
    dialog: &mut Dialog,
) -> Result<(), Problem> {
    let domains = platform.store.domains(app.id).await?;
    let domains: Vec<&str> = domains.iter().map(|domain| domain.as_str()).collect();
    if !domains.is_empty() {
        dialog
            .detail(format!("{} stays with {}", domains.join(" "), app.name))
            .await;
    }
    for mapping in held {
        dialog
            .detail(format!(
                "Port {} stays with {}; for both: ports:add {new_name} {mapping}",
                mapping.host_port, app.name
            ))
            .await;
    }
    for (phase, option) in left_out {
        dialog
            .warning(format!(
                "{new_name} does not have {option} ({phase}), which gives an app a part of the host; on the server itself: \
                 sudo mini docker-options:add {new_name} {phase} \"{option}\""
            ))
            .await;
    }
    for mount in platform.store.storage_mounts(app.id).await? {
        dialog
            .warning(format!(
                "{new_name} and {} share the folder {} of the storage; to have one of its own: \
                 storage:unmount {new_name} {mount}, storage:mount {new_name} {new_name}:{}",
                app.name, mount.name, mount.target
            ))
            .await;
    }
    Ok(())
}

impl Output for Cloned {
    fn print(&self, _page: &mut Page) {}
}
