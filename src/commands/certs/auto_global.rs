//! `certs:auto-global`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::auto::OnOff;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Permission, Problem};

/// Say whether certificates are ordered for apps of which certs:auto says nothing
///
/// On is the default. Nothing that is there is taken away, see certs:auto.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoGlobal {
    /// Whether they are
    #[arg(value_name = "on|off", hide_possible_values = true)]
    pub switch: OnOff,
}

/// How it is now.
#[derive(Debug, Serialize)]
pub struct Switched {
    auto: &'static str,
}

impl Command for AutoGlobal {
    type Output = Switched;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Switched, Problem> {
        let is_on = self.switch == OnOff::On;
        let store = &platform.store;
        store.set_automatic_certificates_default(is_on).await?;
        let auto = OnOff::word(is_on);
        dialog
            .header(format!(
                "Automatic certificates are {auto} for apps that do not say"
            ))
            .await;
        Ok(Switched { auto })
    }
}

impl Output for Switched {
    fn print(&self, _page: &mut Page) {}
}
