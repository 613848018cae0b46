//! Puts the words of a line in order: the command first, the flags of every command taken out.

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
    /// Takes `word` if it is one of the flags; `rest` gives the value where it is a word of its own.
    fn take(
        &mut self,
        word: &str,
        rest: &mut dyn Iterator<Item = String>,
    ) -> Result<bool, Refusal> {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word, None),
        };
        let mut value_of = |flag: &str| {
            value
                .clone()
                .or_else(|| rest.next())
                .ok_or_else(|| usage(format!("`{flag}` needs a value")))
        };
        match flag {
            "--app" => self.app = Some(value_of(flag)?),
            "--format" => self.format = Some(value_of(flag)?),
            "--quiet" => self.quiet = true,
            "--trace" => self.trace = true,
            "--force" => self.force = true,
            // Many programs have it; here it is short for `--format json`.
            "--json" => self.json = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Puts the command first and takes out the flags of every command, which may stand before it or, where the command
/// does not take the rest of the line as it is, behind it.
pub(super) fn arrange(
    words: Vec<String>,
    all: &clap::Command,
    screen: Options,
) -> Result<Arranged, Refusal> {
    let mut words = words.into_iter();
    let mut before = Found::default();
    let first = loop {
        match words.next() {
            None => break "help".to_owned(),
            Some(word) if word == "--version" || word == "-v" => break "version".to_owned(),
            Some(word) if word == "--help" || word == "-h" => break "help".to_owned(),
            Some(word) if word.starts_with('-') => {
                if !before.take(&word, &mut words)? {
                    return Err(usage(format!(
                        "`{}` is not a flag of mini",
                        word.escape_debug()
                    )));
                }
            }
            Some(word) => break word,
        }
    };
    let (name, topic) = resolve(&first, all)?;
    let command = all
        .find_subcommand(name)
        .ok_or_else(|| Refusal::Unknown(first.clone()))?;

    let mut found = Found::default();
    let mut rest: Vec<String> = topic.into_iter().collect();
    let takes_the_rest = command
        .get_positionals()
        .any(clap::Arg::is_trailing_var_arg_set);
    while let Some(word) = words.next() {
        if word == "--" || (takes_the_rest && !word.starts_with('-')) {
            rest.push(word);
            rest.extend(words);
            break;
        }
        match own_argument(command, &word) {
            Some(takes_value) => {
                rest.push(word);
                if takes_value {
                    rest.extend(words.next());
                }
            }
            None => {
                if !found.take(&word, &mut words)? {
                    rest.push(word);
                }
            }
        }
    }

    let owns = |long: &str| {
        command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(long))
    };
    let mut arranged = vec![name.to_owned()];
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
    arranged.extend(rest);
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

/// The command a first word stands for. The name of a group (`apps`, `apps:help`) asks for its help, given as the topic.
fn resolve<'a>(word: &'a str, all: &clap::Command) -> Result<(&'a str, Option<String>), Refusal> {
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

/// Whether `word` is an option that the command declares, and then whether its value is the next word.
fn own_argument(command: &clap::Command, word: &str) -> Option<bool> {
    let (name, has_value) = match word.split_once('=') {
        Some((name, _)) => (name, true),
        None => (word, false),
    };
    let argument = if let Some(long) = name.strip_prefix("--") {
        command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(long))?
    } else {
        let mut letters = name.strip_prefix('-')?.chars();
        let letter = letters.next()?;
        let argument = command
            .get_arguments()
            .find(|arg| arg.get_short() == Some(letter))?;
        if letters.next().is_some() {
            // `-n5` and `-tq` hold all they need.
            return Some(false);
        }
        argument
    };
    Some(argument.get_action().takes_values() && !has_value)
}
