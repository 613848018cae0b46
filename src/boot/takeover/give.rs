//! The running server's side.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use mini_proxy::ProxyHandle;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::door::Offer;
use super::link::{Message, Receiver, Sender};
use crate::boot::control::Control;
use crate::boot::front::Front;
use crate::boot::settings::Settings;
use crate::boot::signals::Signals;
use crate::boot::systemd;
use crate::boot::wiring::Stores;
use crate::model::{Kind, Problem};

/// How long commands without an end of their own (`logs -t`) may go on once someone takes over: long enough to show what
/// is on its way.
const FOLLOW_GRACE: Duration = Duration::from_secs(2);
/// How often it is looked what is waited for, and later what is in use.
const LOOK: Duration = Duration::from_millis(500);
/// How long the new server may take to open the data directory and find the containers; a migration is part of it.
const READY_WITHIN: Duration = Duration::from_secs(300);
/// How long a new server that failed may take to end, and the kernel to give its lock back.
const END_WITHIN: Duration = Duration::from_secs(30);
/// Between two tries to have the data directory back.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);

/// What came of it.
pub(in crate::boot) enum Given {
    /// Nothing: this server serves on.
    Not(Control),
    /// A signal came meanwhile: this server is to stop what it still has.
    Stopped(Option<Control>),
    /// The new server accepts.
    To(Heir),
}

/// The new server, as long as this one drains.
pub(in crate::boot) struct Heir(Sender);

/// Hands over to the one who made the `offer`.
///
/// # Errors
/// When the new server failed and this one could not go on either. Its proxy is all that is left of it then.
pub(in crate::boot) async fn give(
    offer: Offer,
    mut control: Control,
    front: &Front,
    settings: &Settings,
    signals: &mut Signals,
) -> Result<Given, Problem> {
    let Offer {
        mut sender,
        mut receiver,
        pid,
        version,
        wait,
    } = offer;
    tracing::info!(pid, version, "a new server takes over");
    systemd::reloading();
    let settled = tokio::select! {
        settled = settle(&control, wait, &mut sender) => settled,
        error = gone(&mut receiver) => Err(error),
        () = signals.next() => return Ok(Given::Stopped(Some(control))),
    };
    if let Err(error) = settled {
        tracing::warn!(%error, "the new server is gone before it took over; this one goes on");
        control.resume(front);
        systemd::ready();
        return Ok(Given::Not(control));
    }
    control.close().await;
    let handed_over = async {
        front.kept.send(&mut sender).await?;
        front.kept_ports()?.send(&mut sender).await?;
        let in_use = in_use(&front.proxy.handle(), &front.used_before);
        sender.send(&Message::Yours { in_use }, &[]).await?;
        match receiver.receive().await? {
            Some(Message::Ready) => Ok::<(), io::Error>(()),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    let is_ready = tokio::select! {
        is_ready = timeout(READY_WITHIN, handed_over) => is_ready.unwrap_or_else(|late| Err(late.into())),
        () = signals.next() => return Ok(Given::Stopped(None)),
    };
    let Err(error) = is_ready else {
        systemd::successor(pid);
        return Ok(Given::To(Heir(sender)));
    };
    tracing::warn!(%error, "the new server ended before it was ready; this one takes everything back");
    // One that is only slow has to end; one that is gone needs no word.
    let _ = sender.send(&Message::Withdrawn, &[]).await;
    let _ = timeout(END_WITHIN, gone(&mut receiver)).await;
    let control = async { Control::start(settings, reopen(settings).await?, front).await };
    let control = control.await.map_err(|problem| Problem {
        what: "A takeover failed, and this server could not go on".to_owned(),
        why: format!("{}: {}", problem.what, problem.why),
        ..problem
    })?;
    tracing::info!("this server goes on");
    systemd::ready();
    Ok(Given::Not(control))
}

/// Lets nothing new begin over SSH and waits until nothing goes on, `within` this time; what is left then is ended when
/// the control plane closes. Errs when the new server is gone.
async fn settle(control: &Control, within: Duration, link: &mut Sender) -> io::Result<()> {
    let end = sleep_until(Instant::now() + within);
    let grace = sleep(FOLLOW_GRACE);
    let idle = control.settle();
    tokio::pin!(end, grace, idle);
    let mut look = interval(LOOK);
    let mut said = String::new();
    let mut has_grace = true;
    loop {
        tokio::select! {
            () = &mut idle => return Ok(()),
            () = &mut end => {
                tracing::warn!(until = said, "waited long enough; what still goes on is ended");
                return Ok(());
            }
            () = &mut grace, if has_grace => {
                has_grace = false;
                control.end_follows();
            }
            _ = look.tick() => {
                let until = control.under_way();
                if !until.is_empty() && until != said {
                    tracing::info!("before the takeover: {until}");
                    link.send(&Message::Waiting { until: until.clone() }, &[]).await?;
                    said = until;
                }
            }
        }
    }
}

/// Resolves when the other side is gone, or speaks out of turn.
async fn gone(link: &mut Receiver) -> io::Error {
    match link.receive().await {
        Ok(None) => io::ErrorKind::UnexpectedEof.into(),
        Ok(Some(_)) => io::ErrorKind::InvalidData.into(),
        Err(error) => error,
    }
}

/// Opens the data directory again. A new server that has brought the databases forward before it failed has copied them
/// first, just as this one left them. The lock of a process that was killed is free once the kernel has come to it.
async fn reopen(settings: &Settings) -> Result<Stores, Problem> {
    let end = Instant::now() + END_WITHIN;
    loop {
        match Stores::take_back(settings).await {
            Err(problem) if problem.kind == Kind::Busy && Instant::now() < end => {
                sleep(REOPEN_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// What this process may still send requests to, and the one before it, if that one still drains.
fn in_use(proxy: &ProxyHandle, before: &watch::Sender<BTreeSet<String>>) -> BTreeSet<String> {
    let mut in_use = proxy.in_use();
    in_use.extend(before.borrow().iter().cloned());
    in_use
}

/// Accepts no more, finishes what is in flight within the drain time, and tells the new server what that concerns. The
/// server before this one is waited for as well, so that the new one hears of its requests too.
pub(in crate::boot) async fn leave(front: Front, Heir(mut link): Heir, drain: Duration) {
    let access_logs = front.access_logs.clone();
    let (proxy, used_before) = front.leave();
    let handle = proxy.handle();
    let mut before = used_before.subscribe();
    let left = async {
        proxy.hand_over(drain).await;
        access_logs.close().await;
        // Its sender is here: it cannot fail.
        let _ = before.wait_for(BTreeSet::is_empty).await;
    };
    let told = async {
        let mut look = interval(LOOK);
        let mut last = BTreeSet::new();
        loop {
            look.tick().await;
            let upstreams = in_use(&handle, &used_before);
            if upstreams != last {
                last.clone_from(&upstreams);
                if link.send(&Message::InUse { upstreams }, &[]).await.is_err() {
                    // It is gone too; whoever comes next looks for itself.
                    return std::future::pending().await;
                }
            }
        }
    };
    tokio::select! {
        () = left => {}
        () = told => {}
    }
}
