//! `apps:destroy`

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, storage};
use crate::events::Subject;
use crate::model::{App, AppName, Deploy, Kind, Permission, Problem, ProcessSettings};
use crate::reconcile::Rules;

/// How long the end of the processes is waited for without a word.
const SILENCE: Duration = Duration::from_secs(10);
/// How long to wait beyond the time that processes have to end by themselves, before their containers are removed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How many deploys of the app are looked for in the journal; more than the store keeps.
const DEPLOYS: usize = 10_000;

/// Destroy an app: its processes, images, repository, config vars and releases
///
/// Asks for the app's name first, unless --force is given. Folders of the storage (`storage:list APP`) stay. Its processes have the
/// time of the server's setting `stop-grace` to end, also where the app gives them more.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destroy {
    /// The app
    pub app: AppName,
    /// Do not ask
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

/// The app that is gone.
#[derive(Debug, Serialize)]
pub struct Destroyed {
    name: AppName,
}

impl Command for Destroy {
    type Output = Destroyed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Destroyed, Problem> {
        let app = authorized.app()?;
        if !self.force {
            confirm(dialog, &app.name).await?;
        }
        dialog.header(format!("Destroying {}", app.name)).await;
        let mounts = platform.store.storage_mounts(app.id).await?;
        destroy(platform, app, dialog).await?;
        for mount in mounts {
            let folder = storage::path(platform, &mount.name);
            dialog
                .detail(format!("what it kept stays in {}", folder.display()))
                .await;
        }
        Ok(Destroyed {
            name: app.name.clone(),
        })
    }
}

/// Removes the app. The row goes last of what the next app of the name could take for its own: a crash before leaves an app
/// without processes, images and repository that can be destroyed again.
async fn destroy(platform: &Platform, app: &App, dialog: &Dialog) -> Result<(), Problem> {
    // A clone or a renaming under way is waited for; a push to the name waits for the end of this.
    let _claim = platform.repositories.claim(&app.name).await;
    super::require_same(platform, app).await?;
    let _lock_out = platform.deploys.lock_out(&app.name).await?;
    // Stopped first, for the reconciler would start again what is removed while the row is there.
    platform.store.set_stopped(app.id, true).await?;
    platform.reconciler.wake();
    stop(platform, app, dialog).await?;
    // Those of an app that had this name before it was renamed are that one's still.
    let keep = platform.store.images_of_others(app.id).await?;
    if let Err(error) = platform.engine.remove_app(&app.name, &keep).await {
        platform.store.set_stopped(app.id, app.is_stopped).await?;
        return Err(error.into());
    }
    let deploys = match forget(platform, app).await {
        Ok(deploys) => deploys,
        Err(problem) => {
            platform.store.set_stopped(app.id, app.is_stopped).await?;
            return Err(problem);
        }
    };
    // Its address answers 404 by the time the caller is told that it is gone.
    platform.reconciler.wait_for(|_| true).await;
    if let Err(error) = platform.access_logs.remove(&app.name).await {
        // The next start of the server clears it away.
        tracing::warn!(app = %app.name, %error, "an access log could not be removed");
    }
    for deploy in deploys {
        platform.journal.forget(&Subject::Deploy(deploy.id)).await;
    }
    Ok(())
}

/// How long the processes of an app that is destroyed are waited for. A `stop-timeout-seconds` of its own is for work that is
/// worth waiting for, up to an hour; here what it is for goes with it, so it only makes the wait shorter.
fn patience(rules: &Rules, settings: &ProcessSettings) -> Duration {
    let own = settings.stop_grace().unwrap_or(rules.stop_grace);
    rules.drain + own.min(rules.stop_grace) + STOP_PATIENCE
}

/// Waits a while for the end of the processes. Not reaching it is no obstacle, and said: what still runs is removed with its
/// container.
async fn stop(platform: &Platform, app: &App, dialog: &Dialog) -> Result<(), Problem> {
    let settings = platform.store.process_settings(app.id).await?;
    let patience = patience(platform.reconciler.rules(), &settings);
    let mut settled = std::pin::pin!(platform.reconciler.settled(&app.name));
    let mut stopped = tokio::time::timeout(SILENCE, &mut settled).await;
    if stopped.is_err() {
        let seconds = patience.as_secs();
        dialog
            .detail(format!(
                "its processes finish their requests and end by themselves; they have up to {seconds} s"
            ))
            .await;
        stopped = tokio::time::timeout(patience, settled).await;
    }
    let why = match stopped {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(why)) => why,
        Err(_) => "they did not end in their time".to_owned(),
    };
    dialog
        .warning(format!(
            "Processes of {} are ended by force: {why}",
            app.name
        ))
        .await;
    Ok(())
}

/// Removes the repository and the row: both or none. Returns the deploys there were.
async fn forget(platform: &Platform, app: &App) -> Result<Vec<Deploy>, Problem> {
    let deploys = platform.store.deploys(app.id, DEPLOYS).await?;
    let aside = platform.repositories.set_aside(&app.name).await?;
    let destroyed = platform.store.destroy_app(app.id).await;
    match (destroyed, aside) {
        (Ok(()), Some(aside)) => {
            if let Err(error) = aside.remove().await {
                tracing::warn!(app = %app.name, %error, "a repository could not be removed; the next start does it");
            }
        }
        (Ok(()), None) => {}
        (Err(error), aside) => {
            if let Some(aside) = aside {
                aside.put_back().await?;
            }
            return Err(error.into());
        }
    }
    Ok(deploys)
}

async fn confirm(dialog: &mut Dialog, app: &AppName) -> Result<(), Problem> {
    for line in [
        "WARNING: Potentially Destructive Action".to_owned(),
        format!("This command will destroy app {app}."),
        format!("To proceed, type \"{app}\""),
    ] {
        dialog.warning(line).await;
    }
    match dialog.ask("> ").await {
        Some(answer) if answer.trim() == app.as_str() => Ok(()),
        Some(_) | None => Err(Problem::new(
            Kind::Canceled,
            "Confirmation did not match test. Aborted.",
            "",
            "",
        )),
    }
}

impl Output for Destroyed {
    fn print(&self, _page: &mut Page) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProcessSetting, StandardPorts};

    /// The destruction of an app whose `stop-timeout-seconds` was 3600 took an hour where a process ignored its signal.
    #[test]
    fn a_long_stop_timeout_does_not_hold_up_a_destruction() {
        let rules = Rules {
            stop_grace: Duration::from_secs(30),
            drain: Duration::from_secs(60),
            limits: crate::engine::Limits {
                memory_bytes: None,
                pids: 64,
            },
            restart_limit: 10,
            base_domains: Vec::new(),
            https_port: None,
            has_wildcards: false,
            standard: StandardPorts::default(),
        };
        let of = |seconds: Option<&str>| {
            let set =
                seconds.map(|seconds| (ProcessSetting::StopTimeoutSeconds, seconds.to_owned()));
            patience(&rules, &ProcessSettings(set.into_iter().collect()))
        };
        assert_eq!(of(None), Duration::from_secs(120));
        assert_eq!(of(Some("3600")), Duration::from_secs(120));
        assert_eq!(of(Some("5")), Duration::from_secs(95));
    }
}
