//! From words to a command: the one split, the flags every command takes, and the one parse.

mod arrange;
mod elsewhere;
mod reader;
mod refusal;

use std::iter;

use clap::{ColorChoice, CommandFactory, Parser};

use self::arrange::{Arranged, Refusal, arrange};
use self::elsewhere::{instead, instead_of_group};
use self::reader::{Item, read};
pub use self::refusal::refused;
use super::door::problem_json;
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
    fn refusal(problem: &Problem, format: Format) -> Self {
        Parsed::Text {
            stream: Stream::Stderr,
            text: match format {
                Format::Text => problem.to_terminal(),
                Format::Json => format!("{}\n", problem_json(problem)),
            },
            exit_code: problem.exit_code(),
        }
    }
}

/// Reads the words of a command, without the program's name. `screen` says how wide the reader's terminal is and
/// whether it shows colours. Never ends the process.
pub fn parse(words: Vec<String>, screen: Options) -> Parsed {
    let mut all = description(screen.columns);
    // Of words that cannot be put in order nobody knows whose flag it is.
    let format = match asks_for_json(&words) {
        true => Format::Json,
        false => screen.format,
    };
    let Arranged { words, options } = match arrange(words, &all, screen) {
        Ok(arranged) => arranged,
        Err(Refusal::Problem(problem)) => return Parsed::refusal(&problem, format),
        Err(Refusal::Unknown(word)) => return unknown(&word, format),
    };
    let mut parser = Line::command().color(if options.colour {
        ColorChoice::Always
    } else {
        ColorChoice::Never
    });
    parser = parser.term_width(width(options.columns));
    let name = words.first().cloned().unwrap_or_default();
    let parsed = parser
        .try_get_matches_from(iter::once("mini".to_owned()).chain(words))
        .and_then(|matches| <Line as clap::FromArgMatches>::from_arg_matches(&matches));
    let error = match parsed {
        Ok(line) => return Parsed::Command(line.command, options),
        Err(error) => error,
    };
    let command = all.find_subcommand_mut(&name);
    if let Some(problem) = command.and_then(|command| refused(&error, command)) {
        return Parsed::refusal(&problem, options.format);
    }
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

/// Takes flags of the program itself, each with a value, out of the words of a line: `--host HOST`, `--host=HOST`. Where one
/// stands twice, the last counts. Each comes with what its value is, for who leaves that out. What stands behind the command of
/// `run` belongs to that command.
pub fn take_flags<const N: usize>(
    words: Vec<String>,
    flags: [(&str, &str); N],
) -> Result<(Vec<String>, [Option<String>; N]), Problem> {
    let mut values = [const { None }; N];
    let mut rest = Vec::new();
    for item in read(words, &Line::command(), &flags.map(|(name, _)| name)) {
        let asked = match &item {
            Item::Flag(flag) => flags
                .iter()
                .zip(&mut values)
                .find_map(|((name, what), place)| {
                    (*name == flag.name).then_some((flag.value.clone(), what, place))
                }),
            Item::Command(_) | Item::Own(_) => None,
        };
        match asked {
            Some((Some(value), _, place)) => *place = Some(value),
            Some((None, what, _)) => {
                let words = item.into_words().concat();
                return Err(Problem::new(
                    Kind::Usage,
                    format!("`{words}` needs {what}"),
                    "",
                    "",
                ));
            }
            None => rest.extend(item.into_words()),
        }
    }
    Ok((rest, values))
}

fn asks_for_json(words: &[String]) -> bool {
    let mut before = None;
    words.iter().any(|word| {
        let is_value = before.replace(word.as_str()) == Some("--format") && word == "json";
        is_value || word == "--json" || word == "--format=json"
    })
}

/// The answer to a command nobody knows: Dokku's two lines with the nearest name between them, or what mini has in place
/// of one of Dokku's.
fn unknown(word: &str, format: Format) -> Parsed {
    let known = AnyCommand::NAMES
        .iter()
        .copied()
        .chain(AnyCommand::ALIASES.iter().map(|(alias, _)| *alias));
    let near = nearest(word, known);
    let of_group = || instead_of_group(word).filter(|_| near.is_none());
    if let Some(problem) = instead(word).or_else(of_group) {
        return Parsed::refusal(&problem, format);
    }
    let shown: String = word.escape_debug().take(100).collect();
    let mut lines = vec![format!("`{shown}` is not a mini command.")];
    if let Some(name) = near {
        lines.push(format!("Did you mean `{name}`?"));
    }
    lines.push("See `mini help` for a list of available commands.".to_owned());
    let problem = Problem::new(Kind::NotFound, lines.join("\n"), "", "");
    match format {
        Format::Text => Parsed::refusal(&problem, format),
        Format::Json => {
            let what = lines.remove(0);
            Parsed::refusal(
                &Problem::new(Kind::NotFound, what, "", lines.join(" ")),
                format,
            )
        }
    }
}

#[cfg(test)]
mod tests;
