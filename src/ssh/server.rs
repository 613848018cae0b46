//! The server as a whole: its start, its accept loops, its end.

use std::borrow::Cow;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::host_key::{self, HostKeyError};
use super::pushes::Pushes;
use super::spool::SpoolLimits;
use super::{SshDoors, SshSettings, connection, hook_socket, unix_socket};
use crate::commands::{UNREAD, own_program, stays_set};
use crate::model::AppName;

/// Why the SSH server could not start.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// There is no host key.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// A socket for this machine cannot be made.
    #[error("the socket {path} cannot be made")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said; `AddrInUse` when another server has this data directory.
        source: io::Error,
    },
    /// A listener cannot be used.
    #[error("a listening socket cannot be used")]
    Listener(#[source] io::Error),
    /// The path of this program, or of the data directory, is not known or not UTF-8.
    #[error("the path of {what} cannot be given to git")]
    Path {
        /// Of what.
        what: &'static str,
    },
}

/// How long to wait after `accept` has failed: it fails again at once when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The socket in `<data_dir>/run` where [`local_client`](super::local_client) connects.
pub(super) const LOCAL_SOCKET: &str = "ssh.sock";

/// How long a connection that has just come may take to ask for something before it is no longer waited for.
const ARRIVAL: Duration = Duration::from_secs(10);

/// What is kept in memory for each direction of a channel, bytes; the rest goes to disk.
const SPOOLED_IN_MEMORY_BYTES: u64 = 1 << 20;

/// What all connections share.
pub(super) struct Shared {
    pub(super) settings: SshSettings,
    pub(super) doors: SshDoors,
    pub(super) config: Arc<russh::server::Config>,
    /// For those whose key the machine's own SSH server has checked.
    pub(super) local_config: Arc<russh::server::Config>,
    pub(super) pushes: Pushes,
    /// `<data_dir>/run`.
    pub(super) run_folder: PathBuf,
    pub(super) hook_socket: String,
    pub(super) program: String,
    /// Nothing new is begun.
    pub(super) stop: CancellationToken,
    /// What still runs is ended.
    pub(super) end: CancellationToken,
    /// Channels and hooks.
    pub(super) work: TaskTracker,
    /// Connections that have not opened their first channel yet.
    pub(super) arriving: TaskTracker,
    /// While set, connections wait in the queue of their socket.
    is_paused: watch::Sender<bool>,
    /// Accept loops that may take a connection now.
    accepting: TaskTracker,
}

impl Shared {
    /// How much is kept of what one side sends and the other does not take yet.
    pub(super) fn spool_limits(&self) -> SpoolLimits {
        SpoolLimits {
            memory_bytes: SPOOLED_IN_MEMORY_BYTES,
            total_bytes: self.settings.spool_limit_bytes,
            folder: self.run_folder.clone(),
        }
    }

    /// Resolves when another server is about to take over and a client that takes nothing has been waited for long enough.
    pub(super) async fn gives_up(&self) {
        // Its sender is here: it cannot fail.
        stays_set(&mut self.is_paused.subscribe(), UNREAD).await;
    }
}

/// The running SSH server with its hook socket.
pub struct SshServer {
    shared: Arc<Shared>,
    /// Accept loops and connections.
    connections: TaskTracker,
    addresses: Vec<SocketAddr>,
    fingerprint: String,
}

impl SshServer {
    /// Starts to serve on sockets that listen already. Makes the host key and `<data_dir>/run` if they are missing.
    /// Must be called within a tokio runtime.
    pub fn start(
        listeners: Vec<StdTcpListener>,
        settings: SshSettings,
        doors: SshDoors,
    ) -> Result<Self, SshError> {
        let data_dir = std::path::absolute(&settings.data_dir).map_err(|_| SshError::Path {
            what: "the data directory",
        })?;
        let key = host_key::load_or_make(&data_dir)?;
        let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let run_folder = data_dir.join("run");
        let socket_path = run_folder.join("hook.sock");
        make_run_folder(&run_folder).map_err(|source| SshError::Socket {
            path: run_folder.clone(),
            source,
        })?;
        let hooks = listen(&socket_path)?;
        let local = listen(&run_folder.join(LOCAL_SOCKET))?;
        let program = match settings.program.clone() {
            Some(program) => program,
            None => own_program().map_err(|_| SshError::Path {
                what: "this program",
            })?,
        };
        let shared = Arc::new(Shared {
            config: Arc::new(config(&settings, key.clone(), MethodKind::PublicKey)),
            local_config: Arc::new(config(&settings, key, MethodKind::None)),
            pushes: Pushes::default(),
            run_folder,
            hook_socket: text(&socket_path, "the data directory")?,
            program: text(&program, "this program")?,
            stop: CancellationToken::new(),
            end: CancellationToken::new(),
            work: TaskTracker::new(),
            arriving: TaskTracker::new(),
            is_paused: watch::Sender::new(false),
            accepting: TaskTracker::new(),
            settings,
            doors,
        });
        let connections = TaskTracker::new();
        let admission = Admission::new(shared.settings.connections);
        let mut addresses = Vec::new();
        let mut ready = vec![Listener::Machine(local)];
        for listener in listeners {
            listener.set_nonblocking(true).map_err(SshError::Listener)?;
            let listener = TcpListener::from_std(listener).map_err(SshError::Listener)?;
            addresses.push(listener.local_addr().map_err(SshError::Listener)?);
            ready.push(Listener::Network(listener));
        }
        for listener in ready {
            connections.spawn(accept(
                listener,
                admission.clone(),
                connections.clone(),
                shared.clone(),
            ));
        }
        connections.spawn(hook_socket::serve(hooks, shared.clone()));
        Ok(Self {
            shared,
            connections,
            addresses,
            fingerprint,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The fingerprint of the host key, as `ssh` shows it on the first connection.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Accepts no more connections until [`SshServer::resume`]; they wait in the queue of their socket. What is connected
    /// goes on.
    pub async fn pause(&self) {
        self.shared.is_paused.send_replace(true);
        self.shared.accepting.close();
        self.shared.accepting.wait().await;
    }

    /// Accepts again, first what has waited.
    pub fn resume(&self) {
        self.shared.is_paused.send_replace(false);
    }

    /// Resolves when no push, fetch or command is going on. To be asked while paused: a connection that has just come
    /// is given 10 seconds to say what it wants.
    pub async fn idle(&self) {
        let Shared { arriving, work, .. } = &*self.shared;
        arriving.close();
        if tokio::time::timeout(ARRIVAL, arriving.wait())
            .await
            .is_err()
        {
            tracing::debug!("a connection asks for nothing; it is not waited for");
        }
        // Closed, it still takes tasks; it only tells then that it is empty.
        work.close();
        work.wait().await;
    }

    /// The apps that are being pushed to now.
    pub fn pushes(&self) -> Vec<AppName> {
        self.shared.pushes.apps()
    }

    /// Whether any channel is at work, be it a push, a fetch or a command.
    pub fn is_at_work(&self) -> bool {
        !self.shared.work.is_empty()
    }

    /// Stops accepting and lets pushes and commands that run finish, for `drain` at most; then ends all connections.
    /// Hooks are answered until the end. Returns whether everything had finished by itself.
    pub async fn shutdown(self, drain: Duration) -> bool {
        self.shared.stop.cancel();
        self.shared.work.close();
        let is_drained = tokio::time::timeout(drain, self.shared.work.wait())
            .await
            .is_ok();
        self.shared.end.cancel();
        self.connections.close();
        self.connections.wait().await;
        is_drained
    }
}

/// Where connections arrive.
enum Listener {
    Network(TcpListener),
    /// See [`Door::Machine`](super::login::Door::Machine).
    Machine(UnixListener),
}

enum Arrival {
    Network(TcpStream, SocketAddr),
    Machine(UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Listener::Network(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Arrival::Network(stream, peer))
            }
            Listener::Machine(listener) => Ok(Arrival::Machine(listener.accept().await?.0)),
        }
    }
}

/// Our own loop: russh's ends at the first error, and knows no limits.
async fn accept(
    listener: Listener,
    admission: Admission,
    connections: TaskTracker,
    shared: Arc<Shared>,
) {
    let mut is_paused = shared.is_paused.subscribe();
    loop {
        let turn = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            // Its sender is in `shared`: it cannot fail.
            _ = is_paused.wait_for(|is_paused| !is_paused) => shared.accepting.token(),
        };
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            _ = is_paused.wait_for(|is_paused| *is_paused) => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(Arrival::Network(stream, peer)) => match admission.admit(peer.ip()) {
                Ok(admitted) => {
                    let held = (admitted, shared.arriving.token());
                    connections.spawn(connection::serve(stream, peer, held, shared.clone()));
                }
                Err(limit) => tracing::warn!(%peer, limit, "connection refused"),
            },
            Ok(Arrival::Machine(stream)) => match admission.admit_local() {
                Ok(admitted) => {
                    let held = (admitted, shared.arriving.token());
                    connections.spawn(connection::serve_local(stream, held, shared.clone()));
                }
                Err(limit) => tracing::warn!(limit, "connection of this machine refused"),
            },
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        drop(turn);
    }
}

fn config(
    settings: &SshSettings,
    key: russh::keys::PrivateKey,
    method: MethodKind,
) -> russh::server::Config {
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-mini")),
        methods: MethodSet::from(&[method][..]),
        // A public key is no secret that could be guessed by timing, and an agent offers several: no wait for any.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 6,
        keys: vec![key],
        inactivity_timeout: Some(settings.idle),
        keepalive_interval: Some(settings.keepalive),
        keepalive_max: 3,
        nodelay: true,
        preferred: Preferred {
            // The client's order decides, and OpenSSH puts chacha20 and AES-CTR before AES-GCM, which is twice as fast here
            // (CRATES.md, 14a): so nothing else is offered. OpenSSH has it since 6.2 (2013), libssh2 since 1.11.
            cipher: Cow::Borrowed(&[cipher::AES_256_GCM, cipher::AES_128_GCM]),
            // No compression: an attacker could make us inflate without end (CVE-2026-46702).
            compression: Cow::Borrowed(&[compression::NONE]),
            key: Cow::Borrowed(&[
                Algorithm::Ed25519,
                Algorithm::Ecdsa {
                    curve: EcdsaCurve::NistP256,
                },
                Algorithm::Ecdsa {
                    curve: EcdsaCurve::NistP384,
                },
                Algorithm::Ecdsa {
                    curve: EcdsaCurve::NistP521,
                },
                Algorithm::Rsa {
                    hash: Some(HashAlg::Sha512),
                },
                Algorithm::Rsa {
                    hash: Some(HashAlg::Sha256),
                },
            ]),
            ..Preferred::DEFAULT
        },
        ..russh::server::Config::default()
    }
}

/// Listens at a path, for this user only.
fn listen(path: &Path) -> Result<UnixListener, SshError> {
    let listen = || {
        let listener = unix_socket::bind(path)?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    };
    listen().map_err(|source| SshError::Socket {
        path: path.to_owned(),
        source,
    })
}

/// For this user only: it holds sockets and what users type.
fn make_run_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

fn text(path: &Path, what: &'static str) -> Result<String, SshError> {
    path.to_str()
        .map(str::to_owned)
        .ok_or(SshError::Path { what })
}
