//! `routes:add`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::refuse_foreign_domain;
use crate::commands::domains::typed_address;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, progress};
use crate::model::{Address, App, AppName, Kind, Permission, Problem, ProcessType, Release, Route};

/// Lead an address of an app to processes of another type, or to another app
///
/// The address is a path of all the app's domains (`/api`), of one of them (`shop.example.com/api`), or a domain alone.
/// Of several paths that fit, the longest one counts. The processes listen on $PORT as `web` does; a type that did not
/// take requests so far is deployed again for that.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// The app whose address it is
    pub app: AppName,
    /// The address: DOMAIN, /PATH or DOMAIN/PATH
    #[arg(value_parser = typed_address)]
    pub address: Address,
    /// The app that answers, if another one
    #[arg(long, value_name = "APP")]
    #[serde(default)]
    pub to: Option<AppName>,
    /// The process type that answers, if not web
    #[arg(long, value_name = "TYPE")]
    #[serde(default)]
    pub process: Option<ProcessType>,
    /// Take the path from the requests; X-Forwarded-Prefix then names it
    #[arg(long)]
    #[serde(default)]
    pub strip: bool,
}

/// The route that was added.
#[derive(Debug, Serialize)]
pub struct Added {
    app: AppName,
    address: Address,
    to: AppName,
    process_type: ProcessType,
    strip: bool,
}

impl Command for Add {
    type Output = Added;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    /// Visitors are let in to the other app, and it may be deployed again for that.
    fn further_permission(&self) -> Option<Permission> {
        self.to.clone().map(Permission::ChangeApp)
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Added, Problem> {
        let app = authorized.app()?;
        let to = match &self.to {
            None => app.clone(),
            Some(_) => authorized.further_app()?.clone(),
        };
        let process_type = self.process.clone().unwrap_or_else(ProcessType::web);
        self.refuse_pointless(app, &to, &process_type)?;
        refuse_foreign_domain(platform, app, &self.address).await?;
        self.refuse_redirected(platform, app).await?;
        let release = match to.current {
            Some(version) => platform.store.release(to.id, version).await?,
            None => None,
        };
        refuse_unknown_type(&to, &process_type, release.as_ref())?;

        let route = Route {
            app: app.id,
            address: self.address.clone(),
            to: to.id,
            process_type: process_type.clone(),
            is_stripped: self.strip,
        };
        let routed = platform.store.routed_types(to.id).await?;
        let is_new_type = !process_type.is_web() && !routed.contains(&process_type);
        let before = platform.store.set_route(&route).await?;
        if is_new_type && release.is_some() && !to.is_stopped {
            // Its processes run without PORT, and nobody has checked that they listen.
            deploy_again(platform, dialog, &route, &to, before).await?;
        }
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(format!(
                "Routed {} of {} to {process_type} of {}",
                self.address, app.name, to.name
            ))
            .await;
        if release.is_some() && platform.store.scale(to.id).await?.quantity(&process_type) == 0 {
            dialog
                .warning(format!(
                    "No {process_type} runs: start one with `ps:scale {} {process_type}=1`",
                    to.name
                ))
                .await;
        }
        Ok(Added {
            app: app.name.clone(),
            address: self.address,
            to: to.name,
            process_type,
            strip: self.strip,
        })
    }
}

impl Add {
    fn refuse_pointless(
        &self,
        app: &App,
        to: &App,
        process_type: &ProcessType,
    ) -> Result<(), Problem> {
        if self.strip && self.address.path.is_none() {
            return Err(Problem::new(
                Kind::Usage,
                "There is no path to strip",
                format!("{} is a domain alone", self.address),
                format!(
                    "Give a path, such as {}/api, or leave out --strip",
                    self.address
                ),
            ));
        }
        if to.id == app.id && process_type.is_web() && !self.strip {
            return Err(Problem::new(
                Kind::Usage,
                format!("{} leads to web of {} already", self.address, app.name),
                "",
                "Say where it should lead: `--process TYPE` or `--to APP`",
            ));
        }
        Ok(())
    }

    async fn refuse_redirected(&self, platform: &Platform, app: &App) -> Result<(), Problem> {
        let redirects = platform.store.redirects(app.id).await?;
        let same = redirects
            .iter()
            .find(|redirect| redirect.address == self.address);
        match same {
            None => Ok(()),
            Some(redirect) => Err(Problem::new(
                Kind::Taken,
                format!("{} is redirected to {}", self.address, redirect.to),
                "",
                format!(
                    "Remove that first: `redirects:unset {} {}`",
                    app.name, self.address
                ),
            )),
        }
    }
}

fn refuse_unknown_type(
    to: &App,
    process_type: &ProcessType,
    release: Option<&Release>,
) -> Result<(), Problem> {
    let Some(release) = release else {
        // Before the first deploy nobody knows the types yet.
        return Ok(());
    };
    if process_type.is_web() || release.processes.contains_key(process_type) {
        return Ok(());
    }
    let known: Vec<&str> = release.processes.keys().map(ProcessType::as_str).collect();
    Err(Problem::new(
        Kind::NotFound,
        format!("{} has no process type `{process_type}`", to.name),
        format!("release {} has {}", release.version, known.join(", ")),
        "Add it to the Procfile, commit, and push",
    ))
}

/// Deploys the app that answers anew. Where that fails the address leads where it did before.
async fn deploy_again(
    platform: &Platform,
    dialog: &mut Dialog,
    route: &Route,
    to: &App,
    before: Option<Route>,
) -> Result<(), Problem> {
    let why = format!("Route {} to {}", route.address, route.process_type);
    let deployed = match platform
        .deploys
        .restart(&to.name, dialog.caller(), why)
        .await
    {
        Ok(attached) => progress::follow(dialog, attached).await,
        Err(problem) => Err(problem),
    };
    let Err(problem) = deployed else {
        return Ok(());
    };
    // Of one that was canceled, or whose watcher left, the end is not known: the next deploy has the route.
    if problem.kind != Kind::Canceled {
        match before {
            Some(before) => {
                platform.store.set_route(&before).await?;
            }
            None => {
                let address = &route.address;
                platform.store.remove_route(route.app, address).await?;
            }
        }
    }
    Err(problem)
}

impl Output for Added {
    fn print(&self, _page: &mut Page) {}
}
