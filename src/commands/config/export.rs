//! `config:export`

use clap::{Args, ValueEnum};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use super::change::in_force;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, Scope};
use crate::model::{ConfigVars, Permission, Problem};

/// Print the config vars with their values, in a form for another program
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The app, or --global for what every app has
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
    /// With what every app has
    #[arg(long)]
    #[serde(default)]
    pub merged: bool,
    /// The form
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub format: ExportFormat,
}

/// Forms of an export; the names are Dokku's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// `--env=KEY='value'` for `docker run`
    DockerArgs,
    /// `--env=KEY`, which takes the value from the environment
    DockerArgsKeys,
    /// `export KEY='value'` for a shell
    #[default]
    Exports,
    /// `KEY="value"` for an env file
    Envfile,
    /// An object
    Json,
    /// A list of objects with `name` and `value`
    JsonList,
    /// `--env KEY` for `pack`
    PackKeys,
    /// `KEY:  value` in columns
    Pretty,
    /// `KEY='value' KEY2='value'` in one line
    Shell,
}

/// Config vars in some form. As JSON it is always an object.
#[derive(Debug)]
pub struct Exported {
    vars: ConfigVars,
    format: ExportFormat,
}

impl Serialize for Exported {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.vars.len()))?;
        for (key, value) in &self.vars {
            map.serialize_entry(key, value.reveal())?;
        }
        map.end()
    }
}

impl Command for Export {
    type Output = Exported;

    fn permission(&self) -> Permission {
        self.app.to_read()
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Exported, Problem> {
        Ok(Exported {
            vars: in_force(&self.app, self.merged, platform, authorized).await?,
            format: self.format,
        })
    }
}

impl Output for Exported {
    fn print(&self, page: &mut Page) {
        let each = |line: &dyn Fn(&str, &str) -> String| -> Vec<String> {
            self.vars
                .iter()
                .map(|(key, value)| line(key.as_str(), value.reveal()))
                .collect()
        };
        let lines = match self.format {
            ExportFormat::Exports => {
                each(&|key, value| format!("export {key}={}", single_quoted(value)))
            }
            ExportFormat::Envfile => each(&|key, value| format!("{key}={}", double_quoted(value))),
            ExportFormat::DockerArgs => {
                each(&|key, value| format!("--env={key}={}", single_quoted(value)))
            }
            ExportFormat::DockerArgsKeys => vec![each(&|key, _| format!("--env={key}")).join(" ")],
            ExportFormat::PackKeys => vec![each(&|key, _| format!("--env {key}")).join(" ")],
            ExportFormat::Shell => {
                vec![each(&|key, value| format!("{key}={}", single_quoted(value))).join(" ")]
            }
            ExportFormat::Pretty => {
                let vars = self
                    .vars
                    .iter()
                    .map(|(key, value)| (key.clone(), value.reveal().to_owned()))
                    .collect();
                super::show::aligned(&vars)
            }
            ExportFormat::Json => vec![json!(self).to_string()],
            ExportFormat::JsonList => {
                let list: Vec<_> = self
                    .vars
                    .iter()
                    .map(|(key, value)| json!({"name": key, "value": value.reveal()}))
                    .collect();
                vec![json!(list).to_string()]
            }
        };
        for line in lines.iter().filter(|line| !line.is_empty()) {
            page.line(line);
        }
    }
}

/// Quoted so that every POSIX shell reads back exactly `text`.
pub(super) fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '\n' => quoted.push_str("\\n"),
            '"' | '\\' | '$' | '`' => quoted.extend(['\\', char]),
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    fn check(format: ExportFormat, expected: &str) {
        let vars = ConfigVars::from([
            ("A".parse().unwrap(), Secret::new("it's $5\n\"x\"")),
            ("B".parse().unwrap(), Secret::new("")),
        ]);
        let mut page = Page::default();
        Exported { vars, format }.print(&mut page);
        assert_eq!(page.to_text(), expected, "{format:?}");
    }

    #[test]
    fn every_form_quotes_for_its_reader() {
        check(
            ExportFormat::Exports,
            "export A='it'\\''s $5\n\"x\"'\nexport B=''\n",
        );
        check(
            ExportFormat::Envfile,
            "A=\"it's \\$5\\n\\\"x\\\"\"\nB=\"\"\n",
        );
        check(ExportFormat::DockerArgsKeys, "--env=A --env=B\n");
        check(ExportFormat::PackKeys, "--env A --env B\n");
        check(ExportFormat::Shell, "A='it'\\''s $5\n\"x\"' B=''\n");
        check(
            ExportFormat::Json,
            "{\"A\":\"it's $5\\n\\\"x\\\"\",\"B\":\"\"}\n",
        );
        check(
            ExportFormat::JsonList,
            "[{\"name\":\"A\",\"value\":\"it's $5\\n\\\"x\\\"\"},{\"name\":\"B\",\"value\":\"\"}]\n",
        );
    }
}
