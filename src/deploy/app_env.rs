//! What `app.json` says of config vars (`env`): values to begin with, secrets to be made, and what has to be set by hand.

use std::collections::BTreeMap;

use mini_buildpacks::Tree;
use serde::Deserialize;

use super::checks::{read, wrong_app_json};
use super::run::Run;
use super::{Deployer, run};
use crate::model::{ConfigKey, ConfigVars, Kind, Problem, Secret};

/// A generated secret is 32 random bytes, 64 hexadecimal digits, as Heroku and Dokku make them.
const SECRET_BYTES: usize = 32;

/// A config var as `app.json` wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    key: ConfigKey,
    wish: Wish,
    description: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish {
    /// This value; at each deploy anew if `is_kept` is set, else where there is none.
    Value { text: String, is_kept: bool },
    /// A secret that is made once.
    Generated,
    /// A value that only somebody can give.
    Given,
}

#[derive(Deserialize, Default)]
struct AppJson {
    #[serde(default)]
    env: BTreeMap<String, Declared>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Declared {
    Text(String),
    Whole(Fields),
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    value: Option<serde_json::Value>,
    #[serde(default)]
    required: Option<bool>,
    #[serde(default)]
    generator: Option<String>,
    #[serde(default)]
    sync: bool,
}

/// Reads what `tree` declares, in the order of the keys.
pub(super) fn wanted(tree: &dyn Tree) -> Result<Vec<Wanted>, Problem> {
    let Some(text) = read(tree, "app.json")? else {
        return Ok(Vec::new());
    };
    let text = text.trim_start_matches('\u{feff}');
    let parsed: AppJson = serde_json::from_str(text).map_err(|error| wrong_app_json(&error))?;
    let mut all = Vec::new();
    for (name, declared) in parsed.env {
        let key: ConfigKey = name.parse().map_err(|_| {
            Problem::new(
                Kind::AppFailed,
                "app.json is not what it should be",
                format!(
                    "`{}` in `env` is no name of a config var",
                    name.escape_debug()
                ),
                "correct it, commit, and push again",
            )
        })?;
        let fields = match declared {
            Declared::Text(text) => Fields::of(text),
            Declared::Whole(fields) => fields,
        };
        let Some(wish) = fields.wish() else { continue };
        all.push(Wanted {
            key,
            wish,
            description: fields.description.unwrap_or_default(),
        });
    }
    Ok(all)
}

impl Fields {
    fn of(text: String) -> Self {
        Fields {
            description: None,
            value: Some(text.into()),
            required: None,
            generator: None,
            sync: false,
        }
    }

    /// None where nothing has to be done.
    fn wish(&self) -> Option<Wish> {
        let text = match &self.value {
            Some(serde_json::Value::String(text)) => Some(text.clone()),
            Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
                Some(value.to_string())
            }
            Some(_) | None => None,
        };
        match text {
            Some(text) => Some(Wish::Value {
                text,
                is_kept: self.sync,
            }),
            None if self.generator.as_deref() == Some("secret") => Some(Wish::Generated),
            None => self.required.unwrap_or(true).then_some(Wish::Given),
        }
    }
}

/// Stores what is wanted and not there yet, and says what somebody has to set.
///
/// # Errors
/// The database fails; the system has no random numbers.
pub(super) async fn apply(
    deployer: &Deployer,
    run: &Run,
    wanted: Vec<Wanted>,
) -> Result<(), Problem> {
    if wanted.is_empty() {
        return Ok(());
    }
    let app = &run.app;
    let config = deployer.store.merged_config(app.id).await?;
    let mut set = ConfigVars::new();
    for Wanted {
        key,
        wish,
        description,
    } in wanted
    {
        let present = config.get(&key);
        match wish {
            Wish::Value { text, is_kept } => {
                let is_right = present.is_some_and(|value| !is_kept || value.reveal() == text);
                if !is_right {
                    set.insert(key, Secret::new(text));
                }
            }
            Wish::Generated if present.is_none() => {
                set.insert(key, generated()?);
            }
            Wish::Given if present.is_none() => {
                let description = match description.is_empty() {
                    true => String::new(),
                    false => format!(" ({description})"),
                };
                run.warn(format!(
                    "app.json asks for the config var {key}, which is not set{}: config:set {} {key}=...",
                    description.replace(char::is_control, " "),
                    app.name
                ))
                .await;
            }
            Wish::Generated | Wish::Given => {}
        }
    }
    if set.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = set.keys().map(ConfigKey::as_str).collect();
    run.line(format!("app.json sets {}", keys.join(", "))).await;
    deployer.store.set_config(app.id, set, Vec::new()).await?;
    Ok(())
}

fn generated() -> Result<Secret, Problem> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system has no random numbers");
        run::lost()
    })?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Secret::new(digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mini_buildpacks::MapTree;

    fn read_of(text: &str) -> Result<Vec<Wanted>, Problem> {
        wanted(&MapTree::new().with("app.json", text))
    }

    #[test]
    fn each_form_of_a_variable_is_read() {
        let text = r#"{"env": {
            "A": "text", "B": {"value": 3, "sync": true}, "C": {"generator": "secret"},
            "D": {"description": "the bucket"}, "E": {"required": false}, "F": {"value": ""}
        }}"#;
        let found = read_of(text).unwrap();
        let wish = |name: &str| {
            let found = found.iter().find(|wanted| wanted.key.as_str() == name);
            found.map(|wanted| wanted.wish.clone())
        };
        let value = |text: &str, is_kept| {
            Some(Wish::Value {
                text: text.to_owned(),
                is_kept,
            })
        };
        assert_eq!(wish("A"), value("text", false));
        assert_eq!(wish("B"), value("3", true));
        assert_eq!(wish("C"), Some(Wish::Generated));
        assert_eq!(wish("D"), Some(Wish::Given));
        assert_eq!(wish("E"), None);
        assert_eq!(wish("F"), value("", false));
    }

    #[test]
    fn what_cannot_be_a_variable_is_refused() {
        assert!(
            read_of(r#"{"env": {"1A": "x"}}"#)
                .unwrap_err()
                .why
                .contains("1A")
        );
        assert!(read_of(r#"{"env": []}"#).is_err());
        assert!(read_of("{").is_err());
        assert_eq!(read_of("{}").unwrap(), []);
    }

    #[test]
    fn a_generated_secret_is_64_digits_and_never_the_same() {
        let (one, other) = (generated().unwrap(), generated().unwrap());
        assert_eq!(one.reveal().len(), 64);
        assert!(one.reveal().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one, other);
    }
}
