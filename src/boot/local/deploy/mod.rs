//! `mini deploy`: a folder of this machine, packed and sent to a server, which builds and runs it as it does a push.
//!
//! A server takes it through one of the two doors it has: from a laptop over ssh, by the same key and the same check of the
//! host as `git push`, and on the server's own machine by the API's socket. Either way it is the command
//! `git:from-archive APP --create --as-is`, and the deploy belongs to the server from the last byte on.

mod archive;
mod files;
mod folder;
mod memory;
mod server;

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::archive::Packed;
use self::folder::Folder;
use self::memory::{Kept, Memory};
use self::server::Server;
use super::host::Host;
use crate::boot::client::{block_on, next};
use crate::boot::say;
use crate::engine::Stream;
use crate::model::{AppName, Kind, Problem};

/// Pieces of the archive that may wait for the connection: 512 KiB.
const WAITING_PIECES: usize = 8;
/// The exit status after Ctrl-C, as a shell has it.
const INTERRUPTED: u8 = 128 + 2;

/// Deploy a folder of this machine: mini deploy --host ssh://mini@your-server:2222
///
/// Packs the folder and sends it to the server, which builds and runs it as it does a push; what it says is shown as it comes,
/// the address of the app at the end. In a git work tree .gitignore is honoured; elsewhere .git, node_modules and the like stay
/// out. What .dockerignore leaves out is not sent, but for what says how to build and run the app, such as its Dockerfile.
///
/// From a laptop it goes over ssh, with your key, your ~/.ssh/config and the check of the host that git uses, too
/// (GIT_SSH_COMMAND is honoured). On the server's own machine it needs no host. The app is created by its first deploy. In a git
/// work tree app and host are remembered as the remote `mini`, elsewhere in .mini/deploy.toml, so that `mini deploy` is enough
/// from then on.
///
/// Ctrl-C while the folder is sent leaves nothing behind; after that the deploy goes on by itself, and `builds:output APP
/// current` shows it again. The exit status says how the deploy ended.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    /// The folder
    #[arg(value_name = "DIR", default_value = ".", value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
    /// The app; else the one remembered here, else named like the folder
    #[arg(long, value_name = "NAME")]
    app: Option<AppName>,
    /// The server, as ssh takes it: a name of ~/.ssh/config, USER@HOST, or ssh://USER@HOST:PORT; else the one remembered here
    #[arg(long, value_name = "HOST", env = "MINI_HOST")]
    host: Option<Host>,
}

impl Deploy {
    /// `named` is the data directory that was asked for, `usual` the one that is taken where none was.
    pub(super) fn run(self, named: Option<PathBuf>, usual: &Path) -> Result<u8, Problem> {
        let folder = Folder::open(&self.dir)?;
        let kept = Memory::of(&folder).read()?;
        let host = match &named {
            Some(_) => self.host,
            None => self.host.or_else(|| kept.host.clone()),
        };
        let server = match (host, named) {
            (Some(host), _) => Server::Ssh(host),
            (None, named) => Server::Local {
                data_dir: named.clone().unwrap_or_else(|| usual.to_owned()),
                is_named: named.is_some(),
            },
        };
        let is_remembered = kept.app.is_some();
        let is_chosen = self.app.is_some();
        let app = match self.app.or(kept.app) {
            Some(app) => app,
            None => folder.app_name()?,
        };
        block_on(async move {
            if !is_remembered {
                first(&folder, &server, &app, is_chosen).await?;
            }
            deploy(folder, &server, &app).await
        })
    }
}

/// What goes before the first deploy from a folder: the server is reached, the app is not somebody else's, and both are
/// remembered.
async fn first(
    folder: &Folder,
    server: &Server,
    app: &AppName,
    is_chosen: bool,
) -> Result<(), Problem> {
    let exists = server.ask(&["apps:exists", app.as_str()]).await?;
    let missing = Problem::no_such_app(app).exit_code();
    if exists.code != 0 && exists.code != missing {
        return Err(exists.into_problem(server));
    }
    if exists.code == 0 && !is_chosen {
        return Err(Problem::new(
            Kind::Taken,
            format!("There is an app {app} already, so nothing was deployed"),
            format!(
                "{app} is only the name of this folder, and it was not deployed to that app from here before"
            ),
            format!(
                "If it is that app that you mean: mini deploy --app {app}; else give the new one another name: mini deploy --app NAME"
            ),
        ));
    }
    Memory::of(folder).write(&Kept {
        app: Some(app.clone()),
        host: server.host().cloned(),
    })
}

async fn deploy(folder: Folder, server: &Server, app: &AppName) -> Result<u8, Problem> {
    let chosen = tokio::task::spawn_blocking(move || files::choose(folder)).await;
    let chosen = chosen.map_err(|_| lost())??;
    say(
        Stream::Stdout,
        &format!("-----> Sending {} to {server}\n", chosen.summary()),
    );
    for warning in &chosen.warnings {
        say(Stream::Stderr, &format!(" !     {warning}\n"));
    }
    let (pieces, packed) = mpsc::channel(WAITING_PIECES);
    let mut packing = tokio::task::spawn_blocking(move || archive::pack(&chosen, pieces));
    let words = ["git:from-archive", app.as_str(), "--create", "--as-is"];
    let mut running = Box::pin(server.run(&words, packed));
    let mut stops = Stops::new();
    let mut sent = None;
    loop {
        tokio::select! {
            biased;
            ended = &mut packing, if sent.is_none() => match ended.map_err(|_| lost())? {
                // Dropped here, unsent, the end of the archive is missing: the server takes no part for the whole.
                Err(problem) => return Err(problem),
                Ok(packed) => sent = Some(packed),
            },
            code = stops.next() => {
                say(Stream::Stderr, &left(server, app, sent == Some(Packed::Whole)));
                return Ok(code);
            }
            code = &mut running => {
                let is_whole = sent == Some(Packed::Whole);
                return match code {
                    // The terminal has interrupted ssh as well, and it may be faster.
                    Ok(INTERRUPTED) => {
                        say(Stream::Stderr, &left(server, app, is_whole));
                        Ok(INTERRUPTED)
                    }
                    Ok(code) => Ok(code),
                    Err(lost) => Err(lost.into_problem(server, app, is_whole)),
                };
            }
        }
    }
}

/// What is said to somebody who leaves.
fn left(server: &Server, app: &AppName, is_whole: bool) -> String {
    if is_whole {
        format!(
            "\n !     You left; the deploy goes on. See it again: {}\n",
            server.line(&format!("builds:output {app} current"))
        )
    } else {
        "\n !     Nothing was deployed: the folder was not sent to its end\n".to_owned()
    }
}

/// The signals that end it.
struct Stops {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Stops {
    fn new() -> Self {
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
            hangup: signal(SignalKind::hangup()).ok(),
        }
    }

    /// The exit status that belongs to the next one.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            Some(()) = next(&mut self.interrupt) => INTERRUPTED,
            Some(()) = next(&mut self.terminate) => 128 + 15,
            Some(()) = next(&mut self.hangup) => 128 + 1,
            // Only where none of them could be set up.
            else => std::future::pending().await,
        }
    }
}

fn lost() -> Problem {
    Problem::new(
        Kind::Internal,
        "The folder was not packed, through a fault of mini",
        "",
        "Please report it",
    )
}
