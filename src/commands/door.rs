//! The three ways in: words (ssh), a parsed command with a live session (the `mini` program), and a parsed command that
//! is answered with one JSON value (HTTP).

use std::time::Instant;

use serde_json::{Value, json};

use super::authorize;
use super::dialog::Dialog;
use super::list::{Answer, AnyCommand, Form};
use super::options::{Format, Options};
use super::session::Session;
use super::words::{Parsed, parse, words};
use super::{INTERRUPTED, Platform};
use crate::engine::Stream;
use crate::model::{Kind, Problem};

/// Runs the command that `text` spells and returns its exit status. What it has to say goes to the session.
pub async fn run_words(platform: &Platform, text: &str, session: Session) -> u8 {
    let terminal = *session.terminal.borrow();
    let screen = Options {
        colour: terminal.is_some(),
        columns: terminal
            .map(|size| size.columns)
            .filter(|columns| *columns > 0),
        ..Options::default()
    };
    match words(text).map(|words| parse(words, screen)) {
        Ok(Parsed::Command(command, options)) => {
            run_command(platform, command, options, session).await
        }
        Ok(Parsed::Text {
            stream,
            text,
            exit_code,
        }) => {
            Dialog::new(session, screen).write(stream, text).await;
            exit_code
        }
        Err(problem) => {
            let dialog = Dialog::new(session, screen);
            dialog.write(Stream::Stderr, problem.to_terminal()).await;
            problem.exit_code()
        }
    }
}

/// Whether the command that `text` spells gives the caller's terminal to a container, so that its keys must pass
/// untouched.
pub fn takes_terminal(text: &str) -> bool {
    let parsed = words(text).map(|words| parse(words, Options::default()));
    matches!(parsed, Ok(Parsed::Command(command, _)) if command.takes_terminal())
}

/// Runs a command and returns its exit status. What it has to say goes to the session.
pub async fn run_command(
    platform: &Platform,
    command: AnyCommand,
    options: Options,
    session: Session,
) -> u8 {
    let name = command.name();
    let started = Instant::now();
    let mut dialog = Dialog::new(session, options);
    let ended = perform(platform, command, &mut dialog).await;
    let exit_code = match &ended {
        Ok(answer) => answer.exit_code,
        Err(problem) => problem.exit_code(),
    };
    let last_words = async {
        match ended {
            Ok(answer) => match answer.form {
                Form::Text(page) => dialog.show(page).await,
                Form::Json(value) => dialog.write(Stream::Stdout, format!("{value}\n")).await,
            },
            Err(problem) => {
                let text = match options.format {
                    Format::Text => problem.to_terminal(),
                    Format::Json => format!("{}\n", problem_json(&problem)),
                };
                dialog.write(Stream::Stderr, text).await;
            }
        }
        if options.trace {
            let took = started.elapsed().as_millis();
            dialog
                .write(Stream::Stderr, format!(" ?     {name} took {took} ms\n"))
                .await;
        }
    };
    // Who does not read must not hold up the server's end; nor take half an answer for the whole.
    tokio::select! {
        biased;
        () = last_words => exit_code,
        () = platform.gives_up() => INTERRUPTED,
    }
}

/// Runs a command and returns its answer as JSON. Commands that need a live session are refused.
pub async fn answer(
    platform: &Platform,
    command: AnyCommand,
    session: Session,
) -> Result<Value, Problem> {
    if let Some(reason) = command.needs_stream() {
        let name = command.name();
        // A terminal would end what is sent at the first Ctrl-D in it.
        let flag = if command.takes_terminal() { "-t " } else { "" };
        return Err(Problem::new(
            Kind::Invalid,
            format!("`{name}` cannot be answered here"),
            reason,
            format!("Use ssh: `ssh {flag}mini {name} ...`"),
        ));
    }
    let options = Options {
        format: Format::Json,
        ..Options::default()
    };
    let mut dialog = Dialog::new(session, options);
    let answer = perform(platform, command, &mut dialog).await?;
    Ok(match answer.form {
        Form::Json(value) => value,
        Form::Text(page) => Value::String(page.to_text()),
    })
}

/// A problem as every JSON answer shows it.
pub fn problem_json(problem: &Problem) -> Value {
    json!({
        "error": {
            "code": problem.kind,
            "message": problem.what,
            "why": problem.why,
            "hint": problem.next,
        }
    })
}

async fn perform(
    platform: &Platform,
    command: AnyCommand,
    dialog: &mut Dialog,
) -> Result<Answer, Problem> {
    // The arguments stay out of the log: they may hold secrets.
    tracing::info!(
        command = command.name(),
        actor = dialog.caller().actor(),
        "command"
    );
    let (permission, further) = command.permissions();
    let authorized = authorize::check(platform, dialog.caller(), permission, further).await?;
    command.run(platform, &authorized, dialog).await
}
