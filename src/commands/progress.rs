//! Shows a deploy while it goes on, and waits for processes to be as they were asked to be.

use futures_util::StreamExt;

use super::{Dialog, Platform};
use crate::deploy::Attached;
use crate::engine::Stream;
use crate::events::{Event, EventBody, render};
use crate::model::{AppName, Kind, Problem};

/// Prints the events of a deploy as they come and returns how it ended. A caller that leaves stops watching; the deploy
/// goes on.
pub(super) async fn follow(dialog: &mut Dialog, attached: Attached) -> Result<(), Problem> {
    let mut events = attached.events;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = dialog.gone() => return Err(left()),
        };
        match event {
            // The outcome brings the same problem, and the door prints it.
            Some(event) if matches!(event.body, EventBody::Failed { .. }) => {}
            Some(event) => show(dialog, &event).await,
            None => break,
        }
    }
    tokio::select! {
        outcome = attached.outcome => outcome,
        () = dialog.gone() => Err(left()),
    }
}

/// Prints one event.
pub(super) async fn show(dialog: &Dialog, event: &Event) {
    let Some(mut text) = render(event) else {
        return;
    };
    text.push('\n');
    match event.body {
        EventBody::Warning { .. } | EventBody::Failed { .. } => {
            dialog.write(Stream::Stderr, text).await;
        }
        EventBody::Header { .. } | EventBody::Section { .. } if dialog.options().quiet => {}
        EventBody::StepStarted { .. }
        | EventBody::Header { .. }
        | EventBody::Section { .. }
        | EventBody::Line { .. }
        | EventBody::StepFinished { .. }
        | EventBody::Done => dialog.progress(text).await,
    }
}

/// Waits until the processes of an app are as the store has them.
pub(super) async fn settle(
    platform: &Platform,
    app: &AppName,
    dialog: &mut Dialog,
) -> Result<(), Problem> {
    let what = "does not run as it was asked to";
    tokio::select! {
        settled = platform.reconciler.settled(app) => settled.map_err(|why| unmet(app, what, why)),
        () = dialog.gone() => Err(left()),
    }
}

/// Waits until no process of a stopped app runs any more: requests in flight are finished first.
pub(super) async fn stopped(
    platform: &Platform,
    app: &AppName,
    dialog: &mut Dialog,
) -> Result<(), Problem> {
    let over = async {
        platform.reconciler.settled(app).await?;
        platform.reconciler.ended(app).await
    };
    tokio::select! {
        ended = over => ended.map_err(|why| unmet(app, "is not stopped yet", why)),
        () = dialog.gone() => Err(left()),
    }
}

fn unmet(app: &AppName, what: &str, why: String) -> Problem {
    Problem::new(
        Kind::AppFailed,
        format!("{app} {what}"),
        why,
        format!("See `ps:report {app}` and `logs {app}`; the wish is kept and tried again"),
    )
}

/// The caller has left before the end.
pub(super) fn left() -> Problem {
    Problem::new(
        Kind::Canceled,
        "You left before it was done",
        "",
        "It goes on by itself; `builds:list` and `ps:report` show how it ends",
    )
}
