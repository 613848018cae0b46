//! What a container is told to run for a Procfile line.
//!
//! An image's ENTRYPOINT stays and gets the command as its arguments, as Dokku has it: entry points such as the official
//! images' end in `exec "$@"`. How the line is handed over depends on what is in it:
//!
//! - Plain words (`node server.js`) are passed as they are. No shell is needed, so images without one work, the app gets
//!   SIGTERM itself, and of a command that does not exist the init process says so and ends with status 127.
//! - Anything a shell has to look at (`$PORT`, quotes, `&&`) goes to `/bin/sh -c`, with `exec` in front where that cannot
//!   change the meaning: one command, no operators. Without `exec` the shell would stand between the app and SIGTERM.
//! - Where the ENTRYPOINT is itself a shell with `-c`, the line is its one argument.

/// Characters that mean nothing to a shell wherever they stand in a word.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_./:@%+,=".contains(character) || !character.is_ascii()
}

/// Words that a shell knows and the file system does not (POSIX.1-2017, 2.9.1.1, 2.14 and 2.4).
const SHELL_WORDS: &[&str] = &[
    ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done", "elif",
    "else", "esac", "eval", "exec", "exit", "export", "fc", "fg", "fi", "for", "getopts", "hash",
    "if", "jobs", "let", "local", "read", "readonly", "return", "set", "shift", "source", "then",
    "times", "trap", "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
];

/// The arguments for a Procfile line, given the image's ENTRYPOINT.
pub(super) fn arguments(line: &str, entrypoint: &[String]) -> Vec<String> {
    let line = line.trim();
    if entrypoint.last().is_some_and(|word| word == "-c") {
        return vec![line.to_owned()];
    }
    let first = line.split_whitespace().next().unwrap_or_default();
    let is_external = !SHELL_WORDS.contains(&first) && !first.contains('=');
    if is_external && line.chars().all(|c| is_plain(c) || c == ' ' || c == '\t') {
        return line.split_whitespace().map(str::to_owned).collect();
    }
    let script = if is_external && is_one_command(line) {
        format!("exec {line}")
    } else {
        line.to_owned()
    };
    vec!["/bin/sh".to_owned(), "-c".to_owned(), script]
}

/// Whether the line is one command to a shell: no operator outside of quotes. When in doubt it is not.
fn is_one_command(line: &str) -> bool {
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None | Some('"'), '\\') => {
                characters.next();
            }
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '{' | '}' | '`' | '#' | '!') => {
                return false;
            }
            _ => {}
        }
    }
    quote.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, entrypoint: &[&str], expected: &[&str]) {
        let entrypoint: Vec<String> = entrypoint.iter().map(|word| word.to_string()).collect();
        assert_eq!(arguments(line, &entrypoint), expected, "{line}");
    }

    #[test]
    fn plain_words_need_no_shell() {
        check(" node  server.js ", &[], &["node", "server.js"]);
        check(
            "gunicorn app:app -b 0.0.0.0:5000 --k=v",
            &["docker-entrypoint.sh"],
            &["gunicorn", "app:app", "-b", "0.0.0.0:5000", "--k=v"],
        );
    }

    #[test]
    fn a_single_command_replaces_its_shell() {
        check(
            "node server.js --port $PORT",
            &[],
            &["/bin/sh", "-c", "exec node server.js --port $PORT"],
        );
        for line in [
            "echo 'a b'",
            "gunicorn 'app:create()' -b :$PORT",
            r#"echo "a;b" c\;d"#,
            "cat < in > out",
        ] {
            check(line, &[], &["/bin/sh", "-c", &format!("exec {line}")]);
        }
    }

    #[test]
    fn what_only_a_shell_understands_is_left_alone() {
        for line in [
            "npm run migrate && npm start",
            "A=1 node server.js",
            "cd web; npm start",
            "exit 3",
            "exec node $X",
            "node a.js & node b.js",
            "echo 'unfinished",
            "export X=$Y",
        ] {
            check(line, &[], &["/bin/sh", "-c", line]);
        }
        check("", &[], &[]);
    }

    #[test]
    fn a_shell_as_entry_point_gets_the_line() {
        check("a && b", &["/bin/sh", "-c"], &["a && b"]);
    }
}
