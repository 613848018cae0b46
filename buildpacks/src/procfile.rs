//! Procfile: one process type and its command per line.
//!
//! ```text
//! web: gunicorn shop:app
//! worker: python worker.py
//! release: python migrate.py
//! ```
//! The grammar is Dokku's and Heroku's: `^[A-Za-z0-9_-]{1,63}:\s*(.+)$`, empty lines and lines starting with `#` are skipped.

use std::collections::BTreeMap;

/// Longest name of a process type: it becomes part of a host name label (RFC 1035, 2.3.4).
const MAX_NAME_BYTES: usize = 63;
/// The line that is run once per deploy and is no process type.
const RELEASE: &str = "release";

/// A parsed Procfile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Procfile {
    processes: BTreeMap<String, Line>,
    release: Option<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    number: usize,
    command: String,
}

/// Why a Procfile could not be read. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProcfileError {
    /// The bytes are not UTF-8 text.
    #[error("line {line} is not UTF-8 text")]
    NotText {
        /// The first such line.
        line: usize,
    },
    /// A line has another form than `name: command`.
    #[error("line {line} is not `name: command`: {text}")]
    BadLine {
        /// The line's number.
        line: usize,
        /// The start of the line, control characters replaced.
        text: String,
    },
    /// A name has characters other than letters, digits, `_` and `-`, or more than 63 of them.
    #[error("line {line}: `{name}` is not a name for a process type")]
    BadName {
        /// The line's number.
        line: usize,
        /// The name as written, shortened.
        name: String,
    },
    /// A name without a command.
    #[error("line {line}: `{name}` has no command")]
    NoCommand {
        /// The line's number.
        line: usize,
        /// The process type.
        name: String,
    },
    /// A command holds a control character (a NUL byte, an escape), which no shell command needs.
    #[error("line {line}: the command of `{name}` holds a control character")]
    ControlCharacter {
        /// The line's number.
        line: usize,
        /// The process type.
        name: String,
    },
    /// The same name twice.
    #[error("`{name}` is defined twice, on lines {first} and {second}")]
    Duplicate {
        /// The process type.
        name: String,
        /// Where it was defined first.
        first: usize,
        /// Where it was defined again.
        second: usize,
    },
}

impl ProcfileError {
    /// The line to look at, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::NotText { line }
            | Self::BadLine { line, .. }
            | Self::BadName { line, .. }
            | Self::NoCommand { line, .. }
            | Self::ControlCharacter { line, .. }
            | Self::Duplicate { second: line, .. } => *line,
        }
    }
}

impl Procfile {
    /// Process types and their commands, without `release`. A command is meant for `/bin/sh -c`; see [`shell_argv`].
    pub fn processes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.processes
            .iter()
            .map(|(name, line)| (name.as_str(), line.command.as_str()))
    }

    /// The command of one process type.
    #[must_use]
    pub fn command(&self, name: &str) -> Option<&str> {
        self.processes.get(name).map(|line| line.command.as_str())
    }

    /// The line a process type (or `release`) is defined on, from 1.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<usize> {
        let line = if name == RELEASE {
            self.release.as_ref()
        } else {
            self.processes.get(name)
        };
        line.map(|line| line.number)
    }

    /// The command to run once per deploy, before the new processes start.
    #[must_use]
    pub fn release_command(&self) -> Option<&str> {
        self.release.as_ref().map(|line| line.command.as_str())
    }

    /// Whether no process type is defined (a `release` line alone does not run an app).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }
}

/// Reads a Procfile. Accepts a byte order mark and Windows line ends.
///
/// # Errors
/// The first line that is wrong, with its number.
pub fn parse(text: &[u8]) -> Result<Procfile, ProcfileError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut procfile = Procfile::default();
    for (index, raw) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = std::str::from_utf8(raw)
            .map_err(|_| ProcfileError::NotText { line: number })?
            .trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, command)) = line.split_once(':') else {
            return Err(ProcfileError::BadLine {
                line: number,
                text: shown(line),
            });
        };
        let (name, command) = (name.trim_end(), command.trim());
        if !is_process_type(name) {
            return Err(ProcfileError::BadName {
                line: number,
                name: shown(name),
            });
        }
        let name = name.to_owned();
        if command.is_empty() {
            return Err(ProcfileError::NoCommand { line: number, name });
        }
        if command.chars().any(|c| c.is_control() && c != '\t') {
            return Err(ProcfileError::ControlCharacter { line: number, name });
        }
        if let Some(first) = procfile.line(&name) {
            return Err(ProcfileError::Duplicate {
                name,
                first,
                second: number,
            });
        }
        let line = Line {
            number,
            command: command.to_owned(),
        };
        if name == RELEASE {
            procfile.release = Some(line);
        } else {
            procfile.processes.insert(name, line);
        }
    }
    Ok(procfile)
}

/// Whether `name` may name a process type: 1 to 63 of letters, digits, `_` and `-`.
#[must_use]
pub fn is_process_type(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The argument vector that runs a command line: `/bin/sh -c COMMAND`.
///
/// A plain command gets `exec` in front, so that the process replaces the shell and receives SIGTERM itself; a command that uses
/// the shell (`a && b`, `FOO=1 a`, `cd x`) is left as it is.
#[must_use]
pub fn shell_argv(command: &str) -> [String; 3] {
    let line = if is_plain_command(command) {
        format!("exec {command}")
    } else {
        command.to_owned()
    };
    ["/bin/sh".to_owned(), "-c".to_owned(), line]
}

/// One external program with arguments, in which `exec` changes nothing but who receives the signals.
fn is_plain_command(command: &str) -> bool {
    // POSIX.1-2024 XCU 2.4 (reserved words), 2.15 (special built-ins), and the common built-ins without a program on disk.
    const SHELL_WORDS: &[&str] = &[
        "!", ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done",
        "echo", "elif", "else", "esac", "eval", "exec", "exit", "export", "fg", "fi", "for",
        "function", "getopts", "hash", "if", "in", "jobs", "local", "printf", "pwd", "read",
        "readonly", "return", "set", "shift", "source", "test", "then", "time", "times", "trap",
        "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while", "[", "[[", "{",
        "}",
    ];
    let first = command.split_whitespace().next().unwrap_or_default();
    let begins_plainly = first
        .starts_with(|c: char| c.is_ascii_alphanumeric() || "./_".contains(c))
        && !first.contains(['=', '$', '\'', '"', '\\']);
    begins_plainly
        && !SHELL_WORDS.contains(&first)
        && !command.contains([';', '&', '|', '<', '>', '(', ')', '`', '\n', '#'])
}

fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    text.chars()
        .take(SHOWN_CHARS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &[(&str, &str)], release: Option<&str>) {
        let procfile = parse(text.as_bytes()).unwrap();
        assert_eq!(
            procfile.processes().collect::<Vec<_>>(),
            expected,
            "{text:?}"
        );
        assert_eq!(procfile.release_command(), release, "{text:?}");
    }

    #[test]
    fn good_files() {
        check("", &[], None);
        check("web: npm start\n", &[("web", "npm start")], None);
        check(
            "\u{feff}web:npm start\r\n\r\n# note: x\r\nworker-2:   a: b  \r\n",
            &[("web", "npm start"), ("worker-2", "a: b")],
            None,
        );
        check(
            "release: ./migrate\nweb: x",
            &[("web", "x")],
            Some("./migrate"),
        );
    }

    #[test]
    fn bad_files_name_the_line() {
        for (text, message) in [
            (
                &b"web: a\nnonsense\n"[..],
                "line 2 is not `name: command`: nonsense",
            ),
            (
                b"web: a\n\nweb: b\n",
                "`web` is defined twice, on lines 1 and 3",
            ),
            (
                b"release: a\nrelease: b\n",
                "`release` is defined twice, on lines 1 and 2",
            ),
            (
                b"we b: a\n",
                "line 1: `we b` is not a name for a process type",
            ),
            (b": a\n", "line 1: `` is not a name for a process type"),
            (b"web:   \n", "line 1: `web` has no command"),
            (b"web: a\nx: \xff\n", "line 2 is not UTF-8 text"),
            (
                b"web: a\x00b\n",
                "line 1: the command of `web` holds a control character",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
        assert!(parse(format!("{}: x", "a".repeat(63)).as_bytes()).is_ok());
        assert!(parse(format!("{}: x", "a".repeat(64)).as_bytes()).is_err());
    }

    #[test]
    fn exec_only_before_plain_commands() {
        for (command, line) in [
            ("npm start", "exec npm start"),
            ("./bin/web --port $PORT", "exec ./bin/web --port $PORT"),
            ("cd api && npm start", "cd api && npm start"),
            ("FOO=1 npm start", "FOO=1 npm start"),
            ("echo hi", "echo hi"),
            ("exec x", "exec x"),
        ] {
            assert_eq!(shell_argv(command)[2], line);
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(procfile) = parse(&bytes) {
                for (name, command) in procfile.processes() {
                    prop_assert!(is_process_type(name) && !command.is_empty() && !command.contains('\n'));
                }
            }
        }

        #[test]
        fn near_misses_never_panic(text in "(([a-z_]{1,4}|release|web)?:? ?[a-z$ :#]{0,6}\r?\n){0,6}") {
            if let Err(error) = parse(text.as_bytes()) {
                prop_assert!(error.line() >= 1);
            }
        }
    }
}
