//! From words to a command: the one split, the flags every command takes, and the one parse.

use std::iter;

use clap::error::{ContextKind, ContextValue};
use clap::{ColorChoice, CommandFactory, Parser};

use super::list::AnyCommand;
use super::options::{Format, Options};
use super::suggest::nearest;
use crate::engine::Stream;
use crate::model::{Kind, Problem};

/// Splits a line as a shell would: quotes and backslashes, no variables and no patterns.
pub fn words(text: &str) -> Result<Vec<String>, Problem> {
    shlex::split(text).ok_or_else(|| {
        Problem::new(
            Kind::Usage,
            "The command could not be read",
            "a quote is not closed, or the last character is a backslash",
            "Close the quote. Over ssh the words pass two shells, so quote twice: ssh mini \"config:set blog GREETING='good day'\"",
        )
    })
}

/// All commands as one clap parser.
#[derive(Debug, Parser)]
#[command(
    name = "mini",
    about = "A git-push platform",
    disable_help_subcommand = true,
    override_usage = "mini [--quiet|--trace|--force|--format json] COMMAND <app> [command-specific-options]"
)]
pub struct Line {
    /// The command.
    #[command(subcommand)]
    command: AnyCommand,
}

/// The clap description of all commands, built so that every usage line begins with `mini`.
pub(super) fn description(columns: Option<u16>) -> clap::Command {
    let mut all = Line::command().term_width(width(columns));
    all.build();
    all
}

/// The width of help pages. Never that of the terminal the server was started in, which clap would take.
fn width(columns: Option<u16>) -> usize {
    columns.map_or(100, usize::from)
}

/// What words turned out to be.
#[derive(Debug)]
pub enum Parsed {
    /// A command with what is asked of every command alike.
    Command(AnyCommand, Options),
    /// Text that answers at once: a help page, or why the words are wrong.
    Text {
        /// Where it belongs.
        stream: Stream,
        /// The text, with its last line feed.
        text: String,
        /// The exit status.
        exit_code: u8,
    },
}

impl Parsed {
    fn refusal(problem: &Problem) -> Self {
        Parsed::Text {
            stream: Stream::Stderr,
            text: problem.to_terminal(),
            exit_code: problem.exit_code(),
        }
    }
}

/// Reads the words of a command, without the program's name. `screen` says how wide the reader's terminal is and
/// whether it shows colours. Never ends the process.
pub fn parse(words: Vec<String>, screen: Options) -> Parsed {
    let all = description(screen.columns);
    let Arranged { words, options } = match arrange(words, &all, screen) {
        Ok(arranged) => arranged,
        Err(Refusal::Problem(problem)) => return Parsed::refusal(&problem),
        Err(Refusal::Unknown(word)) => return unknown(&word),
    };
    let mut parser = Line::command().color(if options.colour {
        ColorChoice::Always
    } else {
        ColorChoice::Never
    });
    parser = parser.term_width(width(options.columns));
    let parsed = parser
        .try_get_matches_from(iter::once("mini".to_owned()).chain(words))
        .and_then(|matches| <Line as clap::FromArgMatches>::from_arg_matches(&matches));
    match parsed {
        Ok(line) => Parsed::Command(line.command, options),
        Err(error) => {
            let error = without_values(error);
            let rendered = error.render();
            Parsed::Text {
                stream: if error.use_stderr() {
                    Stream::Stderr
                } else {
                    Stream::Stdout
                },
                text: if options.colour {
                    rendered.ansi().to_string()
                } else {
                    rendered.to_string()
                },
                exit_code: u8::try_from(error.exit_code()).unwrap_or(2),
            }
        }
    }
}

/// What is refused is repeated to the caller, but not what stands behind a `=`: that may be a password.
fn without_values(mut error: clap::Error) -> clap::Error {
    let refused = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(text)) => text.split_once('=').map(|(key, _)| key.to_owned()),
        _ => None,
    };
    if let Some(key) = refused {
        let shown = ContextValue::String(format!("{key}=********"));
        error.insert(ContextKind::InvalidValue, shown);
    }
    error
}

/// The answer to a command nobody knows: Dokku's two lines with the nearest name between them.
fn unknown(word: &str) -> Parsed {
    let known = AnyCommand::NAMES
        .iter()
        .copied()
        .chain(AnyCommand::ALIASES.iter().map(|(alias, _)| *alias));
    let shown: String = word.escape_debug().take(100).collect();
    let mut text = format!(" !     `{shown}` is not a mini command.\n");
    if let Some(name) = nearest(word, known) {
        text.push_str(&format!(" !     Did you mean `{name}`?\n"));
    }
    text.push_str(" !     See `mini help` for a list of available commands.\n");
    Parsed::Text {
        stream: Stream::Stderr,
        text,
        exit_code: 1,
    }
}

enum Refusal {
    Problem(Problem),
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
struct Arranged {
    words: Vec<String>,
    options: Options,
}

/// Flags that every command takes, as they are found.
#[derive(Default)]
struct Found {
    app: Option<String>,
    force: bool,
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
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Puts the command first and takes out the flags of every command, which may stand before it or, where the command
/// does not take the rest of the line as it is, behind it.
fn arrange(words: Vec<String>, all: &clap::Command, screen: Options) -> Result<Arranged, Refusal> {
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
        ("quiet", before.quiet),
        ("trace", before.trace),
    ] {
        if is_set && owns(flag) {
            arranged.push(format!("--{flag}"));
        }
    }
    let format = match found.format.or(before.format) {
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

#[cfg(test)]
mod tests;
