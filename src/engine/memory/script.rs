//! The few shell words the in-memory engine understands, enough for tests to say how a process behaves.

use crate::engine::Stream;

/// What a script does, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Says a line.
    Say(Stream, String),
    /// Copies its standard input to its output until the end of it.
    Copy,
    /// Ends with this status.
    Exit(i64),
    /// Goes on until it is stopped.
    Stay,
}

/// Reads a line such as `echo hello; echo oops >&2 && exit 3`. `sleep` stays, however long it says: nothing here takes
/// time. So does a command that is not known, as a server would. At the end of the line a script ends with status 0.
pub(super) fn read(line: &str) -> Vec<Act> {
    let mut acts = Vec::new();
    for part in line.replace("&&", ";").split([';', '\n']) {
        let part = part.trim();
        let part = part.strip_prefix("exec ").unwrap_or(part).trim();
        let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
        let act = match word {
            "" | "true" | ":" | "." => continue,
            "echo" => match rest.trim().strip_suffix(">&2") {
                Some(text) => Act::Say(Stream::Stderr, unquoted(text)),
                None => Act::Say(Stream::Stdout, unquoted(rest)),
            },
            "cat" => Act::Copy,
            "false" => Act::Exit(1),
            "exit" => Act::Exit(rest.trim().parse().unwrap_or(0)),
            _ => Act::Stay,
        };
        let is_last = matches!(act, Act::Exit(_) | Act::Stay);
        acts.push(act);
        if is_last {
            return acts;
        }
    }
    acts.push(Act::Exit(0));
    acts
}

/// The words of a command as such a line.
pub(super) fn line_of(words: &[String]) -> String {
    match words {
        [shell, flag, line] if shell.ends_with("sh") && flag == "-c" => line.clone(),
        words => words.join(" "),
    }
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['\'', '"']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_a_shell_would() {
        assert_eq!(
            read("echo 'a b'; echo c >&2 && exit 3; echo never"),
            [
                Act::Say(Stream::Stdout, "a b".into()),
                Act::Say(Stream::Stderr, "c".into()),
                Act::Exit(3)
            ]
        );
        assert_eq!(read("exec sleep 10"), [Act::Stay]);
        assert_eq!(read("node server.js"), [Act::Stay]);
        assert_eq!(read("cat"), [Act::Copy, Act::Exit(0)]);
        let words = ["/bin/sh", "-c", "exit 7"].map(String::from);
        assert_eq!(line_of(&words), "exit 7");
    }
}
