//! `git:generate-deploy-key`, `git:public-key`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::git::DeployKey;
use crate::model::{Kind, Permission, Problem};

/// Make the key with which the server fetches over ssh, and print its public half
///
/// Give the public key to the repositories that the server is to fetch, as a deploy key that may read. The private half is made
/// on the server, kept encrypted, and never leaves it.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateDeployKey {
    /// Make a new one where there is one already; repositories that have the old one have to be given the new
    #[arg(long)]
    #[serde(default)]
    pub replace: bool,
}

/// Print the public key with which the server fetches over ssh
///
/// It is one line, as hosts of repositories take it.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKey {}

/// The public half of the server's deploy key.
#[derive(Debug, Serialize)]
pub struct Public {
    public_key: String,
    #[serde(skip)]
    is_new: bool,
}

impl Command for GenerateDeployKey {
    type Output = Public;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Public, Problem> {
        let key = DeployKey::generate()?;
        let store = &platform.store;
        if !store.set_deploy_key(key.to_secret(), self.replace).await? {
            return Err(Problem::new(
                Kind::Taken,
                "There is a deploy key already",
                "",
                "`git:public-key` prints it; `git:generate-deploy-key --replace` makes a new one",
            ));
        }
        Ok(Public {
            public_key: key.public_line(),
            is_new: true,
        })
    }
}

impl Command for PublicKey {
    type Output = Public;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Public, Problem> {
        let Some(secret) = platform.store.deploy_key().await? else {
            return Err(Problem::new(
                Kind::NotFound,
                "There is no deploy key",
                "",
                "Make one with `git:generate-deploy-key`",
            ));
        };
        Ok(Public {
            public_key: DeployKey::from_secret(&secret)?.public_line(),
            is_new: false,
        })
    }
}

impl Output for Public {
    fn print(&self, page: &mut Page) {
        if self.is_new {
            page.header("This is the server's new deploy key; repositories that may be fetched with it are given");
        }
        page.line(&self.public_key);
    }
}
