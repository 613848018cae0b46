//! `url`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Authorized, Command, Dialog, Output, Page, Platform, urls};
use crate::model::{AppName, Kind, Permission, Problem};

/// Print the address of an app
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Url {
    /// The app
    pub app: AppName,
}

/// The address of an app.
#[derive(Debug, Serialize)]
pub struct Address {
    url: String,
}

impl Command for Url {
    type Output = Address;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Address, Problem> {
        let app = authorized.app()?;
        match urls::of(platform, app).await?.into_iter().next() {
            Some(url) => Ok(Address { url }),
            None => Err(Problem::new(
                Kind::NotFound,
                format!("{} has no address", app.name),
                "its domains are disabled, or it has none and the server has no base domain",
                format!(
                    "See `domains:report {0}`; then `domains:enable {0}`, or `domains:add {0} www.example.com`",
                    app.name
                ),
            )),
        }
    }
}

impl Output for Address {
    fn print(&self, page: &mut Page) {
        page.line(&self.url);
    }
}
