//! `certs:show`

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::first;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Kind, Permission, Problem};

/// Print the certificate of an app, or its private key
///
/// Where an app has several, it is the one that certs:report tells of.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// The app
    pub app: AppName,
    /// Which of the two
    #[arg(value_enum)]
    pub part: Part,
}

/// A half of a certificate; the words are Dokku's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The certificate and those that lead to its authority
    Crt,
    /// The private key, a secret; for those who may administer the server
    Key,
}

/// One of the two, as PEM. Not printable by accident: it may be a secret.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// The chain.
    Crt(String),
    /// The private key.
    Key(String),
}

impl Command for Show {
    type Output = Shown;

    fn permission(&self) -> Permission {
        match self.part {
            Part::Crt => Permission::ReadApp(self.app.clone()),
            Part::Key => Permission::Administer,
        }
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Shown, Problem> {
        let app = platform.store.app(&self.app).await?;
        let app = app.ok_or_else(|| Problem::no_such_app(&self.app))?;
        let kept = first(platform, &app).await?;
        match (self.part, kept.key) {
            (Part::Crt, _) => Ok(Shown::Crt(kept.row.chain)),
            (Part::Key, Some(key)) => Ok(Shown::Key(key.reveal().to_owned())),
            (Part::Key, None) => Err(Problem::new(
                Kind::Internal,
                format!("The private key of {} cannot be shown", self.app),
                kept.read.err().unwrap_or_default(),
                "Add the certificate once more with `certs:add`",
            )),
        }
    }
}

impl Output for Shown {
    fn print(&self, page: &mut Page) {
        let (Shown::Crt(text) | Shown::Key(text)) = self;
        page.line(text.trim_end());
    }
}
