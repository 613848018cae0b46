//! `config:suggest`

use clap::Args;
use mini_buildpacks::{Suggestion, environment_templates};
use serde::{Serialize, Serializer};

use crate::commands::buildpacks::{of_app, problem};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, nearest};
use crate::model::{AppName, ConfigKey, ConfigVars, Kind, Permission, Problem, Secret};

/// Suggest config vars: by what the app depends on, by its .env.example, or of a template
///
/// A secret is named without a value. What is set already stays as it is.
#[derive(Debug, Clone, Args, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suggest {
    /// The app
    pub app: AppName,
    /// Suggest those of a template instead, see `config:templates`
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    pub template: Option<String>,
    /// Set those that have a value and are not set yet, and deploy the app with them
    #[arg(long)]
    #[serde(default)]
    pub apply: bool,
    /// With --apply, only store them; the next deploy uses them
    #[arg(long, requires = "apply")]
    #[serde(default)]
    pub no_restart: bool,
}

/// What is suggested.
#[derive(Debug)]
pub struct Suggested {
    app: AppName,
    offers: Vec<Offer>,
}

#[derive(Debug, Serialize)]
struct Offer {
    #[serde(flatten)]
    suggestion: Suggestion,
    /// Whether the app has it, whatever its value.
    is_set: bool,
}

impl Command for Suggest {
    type Output = Suggested;

    fn permission(&self) -> Permission {
        if self.apply {
            Permission::ChangeApp(self.app.clone())
        } else {
            Permission::ReadApp(self.app.clone())
        }
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Suggested, Problem> {
        let app = authorized.app()?;
        let suggestions = match &self.template {
            Some(name) => of_template(name)?,
            None => {
                let found = of_app(platform, app).await?;
                found.map_err(|error| problem(&error))?.environment
            }
        };
        let config = platform.store.merged_config(app.id).await?;
        let has = |key: &str| config.iter().any(|(known, _)| known.as_str() == key);
        let mut offers: Vec<Offer> = suggestions
            .into_iter()
            .map(|suggestion| Offer {
                is_set: has(&suggestion.key),
                suggestion,
            })
            .collect();
        if self.apply {
            let missing = offers
                .iter_mut()
                .filter(|offer| !offer.is_set && !offer.suggestion.value.is_empty());
            let mut vars: Vec<(ConfigKey, Secret)> = Vec::new();
            for offer in missing {
                let value = Secret::new(offer.suggestion.value.clone());
                vars.push((offer.suggestion.key.parse()?, value));
                offer.is_set = true;
            }
            if !vars.is_empty() {
                let keys: Vec<&str> = vars.iter().map(|(key, _)| key.as_str()).collect();
                let keys = keys.join(", ");
                dialog.header(format!("Setting {keys}")).await;
                let vars: ConfigVars = vars.into_iter().collect();
                platform.store.set_config(app.id, vars, Vec::new()).await?;
                if !self.no_restart {
                    super::deploy(platform, app, dialog, format!("Set {keys}")).await?;
                }
            }
        }
        Ok(Suggested {
            app: app.name.clone(),
            offers,
        })
    }
}

fn of_template(name: &str) -> Result<Vec<Suggestion>, Problem> {
    let mut templates = environment_templates().map_err(|error| problem(&error))?;
    if let Some(at) = templates.iter().position(|template| template.name == name) {
        return Ok(templates.swap_remove(at).variables);
    }
    let known = templates.iter().map(|template| template.name.as_str());
    let why = match nearest(name, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => String::new(),
    };
    Err(Problem::new(
        Kind::NotFound,
        format!("There is no template `{}`", name.escape_debug()),
        why,
        "See `config:templates`",
    ))
}

impl Serialize for Suggested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.offers.serialize(serializer)
    }
}

impl Output for Suggested {
    fn print(&self, page: &mut Page) {
        page.section(format!("{} suggested config vars", self.app));
        if self.offers.is_empty() {
            page.warning("Nothing is suggested: no package mini knows, and no .env.example");
            return;
        }
        for offer in &self.offers {
            let Suggestion {
                key,
                value,
                reason,
                description,
                ..
            } = &offer.suggestion;
            let value = value.replace(char::is_control, " ");
            let state = if offer.is_set { ", is set" } else { "" };
            page.line(format!("{key}={value}  ({reason}{state})"));
            if let Some(description) = description {
                page.detail(description);
            }
        }
    }
}
