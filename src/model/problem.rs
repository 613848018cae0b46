//! The one form in which a failure reaches a person: what happened, why, what to do next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What sort of failure it is; decides the exit status and the HTTP status, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The words of the command are wrong.
    Usage,
    /// A value from outside is not acceptable.
    Invalid,
    /// The named app does not exist, or the caller may not know of it.
    NoSuchApp,
    /// Something else that was named does not exist.
    NotFound,
    /// The name is taken already.
    Taken,
    /// The caller may not do this.
    Forbidden,
    /// Something else is going on that this would disturb.
    Busy,
    /// The app's own part failed: its build, its release command, its processes.
    AppFailed,
    /// The app's own part took longer than it may.
    TimedOut,
    /// It was stopped on request.
    Canceled,
    /// A thing mini needs, such as Docker, does not answer.
    Unavailable,
    /// A fault of mini.
    Internal,
}

/// A failure as it is shown to the caller. Holds no secret and no path of the server that the caller does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Decides the exit status and the HTTP status.
    pub kind: Kind,
    /// What happened, one line.
    pub what: String,
    /// Why it happened; may be empty where `what` says all.
    pub why: String,
    /// What to do next; may be empty where there is nothing to do.
    pub next: String,
}

impl Problem {
    /// A problem with its three lines; `why` and `next` may be empty.
    pub fn new(
        kind: Kind,
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            what: what.into(),
            why: why.into(),
            next: next.into(),
        }
    }

    /// Dokku's words for an app that does not exist or that the caller may not know of.
    pub fn no_such_app(name: &super::AppName) -> Self {
        Self::new(
            Kind::NoSuchApp,
            format!("App {name} does not exist"),
            "",
            "",
        )
    }

    /// The exit status of a command that ends with this problem: Dokku's 20 for an app that does not exist, 2 for wrong
    /// words, 1 for all else.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::NoSuchApp => 20,
            Kind::Usage => 2,
            Kind::Invalid
            | Kind::NotFound
            | Kind::Taken
            | Kind::Forbidden
            | Kind::Busy
            | Kind::AppFailed
            | Kind::TimedOut
            | Kind::Canceled
            | Kind::Unavailable
            | Kind::Internal => 1,
        }
    }

    /// The HTTP status of an answer that is this problem.
    pub fn http_status(&self) -> u16 {
        match self.kind {
            Kind::Usage | Kind::Invalid => 422,
            Kind::NoSuchApp | Kind::NotFound => 404,
            Kind::Taken | Kind::Busy | Kind::Canceled => 409,
            Kind::Forbidden => 403,
            Kind::AppFailed | Kind::TimedOut => 424,
            Kind::Unavailable => 503,
            Kind::Internal => 500,
        }
    }

    /// The text for a terminal: each line behind Dokku's ` !     `, ended by a line feed.
    pub fn to_terminal(&self) -> String {
        let mut text = String::new();
        let mut push = |label: &str, value: &str| {
            for (number, line) in value.lines().enumerate() {
                let label = if number == 0 { label } else { "      " };
                let label = if self.why.is_empty() && self.next.is_empty() {
                    ""
                } else {
                    label
                };
                text.push_str(" !     ");
                text.push_str(label);
                text.push_str(line);
                text.push('\n');
            }
        };
        push("", &self.what);
        push("why:  ", &self.why);
        push("next: ", &self.next);
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl From<super::InvalidName> for Problem {
    fn from(error: super::InvalidName) -> Self {
        Problem::new(Kind::Invalid, error.rule, "", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_form_has_three_labelled_lines_or_one_plain_line() {
        let whole = Problem::new(
            Kind::AppFailed,
            "shop was not deployed",
            "no process type `web`",
            "add one\nand push",
        );
        assert_eq!(
            whole.to_terminal(),
            " !     shop was not deployed\n !     why:  no process type `web`\n !     next: add one\n !           and push\n"
        );
        let short = Problem::new(Kind::NoSuchApp, "App shop does not exist", "", "");
        assert_eq!(short.to_terminal(), " !     App shop does not exist\n");
        assert_eq!(short.exit_code(), 20);
    }
}
