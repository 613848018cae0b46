//! The answer of the commands that bring source, and how they end.

use serde::Serialize;

use crate::commands::{Dialog, Output, Page, Platform, progress, urls};
use crate::deploy::Attached;
use crate::model::{AppName, Problem};

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Given {
    app: AppName,
    /// Whether anything was deployed: not so where the app runs just that already.
    is_deployed: bool,
}

impl Given {
    /// Of a command that was not to deploy anything.
    pub(super) fn nothing(app: &AppName) -> Self {
        Self {
            app: app.clone(),
            is_deployed: false,
        }
    }
}

impl Output for Given {
    fn print(&self, _page: &mut Page) {}
}

/// Shows the deploy, if there is one to be, and else where the app is.
pub(super) async fn follow(
    platform: &Platform,
    dialog: &mut Dialog,
    app: &AppName,
    attached: Option<Attached>,
) -> Result<Given, Problem> {
    let is_deployed = attached.is_some();
    match attached {
        Some(attached) => progress::follow(dialog, attached).await?,
        None => {
            let text = format!("No changes detected: {app} runs just that already");
            dialog.header(text).await;
            if let Some(found) = platform.store.app(app).await? {
                for url in urls::of(platform, &found).await? {
                    dialog.detail(url).await;
                }
            }
        }
    }
    Ok(Given {
        app: app.clone(),
        is_deployed,
    })
}
