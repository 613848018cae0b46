//! `config:*`: config vars, the environment an app is given.

mod assignment;
mod export;
mod get;
mod keys;
mod set;
mod show;
mod suggest;
mod templates;
mod unset;

pub use assignment::Assignment;
pub use export::Export;
pub use get::Get;
pub use keys::Keys;
pub use set::Set;
pub use show::Show;
pub use suggest::Suggest;
pub use templates::Templates;
pub use unset::Unset;

use super::{Dialog, Platform, progress};
use crate::model::{App, Problem, ReleaseVersion};

/// What is shown in place of a value.
const MASK: &str = "********";

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
