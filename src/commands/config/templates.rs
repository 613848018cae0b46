//! `config:templates`

use clap::Args;
use mini_buildpacks::{EnvironmentTemplate, environment_templates};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::commands::buildpacks::problem;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Permission, Problem};

/// List sets of config vars to begin with; `config:suggest --template NAME --apply` sets one
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {}

/// The templates.
#[derive(Debug)]
pub struct All(Vec<EnvironmentTemplate>);

impl Command for Templates {
    type Output = All;

    fn permission(&self) -> Permission {
        Permission::Anyone
    }

    async fn run(
        self,
        _platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<All, Problem> {
        let templates = environment_templates().map_err(|error| problem(&error))?;
        Ok(All(templates))
    }
}

impl Serialize for All {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for template in &self.0 {
            let variables: Vec<Value> = template
                .variables
                .iter()
                .map(|variable| {
                    json!({"key": variable.key, "value": variable.value, "is_secret": variable.is_secret})
                })
                .collect();
            list.serialize_element(
                &json!({"name": template.name, "title": template.title, "variables": variables}),
            )?;
        }
        list.end()
    }
}

impl Output for All {
    fn print(&self, page: &mut Page) {
        for template in &self.0 {
            page.section(format!("{}: {}", template.name, template.title));
            for variable in &template.variables {
                page.line(format!("{}={}", variable.key, variable.value));
            }
        }
    }
}
