//! Doors for fuzz targets (`src/tests/fuzz`) into what is private, and a proxy that runs in memory, by a clock that jumps to the
//! next thing that would happen. Compiled with `--cfg fuzzing` only.

use crate::certificates::Certificates;
use crate::client::{Ends, Seat};
use crate::connection;
use crate::deadline;
use crate::forwarded::Said;
use crate::handle::{ProxyHandle, Shared};
use crate::path::PathPrefix;
use crate::proxy_protocol;
use crate::redirect::{Asked, Destination};
use crate::settings::ProxySettings;
use crate::socket::Socket;
use crate::stamps::Random;
use crate::table::RouteTable;
use crate::tls::{Tls, Unsecured};
use crate::trace;
use crate::worker::Setup;
use arc_swap::ArcSwap;
use http::{HeaderMap, Uri};
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, Interest, ReadBuf,
    duplex, split,
};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep, timeout};

/// Longer, by the clock of the conversation, than anything a proxy waits for.
const LONGEST: Duration = Duration::from_secs(1000);
/// By the same clock, shorter than all of that: it passes when there is nothing else to do.
const QUIET: Duration = Duration::from_millis(100);
const PIPE_BYTES: usize = 64 * 1024;

type Dialled = (SocketAddr, DuplexStream);

type Shown = (Arc<ArcSwap<Certificates>>, Arc<Tls>);

thread_local! {
    /// Made once: it takes longer than most of what is tried with it.
    static TLS: Shown = {
        let shown = Arc::<ArcSwap<Certificates>>::default();
        #[expect(clippy::expect_used, reason = "without random numbers there is nothing to fuzz")]
        let tls = Tls::new(Arc::clone(&shown)).expect("the system gives random numbers");
        (shown, Arc::new(tls))
    };
    static DIALLED: RefCell<Option<UnboundedSender<Dialled>>> = const { RefCell::new(None) };
}

/// Connects to an upstream of the conversation this thread is in.
pub(crate) async fn dial(address: SocketAddr) -> io::Result<Stream> {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let (ours, theirs) = duplex(PIPE_BYTES);
    DIALLED
        .with_borrow(|dialled| {
            dialled
                .as_ref()
                .and_then(|to| to.send((address, theirs)).ok())
        })
        .ok_or_else(refused)?;
    Ok(ours.into())
}

/// A connection over TCP, or one in memory.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Memory(DuplexStream),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Stream {
        Stream::Tcp(stream)
    }
}

impl From<DuplexStream> for Stream {
    fn from(stream: DuplexStream) -> Stream {
        Stream::Memory(stream)
    }
}

impl Stream {
    /// In memory there is no event to wait for: whoever asks is let try.
    pub(crate) fn try_io<T>(
        &self,
        interest: Interest,
        io: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Stream::Tcp(stream) => stream.try_io(interest, io),
            Stream::Memory(_) => io(),
        }
    }
}

impl Stream {
    /// Whoever waits for something to read is let try.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => stream.poll_read_ready(cx),
            Stream::Memory(_) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Stream::Memory(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

fn runtime() -> LocalRuntime {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default());
    #[expect(
        clippy::expect_used,
        reason = "without a runtime there is nothing to fuzz"
    )]
    runtime.expect("a runtime without sockets can be made")
}

/// Has one client send these pieces to a proxy with this table; `upstream` plays every upstream. Answers what the client got.
/// With an empty piece the client waits until all that has been sent has had its effect.
///
/// # Panics
/// When the proxy does not end the connection of a client that has gone.
pub fn converse<F>(
    table: RouteTable,
    settings: ProxySettings,
    sent: Vec<Vec<u8>>,
    upstream: impl Fn(SocketAddr, DuplexStream) -> F + 'static,
) -> Vec<u8>
where
    F: Future<Output = ()> + 'static,
{
    let runtime = runtime();
    runtime.block_on(async move {
        spawn_local(deadline::watch());
        let (dialled, mut connections) = mpsc::unbounded_channel();
        DIALLED.set(Some(dialled));
        spawn_local(async move {
            while let Some((address, stream)) = connections.recv().await {
                spawn_local(upstream(address, stream));
            }
        });
        let shared = Arc::new(Shared::new(1, None));
        let ledger = shared.ledgers.first().map(Arc::clone).unwrap_or_default();
        let handle = ProxyHandle {
            shared: Arc::clone(&shared),
        };
        handle.set_table(table);
        let setup = Setup {
            index: 0,
            sockets: Vec::new(),
            shared,
            settings: Arc::new(settings),
            tls: TLS.with(|(_, tls)| Arc::clone(tls)),
            https_port: None,
            started: std::sync::mpsc::channel().0,
            end: mpsc::channel(1).0,
        };
        let worker = setup.worker(ledger);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let ends = Ends {
            peer: address,
            local: address,
            own_port: None,
            is_tls_in_front: false,
        };
        let seat = Seat {
            open: worker.open.enter(&Rc::default()),
            visit: None,
        };
        let (client, proxy) = duplex(PIPE_BYTES);
        let mut served = spawn_local(connection::serve(worker, proxy, ends, seat));
        let (mut from, mut to) = split(client);
        let got = Rc::new(RefCell::new(Vec::new()));
        let reading = spawn_local({
            let got = Rc::clone(&got);
            async move {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = from.read(&mut buffer).await {
                    let read = buffer.get(..read).unwrap_or_default();
                    got.borrow_mut().extend_from_slice(read);
                }
            }
        });
        let client = async {
            for piece in sent {
                if to.write_all(&piece).await.is_err() {
                    break;
                }
                if piece.is_empty() {
                    sleep(QUIET).await;
                }
                yield_now().await;
            }
            // It stays, and waits for what it may get.
            let _ = timeout(LONGEST, &mut served).await;
        };
        let _ = timeout(LONGEST, client).await;
        drop(to);
        reading.abort();
        let _ = reading.await;
        let is_over = served.is_finished() || timeout(LONGEST, served).await.is_ok();
        assert!(is_over, "the client has gone, and its connection stays");
        DIALLED.set(None);
        got.take()
    })
}

/// How a handshake ended that a client began and did not go on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hello {
    /// It named no server.
    Nameless,
    /// It named one that has no certificate.
    Unknown(String),
    /// It asked for the answer to a challenge, and got it.
    Challenge(String),
    /// It came to nothing in another way.
    Failed,
    /// It was completed.
    Secured,
}

/// Has a client send these bytes where TLS is expected, and nothing more. Answers what it got, and what became of it.
pub fn hello(certificates: Certificates, bytes: &[u8]) -> (Vec<u8>, Hello) {
    TLS.with(|tls| {
        let (shown, tls) = tls;
        shown.store(Arc::new(certificates));
        runtime().block_on(async {
            let (mut client, proxy) = duplex(1024 * 1024);
            let _ = client.write_all(bytes).await;
            let _ = client.shutdown().await;
            let ended = match tls.accept(Socket::new(proxy)).await {
                Ok(_) => Hello::Secured,
                Err(Unsecured::Nameless) => Hello::Nameless,
                Err(Unsecured::Unknown(name)) => Hello::Unknown(name.into()),
                Err(Unsecured::Challenge(name)) => Hello::Challenge(name.into()),
                Err(Unsecured::Failed(_)) => Hello::Failed,
            };
            let mut got = Vec::new();
            let _ = client.read_to_end(&mut got).await;
            (got, ended)
        })
    })
}

/// The host a `Host` header names.
pub fn routing_name(header: &str) -> Option<String> {
    crate::host::routing_name(header).map(Into::into)
}

/// The `Location` a redirect answers with.
pub fn location(to: &Destination, host: &str, target: &Uri, prefix: Option<&PathPrefix>) -> String {
    to.location(Asked {
        scheme: "https",
        host,
        target,
        prefix,
    })
}

/// What is left of a path behind a prefix that is stripped.
pub fn strip(prefix: &PathPrefix, path: &str) -> String {
    prefix.strip_from(path)
}

/// The header of the PROXY protocol these bytes begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relayed {
    /// None, and it cannot become one.
    Refused,
    /// It may become one.
    Incomplete,
    /// So long, from this client, which had connected there; and whether over TLS.
    Header(usize, Option<(SocketAddr, SocketAddr)>, bool),
}

/// The longest header of the PROXY protocol that is read, in bytes.
pub const MAX_RELAYED_BYTES: usize = proxy_protocol::MAX_BYTES;

/// Reads a header of the PROXY protocol.
pub fn relayed(bytes: &[u8]) -> Relayed {
    match proxy_protocol::parse(bytes) {
        Err(_) => Relayed::Refused,
        Ok(proxy_protocol::Parsed::Incomplete) => Relayed::Incomplete,
        Ok(proxy_protocol::Parsed::Header(header, length)) => {
            let ends = header.ends.map(|ends| (ends.client, ends.server));
            Relayed::Header(length, ends, header.is_tls)
        }
    }
}

/// Whom `X-Forwarded-For`, `Forwarded` and their kin name, where these proxies are trusted: client, TLS, port.
pub fn said(
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> (Option<IpAddr>, Option<bool>, Option<u16>) {
    let said = Said::by(headers, is_trusted);
    (said.client, said.is_https, said.port)
}

/// The `traceparent` an upstream gets.
pub fn traced(mut headers: HeaderMap, is_introduced: bool) -> HeaderMap {
    trace::carry_on(&mut headers, is_introduced, &Random::new());
    headers
}
