//! Reads a line word by word: which are flags of mini, which one names the command, and which are the command's own. The one
//! place that knows where mini's flags end: what stands behind the command of `run` belongs to that command.

use super::arrange::resolve;

/// Flags that every command takes.
const SWITCHES: [&str; 4] = ["--quiet", "--trace", "--force", "--json"];
/// The same with a value.
const VALUED: [&str; 2] = ["--app", "--format"];

/// A word of a line, or several that belong together.
pub(super) enum Item {
    /// A flag of mini.
    Flag(Flag),
    /// The first word that is none: the command, or a flag in place of one (`--help`).
    Command(String),
    /// What is the command's own. Before the command: what nobody knows.
    Own(Vec<String>),
}

/// A flag that every command takes, or one of those that were asked for beside these.
pub(super) struct Flag {
    pub name: String,
    /// None for a switch, and where the line ends too early.
    pub value: Option<String>,
    /// As it was typed.
    words: Vec<String>,
}

impl Item {
    /// As it was typed.
    pub(super) fn into_words(self) -> Vec<String> {
        match self {
            Item::Flag(flag) => flag.words,
            Item::Command(word) => vec![word],
            Item::Own(words) => words,
        }
    }
}

/// Sorts the words of a line. `more` are flags with a value that are mini's beside those of every command.
pub(super) fn read(words: Vec<String>, all: &clap::Command, more: &[&str]) -> Vec<Item> {
    let mut reader = Reader {
        words: words.into_iter(),
        more,
        items: Vec::new(),
        has_app: false,
    };
    reader.before_command(all);
    reader.items
}

struct Reader<'a> {
    words: std::vec::IntoIter<String>,
    more: &'a [&'a str],
    items: Vec<Item>,
    has_app: bool,
}

impl Reader<'_> {
    fn before_command(&mut self, all: &clap::Command) {
        while let Some(word) = self.words.next() {
            let is_command = ["--version", "-v", "--help", "-h"].contains(&word.as_str());
            if !word.starts_with('-') || is_command {
                let resolved = resolve(&word, all).ok();
                let command = resolved.and_then(|(name, _)| all.find_subcommand(name));
                self.items.push(Item::Command(word));
                return self.behind(command);
            }
            if word == "--" {
                return self.rest(word);
            }
            if let Err(word) = self.flag(word, true) {
                self.items.push(Item::Own(vec![word]));
            }
        }
    }

    fn behind(&mut self, command: Option<&clap::Command>) {
        let positionals = || command.into_iter().flat_map(clap::Command::get_positionals);
        let takes_the_rest = positionals().any(clap::Arg::is_trailing_var_arg_set);
        let first = positionals().filter(|arg| !arg.is_trailing_var_arg_set());
        // Before the words that it takes as they are.
        let first = first.count();
        let mut plain = 0;
        while let Some(word) = self.words.next() {
            let is_plain = !word.starts_with('-');
            let is_over = plain >= first.saturating_sub(usize::from(self.has_app));
            if word == "--" || (takes_the_rest && is_plain && is_over) {
                return self.rest(word);
            }
            plain += usize::from(is_plain);
            let own = command.and_then(|command| own_argument(command, &word));
            // A flag of every command that this one declares for itself is its own.
            let word = match self.flag(word, own.is_none()) {
                Ok(()) => continue,
                Err(word) => word,
            };
            let mut words = vec![word];
            if own == Some(true) {
                words.extend(self.words.next());
            }
            self.items.push(Item::Own(words));
        }
    }

    fn rest(&mut self, word: String) {
        let words = std::iter::once(word).chain(self.words.by_ref()).collect();
        self.items.push(Item::Own(words));
    }

    /// Takes `word` if it is a flag of mini, one of every command only if `is_for_every`; else gives it back.
    fn flag(&mut self, word: String, is_for_every: bool) -> Result<(), String> {
        let (name, given) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let is_switch = is_for_every && SWITCHES.contains(&name);
        let has_value = self.more.contains(&name) || (is_for_every && VALUED.contains(&name));
        if !is_switch && !has_value {
            return Err(word);
        }
        self.has_app |= name == "--app";
        let name = name.to_owned();
        let next = match has_value && given.is_none() {
            true => self.words.next(),
            false => None,
        };
        let words = std::iter::once(word).chain(next.clone()).collect();
        self.items.push(Item::Flag(Flag {
            name,
            value: given.or(next),
            words,
        }));
        Ok(())
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
