//! From words to a command: the one split, the flags every command takes, and the one parse.

mod arrange;

use std::iter;

use clap::error::{ContextKind, ContextValue};
use clap::{ColorChoice, CommandFactory, Parser};

use self::arrange::{Arranged, Refusal, arrange};
use super::list::AnyCommand;
use super::options::Options;
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

#[cfg(test)]
mod tests;
