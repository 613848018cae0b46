//! The `mini` program: the server, the hooks, and a client of the server for everything else.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::settings::DATA_DIR;
use super::terminal::{self, Raw};
use crate::commands::{self, AnyCommand, Dialog, Options, Parsed, Session};
use crate::engine::Stream;
use crate::http::{self, Ends, Invocation, NotAnswering};
use crate::model::{Caller, Kind, Problem};
use crate::ssh::hook_client;
use crate::store::{Store, StoreError};

/// How much of standard input is read at once, bytes.
const CHUNK: usize = 32 * 1024;

/// Runs the program with the words after its name; returns the exit status.
pub fn run(mut words: Vec<String>) -> u8 {
    match words.first().map(String::as_str) {
        // Hooks start for every push: no runtime, no settings.
        Some("hook") => return hook_client::run(words.get(1).map_or("", String::as_str)),
        Some("server") => return super::server(words.split_off(1)),
        Some(_) | None => {}
    }
    let data_dir = match take_data_dir(&mut words) {
        Ok(data_dir) => data_dir,
        Err(problem) => return refuse(&problem),
    };
    if words.is_empty() {
        words.push("help".to_owned());
    }
    if words.first().is_some_and(|word| word == "buildpacks:detect") {
        return detect(&words);
    }
    let size = terminal::size();
    let screen = Options {
        colour: std::io::IsTerminal::is_terminal(&std::io::stdout()),
        columns: size.map(|size| size.columns).filter(|columns| *columns > 0),
        ..Options::default()
    };
    match commands::parse(words, screen) {
        Parsed::Command(command, options) => with_runtime(client(data_dir, command, options)),
        Parsed::Text { stream, text, exit_code } => {
            print(stream == Stream::Stderr, &text);
            exit_code
        }
    }
}

/// Writes to standard output or standard error. A reader that is gone is no failure of ours.
pub(super) fn print(is_error: bool, text: &str) {
    let _ = if is_error {
        std::io::stderr().lock().write_all(text.as_bytes())
    } else {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    };
}

fn refuse(problem: &Problem) -> u8 {
    print(true, &problem.to_terminal());
    problem.exit_code()
}

fn with_runtime(work: impl Future<Output = u8>) -> u8 {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            print(true, &format!(" !     mini could not start: {error}\n"));
            1
        }
    }
}

/// Takes `--data-dir DIR` out of the words. After `run` the words are the app's own, and stay.
fn take_data_dir(words: &mut Vec<String>) -> Result<PathBuf, Problem> {
    let end = words.iter().position(|word| word == "run" || word == "--").unwrap_or(words.len());
    let is_flag = |word: &String| word == "--data-dir" || word.starts_with("--data-dir=");
    let Some(index) = words.iter().take(end).position(is_flag) else {
        let variable = std::env::var_os("MINI_DATA_DIR");
        return Ok(variable.map_or_else(|| DATA_DIR.into(), PathBuf::from));
    };
    let flag = words.remove(index);
    if let Some(value) = flag.strip_prefix("--data-dir=") {
        return Ok(value.into());
    }
    if index < words.len() {
        return Ok(words.remove(index).into());
    }
    Err(Problem::new(Kind::Usage, "--data-dir needs a folder", "", ""))
}

fn detect(words: &[String]) -> u8 {
    let parsed = <commands::buildpacks::Detect as clap::Args>::augment_args(
        clap::Command::new("mini buildpacks:detect"),
    );
    let matches = match parsed.try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            print(error.use_stderr(), &error.render().to_string());
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let found = <commands::buildpacks::Detect as clap::FromArgMatches>::from_arg_matches(&matches)
        .map_err(|error| Problem::new(Kind::Usage, error.to_string(), "", ""))
        .and_then(|detect| commands::buildpacks::detect(&detect));
    match found {
        Ok(text) => {
            print(false, &text);
            0
        }
        Err(problem) => refuse(&problem),
    }
}

/// Has a command run by the server of `data_dir`, or here where it needs none.
async fn client(data_dir: PathBuf, command: AnyCommand, options: Options) -> u8 {
    let is_raw = commands::wants_terminal(&command) && terminal::is_interactive();
    let terminal_size = if terminal::is_interactive() { terminal::size() } else { None };
    let (sizes, terminal) = watch::channel(terminal_size);
    let raw = if is_raw { Raw::enter() } else { None };
    watch_size(sizes);
    let (output, written) = mpsc::channel(64);
    let writer = tokio::spawn(write_output(written));
    let invocation = Invocation { command: command.clone(), options, terminal: terminal_size };
    let ends = Ends { stdin: read_stdin(), output: output.clone(), terminal: terminal.clone() };
    let answered = http::run(&data_dir, invocation, ends).await;
    let code = match answered {
        Ok(code) => Ok(code),
        Err(NotAnswering::NotRunning) => {
            let session = Session {
                caller: Caller::Console,
                stdin: read_stdin(),
                output: output.clone(),
                terminal,
            };
            offline(&data_dir, command, Dialog::new(session, options)).await
        }
        Err(error) => Err(not_answering(&data_dir, &error)),
    };
    drop(output);
    let _ = writer.await;
    drop(raw);
    code.unwrap_or_else(|problem| refuse(&problem))
}

/// What works without a server: keys, on the store itself.
async fn offline(data_dir: &Path, command: AnyCommand, mut dialog: Dialog) -> Result<u8, Problem> {
    if !commands::works_offline(&command) {
        return Err(not_answering(data_dir, &NotAnswering::NotRunning));
    }
    let opened = data_dir.to_owned();
    let store = tokio::task::spawn_blocking(move || Store::open(&opened))
        .await
        .map_err(|error| Problem::new(Kind::Internal, "the database was not opened", error.to_string(), ""))?;
    let store = match store {
        Err(StoreError::InUse { .. }) => {
            return Err(not_answering(data_dir, &NotAnswering::NotRunning));
        }
        other => other?,
    };
    let code = commands::run_offline(command, &store, &mut dialog).await;
    store.close().await?;
    code
}

fn not_answering(data_dir: &Path, error: &NotAnswering) -> Problem {
    let shown = data_dir.display();
    match error {
        NotAnswering::NotRunning => Problem::new(
            Kind::Unavailable,
            "mini is not running here",
            format!("no server answers on the data directory {shown}"),
            format!("start it with `mini server --data-dir {shown}`, or name another with --data-dir"),
        ),
        NotAnswering::NotAllowed => Problem::new(
            Kind::Forbidden,
            "the server's socket may not be used",
            format!("the data directory {shown} belongs to another user"),
            "run this as the user mini runs as, or with sudo",
        ),
        NotAnswering::Lost(cause) => Problem::new(
            Kind::Unavailable,
            "the connection to the server was lost",
            cause.to_string(),
            "see whether mini still runs; a deploy that went on is found with builds:list",
        ),
    }
}

/// Standard input, read on a thread of its own: a terminal has no other way.
fn read_stdin() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut chunk = vec![0; CHUNK];
        while let Ok(length) = stdin.read(&mut chunk) {
            let read = chunk.get(..length).unwrap_or_default();
            if read.is_empty() || sender.blocking_send(Bytes::copy_from_slice(read)).is_err() {
                break;
            }
        }
    });
    receiver
}

async fn write_output(mut chunks: mpsc::Receiver<(Stream, Bytes)>) {
    use tokio::io::AsyncWriteExt;
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    while let Some((stream, chunk)) = chunks.recv().await {
        let written = match stream {
            Stream::Stdout => async { stdout.write_all(&chunk).await?; stdout.flush().await }.await,
            Stream::Stderr => async { stderr.write_all(&chunk).await?; stderr.flush().await }.await,
        };
        // Nobody reads any more (`mini logs | head`): the sender notices by the closed channel.
        if written.is_err() {
            break;
        }
    }
}

fn watch_size(sizes: watch::Sender<Option<crate::engine::TerminalSize>>) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else {
        return;
    };
    tokio::spawn(async move {
        while changes.recv().await.is_some() {
            if sizes.send(terminal::size()).is_err() {
                break;
            }
        }
    });
}
