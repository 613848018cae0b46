//! `docker-options:*`: of Dokku's options for the docker client, those that mean something here: arguments and secrets of builds,
//! and what containers have beside what all have.

mod add;
mod clear;
mod list;
mod option;
mod remove;
mod report;

pub use add::Add;
pub use clear::Clear;
pub use list::List;
pub use remove::Remove;
pub use report::Report;

use super::Platform;
use crate::model::{App, ContainerPhase, Problem};

/// The options of the containers of an app in a phase, as they are typed; also those that do not read any more.
async fn options_of_containers(
    platform: &Platform,
    app: &App,
    phase: ContainerPhase,
) -> Result<Vec<String>, Problem> {
    Ok(platform.store.container_option_texts(app.id, phase).await?)
}

/// The options of the builds of an app as they are typed, arguments first.
async fn options_of(platform: &Platform, app: &App) -> Result<Vec<String>, Problem> {
    let builder = platform.store.builder(app.id).await?;
    let arguments = builder.arguments.iter();
    let arguments = arguments.map(|(name, value)| format!("--build-arg {name}={value}"));
    let secrets = builder.secrets.iter();
    let secrets = secrets.map(|(id, env)| format!("--secret id={id},env={env}"));
    Ok(arguments.chain(secrets).collect())
}
