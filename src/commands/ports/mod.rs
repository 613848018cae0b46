//! `ports:*`: ports of the server that lead to an app beside those at which it speaks for all of them.
//!
//! 80 and 443 of a mapping are the server's own listeners, wherever they are: `http:80:3000` says which port the web
//! processes listen on, so it is their `PORT`, and the app is deployed again for it. Every other port is opened for the
//! apps that have it, at the addresses at which the server listens for the same scheme.

mod add;
mod clear;
mod conflicts;
mod list;
mod remove;
mod report;
mod set;

pub use add::Add;
pub use clear::Clear;
pub use list::List;
pub use remove::Remove;
pub use report::Report;
pub use set::Set;

use serde::Serialize;

use super::{Authorized, Dialog, Output, Page, Platform, progress};
use crate::model::{App, AppName, DomainName, Kind, PortMapping, Problem};
use crate::store::StoreError;

/// The mappings an app has after a change.
#[derive(Debug, Serialize)]
pub struct Ports {
    app: AppName,
    ports: Vec<PortMapping>,
}

impl Output for Ports {
    fn print(&self, _page: &mut Page) {}
}

/// The ports of an app while a command changes them: what all of them begin with.
struct Mapped<'a> {
    platform: &'a Platform,
    app: &'a App,
    /// As they are, sorted by their port of the host.
    before: Vec<PortMapping>,
}

impl<'a> Mapped<'a> {
    async fn of(platform: &'a Platform, authorized: &'a Authorized) -> Result<Self, Problem> {
        let app = authorized.app()?;
        Ok(Self {
            platform,
            app,
            before: platform.store.ports(app.id).await?,
        })
    }

    /// Gives the app the mappings `after`, sorted as well, in place of those it has. Resolves when they are in force. What
    /// cannot be is refused before anything is changed; an app that has to be deployed again for them, and fails, has its
    /// former ones.
    async fn change(&self, dialog: &mut Dialog, after: Vec<PortMapping>) -> Result<Ports, Problem> {
        let Self {
            platform,
            app,
            before,
        } = self;
        let new: Vec<PortMapping> = after
            .iter()
            .filter(|mapping| !before.contains(mapping))
            .copied()
            .collect();
        conflicts::refuse(platform, app, &after, &new).await?;
        store(platform, app, before, &after).await?;
        deploy_again(platform, dialog, app, before, &after).await?;
        let view = platform.reconciler.wait_for(|_| true).await;
        for mapping in &new {
            let why = view
                .as_ref()
                .and_then(|view| view.closed_ports.get(&mapping.host_port));
            if let Some(why) = why {
                // Somebody took it in the moment between the look and the opening.
                dialog
                    .warning(format!(
                        "Port {} is not open yet: {why}; it is tried again",
                        mapping.host_port
                    ))
                    .await;
            }
        }
        Ok(Ports {
            app: app.name.clone(),
            ports: after,
        })
    }
}

async fn store(
    platform: &Platform,
    app: &App,
    before: &[PortMapping],
    after: &[PortMapping],
) -> Result<(), Problem> {
    match platform.store.set_ports(app.id, before, after).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Problem::new(
            Kind::Busy,
            format!("The ports of {} were not changed", app.name),
            "somebody else has just changed them",
            format!("Look at them, `ports:list {}`, and try again", app.name),
        )),
        Err(StoreError::Taken { name, by: Some(by) }) => Err(conflicts::other_scheme(&name, &by)),
        Err(error) => Err(error.into()),
    }
}

/// Deploys an app again whose web processes are to listen on another port than they do.
async fn deploy_again(
    platform: &Platform,
    dialog: &mut Dialog,
    app: &App,
    before: &[PortMapping],
    after: &[PortMapping],
) -> Result<(), Problem> {
    let standard = &platform.reconciler.rules().standard;
    let (old, new) = (
        standard.container_port(before),
        standard.container_port(after),
    );
    let Some(version) = app.current.filter(|_| old != new && !app.is_stopped) else {
        return Ok(());
    };
    let release = platform.store.release(app.id, version).await?;
    let port = release.map(|release| release.port);
    // Without a mapping the image says which port it is, which only a deploy finds out.
    let is_there = new.is_some() && port == new;
    if is_there {
        return Ok(());
    }
    let why = match new {
        Some(port) => format!("Listen on port {port}"),
        None => "Listen on the port of the image".to_owned(),
    };
    let deploys = &platform.deploys;
    let deployed = match deploys.restart(&app.name, dialog.caller(), why).await {
        Ok(attached) => progress::follow(dialog, attached).await,
        Err(problem) => Err(problem),
    };
    let Err(problem) = deployed else {
        return Ok(());
    };
    // Of one that was canceled, or whose watcher left, the end is not known: the next deploy has the port.
    if problem.kind != Kind::Canceled {
        store(platform, app, after, before).await?;
        platform.reconciler.wake();
    }
    Err(problem)
}

/// Tells where an app is reached at ports that were opened for it.
async fn tell_addresses(
    platform: &Platform,
    dialog: &Dialog,
    app: &App,
    mappings: &[PortMapping],
) -> Result<(), Problem> {
    let standard = &platform.reconciler.rules().standard;
    let opened = mappings.iter().filter(|mapping| !standard.has(**mapping));
    let opened: Vec<&PortMapping> = opened.collect();
    if opened.is_empty() {
        return Ok(());
    }
    let exposure = platform.store.exposure(app.id).await?;
    if !exposure.is_public {
        dialog
            .warning(format!(
                "They are closed as long as visitors do not reach {0}: `domains:enable {0}`",
                app.name
            ))
            .await;
        return Ok(());
    }
    let names = platform.reconciler.host_names(&app.name, &exposure);
    let name = names.iter().find(|name| !name.is_wildcard());
    for mapping in &opened {
        if let Some(name) = name {
            dialog.detail(url(**mapping, name)).await;
        }
    }
    let release = match app.current {
        Some(version) => platform.store.release(app.id, version).await?,
        None => None,
    };
    let other = opened.iter().map(|mapping| mapping.container_port);
    let other = release.and_then(|release| {
        Some((
            other.into_iter().find(|port| *port != release.port)?,
            release.port,
        ))
    });
    if let Some((other, port)) = other {
        dialog
            .warning(format!(
                "The web processes of {} listen on {port}: where nothing listens on {other}, visitors get a 502 page",
                app.name
            ))
            .await;
    }
    Ok(())
}

/// The addresses of an app at ports that were opened for it.
pub(super) async fn urls(
    platform: &Platform,
    app: &App,
    names: &[DomainName],
) -> Result<Vec<String>, Problem> {
    let standard = &platform.reconciler.rules().standard;
    let mappings = platform.store.ports(app.id).await?;
    let opened = mappings.iter().filter(|mapping| !standard.has(**mapping));
    let names = || names.iter().filter(|name| !name.is_wildcard());
    let urls = opened.flat_map(|mapping| names().map(|name| url(*mapping, name)));
    Ok(urls.collect())
}

fn url(mapping: PortMapping, name: &DomainName) -> String {
    format!("{}://{name}:{}", mapping.scheme, mapping.host_port)
}

/// Mappings in their order, each once.
fn sorted(mut mappings: Vec<PortMapping>) -> Vec<PortMapping> {
    mappings.sort_by_key(|mapping| (mapping.host_port, *mapping));
    mappings.dedup();
    mappings
}
