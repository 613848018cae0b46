//! The server's side of the hook socket: takes a hook's question to the pipeline and streams the answer back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};

use super::hook_frame::{About, Answer, Ask, receive, send};
use super::server::Shared;
use crate::deploy::{Attached, Push, RefUpdate};
use crate::events::{self, EventBody};
use crate::model::{Kind, Problem};

/// How long to wait after `accept` has failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The longest reason git is given for the line `! [remote rejected]`, characters.
const REASON_LIMIT: usize = 200;

/// Answers hooks until the server ends: pushes that drain still have questions.
pub(super) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.end.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared_here = shared.clone();
                shared.work.spawn(async move {
                    if let Err(error) = answer_all(stream, &shared_here).await {
                        tracing::debug!(%error, "a hook is gone");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed on the hook socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer_all(stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    while let Some(ask) = receive::<Ask>(&mut reader).await? {
        let (id, about) = (ask.push.clone(), ask.about);
        let answered = tokio::select! {
            result = answer(ask, &mut writer, shared) => result?,
            // A hook waits for its answer; it says something only by leaving. What it was attached to goes on.
            () = gone(&mut reader) => return Ok(()),
        };
        if about == About::Commit && answered.is_err() {
            shared.pushes.set_failed(&id);
        }
        send(&mut writer, &Answer::End(answered)).await?;
    }
    Ok(())
}

async fn gone(reader: &mut (impl AsyncRead + Unpin)) {
    // Whether it ends, fails or speaks out of turn, it is of no more use.
    let _ = reader.read_u8().await;
}

/// Answers one question; the inner error is the verdict, the outer one says that the hook is gone.
async fn answer(
    ask: Ask,
    writer: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
) -> io::Result<Result<(), String>> {
    let result = match understand(ask, shared) {
        Ok((about, push, updates)) => take(about, push, updates, writer, shared).await?,
        Err(problem) => Err((problem, false)),
    };
    match result {
        Ok(()) => Ok(Ok(())),
        Err((problem, is_shown)) => {
            if !is_shown {
                send(writer, &Answer::Text(problem.to_terminal())).await?;
            }
            Ok(Err(reason(&problem)))
        }
    }
}

fn understand(ask: Ask, shared: &Shared) -> Result<(About, Push, Vec<RefUpdate>), Problem> {
    let push = shared.pushes.find(&ask.push, ask.options);
    let push = push.ok_or_else(|| {
        Problem::new(
            Kind::Forbidden,
            "The server knows nothing of this push",
            "it has ended, or the server was restarted meanwhile",
            "push again",
        )
    })?;
    let updates: Result<Vec<_>, _> = ask.updates.into_iter().map(RefUpdate::try_from).collect();
    Ok((ask.about, push, updates?))
}

/// A verdict; a problem comes with whether it has been shown already.
type Verdict = Result<(), (Problem, bool)>;

async fn take(
    about: About,
    push: Push,
    updates: Vec<RefUpdate>,
    writer: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
) -> io::Result<Verdict> {
    let door = &shared.doors.pushes;
    let attached = match about {
        About::Admit => door.admit(&push, &updates).await.map(|()| None),
        About::Commit => door.commit(&push, &updates).await,
        About::Prepare => match updates.as_slice() {
            [update] => door.prepare(&push, update).await.map(Some),
            _ => Err(Problem::new(
                Kind::Internal,
                "The hook asked about several branches at once",
                "",
                "",
            )),
        },
    };
    match attached {
        Ok(Some(attached)) => follow(attached, writer).await,
        Ok(None) => Ok(Ok(())),
        Err(problem) => Ok(Err((problem, false))),
    }
}

/// Streams a deploy's lines as they come, then its outcome.
async fn follow(
    mut attached: Attached,
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Verdict> {
    let mut is_shown = false;
    while let Some(event) = attached.events.next().await {
        is_shown |= matches!(event.body, EventBody::Failed { .. });
        if let Some(mut text) = events::render(&event) {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            send(writer, &Answer::Text(text)).await?;
        }
    }
    let outcome = attached.outcome.await;
    if attached.is_moved.load(Ordering::Relaxed) {
        send(writer, &Answer::Moved).await?;
    }
    Ok(outcome.map_err(|problem| (problem, is_shown)))
}

/// One line without control characters: git prints it as it is.
fn reason(problem: &Problem) -> String {
    let line = problem.what.lines().next().unwrap_or_default();
    let text: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(REASON_LIMIT)
        .collect();
    match text.trim() {
        "" => "refused".to_owned(),
        text => text.to_owned(),
    }
}
