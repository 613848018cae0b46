//! `git:from-archive`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::Given;
use super::archive::{Expected, Incoming};
use super::given::follow;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::deploy::GivenArchive;
use crate::model::{AppName, Kind, Permission, Problem, Timestamp};
use crate::store::StoreError;

/// Deploy the source in a tar or zip archive: tar cz . | ssh mini git:from-archive blog
///
/// Reads the archive from standard input: tar, packed by gzip or zstd or not, or zip. It becomes the next commit of the app and is deployed
/// as a push is; the same files again do nothing. Where everything is in one folder, as in the archives of GitHub, that folder
/// is the root; folders named .git stay out. Paths and links that lead out of the archive are refused, and it may have as many
/// files and bytes as a push.
///
/// `mini deploy` on your own machine packs a folder and sends it here.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromArchive {
    /// The app
    pub app: AppName,
    /// What is fetched by yourself instead: curl -fsSL URL | ssh mini git:from-archive APP
    #[serde(default)]
    pub url: Option<String>,
    /// Create the app if there is none of this name, as a push does
    #[arg(long)]
    #[serde(default)]
    pub create: bool,
    /// Take the archive as it is: one folder around everything stays
    #[arg(long)]
    #[serde(default)]
    pub as_is: bool,
}

impl Command for FromArchive {
    type Output = Given;

    fn permission(&self) -> Permission {
        if self.create {
            Permission::DeployApp(self.app.clone())
        } else {
            Permission::ChangeApp(self.app.clone())
        }
    }

    fn needs_stream(&self) -> Option<&'static str> {
        Some("it reads the archive from standard input")
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Given, Problem> {
        if self.url.is_some_and(|url| url != "-") {
            return Err(Problem::new(
                Kind::Invalid,
                "The server does not fetch archives",
                "whoever may deploy could have it ask whatever it reaches",
                format!(
                    "Fetch it and send it: `curl -fsSL URL | ssh mini git:from-archive {}`",
                    self.app
                ),
            ));
        }
        let line = format!("tar cz . | ssh mini git:from-archive {}", self.app);
        let expected = Expected {
            what: "tar cz .",
            line: &line,
            is_zip_read: true,
        };
        let incoming = Incoming::begin(platform, dialog, expected).await?;
        if self.create && authorized.app().is_err() {
            create(platform, dialog, &self.app).await?;
        }
        dialog.header("Reading the archive").await;
        let archive = GivenArchive {
            bytes: incoming.into_stream(platform.deploys.clone()),
            is_as_is: self.as_is,
        };
        let deploys = &platform.deploys;
        let attached = deploys
            .give_archive(&self.app, dialog.caller(), archive)
            .await?;
        follow(platform, dialog, &self.app, attached).await
    }
}

/// Creates the app, where the server does so for a push.
async fn create(platform: &Platform, dialog: &Dialog, app: &AppName) -> Result<(), Problem> {
    let is_disabled = platform.store.is_autocreation_disabled().await?;
    if is_disabled || !platform.facts.creates_apps {
        return Err(Problem {
            next: format!("Create it with `apps:create {app}`, or see the names with `apps:list`"),
            ..Problem::no_such_app(app)
        });
    }
    app.require_new()?;
    match platform.store.create_app(app, Timestamp::now()).await {
        // Somebody else was faster: it is there.
        Ok(_) | Err(StoreError::Taken { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    dialog.header(format!("Creating {app}...")).await;
    Ok(())
}
