//! One connection, from accept to close: the time a login may take, the time it may idle, its end.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Fuse, FusedFuture, FutureExt};
use russh::Disconnect;
use russh::server::{Handle, RunningSession, run_stream};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::admission::Admitted;
use super::login::{Door, Visitor};
use super::quickack::QuickAck;
use super::server::Shared;
use crate::model::Problem;

/// How long clients have to leave by themselves when the server ends or their key is removed.
const LEAVING: Duration = Duration::from_secs(1);

/// After how long a key is looked up again where the store could not be asked.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a client that is told to leave has for it.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a connection holds while it is there: its room, and that it counts as arriving until its first channel is open.
pub(super) type Held = (Admitted, TaskTrackerToken);

/// Serves a connection from the network to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, held: Held, shared: Arc<Shared>) {
    // Without it every small answer waits for the client's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY");
    }
    // A peer whose kernel acknowledges but takes nothing (a client that is stopped, or holds us up on purpose) would keep
    // the session from doing anything else, keep-alives included.
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(&stream)
        .set_tcp_user_timeout(Some(shared.settings.keepalive.saturating_mul(4)))
    {
        tracing::debug!(%peer, %error, "TCP_USER_TIMEOUT");
    }
    let client = Client {
        socket: second_handle(&stream),
        stream: QuickAck::new(stream),
        config: shared.config.clone(),
        door: Door::Network,
        peer: peer.to_string(),
    };
    talk(client, held, shared).await;
}

/// Serves a connection of [`local_client`](super::local_client) to its end.
pub(super) async fn serve_local(stream: UnixStream, held: Held, shared: Arc<Shared>) {
    let client = Client {
        socket: second_handle(&stream),
        stream,
        config: shared.local_config.clone(),
        door: Door::Machine,
        peer: "this machine".to_owned(),
    };
    talk(client, held, shared).await;
}

/// Who has connected, before a word is said.
struct Client<S> {
    stream: S,
    /// A second handle on the socket: the way to end a session that does not listen to us any more.
    socket: io::Result<socket2::Socket>,
    config: Arc<russh::server::Config>,
    door: Door,
    /// For the log.
    peer: String,
}

fn second_handle(stream: &impl AsFd) -> io::Result<socket2::Socket> {
    Ok(socket2::Socket::from(stream.as_fd().try_clone_to_owned()?))
}

async fn talk<S>(client: Client<S>, (mut admitted, arriving): Held, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Client {
        stream,
        socket,
        config,
        door,
        peer,
    } = client;
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!(%peer, %error, "connection dropped"),
    };
    let grace = sleep_until(Instant::now() + shared.settings.login_grace);
    tokio::pin!(grace);
    let (logged_in, login) = oneshot::channel();
    let (channels, open_channels) = watch::channel(0_usize);
    // From before the key is looked up: no removal is missed.
    let removals = shared.doors.registry.key_removals();
    let visitor = Visitor::new(shared.clone(), door, logged_in, channels);

    let session = tokio::select! {
        result = run_stream(config, stream, visitor) => result,
        () = &mut grace => return tracing::debug!(%peer, "no greeting in time"),
        () = shared.stop.cancelled() => return,
    };
    let session = match session {
        Ok(session) => session,
        Err(error) => return tracing::debug!(%peer, %error, "no SSH client"),
    };
    let handle = session.handle();
    // Fused, for it must not be asked again once it has ended.
    let mut session = session.fuse();
    let key = tokio::select! {
        biased;
        // Fails when the session is over; the next line finds that out.
        result = login => result.ok(),
        () = &mut grace => None,
        () = shared.stop.cancelled() => None,
    };
    if let Some(fingerprint) = key {
        admitted.logged_in();
        let key = Key {
            fingerprint,
            removals,
        };
        let channels = Channels {
            open: open_channels,
            arriving: Some(arriving),
        };
        let result = logged_in_until(&mut session, channels, key, &handle, &shared).await;
        tracing::debug!(%peer, ?result, "connection closed");
    } else {
        tracing::debug!(%peer, "not logged in");
    }
    if !session.is_terminated() {
        // Whatever it waits for on the wire ends now.
        let _ = socket.shutdown(Shutdown::Both);
        let _ = timeout(GOODBYE, session).await;
    }
}

/// The channels of a connection, as it waits for their coming and going.
struct Channels {
    open: watch::Receiver<usize>,
    /// Held until there was one.
    arriving: Option<TaskTrackerToken>,
}

/// The key that somebody has logged in with.
struct Key {
    fingerprint: String,
    removals: watch::Receiver<u64>,
}

impl Key {
    /// Resolves when it may not log in any more.
    async fn removed(self, shared: &Shared) {
        let registry = &shared.doors.registry;
        removed(self.removals, || registry.key(&self.fingerprint)).await;
    }
}

/// Resolves when a key is not found any more after a removal. Where the store cannot be asked, that is tried again for as
/// long as there are removals to come, and told in the log once.
async fn removed<K, F>(mut removals: watch::Receiver<u64>, look: impl Fn() -> F)
where
    F: Future<Output = Result<Option<K>, Problem>>,
{
    let mut is_told = false;
    let mut is_open = removals.changed().await.is_ok();
    while is_open {
        match look().await {
            Ok(None) => return,
            Ok(Some(_)) => {
                is_told = false;
                is_open = removals.changed().await.is_ok();
            }
            Err(problem) => {
                if !is_told {
                    tracing::error!(problem = %problem, "a key could not be looked up; it is tried again");
                    is_told = true;
                }
                let changed = timeout(LOOK_AGAIN, removals.changed()).await;
                is_open = !matches!(changed, Ok(Err(_)));
            }
        }
    }
    // The store is being closed.
    std::future::pending().await
}

/// Waits until the session is over, has idled too long, its key is removed, or the server ends.
async fn logged_in_until(
    session: &mut Fuse<RunningSession<Visitor>>,
    mut channels: Channels,
    key: Key,
    handle: &Handle,
    shared: &Shared,
) -> Result<(), russh::Error> {
    let removed = key.removed(shared);
    tokio::pin!(removed);
    loop {
        let is_idle = *channels.open.borrow_and_update() == 0;
        if !is_idle {
            channels.arriving = None;
        }
        let idle = sleep_until(Instant::now() + shared.settings.idle);
        tokio::select! {
            result = &mut *session => return result,
            // Its sender lives in the session; without it the session is over.
            changed = channels.open.changed() => if changed.is_err() {
                return session.await;
            },
            () = idle, if is_idle => return say_goodbye(session, handle, "idle for too long").await,
            () = &mut removed => return see_off(session, handle, "the key was removed").await,
            () = shared.end.cancelled() => {
                return see_off(session, handle, "the server is stopping").await;
            }
        }
    }
}

/// Ends a session that may be about to end by itself: OpenSSH takes a word of farewell that overtakes its last exit status for
/// a failure, and loses it. So whoever removes their own key is told that it was done.
async fn see_off(
    session: &mut Fuse<RunningSession<Visitor>>,
    handle: &Handle,
    reason: &str,
) -> Result<(), russh::Error> {
    match timeout(LEAVING, &mut *session).await {
        Ok(result) => result,
        Err(_) => say_goodbye(session, handle, reason).await,
    }
}

async fn say_goodbye(
    session: &mut Fuse<RunningSession<Visitor>>,
    handle: &Handle,
    reason: &str,
) -> Result<(), russh::Error> {
    let goodbye = async {
        let told = handle.disconnect(Disconnect::ByApplication, reason.to_owned(), String::new());
        // Fails when the session is over, which is what is wanted.
        let _ = told.await;
        session.await
    };
    within(GOODBYE, goodbye).await
}

/// The result of `work`, or `Ok` when it takes too long: whoever calls ends the session by force then.
async fn within(
    limit: Duration,
    work: impl Future<Output = Result<(), russh::Error>>,
) -> Result<(), russh::Error> {
    timeout(limit, work).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::model::Kind;

    /// Each connection asked a store that had been closed once a second, and said so in the log, to its end.
    #[tokio::test(start_paused = true)]
    async fn a_key_is_looked_up_again_until_the_store_is_closed() {
        let (sender, removals) = watch::channel(0);
        let looks = AtomicU32::new(0);
        let closed = || async {
            looks.fetch_add(1, Ordering::Relaxed);
            Err::<Option<()>, _>(Problem::new(Kind::Internal, "no keys", "the disk", ""))
        };
        let long = Duration::from_secs(600);
        let mut removed = std::pin::pin!(removed(removals, closed));
        sender.send_replace(1);
        assert!(timeout(long, &mut removed).await.is_err());
        let before = looks.load(Ordering::Relaxed);
        assert!(before > 1, "{before}");
        drop(sender);
        assert!(timeout(long, &mut removed).await.is_err());
        assert_eq!(looks.load(Ordering::Relaxed), before);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_gone_after_a_failure_is_noticed() {
        let (sender, removals) = watch::channel(0);
        let looks = AtomicU32::new(0);
        let look = || async {
            match looks.fetch_add(1, Ordering::Relaxed) {
                0 => Ok(Some(())),
                1 => Err(Problem::new(Kind::Internal, "no keys", "the disk", "")),
                _ => Ok(None),
            }
        };
        let mut removed = std::pin::pin!(removed(removals, look));
        sender.send_replace(1);
        assert!(timeout(LEAVING, &mut removed).await.is_err(), "there still");
        sender.send_replace(2);
        removed.await;
    }
}
