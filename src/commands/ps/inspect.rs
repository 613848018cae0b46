//! `ps:inspect`

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::engine::EngineError;
use crate::model::{AppName, ConfigVars, Permission, Problem};

/// What stands in the place of a value of the environment.
const MASK: &str = "********";
/// Shorter values are left alone where they are part of something else: they are in too many words to mean anything.
const SHORTEST_BYTES: usize = 4;

/// Print what Docker knows of the containers of an app, as JSON, without the values of its environment
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspect {
    /// The app
    pub app: AppName,
}

/// What `docker inspect` prints, one for each container.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Containers(Vec<Value>);

impl Command for Inspect {
    type Output = Containers;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Containers, Problem> {
        let app = authorized.app()?;
        let mut config: Vec<ConfigVars> = vec![platform.store.merged_config(app.id).await?];
        for release in platform.store.releases(app.id).await? {
            config.push(release.config);
        }
        let mut containers = Vec::new();
        let mut processes = platform.engine.observe().await?;
        processes.retain(|process| process.app == app.name);
        processes.sort_by(|a, b| (&a.process_type, a.index).cmp(&(&b.process_type, b.index)));
        for process in processes {
            let mut container = match platform.engine.inspect(&process.id).await {
                Ok(container) => container,
                // It ended in this moment.
                Err(EngineError::Gone { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            mask(&mut container, &config);
            containers.push(container);
        }
        Ok(Containers(containers))
    }
}

/// Takes the values of the environment out, wherever they stand.
fn mask(container: &mut Value, config: &[ConfigVars]) {
    if let Some(Value::Array(variables)) = container.pointer_mut("/Config/Env") {
        for variable in variables {
            let key = variable.as_str().and_then(|text| text.split_once('='));
            let masked = key.map_or_else(String::new, |(key, _)| format!("{key}={MASK}"));
            *variable = Value::String(masked);
        }
    }
    let values = config.iter().flat_map(ConfigVars::values);
    let mut values: Vec<&str> = values
        .map(|value| value.reveal())
        .filter(|value| value.len() >= SHORTEST_BYTES)
        .collect();
    // The longest first, so that no part of one is left.
    values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
    values.dedup();
    mask_text(container, &values);
}

fn mask_text(value: &mut Value, values: &[&str]) {
    match value {
        Value::String(text) => {
            for hidden in values {
                if text.contains(hidden) {
                    *text = text.replace(hidden, MASK);
                }
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| mask_text(part, values)),
        Value::Object(parts) => parts.values_mut().for_each(|part| mask_text(part, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Output for Containers {
    fn print(&self, page: &mut Page) {
        let text = serde_json::to_string_pretty(&self.0).unwrap_or_default();
        for line in text.lines() {
            page.line(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use serde_json::json;

    #[test]
    fn no_value_of_the_environment_is_left() {
        let mut container = json!({
            "Args": ["-c", "serve --token hunter2-and-more"],
            "Config": {"Env": ["TOKEN=hunter2", "LONG=hunter2-and-more", "SHORT=ab", "PATH=/bin"], "Cmd": ["cab"]},
            "Name": "/shop.web.1", "State": {"Running": true, "Pid": 7}
        });
        let config = [
            ("TOKEN", "hunter2"),
            ("LONG", "hunter2-and-more"),
            ("SHORT", "ab"),
        ];
        let config = config.map(|(key, value)| (key.parse().unwrap(), Secret::new(value)));
        mask(&mut container, &[config.into_iter().collect()]);
        assert_eq!(
            container,
            json!({
                "Args": ["-c", "serve --token ********"],
                "Config": {"Env": ["TOKEN=********", "LONG=********", "SHORT=********", "PATH=********"], "Cmd": ["cab"]},
                "Name": "/shop.web.1", "State": {"Running": true, "Pid": 7}
            })
        );
    }
}
