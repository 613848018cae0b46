//! `help`: what there is to type.

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::words::description;
use super::{AnyCommand, Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Kind, Permission, Problem};

/// List the commands there are, or explain one of them
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Help {
    /// A command such as `apps:create`, or a group such as `apps`
    #[serde(default)]
    pub topic: Option<String>,
    /// Print the help of every command, as Markdown
    #[arg(long)]
    #[serde(default)]
    pub all: bool,
}

/// A help page.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum HelpPage {
    /// Several commands.
    Overview {
        /// How a line is made up.
        usage: String,
        /// What each command does, by name.
        commands: BTreeMap<String, String>,
    },
    /// One command, or all of them in full.
    Text {
        /// The text.
        text: String,
    },
}

impl Command for Help {
    type Output = HelpPage;

    fn permission(&self) -> Permission {
        Permission::Anyone
    }

    async fn run(
        self,
        _platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<HelpPage, Problem> {
        let columns = dialog.options().columns;
        self.page(columns)
    }
}

impl Help {
    /// The page that was asked for, as wide as the reader's terminal.
    pub fn page(&self, columns: Option<u16>) -> Result<HelpPage, Problem> {
        if self.all {
            return Ok(HelpPage::Text { text: reference() });
        }
        let Some(topic) = &self.topic else {
            return Ok(overview("COMMAND", |_| true));
        };
        let name = AnyCommand::ALIASES
            .iter()
            .find(|(alias, _)| alias == topic)
            .map_or(topic.as_str(), |(_, name)| *name);
        let in_group = |command: &str| {
            command
                .split_once(':')
                .is_some_and(|(group, _)| group == topic)
        };
        if AnyCommand::NAMES.iter().any(|command| in_group(command)) {
            // `releases` is a command of its own beside `releases:info`.
            let is_listed = |command: &str| command == topic || in_group(command);
            return Ok(overview(&format!("{topic}[:COMMAND]"), is_listed));
        }
        let mut all = description(columns);
        match all.find_subcommand_mut(name) {
            Some(command) => Ok(HelpPage::Text {
                text: command.render_long_help().to_string(),
            }),
            None => Err(Problem::new(
                Kind::NotFound,
                format!("`{}` is not a mini command", topic.escape_debug()),
                "",
                "See `mini help` for a list of available commands",
            )),
        }
    }
}

fn overview(line: &str, is_listed: impl Fn(&str) -> bool) -> HelpPage {
    HelpPage::Overview {
        usage: format!(
            "mini [--quiet|--trace|--force|--format json] {line} <app> [command-specific-options]"
        ),
        commands: description(None)
            .get_subcommands()
            .filter(|command| is_listed(command.get_name()))
            .map(|command| (command.get_name().to_owned(), summary(command)))
            .collect(),
    }
}

fn summary(command: &clap::Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

impl Output for HelpPage {
    fn print(&self, page: &mut Page) {
        match self {
            HelpPage::Text { text } => page.line(text.trim_end()),
            HelpPage::Overview { usage, commands } => {
                page.line(format!("Usage: {usage}"));
                let width = commands.keys().map(String::len).max().unwrap_or(0);
                let mut last_group = None;
                for (name, summary) in commands {
                    let group = name.split_once(':').map(|(group, _)| group);
                    if last_group != Some(group) {
                        page.line("");
                    }
                    last_group = Some(group);
                    page.line(format!("    {name:<width$}  {summary}"));
                }
                page.line("");
                page.line("`mini help COMMAND` explains one of them.");
            }
        }
    }
}

/// The reference of all commands as Markdown.
pub fn reference() -> String {
    let mut text = String::from("# Commands\n");
    for command in description(None).get_subcommands_mut() {
        let name = command.get_name().to_owned();
        text.push_str(&format!("\n## {name}\n\n```\n"));
        text.push_str(command.render_long_help().to_string().trim_end());
        text.push_str("\n```\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_all_commands_is_what_they_declare() {
        insta::assert_snapshot!(reference());
    }

    #[test]
    fn help_lists_groups_and_explains_one_command() {
        let page = |topic: Option<&str>| {
            let help = Help {
                topic: topic.map(str::to_owned),
                all: false,
            };
            let mut page = Page::default();
            help.page(Some(80)).map(|answer| {
                answer.print(&mut page);
                page.to_text()
            })
        };
        insta::assert_snapshot!(page(None).unwrap());
        insta::assert_snapshot!(page(Some("builds")).unwrap());
        insta::assert_snapshot!(page(Some("config")).unwrap());
        assert_eq!(page(Some("foo")).unwrap_err().exit_code(), 1);
    }
}
