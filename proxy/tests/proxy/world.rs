//! Apps, clients and a proxy between them, all on ports the system picks.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mini_proxy::{
    Listeners, Proxy, ProxyHandle, ProxySettings, RouteTable, Service, ServiceState, Upstream,
};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

/// A test that hangs fails instead, well below the time a test runner gives up after.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("gave up waiting: {what}"),
    }
}

/// An app: something that listens, and counts the connections made to it.
pub(crate) struct App {
    pub(crate) upstream: Upstream,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl App {
    /// An HTTP app with the given answers.
    pub(crate) async fn http<H, F>(id: &str, handler: H) -> App
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        App::raw(id, move |stream, _| {
            let handler = handler.clone();
            async move {
                let service = service_fn(move |request| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
        })
        .await
    }

    /// An app that answers everything with its id.
    pub(crate) async fn named(id: &str) -> App {
        let body = id.to_owned();
        App::http(id, move |_| {
            let body = body.clone();
            async move { Response::new(Full::from(body)) }
        })
        .await
    }

    /// An app that does with each connection what it is told; the number counts connections from 0.
    pub(crate) async fn raw<H, F>(id: &str, handler: H) -> App
    where
        H: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        App::on(listener, id, handler)
    }

    /// The same on a socket that listens already.
    pub(crate) fn on<H, F>(listener: TcpListener, id: &str, handler: H) -> App
    where
        H: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut serving = ServingTasks::default();
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                serving
                    .0
                    .push(tokio::spawn(handler(stream, number)).abort_handle());
            }
        });
        App {
            upstream: Upstream {
                id: id.into(),
                address,
            },
            connections,
            task,
        }
    }

    /// An app that is not there: its port refuses.
    pub(crate) async fn absent(id: &str) -> App {
        let app = App::raw(id, |_, _| async {}).await;
        let upstream = app.upstream.clone();
        app.kill().await;
        App {
            upstream,
            connections: Arc::default(),
            task: tokio::spawn(async {}),
        }
    }

    /// Connections made to it so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends it as a killed process ends: listener and connections closed.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

#[derive(Default)]
struct ServingTasks(Vec<AbortHandle>);

impl Drop for ServingTasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// A running proxy.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    pub(crate) handle: ProxyHandle,
    pub(crate) address: SocketAddr,
}

pub(crate) fn settings(threads: usize) -> ProxySettings {
    ProxySettings {
        threads,
        ..ProxySettings::default()
    }
}

impl World {
    pub(crate) fn start(settings: ProxySettings) -> World {
        let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), settings.threads).unwrap();
        let address = listeners.local_address();
        let proxy = Proxy::start(vec![listeners], settings).unwrap();
        // The first table opens the doors.
        proxy.handle().set_table(mini_proxy::RouteTable::default());
        World {
            handle: proxy.handle(),
            proxy,
            address,
        }
    }

    /// One data thread, host `app` served by these apps.
    pub(crate) fn with(apps: &[&App]) -> World {
        World::with_settings(settings(1), apps)
    }

    pub(crate) fn with_settings(settings: ProxySettings, apps: &[&App]) -> World {
        let world = World::start(settings);
        world.route(apps);
        world
    }

    /// Serves host `app` by these apps and no other.
    pub(crate) fn route(&self, apps: &[&App]) {
        let upstreams: Vec<Upstream> = apps.iter().map(|app| app.upstream.clone()).collect();
        self.handle
            .set_table(table("app", Service::serving("app", upstreams)));
    }

    /// What was counted for the service behind `app`.
    pub(crate) fn counts(&self) -> mini_proxy::ServiceCounts {
        let counters = self.handle.counters();
        counters.services.get("app").copied().unwrap_or_default()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Reply {
        self.client().await.ask(request).await
    }
}

pub(crate) fn table(host: &str, service: Service) -> RouteTable {
    let mut table = RouteTable::default();
    table.insert(host.parse().unwrap(), Arc::new(service));
    table
}

pub(crate) fn service_in(state: ServiceState) -> Service {
    Service {
        state,
        ..Service::serving("app", [])
    }
}

/// A client that writes and reads text as it is on the wire.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: BufReader<S>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// The body as text; what is none is replaced.
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// A header's value in a head, as the first line that has it says.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (line_name, value) = line.split_once(':')?;
        line_name.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream: BufReader::new(stream),
        }
    }

    /// Leaves in a way that cannot be taken for waiting: by a reset.
    pub(crate) fn leave(self) {
        let stream = self.stream.into_inner();
        let socket = socket2::SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Reply {
        self.send(request).await;
        self.reply().await
    }

    /// Reads a whole answer; one to a HEAD is read with [`Client::head`].
    pub(crate) async fn reply(&mut self) -> Reply {
        let head = self.head().await;
        let mut body = Vec::new();
        if header(&head, "transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk_bytes().await {
                body.extend(chunk);
            }
            assert_eq!(self.head().await, "", "trailers");
        } else if let Some(length) = header(&head, "content-length") {
            body.resize(length.parse().unwrap(), 0);
            patiently("a body", self.stream.read_exact(&mut body))
                .await
                .unwrap();
        }
        let status = head
            .split(' ')
            .nth(1)
            .map_or(0, |status| status.parse().unwrap());
        Reply {
            status,
            head,
            body: String::from_utf8_lossy(&body).into_owned(),
            bytes: body,
        }
    }

    /// Reads a head up to its empty line; empty at the end of the stream.
    pub(crate) async fn head(&mut self) -> String {
        read_head(&mut self.stream).await
    }

    /// Reads one chunk of a chunked body; `None` is the last one.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        let chunk = self.chunk_bytes().await?;
        Some(String::from_utf8(chunk).unwrap())
    }

    /// The same, of bytes that need not be text. Trailers are left for [`Client::head`].
    pub(crate) async fn chunk_bytes(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        patiently("a chunk", self.stream.read_line(&mut size))
            .await
            .unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            return None;
        }
        let mut chunk = vec![0; size + 2];
        patiently("a chunk", self.stream.read_exact(&mut chunk))
            .await
            .unwrap();
        chunk.truncate(size);
        Some(chunk)
    }

    pub(crate) async fn read_text(&mut self, length: usize) -> String {
        let mut text = vec![0; length];
        patiently("text", self.stream.read_exact(&mut text))
            .await
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    /// Waits for the other side to close; answers what came before.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is as good an end as any.
        let _ = patiently("the end", self.stream.read_to_end(&mut rest)).await;
        String::from_utf8(rest).unwrap()
    }
}

/// Reads a head up to its empty line, which is left out.
pub(crate) async fn read_head<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> String {
    let mut head = String::new();
    loop {
        let before = head.len();
        let read = patiently("a head", stream.read_line(&mut head)).await;
        if read.unwrap_or(0) == 0 || &head[before..] == "\r\n" {
            head.truncate(before);
            return head;
        }
    }
}

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";
