//! `ps:restart`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::at_once::Parallel;
use super::which::Which;
use crate::commands::command::Done;
use crate::commands::each::Act;
use crate::commands::problems::not_deployed;
use crate::commands::ps::scale::current_release;
use crate::commands::{Authorized, Command, Dialog, Platform, progress};
use crate::model::{App, Kind, Permission, Problem, ProcessType, Timestamp};

/// Restart an app without an interruption, or all processes of one type
///
/// The whole app and `web` are deployed again: new processes are started and checked before the old ones go. Processes
/// of another type are stopped and started.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// The app, or --all for every app that is deployed
    #[arg(allow_hyphen_values = true, value_name = "APP|--all")]
    pub app: Which,
    /// With --all, how many apps at once; -1 for as many as the server has processors
    #[arg(
        long,
        value_name = "COUNT",
        allow_hyphen_values = true,
        default_value_t
    )]
    #[serde(default)]
    pub parallel: Parallel,
    /// Only this process type
    #[serde(default)]
    pub process_type: Option<ProcessType>,
}

impl Command for Restart {
    type Output = Done;

    fn permission(&self) -> Permission {
        self.app.to_change()
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Done, Problem> {
        self.app
            .each(&self, self.parallel, platform, authorized, dialog)
            .await?;
        Ok(Done::new())
    }
}

/// Why there is no process of a type that could be restarted, and what would start one.
async fn nothing_runs(
    platform: &Platform,
    app: &App,
    process_type: &ProcessType,
) -> Result<Option<String>, Problem> {
    let name = &app.name;
    if app.is_stopped {
        let text = format!("{name} is stopped, so nothing was restarted: `ps:start {name}`");
        return Ok(Some(text));
    }
    let scale = platform.store.scale(app.id).await?;
    Ok((scale.quantity(process_type) == 0).then(|| {
        format!(
            "{name} has no process of the type {process_type}, so nothing was restarted: `ps:scale {name} {process_type}=1`"
        )
    }))
}

impl Act for Restart {
    type Done = ();

    async fn act(
        &self,
        platform: &Platform,
        app: &App,
        dialog: &mut Dialog,
    ) -> Result<(), Problem> {
        let Some(release) = current_release(platform, app).await? else {
            return Err(not_deployed(&app.name));
        };
        match &self.process_type {
            Some(process_type) if !process_type.is_web() => {
                if !release.processes.contains_key(process_type) {
                    if self.app == Which::All {
                        return Ok(());
                    }
                    return Err(Problem::new(
                        Kind::NotFound,
                        format!("{} has no process type `{process_type}`", app.name),
                        "",
                        format!("See `ps:scale {}` for those it has", app.name),
                    ));
                }
                if let Some(why) = nothing_runs(platform, app, process_type).await? {
                    dialog.warning(why).await;
                    return Ok(());
                }
                dialog
                    .header(format!("Restarting {} of {}", process_type, app.name))
                    .await;
                platform
                    .store
                    .request_restart(app.id, process_type, Timestamp::now())
                    .await?;
                progress::settle(platform, &app.name, dialog).await?;
            }
            Some(_) | None => {
                let attached = platform
                    .deploys
                    .restart(&app.name, dialog.caller(), "Restart".to_owned())
                    .await?;
                progress::follow(dialog, attached).await?;
            }
        }
        Ok(())
    }
}
