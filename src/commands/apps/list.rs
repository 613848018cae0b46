//! `apps:list`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// List the apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {}

/// Names of apps.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Names(Vec<AppName>);

impl Command for List {
    type Output = Names;

    fn permission(&self) -> Permission {
        Permission::Anyone
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Names, Problem> {
        let apps = authorized.visible_apps(platform).await?;
        Ok(Names(apps.into_iter().map(|app| app.name).collect()))
    }
}

impl Output for Names {
    fn print(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.warning("You haven't deployed any applications yet");
            return;
        }
        page.section("My Apps");
        for name in &self.0 {
            page.line(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_dokkus_and_says_so_when_it_is_empty() {
        let text = |names: &Names| {
            let mut page = Page::default();
            names.print(&mut page);
            page.to_text()
        };
        let two = Names(vec!["blog".parse().unwrap(), "shop".parse().unwrap()]);
        assert_eq!(text(&two), "=====> My Apps\nblog\nshop\n");
        assert_eq!(serde_json::to_string(&two).unwrap(), r#"["blog","shop"]"#);
        let none = Names(Vec::new());
        assert_eq!(
            text(&none),
            " !     You haven't deployed any applications yet\n"
        );
        assert_eq!(serde_json::to_string(&none).unwrap(), "[]");
    }
}
