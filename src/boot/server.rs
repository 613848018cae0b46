//! `mini server`: start, run, stop, in this order.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use clap::ArgMatches;

use super::control::Control;
use super::front::Front;
use super::settings::{self, Settings, Sources};
use super::signals::{Signals, Wish};
use super::successor::{self, Outcome};
use super::takeover::{Given, Taken, give, leave, take};
use super::wiring::Stores;
use super::{code_pages, log, ready, say, systemd};
use crate::commands::ssh_keys;
use crate::engine::Stream;
use crate::git::Repositories;
use crate::model::{Kind, Problem};
use crate::store::Store;

/// Reads the settings and runs the server until a signal ends it.
pub(super) fn run(flags: &ArgMatches) -> Result<u8, Problem> {
    let sources = Sources {
        flags,
        variable: &|name| std::env::var_os(name),
        file: &|path| fs::read_to_string(path),
    };
    if flags.get_flag("check-config") {
        say(Stream::Stdout, &settings::in_force(&sources)?);
        return Ok(0);
    }
    let settings = settings::read(&sources)?;
    log::start(settings.has_json_log);
    make_data_dir(&settings.data_dir)?;
    let takes_over = flags.get_flag("takeover");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("mini")
        .build()
        .map_err(|error| {
            Problem::new(
                Kind::Unavailable,
                "The server could not be started",
                error.to_string(),
                "The machine may be out of threads or memory",
            )
        })?;
    let served = runtime.block_on(serve(&settings, takes_over));
    // Blocking reads that nobody waits for any more must not hold the process.
    runtime.shutdown_background();
    if served.is_err() && !takes_over {
        // Only then, for the lock of a server that was killed a moment ago may still have been taken before.
        successor::leave_to_newer(&settings.data_dir);
    }
    served.map(|()| 0)
}

pub(super) fn make_data_dir(path: &Path) -> Result<(), Problem> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path.join("run"))
        })
        .map_err(|error| {
            Problem::new(
                Kind::Unavailable,
                format!("The data directory {} could not be made", path.display()),
                error.to_string(),
                "Give a folder you may write: `--data-dir DIR`",
            )
        })
}

async fn serve(settings: &Settings, takes_over: bool) -> Result<(), Problem> {
    let mut signals = Signals::new()?;
    check_git().await?;
    let taken = match takes_over {
        true => tokio::select! {
            taken = take(settings) => taken?,
            () = signals.next() => {
                tracing::info!("the takeover is called off; the running server goes on");
                return Ok(());
            }
        },
        false => None,
    };
    if takes_over && taken.is_none() {
        tracing::info!("no server runs on this data directory: an ordinary start");
    }
    let Some((front, mut control)) = start(settings, taken, &mut signals).await? else {
        return Ok(());
    };
    let stopped = loop {
        let offer = tokio::select! {
            offer = front.door.next() => offer,
            wish = signals.next_wish() => match wish {
                Wish::End => break Ok(Some(control)),
                Wish::Successor => {
                    successor::start(&settings.data_dir);
                    continue;
                }
            },
        };
        match give(offer, control, &front, settings, &mut signals).await {
            Ok(Given::Not(resumed)) => control = resumed,
            Ok(Given::Stopped(control)) => break Ok(control),
            Ok(Given::To(heir)) => {
                Outcome::Serves.tell(&settings.data_dir);
                tracing::info!("the new server serves; this one finishes what it has in flight");
                tokio::select! {
                    () = leave(front, heir, settings.drain) => {}
                    () = signals.next() => tracing::warn!("ended at once on a signal"),
                }
                return Ok(());
            }
            Err(problem) => break Err(problem),
        }
    };
    tracing::info!("stopping; apps keep running");
    systemd::stopping();
    let (control, result) = match stopped {
        Ok(control) => (control, Ok(())),
        Err(problem) => (None, Err(problem)),
    };
    let access_logs = front.access_logs.clone();
    // Whoever comes from here on is refused, or waits where systemd keeps the socket.
    let proxy = match control {
        Some(_) => front.close(),
        // Who has the data directory has its sockets too.
        None => front.leave().0,
    };
    let drained = async {
        proxy.shutdown(settings.drain).await;
        access_logs.close().await;
    };
    let orderly = async {
        match control {
            Some(control) => control.stop(drained).await,
            None => drained.await,
        }
    };
    tokio::select! {
        () = orderly => {}
        () = signals.next() => tracing::warn!("ended at once on a second signal"),
    }
    result
}

/// Starts everything, on what was taken over if it was; `None` when a signal came before that was done. Dropped in the
/// middle, or failed, it leaves all to the server before.
async fn start(
    settings: &Settings,
    mut taken: Option<Taken>,
    signals: &mut Signals,
) -> Result<Option<(Front, Control)>, Problem> {
    let (passed, in_use) = match &mut taken {
        Some(taken) => (
            std::mem::take(&mut taken.passed),
            std::mem::take(&mut taken.in_use),
        ),
        None => Default::default(),
    };
    let takes_over = taken.is_some();
    let started = async {
        let stores = Stores::open(settings).await?;
        add_keys(&stores.store, settings).await?;
        let front = Front::open(settings, passed, in_use)?;
        let control = Control::start(settings, stores, &front).await?;
        if takes_over {
            // From here on it does without the server before.
            front.proxy.handle().accepts().await;
        }
        Ok::<_, Problem>((front, control))
    };
    let withdrawn = async {
        match &mut taken {
            Some(taken) => taken.withdrawn().await,
            None => std::future::pending().await,
        }
    };
    let (front, control) = tokio::select! {
        started = started => started?,
        problem = withdrawn => return Err(problem),
        () = signals.next() => return Ok(None),
    };
    if let Some(taken) = taken {
        // It ends with the server before. Who has to know waits for what it writes.
        tokio::spawn(taken.ready(front.used_before.clone()));
    }
    ready::announce(&front.facts);
    systemd::ready();
    tokio::spawn(systemd::keep_watchdog());
    tokio::spawn(code_pages::keep_few());
    Ok(Some((front, control)))
}

/// A server that cannot receive a push is no use to anyone.
async fn check_git() -> Result<(), Problem> {
    let version = Repositories::version().await.map_err(|error| {
        Problem::new(
            Kind::Unavailable,
            "mini needs git",
            error.to_string(),
            "Install it: `apt-get install git`",
        )
    })?;
    tracing::debug!(version, "git");
    Ok(())
}

async fn add_keys(store: &Store, settings: &Settings) -> Result<(), Problem> {
    for path in &settings.authorized_keys {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            Problem::new(
                Kind::Invalid,
                format!("The keys in {shown} could not be read"),
                error.to_string(),
                "Give the file of a public key: `--authorized-key ~/.ssh/id_ed25519.pub`",
            )
        })?;
        let fallback = path.file_stem().unwrap_or_default().to_string_lossy();
        let added = ssh_keys::add_all(store, &text, &fallback)
            .await
            .map_err(|problem| Problem {
                what: format!("The keys in {shown} could not be added"),
                why: problem.what,
                ..problem
            })?;
        for name in added {
            tracing::info!(%name, "an SSH key was added");
        }
    }
    Ok(())
}
