//! `ps:scale`

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, progress};
use crate::model::{self, App, AppName, Kind, Permission, Problem, ProcessType, Release};

/// Most processes of one type: a slip such as `web=2000` would take the machine down.
const MOST: u16 = 100;

/// Set how many processes of each type run, or show it
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The app
    pub app: AppName,
    /// How many, such as web=2 worker=1; none given shows the present scale
    #[arg(value_name = "TYPE=QUANTITY")]
    #[serde(default)]
    pub scale: Vec<Quantity>,
    /// Only store it; the next deploy uses it
    #[arg(long, alias = "skip-deploy")]
    #[serde(default)]
    pub no_restart: bool,
}

/// A process type and a number of processes, `web=2`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantity {
    /// The type.
    pub process_type: ProcessType,
    /// How many.
    pub quantity: u16,
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (process_type, quantity) = text
            .split_once('=')
            .ok_or("The scale is given as TYPE=QUANTITY, such as web=2")?;
        Ok(Self {
            process_type: process_type
                .parse()
                .map_err(|error: model::InvalidName| error.to_string())?,
            quantity: quantity
                .parse()
                .ok()
                .filter(|quantity| *quantity <= MOST)
                .ok_or_else(|| format!("The quantity is a number from 0 to {MOST}"))?,
        })
    }
}

/// How many processes of each type are wanted.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Quantities {
    #[serde(skip)]
    app: Option<AppName>,
    quantities: Vec<Quantity>,
}

impl Command for Scale {
    type Output = Quantities;

    fn permission(&self) -> Permission {
        if self.scale.is_empty() {
            Permission::ReadApp(self.app.clone())
        } else {
            Permission::ChangeApp(self.app.clone())
        }
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Quantities, Problem> {
        let app = authorized.app()?;
        let release = current_release(platform, app).await?;
        if self.scale.is_empty() {
            let scale = platform.store.scale(app.id).await?;
            return Ok(quantities(Some(app.name.clone()), &scale, release.as_ref()));
        }
        if release
            .as_ref()
            .is_some_and(|release| release.formation.is_some())
        {
            return Err(Problem::new(
                Kind::Invalid,
                format!(
                    "App {} contains an app.json file with a formations key and cannot be manually scaled",
                    app.name
                ),
                "",
                "Change `formation` in app.json, commit, and push; or take it out, to scale with `ps:scale` from the next push on",
            ));
        }
        // Only these types: others may be scaled at the same time.
        let mut asked = model::Scale::default();
        for wanted in &self.scale {
            refuse_unknown(&app.name, wanted, release.as_ref())?;
            let process_type = wanted.process_type.clone();
            if asked.0.insert(process_type, wanted.quantity).is_some() {
                return Err(Problem::new(
                    Kind::Usage,
                    format!("`{}` is given twice", wanted.process_type),
                    "",
                    "Give each process type one quantity",
                ));
            }
        }
        let words: Vec<String> = self
            .scale
            .iter()
            .map(|wanted| format!("{}={}", wanted.process_type, wanted.quantity))
            .collect();
        dialog
            .header(format!(
                "Scaling {} processes: {}",
                app.name,
                words.join(" ")
            ))
            .await;
        platform.store.set_scale(app.id, &asked).await?;
        if release.is_some() && !self.no_restart {
            progress::settle(platform, &app.name, dialog).await?;
        }
        let scale = platform.store.scale(app.id).await?;
        Ok(quantities(None, &scale, release.as_ref()))
    }
}

/// The release that serves.
pub(super) async fn current_release(
    platform: &Platform,
    app: &App,
) -> Result<Option<Release>, Problem> {
    match app.current {
        Some(version) => Ok(platform.store.release(app.id, version).await?),
        None => Ok(None),
    }
}

fn refuse_unknown(
    app: &AppName,
    wanted: &Quantity,
    release: Option<&Release>,
) -> Result<(), Problem> {
    if !(1..=MOST).contains(&wanted.quantity) && wanted.quantity != 0 {
        return Err(Problem::new(
            Kind::Invalid,
            format!("{} is too many processes of one type", wanted.quantity),
            format!("there may be {MOST}"),
            "",
        ));
    }
    let Some(release) = release else {
        // Before the first deploy nobody knows the types yet.
        return Ok(());
    };
    if release.processes.contains_key(&wanted.process_type) || wanted.quantity == 0 {
        return Ok(());
    }
    let known: Vec<&str> = release.processes.keys().map(ProcessType::as_str).collect();
    Err(Problem::new(
        Kind::NotFound,
        format!("{app} has no process type `{}`", wanted.process_type),
        format!("release {} has {}", release.version, known.join(", ")),
        "Add it to the Procfile, commit, and push",
    ))
}

/// The types the release has and those that were scaled, in order.
fn quantities(app: Option<AppName>, scale: &model::Scale, release: Option<&Release>) -> Quantities {
    let mut types: BTreeSet<&ProcessType> = scale.0.keys().collect();
    types.extend(
        release
            .into_iter()
            .flat_map(|release| release.processes.keys()),
    );
    let web = ProcessType::web();
    if release.is_none() {
        types.insert(&web);
    }
    Quantities {
        app,
        quantities: types
            .into_iter()
            .map(|process_type| Quantity {
                process_type: process_type.clone(),
                quantity: scale.quantity(process_type),
            })
            .collect(),
    }
}

impl Output for Quantities {
    fn print(&self, page: &mut Page) {
        let Some(app) = &self.app else {
            return;
        };
        page.header(format!("Scaling for {app}"));
        page.line("proctype: qty");
        page.line("--------: ---");
        for Quantity {
            process_type,
            quantity,
        } in &self.quantities
        {
            page.line(format!("{process_type}:  {quantity}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_care() {
        let good: Quantity = "web=2".parse().unwrap();
        assert_eq!((good.process_type.as_str(), good.quantity), ("web", 2));
        for bad in ["web", "web=", "web=-1", "web=101", "a b=1", "=1", "web=x"] {
            assert!(bad.parse::<Quantity>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_scale_is_shown_as_dokku_shows_it() {
        let mut scale = model::Scale::default();
        scale.0.insert("worker".parse().unwrap(), 2);
        let shown = quantities(Some("blog".parse().unwrap()), &scale, None);
        let mut page = Page::default();
        shown.print(&mut page);
        insta::assert_snapshot!(page.to_text(), @r"
        -----> Scaling for blog
        proctype: qty
        --------: ---
        web:  1
        worker:  2
        ");
        insta::assert_snapshot!(
            serde_json::to_string(&shown).unwrap(),
            @r#"[{"process_type":"web","quantity":1},{"process_type":"worker","quantity":2}]"#
        );
    }
}
