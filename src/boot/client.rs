//! `mini WORDS`: everything but the server, as a client of it.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::local::Remote;
use super::settings::{DATA_DIR, home_data_dir};
use super::{backups, local, say, terminal, unserved};
use crate::backup::BackupError;
use crate::commands::{AnyCommand, Cut, Dialog, Options, Output, Parsed, Session, parse, version};
use crate::engine::Stream;
use crate::http::{self, Ends, Invocation, NotAnswering};
use crate::model::{Caller, Kind, Problem};
use crate::store::{NewFile, Store};

/// The exit status of a program that nobody reads any more (128 + SIGPIPE).
pub(super) const BROKEN_PIPE: u8 = 141;
/// Pieces of output that may wait for our own standard output.
pub(super) const WAITING_OUTPUT: usize = 16;

/// Runs the command that `words` spell, on the server of `data_dir`, or on that of `host` over ssh.
pub(super) fn run(
    words: Vec<String>,
    data_dir: Option<PathBuf>,
    host: Option<&str>,
) -> Result<u8, Problem> {
    let output = terminal::output_size();
    let screen = Options {
        colour: output.is_some() && std::env::var_os("NO_COLOR").is_none(),
        columns: output
            .map(|size| size.columns)
            .filter(|columns| *columns > 0),
        ..Options::default()
    };
    let (command, options) = match parse(words.clone(), screen) {
        Parsed::Command(command, options) => (command, options),
        Parsed::Text {
            stream,
            text,
            exit_code,
        } => {
            say(stream, &text);
            return Ok(exit_code);
        }
    };
    match command {
        AnyCommand::Help(help) => {
            if let Some(text) = help.topic.as_deref().and_then(local::help) {
                say(Stream::Stdout, &text);
                return Ok(0);
            }
            let page = help.page(options.columns)?;
            if help.topic.is_none() && !help.all {
                show(&page, options);
                say(Stream::Stdout, super::LOCAL_HELP);
                return Ok(0);
            }
            Ok(show(&page, options))
        }
        AnyCommand::Version(_) => Ok(show(&version::VersionLine::this(), options)),
        command => {
            if let Some(remote) = Remote::of(host, data_dir.as_deref(), &command)? {
                return remote.run(&words, &command);
            }
            let target = match &command {
                AnyCommand::BackupCreate(create) if !create.is_for_bucket() => {
                    match create.file() {
                        Some(to) => Some(backups::new_file(to)?),
                        None => backups::require_file().map(|()| None)?,
                    }
                }
                _ => None,
            };
            let command = with_files(command)?;
            let data_dir = chosen(data_dir);
            block_on(on_server(&data_dir, command, options, target))
        }
    }
}

/// Whether it is of use on the server's machine without a server that runs.
pub(super) fn works_alone(command: &AnyCommand) -> bool {
    command.name().starts_with("ssh-keys:") || matches!(command, AnyCommand::Doctor(_))
}

/// The data directory that was named, or the usual one.
pub(super) fn chosen(data_dir: Option<PathBuf>) -> PathBuf {
    data_dir
        .or_else(|| std::env::var_os("MINI_DATA_DIR").map(PathBuf::from))
        .or_else(own_data_dir)
        .unwrap_or_else(|| PathBuf::from(DATA_DIR))
}

/// That of one's own `mini server --dev`, for who is not root and could not use the installed one.
fn own_data_dir() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    home_data_dir(|name| std::env::var_os(name)).filter(|dir| dir.is_dir())
}

/// Runs a client to its end.
pub(super) fn block_on(client: impl Future<Output = Result<u8, Problem>>) -> Result<u8, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Problem::new(
                Kind::Unavailable,
                "mini could not begin",
                error.to_string(),
                "",
            )
        })?;
    let exit_code = runtime.block_on(client);
    // The thread that reads standard input may wait for ever.
    runtime.shutdown_background();
    exit_code
}

/// The command with the content of the files it names, which are here and not where the server is.
fn with_files(command: AnyCommand) -> Result<AnyCommand, Problem> {
    match command {
        AnyCommand::CertsAdd(add) => add
            .with_files(io::stdin().is_terminal())
            .map(AnyCommand::CertsAdd),
        AnyCommand::Doctor(doctor) => Ok(AnyCommand::Doctor(doctor.with_files())),
        AnyCommand::BackupCreate(create) => create.with_files().map(AnyCommand::BackupCreate),
        AnyCommand::BackupSchedule(schedule) => {
            schedule.with_files().map(AnyCommand::BackupSchedule)
        }
        command => Ok(command),
    }
}

/// Prints an answer that needs no server.
pub(super) fn show<O: Output>(answer: &O, options: Options) -> u8 {
    if options.format == crate::commands::Format::Json {
        let json = serde_json::to_string(answer).unwrap_or_default();
        say(Stream::Stdout, &format!("{json}\n"));
    } else {
        let mut page = crate::commands::Page::new(options.quiet, options.colour);
        answer.print(&mut page);
        for (stream, text) in page.parts() {
            say(stream, &text);
        }
    }
    answer.exit_code()
}

/// `target` takes what the command writes to standard output, in place of our own.
async fn on_server(
    data_dir: &Path,
    command: AnyCommand,
    options: Options,
    mut target: Option<NewFile>,
) -> Result<u8, Problem> {
    // Asked before standard input is read, which can be read only once.
    if works_alone(&command)
        && let Err(error) = http::connect(data_dir).await
        && matches!(NotAnswering::from(error), NotAnswering::NotRunning)
    {
        return alone(data_dir, command, options).await;
    }
    let size = terminal::size().filter(|_| command.takes_terminal());
    let (resized, terminal_size) = watch::channel(size);
    let (hidden, mut hiding) = watch::channel(false);
    let (output, mut said) = mpsc::channel(WAITING_OUTPUT);
    let stdin = if command.reads_input() {
        terminal::stdin()
    } else {
        mpsc::channel(1).1
    };
    let invocation = Invocation {
        command,
        options,
        terminal: size,
        is_typed: io::stdin().is_terminal(),
    };
    let raw = size.and_then(|_| terminal::Raw::enter());
    let ends = Ends {
        stdin,
        output,
        terminal: terminal_size,
        hidden,
    };
    let mut window = signal(SignalKind::window_change()).ok();
    let mut terminate = signal(SignalKind::terminate()).ok();
    // Only while something is hidden: the terminal is to show again what is typed before we end.
    let mut interrupt = None;
    let mut shade = None;
    let mut running = Box::pin(http::run(data_dir, invocation, ends));
    let mut ended = None;
    let answered = loop {
        tokio::select! {
            biased;
            Ok(()) = hiding.changed() => {
                if *hiding.borrow_and_update() {
                    interrupt = signal(SignalKind::interrupt()).ok();
                    shade = terminal::Hidden::enter();
                } else {
                    shade = None;
                }
            }
            part = said.recv() => match part {
                Some((Stream::Stdout, bytes)) if target.is_some() => {
                    if let Some(file) = &mut target
                        && let Err(error) = file.write_all(&bytes)
                    {
                        return Err(BackupError::Write(error).into());
                    }
                }
                Some((stream, bytes)) => if let Err(error) = terminal::write(stream, &bytes)
                    && error.kind() == io::ErrorKind::BrokenPipe
                {
                    break Ok(BROKEN_PIPE);
                },
                None => match ended.take() {
                    Some(result) => break result,
                    // The output is at its end, the exit status is still on its way.
                    None => break running.as_mut().await,
                },
            },
            result = running.as_mut(), if ended.is_none() => {
                ended = Some(result);
                said.close();
            }
            Some(()) = next(&mut window) => {
                if raw.is_some() {
                    resized.send_replace(terminal::size());
                }
            }
            Some(()) = next(&mut terminate) => break Ok(128 + 15),
            Some(()) = next(&mut interrupt) => break Ok(128 + 2),
        }
    };
    drop(running);
    drop(shade);
    drop(raw);
    let exit_code = answered.map_err(|error| not_answering(data_dir, &error))?;
    if let Some(file) = target
        && exit_code == 0
    {
        let place = file.place().display().to_string();
        file.finish().map_err(BackupError::Write)?;
        say(Stream::Stdout, &format!("{place}\n"));
    }
    Ok(exit_code)
}

/// The next signal; never where it could not be set up.
pub(super) async fn next(signal: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

pub(super) fn not_answering(data_dir: &Path, error: &NotAnswering) -> Problem {
    let dir = data_dir.display();
    match error {
        NotAnswering::NotRunning => Problem::new(
            Kind::Unavailable,
            "mini is not running on this data directory",
            format!("nothing answers at {dir}/run/api.sock"),
            format!(
                "Start it with `systemctl start mini` or `mini server --data-dir {dir}`, name the right one with --data-dir, \
                 or a server elsewhere: mini --host ssh://mini@SERVER:2222 ..."
            ),
        ),
        NotAnswering::NotAllowed => Problem::new(
            Kind::Forbidden,
            "You may not use the server of this data directory",
            format!("{dir} belongs to another user"),
            "Use `sudo`, or ssh: `ssh -p 2222 mini@localhost apps:list`",
        ),
        NotAnswering::Lost(source) => Problem::new(
            Kind::Unavailable,
            "The connection to the server ended before the command did",
            source.to_string(),
            "What was begun may go on; look with `builds:list` or `ps:report`, and at the log of the server",
        ),
    }
}

/// Keys are managed without a server too, so that the first one can be added. The store keeps a server out meanwhile. The doctor
/// says what keeps one from running.
async fn alone(data_dir: &Path, command: AnyCommand, options: Options) -> Result<u8, Problem> {
    if let AnyCommand::Doctor(doctor) = command {
        return Ok(show(&unserved::look(doctor, data_dir).await, options));
    }
    if !data_dir.join("mini.db").exists() && !matches!(command, AnyCommand::SshKeysAdd(_)) {
        return Err(not_answering(data_dir, &NotAnswering::NotRunning));
    }
    super::server::make_data_dir(data_dir)?;
    let store = Store::open(data_dir)?;
    let (output, mut said) = mpsc::channel(WAITING_OUTPUT);
    let session = Session {
        caller: Caller::Console,
        stdin: if command.reads_input() {
            terminal::stdin()
        } else {
            mpsc::channel(1).1
        },
        cut: Cut::default(),
        output,
        terminal: watch::channel(None).1,
        hidden: None,
    };
    let mut dialog = Dialog::new(session, options);
    let exit_code = match command {
        AnyCommand::SshKeysAdd(add) => add
            .apply(&store, &mut dialog)
            .await
            .map(|a| show(&a, options)),
        AnyCommand::SshKeysList(list) => list.apply(&store).await.map(|a| show(&a, options)),
        AnyCommand::SshKeysAuthorized(one) => {
            one.apply(&store, data_dir).await.map(|a| show(&a, options))
        }
        AnyCommand::SshKeysRemove(remove) => remove.apply(&store).await.map(|a| show(&a, options)),
        _ => Err(not_answering(data_dir, &NotAnswering::NotRunning)),
    };
    drop(dialog);
    while let Some((stream, bytes)) = said.recv().await {
        // What cannot be printed to our own terminal cannot be told to anyone.
        let _ = terminal::write(stream, &bytes);
    }
    store.close().await?;
    exit_code
}
