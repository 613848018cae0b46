//! Puts the words of a line in order: the command first, the flags of every command taken out.

use super::reader::{Flag, Item, read};
use crate::commands::list::AnyCommand;
use crate::commands::options::{Format, Options};
use crate::model::{Kind, Problem};

/// Why words could not be put in order.
pub(super) enum Refusal {
    /// They are wrong.
    Problem(Problem),
    /// There is no command of this name.
    Unknown(String),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Refusal::Problem(problem)
    }
}

fn usage(what: String) -> Refusal {
    Refusal::Problem(Problem::new(
        Kind::Usage,
        what,
        "",
        "See `mini help` for the flags and commands there are",
    ))
}

/// Words with the command first and the flags of every command taken out.
pub(super) struct Arranged {
    pub words: Vec<String>,
    pub options: Options,
}

/// Flags that every command takes, as they are found.
#[derive(Default)]
struct Found {
    app: Option<String>,
    force: bool,
    json: bool,
    format: Option<String>,
    quiet: bool,
    trace: bool,
}

impl Found {
    fn take(&mut self, flag: Flag) -> Result<(), Refusal> {
        let Flag { name, value, .. } = flag;
        let needed = |value: Option<String>| match value {
            Some(value) => Ok(Some(value)),
            None => Err(usage(format!("`{name}` needs a value"))),
        };
        match name.as_str() {
            "--app" => self.app = needed(value)?,
            "--format" => self.format = needed(value)?,
            "--quiet" => self.quiet = true,
            "--trace" => self.trace = true,
            "--force" => self.force = true,
            // Many programs have it; here it is short for `--format json`.
            "--json" => self.json = true,
            name => return Err(not_of_mini(name)),
        }
        Ok(())
    }
}

fn not_of_mini(word: &str) -> Refusal {
    usage(format!("`{}` is not a flag of mini", word.escape_debug()))
}

/// Puts the command first and takes out the flags of every command, which may stand before it or, where the command
/// does not take the rest of the line as it is, behind it.
pub(super) fn arrange(
    words: Vec<String>,
    all: &clap::Command,
    screen: Options,
) -> Result<Arranged, Refusal> {
    let (mut before, mut found) = (Found::default(), Found::default());
    let mut resolved = None;
    let mut own = Vec::new();
    for item in read(words, all, &[]) {
        match item {
            Item::Flag(flag) if resolved.is_none() => before.take(flag)?,
            Item::Flag(flag) => found.take(flag)?,
            Item::Command(word) => resolved = Some(command_of(&word, all)?),
            Item::Own(words) if resolved.is_none() => {
                let unknown = words.first().map_or("", String::as_str);
                return Err(not_of_mini(unknown));
            }
            Item::Own(words) => own.extend(words),
        }
    }
    let (name, topic, command) = match resolved {
        Some(resolved) => resolved,
        None => command_of("help", all)?,
    };

    let owns = |long: &str| {
        command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(long))
    };
    let mut arranged = vec![name.clone()];
    if let Some(app) = found.app.or(before.app) {
        let takes_app = command
            .get_positionals()
            .next()
            .is_some_and(|arg| arg.get_id() == "app");
        if !takes_app {
            return Err(usage(format!(
                "`{name}` is not about one app, so `--app` has no place"
            )));
        }
        arranged.push(app);
    }
    // A flag of every command that this one declares for itself is its own, wherever it stood.
    for (flag, is_set) in [
        ("force", before.force),
        ("json", before.json),
        ("quiet", before.quiet),
        ("trace", before.trace),
    ] {
        if is_set && owns(flag) {
            arranged.push(format!("--{flag}"));
        }
    }
    let is_json = found.json || (before.json && !owns("json"));
    let json = is_json.then(|| "json".to_owned());
    let format = match found.format.or(before.format).or(json) {
        Some(format) if owns("format") => {
            arranged.push(format!("--format={format}"));
            Format::Text
        }
        Some(format) => match format.as_str() {
            "json" => Format::Json,
            "text" | "stdout" => Format::Text,
            _ => {
                return Err(usage(format!(
                    "`{}` is not a format, there are `json` and `text`",
                    format.escape_debug()
                )));
            }
        },
        None => screen.format,
    };
    arranged.extend(topic);
    arranged.extend(own);
    Ok(Arranged {
        words: arranged,
        options: Options {
            format,
            quiet: screen.quiet || before.quiet || found.quiet,
            trace: screen.trace || before.trace || found.trace,
            ..screen
        },
    })
}

/// The command a first word stands for: its name, the topic where it is the help about one, its description.
fn command_of<'a>(
    word: &str,
    all: &'a clap::Command,
) -> Result<(String, Option<String>, &'a clap::Command), Refusal> {
    let (name, topic) = resolve(word, all)?;
    let command = all.find_subcommand(name);
    let command = command.ok_or_else(|| Refusal::Unknown(word.to_owned()))?;
    Ok((name.to_owned(), topic, command))
}

/// The name of the command a first word stands for. The name of a group (`apps`, `apps:help`) asks for its help, given as the
/// topic.
pub(super) fn resolve<'a>(
    word: &'a str,
    all: &clap::Command,
) -> Result<(&'a str, Option<String>), Refusal> {
    match word {
        "--version" | "-v" => return Ok(("version", None)),
        "--help" | "-h" => return Ok(("help", None)),
        _ => {}
    }
    if let Some((_, name)) = AnyCommand::ALIASES.iter().find(|(alias, _)| *alias == word) {
        return Ok((name, None));
    }
    if all.find_subcommand(word).is_some() {
        return Ok((word, None));
    }
    let topic = word.strip_suffix(":help").unwrap_or(word);
    let is_group = AnyCommand::NAMES.iter().any(|name| {
        name.split_once(':')
            .is_some_and(|(group, _)| group == topic)
    });
    if is_group || (topic != word && AnyCommand::NAMES.contains(&topic)) {
        Ok(("help", Some(topic.to_owned())))
    } else {
        Err(Refusal::Unknown(word.to_owned()))
    }
}
