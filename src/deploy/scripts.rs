//! `scripts` of app.json: commands that are run once in a deploy. `predeploy`, which is a step of the build, is found with the build.

use mini_buildpacks::Tree;
use serde::Deserialize;
use serde_json::Value;

use super::checks::{read, wrong_app_json};
use crate::model::Problem;

/// What a repository has run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scripts {
    /// Run at the first deploy of the app only, before its processes start.
    pub(super) setup: Option<String>,
    /// Run once a release serves.
    pub(super) postdeploy: Option<String>,
    /// What is not acted on.
    pub(super) warnings: Vec<String>,
}

#[derive(Deserialize, Default)]
struct AppJson {
    #[serde(default)]
    scripts: Option<Declared>,
}

#[derive(Deserialize, Default)]
struct Declared {
    #[serde(default)]
    postdeploy: Option<Value>,
    #[serde(default)]
    dokku: Option<DokkuScripts>,
}

#[derive(Deserialize, Default)]
struct DokkuScripts {
    #[serde(default)]
    postdeploy: Option<Value>,
}

impl Scripts {
    /// Reads what `tree` declares.
    ///
    /// # Errors
    /// app.json is broken.
    pub(super) fn read(tree: &dyn Tree) -> Result<Self, Problem> {
        let Some(text) = read(tree, "app.json")? else {
            return Ok(Self::default());
        };
        let text = text.trim_start_matches('\u{feff}');
        let parsed: AppJson = serde_json::from_str(text).map_err(|error| wrong_app_json(&error))?;
        let declared = parsed.scripts.unwrap_or_default();
        let dokku = declared.dokku.unwrap_or_default();
        let mut warnings = Vec::new();
        Ok(Self {
            setup: command(declared.postdeploy, "scripts", &mut warnings),
            postdeploy: command(dokku.postdeploy, "scripts.dokku", &mut warnings),
            warnings,
        })
    }
}

/// The command of `postdeploy`: text, or a table with it (the schema of Heroku has one with a size besides).
fn command(value: Option<Value>, table: &str, warnings: &mut Vec<String>) -> Option<String> {
    let text = match value? {
        Value::Null => return None,
        Value::String(text) => text,
        Value::Object(mut keys) if keys.get("command").is_some_and(Value::is_string) => {
            let command = keys.remove("command");
            for key in keys.keys() {
                warnings.push(format!(
                    "app.json: not acted on: `{}` of `postdeploy` in `{table}`",
                    key.escape_debug()
                ));
            }
            command?.as_str()?.to_owned()
        }
        _ => {
            let warning = "is run only where it is text, or a table with such a `command`";
            warnings.push(format!("app.json: `postdeploy` in `{table}` {warning}"));
            return None;
        }
    };
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use mini_buildpacks::MapTree;

    use super::*;

    fn read_of(text: &str) -> Result<Scripts, Problem> {
        Scripts::read(&MapTree::new().with("app.json", text))
    }

    #[test]
    fn scripts_are_read() {
        let text = r#"{"scripts": {"postdeploy": "seed", "test": "x", "dokku": {"predeploy": "a", "postdeploy": " tell \n"}}}"#;
        let scripts = read_of(text).unwrap();
        assert_eq!(scripts.setup.as_deref(), Some("seed"));
        assert_eq!(scripts.postdeploy.as_deref(), Some("tell"));
        assert!(scripts.warnings.is_empty());
        for nothing in [
            "{}",
            r#"{"scripts": {"postdeploy": " "}}"#,
            r#"{"scripts": null}"#,
        ] {
            assert_eq!(read_of(nothing), Ok(Scripts::default()), "{nothing}");
        }
        assert!(read_of("{").unwrap_err().why.contains("EOF"));
    }

    #[test]
    fn a_command_may_stand_in_a_table_and_what_is_none_is_told() {
        let text = r#"{"scripts": {"postdeploy": {"command": "seed", "size": "large"}, "dokku": {"postdeploy": ["a"]}}}"#;
        let scripts = read_of(text).unwrap();
        assert_eq!(scripts.setup.as_deref(), Some("seed"));
        assert_eq!(scripts.postdeploy, None);
        assert_eq!(
            scripts.warnings,
            [
                "app.json: not acted on: `size` of `postdeploy` in `scripts`",
                "app.json: `postdeploy` in `scripts.dokku` is run only where it is text, or a table with such a `command`"
            ]
        );
        let scripts = read_of(r#"{"scripts": {"postdeploy": {"command": 3}}}"#).unwrap();
        assert_eq!((scripts.setup, scripts.warnings.len()), (None, 1));
    }
}
