//! One connection's side of the protocol: which keys may log in, which requests are answered yes.

use std::collections::HashSet;
use std::sync::Arc;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};
use tokio::sync::{oneshot, watch};

use super::channel;
use super::request::is_env_accepted;
use super::server::Shared;
use crate::model::{Caller, SshKey};

/// The smallest RSA key that may log in, bits (NIST SP 800-131A: shorter ones are disallowed).
const RSA_BITS: u32 = 2048;

/// Where somebody has come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// A port: who it is has to be proved with a key.
    Network,
    /// The socket that only the user of this server and root can open: the machine's own SSH server has checked the key,
    /// and its fingerprint is given as the user.
    Machine,
}

/// What russh calls for one connection.
pub(super) struct Visitor {
    shared: Arc<Shared>,
    door: Door,
    caller: Option<Caller>,
    /// Told once, at the login, with which key it was.
    logged_in: Option<oneshot::Sender<String>>,
    /// How many channels are open.
    channels: watch::Sender<usize>,
    /// Channels whose work has begun: each does one thing (RFC 4254, section 6.5).
    begun: HashSet<ChannelId>,
}

/// Counts a channel for as long as it lives.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(channels: &watch::Sender<usize>) -> Self {
        channels.send_modify(|number| *number = number.saturating_add(1));
        Self(channels.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0
            .send_modify(|number| *number = number.saturating_sub(1));
    }
}

impl Visitor {
    pub(super) fn new(
        shared: Arc<Shared>,
        door: Door,
        logged_in: oneshot::Sender<String>,
        channels: watch::Sender<usize>,
    ) -> Self {
        Self {
            shared,
            door,
            caller: None,
            logged_in: Some(logged_in),
            channels,
            begun: HashSet::new(),
        }
    }

    /// The registered key this is, if it may log in.
    async fn look_up(&self, key: &PublicKey, algorithm: &Algorithm) -> Option<SshKey> {
        if !is_allowed(key, algorithm) {
            return None;
        }
        self.registered(&key.fingerprint(HashAlg::Sha256).to_string())
            .await
    }

    async fn registered(&self, fingerprint: &str) -> Option<SshKey> {
        match self.shared.doors.registry.key(fingerprint).await {
            Ok(found) => found,
            Err(problem) => {
                tracing::error!(problem = %problem, "keys could not be looked up");
                None
            }
        }
    }

    /// Who is asking, as long as the key that let them in is registered.
    async fn caller_now(&self) -> Option<Caller> {
        match self.caller.clone()? {
            Caller::Key { fingerprint, .. } => self.registered(&fingerprint).await.map(caller_with),
            // The console has no keys, and does not come this way.
            Caller::Console => None,
        }
    }

    fn let_in(&mut self, key: SshKey) -> Auth {
        self.caller = Some(caller_with(key));
        Auth::Accept
    }

    fn begin(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        if self.begun.insert(channel) {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }
}

fn caller_with(key: SshKey) -> Caller {
    Caller::Key {
        name: key.name,
        fingerprint: key.fingerprint,
    }
}

/// Ed25519, ECDSA, and RSA of some size with SHA-2; not DSA, not RSA with SHA-1.
fn is_allowed(key: &PublicKey, algorithm: &Algorithm) -> bool {
    match algorithm {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => true,
        Algorithm::Rsa { hash: Some(_) } => match key.key_data() {
            KeyData::Rsa(rsa) => rsa.key_size() >= RSA_BITS,
            _ => false,
        },
        _ => false,
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        if self.door != Door::Machine {
            return Ok(Auth::reject());
        }
        match self.registered(user).await {
            Some(found) => Ok(self.let_in(found)),
            None => Ok(Auth::reject()),
        }
    }

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        match self.look_up(offer.public_key, offer.algorithm).await {
            Some(_) => Ok(Auth::Accept),
            None => Ok(Auth::reject()),
        }
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        // Asked again: this is the key whose signature was checked, whatever was offered before.
        match self.look_up(key.public_key, key.algorithm).await {
            Some(found) => Ok(self.let_in(found)),
            None => Ok(Auth::reject()),
        }
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        if let (Some(logged_in), Some(Caller::Key { fingerprint, .. })) =
            (self.logged_in.take(), &self.caller)
        {
            // Nobody waits any more when the connection is being ended.
            let _ = logged_in.send(fingerprint.clone());
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if *self.channels.borrow() >= self.shared.settings.channels_per_connection {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let Some(caller) = self.caller_now().await else {
            let refused = ChannelOpenFailure::AdministrativelyProhibited;
            reply.reject(refused).await;
            return Ok(());
        };
        reply.accept().await;
        // Before it is counted: at no moment does the connection seem to have nothing to do.
        let working = self.shared.work.token();
        let counted = Counted::new(&self.channels);
        let shared = self.shared.clone();
        let id = channel.id();
        tracing::debug!(channel = ?id, caller = caller.actor(), "channel opened");
        self.shared.work.spawn(async move {
            let _held = (counted, working);
            channel::serve(channel, caller, shared).await;
        });
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.begun.remove(&channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _pixel_width: u32,
        _pixel_height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if is_env_accepted(name, value) {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.begin(channel, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.begin(channel, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _is_single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}
