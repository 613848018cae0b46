//! What is wrong with words, in the form of all refusals: clap finds it, this says it.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::model::{Kind, Problem};

/// What stands for the value of a config var, which may be a password, wherever words are repeated.
const MASK: &str = "********";
/// The one argument of `KEY=VALUE` form that holds no secret.
const SCALE: &str = "TYPE=QUANTITY";
/// How much of a word is repeated, characters.
const SHOWN: usize = 100;

/// Why the words behind `command` are refused; none where `error` is no refusal but an answer, such as a help page.
pub fn refused(error: &clap::Error, command: &mut clap::Command) -> Option<Problem> {
    let name = command.get_name().to_owned();
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim().to_owned();
    let argument = text(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let known = |kind| list(error, kind);
    let (what, why) = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion => return None,
        ErrorKind::InvalidValue if value.is_empty() => (
            format!("{} needs a value", quoted(&bare(&argument))),
            String::new(),
        ),
        ErrorKind::InvalidValue => {
            let values = known(ContextKind::ValidValue).join(", ");
            let why = match text(error, ContextKind::SuggestedValue) {
                Some(near) => format!("did you mean `{near}`? There are {values}"),
                None => format!("there are {values}"),
            };
            let what = format!("{} cannot be {}", shown(&value, &argument), bare(&argument));
            (what, why)
        }
        ErrorKind::ValueValidation => {
            let rule = std::error::Error::source(error).map(ToString::to_string);
            let rule = rule.unwrap_or_default();
            let given = format!(
                "{} was given for {}",
                shown(&value, &argument),
                bare(&argument)
            );
            // Ours say the rule that is broken, as a sentence; those of the standard library what they found of a number.
            match rule.starts_with(|first: char| first.is_ascii_lowercase()) {
                true => (format!("{} is a whole number", bare(&argument)), given),
                false => (rule, given),
            }
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let what = format!("`{name}` has no flag {}", quoted(&argument));
            let near = text(error, ContextKind::SuggestedArg);
            (
                what,
                near.map_or_else(String::new, |near| format!("did you mean `{near}`?")),
            )
        }
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => {
            let word = if value.is_empty() { &argument } else { &value };
            let what = format!(
                "{} is one word too many for `{name}`",
                shown(word, &argument)
            );
            (what, String::new())
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = known(ContextKind::InvalidArg).join(" ");
            (format!("`{name}` needs {missing}"), String::new())
        }
        ErrorKind::ArgumentConflict => {
            let prior = known(ContextKind::PriorArg).join(", ");
            let what = format!("{} cannot stand beside {prior}", bare(&argument));
            (what, String::new())
        }
        // Whatever else clap may find: its kinds grow with its versions.
        kind => (
            format!("The words behind `{name}` are wrong"),
            kind.to_string(),
        ),
    };
    let next = format!("Type it as `{usage}`; `help {name}` explains it");
    Some(Problem::new(Kind::Usage, what, why, next))
}

/// What was given, to be repeated to whoever gave it, but not what stands behind a `=`: that may be a password.
fn shown(value: &str, argument: &str) -> String {
    match value.split_once('=') {
        Some((key, _)) if !argument.contains(SCALE) => quoted(&format!("{key}={MASK}")),
        Some(_) | None => quoted(value),
    }
}

fn quoted(text: &str) -> String {
    let mut shown: String = text.escape_debug().take(SHOWN).collect();
    if text.escape_debug().count() > SHOWN {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

/// `<KEY=VALUE>...` as its name alone; of an option, its flag.
fn bare(argument: &str) -> String {
    let first = argument.split(' ').next().unwrap_or_default();
    if first.starts_with('-') {
        return first
            .split(['=', '['])
            .next()
            .unwrap_or_default()
            .to_owned();
    }
    argument
        .trim_end_matches("...")
        .trim_matches(['<', '>', '[', ']'])
        .to_owned()
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        _ => None,
    }
}

fn list(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}
