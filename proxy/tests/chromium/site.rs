//! The app behind the proxy, over HTTP/1.1: it answers what the page asks for.

use crate::browser::Browser;
use crate::world::{App, header, read_head};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

const PAGE: &str = include_str!("page.html");
/// A browser on a busy machine takes its time to start.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Site {
    pub(crate) app: App,
    reports: mpsc::Receiver<Value>,
}

/// What connections share.
#[derive(Clone)]
struct Desk {
    reports: mpsc::Sender<Value>,
    /// The last event the page said it has got.
    got: watch::Sender<String>,
}

impl Site {
    pub(crate) async fn start() -> Site {
        let (sender, reports) = mpsc::channel(1);
        let desk = Desk {
            reports: sender,
            got: watch::Sender::default(),
        };
        let app = App::raw("site", move |stream, _| serve(stream, desk.clone())).await;
        Site { app, reports }
    }

    pub(crate) async fn report(&mut self, browser: &Browser) -> Value {
        let report = tokio::time::timeout(PATIENCE, self.reports.recv()).await;
        match report {
            Ok(Some(report)) => report,
            _ => panic!("the browser reports nothing:\n{}", browser.log()),
        }
    }
}

async fn serve(stream: TcpStream, desk: Desk) {
    let mut stream = BufReader::new(stream);
    loop {
        let head = read_head(&mut stream).await;
        let Some(target) = head.split(' ').nth(1) else {
            return;
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let answered = match path {
            "/" => answer(&mut stream, "200 OK", "text/html", PAGE).await,
            "/number" => {
                let text = format!("number {query}");
                answer(&mut stream, "200 OK", "text/plain", &text).await
            }
            "/text" => {
                let text = "text ".repeat(20_000);
                answer(&mut stream, "200 OK", "text/plain", &text).await
            }
            "/socket" => return echo(stream, &head).await,
            "/events" => events(&mut stream, &desk).await,
            "/got" | "/upload" | "/report" => {
                let body = body(&mut stream, &head).await;
                let length = body.len().to_string();
                match path {
                    "/got" => {
                        desk.got.send_replace(String::from_utf8(body).unwrap());
                    }
                    "/report" => {
                        let report = serde_json::from_slice(&body).unwrap();
                        desk.reports.send(report).await.unwrap();
                    }
                    _ => {}
                }
                answer(&mut stream, "200 OK", "text/plain", &length).await
            }
            _ => answer(&mut stream, "404 Not Found", "text/plain", "nothing").await,
        };
        if answered.is_err() {
            return;
        }
    }
}

type Stream = BufReader<TcpStream>;

async fn answer(stream: &mut Stream, status: &str, kind: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await
}

/// A body with its length or in chunks, as the proxy sends it on.
async fn body(stream: &mut Stream, head: &str) -> Vec<u8> {
    use tokio::io::AsyncBufReadExt as _;
    let mut body = Vec::new();
    if let Some(length) = header(head, "content-length") {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await.unwrap();
        return body;
    }
    if header(head, "transfer-encoding").is_none() {
        return body;
    }
    loop {
        let mut size = String::new();
        stream.read_line(&mut size).await.unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).await.unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&chunk[..size]);
    }
}

/// Three events, each after the page has said that it got the one before.
async fn events(stream: &mut Stream, desk: &Desk) -> std::io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let mut got = desk.got.subscribe();
    for (id, event) in (1..).zip(["one", "two", "three"]) {
        let text = format!("id: {id}\ndata: {event}\n\n");
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        stream.write_all(chunk.as_bytes()).await?;
        if got.wait_for(|got| got == event).await.is_err() {
            return Ok(());
        }
    }
    stream.write_all(b"0\r\n\r\n").await
}

/// A WebSocket (RFC 6455) that sends every frame back.
async fn echo(mut stream: Stream, head: &str) {
    let key = header(head, "sec-websocket-key").unwrap_or_default();
    // Section 1.3.
    let key = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes()));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    // Section 5.2: the final bit and the kind, the length, the mask, the content.
    while let Ok(first) = stream.read_u8().await {
        let second = stream.read_u8().await.unwrap();
        let length = match second & 0x7f {
            126 => u64::from(stream.read_u16().await.unwrap()),
            127 => stream.read_u64().await.unwrap(),
            length => u64::from(length),
        };
        let mut mask = [0; 4];
        assert_eq!(second & 0x80, 0x80, "a client masks");
        stream.read_exact(&mut mask).await.unwrap();
        let mut content = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut content).await.unwrap();
        for (byte, mask) in content.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        let mut frame = vec![first];
        match (u8::try_from(content.len()), u16::try_from(content.len())) {
            (Ok(length @ ..126), _) => frame.push(length),
            (_, Ok(length)) => {
                frame.push(126);
                frame.extend(length.to_be_bytes());
            }
            (_, Err(_)) => {
                frame.push(127);
                frame.extend((content.len() as u64).to_be_bytes());
            }
        }
        frame.extend(content);
        if stream.write_all(&frame).await.is_err() {
            return;
        }
        // Close: said back, and over.
        if first & 0x0f == 8 {
            return;
        }
    }
}
