//! `config:*`: config vars, the environment an app is given.

mod assignment;
mod bundle;
mod change;
mod clear;
mod envfile;
mod export;
mod get;
mod import;
mod keys;
mod set;
mod show;
mod suggest;
mod templates;
mod unset;

pub use assignment::Assignment;
pub use bundle::Bundle;
pub use clear::Clear;
pub use export::Export;
pub use get::Get;
pub use import::Import;
pub use keys::Keys;
pub use set::Set;
pub use show::Show;
pub use suggest::Suggest;
pub use templates::Templates;
pub use unset::Unset;

use super::{Dialog, Platform, progress};
use crate::model::{App, ConfigKey, Problem, ReleaseVersion};

/// What is shown in place of a value.
const MASK: &str = "********";

/// Says of variables that decide about builds that a new release of the same image changes nothing.
async fn say_when_builds_follow<'a>(
    app: &App,
    dialog: &mut Dialog,
    mut keys: impl Iterator<Item = &'a ConfigKey>,
) {
    if let Some(key) = keys.find(|key| mini_buildpacks::is_build_variable(key.as_str()))
        && app.current.is_some()
    {
        dialog
            .warning(format!(
                "{key} is in force from the next build on: push, or `ps:rebuild {}`",
                app.name
            ))
            .await;
    }
}

/// Puts changed config vars into effect with a deploy of the present image, if the app is deployed.
async fn deploy(
    platform: &Platform,
    app: &App,
    dialog: &mut Dialog,
    description: String,
) -> Result<Option<ReleaseVersion>, Problem> {
    let Some(running) = app.current else {
        return Ok(None);
    };
    let deployed = async {
        let attached = platform
            .deploys
            .reconfigure(&app.name, dialog.caller(), description)
            .await?;
        progress::follow(dialog, attached).await
    }
    .await;
    if let Err(problem) = deployed {
        dialog
            .warning(format!(
                "The config vars are stored, but {running} keeps running with the old ones"
            ))
            .await;
        return Err(problem);
    }
    let app = platform.store.app(&app.name).await?;
    Ok(app.and_then(|app| app.current))
}
