//! An answer as a strict client reads it.

use crate::world::{Client, header, patiently};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{HeaderMap, Request};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};

#[derive(Debug)]
pub(super) struct Seen {
    /// The heads that came before.
    pub(super) interims: Vec<String>,
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
    pub(super) trailers: String,
    /// It came to the end it says it has.
    pub(super) is_whole: bool,
}

impl Seen {
    /// What went wrong, if the proxy answered in the upstream's place.
    pub(super) fn error(&self) -> Option<&str> {
        header(&self.head, "proxy-status")?.strip_prefix("mini; error=")
    }

    /// Reads the next answer of a connection.
    pub(super) async fn over_http1(client: &mut Client, is_of_head: bool) -> Seen {
        let mut interims = Vec::new();
        let (head, status) = loop {
            let head = block(client).await;
            if head.is_empty() {
                return Seen::nothing(interims);
            }
            assert!(head.starts_with("HTTP/1."), "{head:?}");
            let status: u16 = head[9..12].parse().unwrap();
            is_hygienic(&head, status);
            if status >= 200 || status == 101 {
                break (head, status);
            }
            interims.push(head);
        };
        let mut seen = Seen {
            interims,
            status,
            head,
            body: String::new(),
            trailers: String::new(),
            is_whole: true,
        };
        if is_of_head || matches!(status, 101 | 204 | 304) {
            return seen;
        }
        let mut body = Vec::new();
        if header(&seen.head, "transfer-encoding").is_some() {
            seen.is_whole = chunks(client, &mut body).await.is_some();
            if seen.is_whole {
                seen.trailers = block(client).await;
            }
        } else if let Some(length) = header(&seen.head, "content-length") {
            let length = length.parse().unwrap();
            let mut limited = (&mut client.stream).take(length);
            let read = patiently("a body", limited.read_to_end(&mut body)).await;
            seen.is_whole = read.ok().map(|read| read as u64) == Some(length);
        } else {
            let reading = client.stream.read_to_end(&mut body);
            seen.is_whole = patiently("a body", reading).await.is_ok();
        }
        seen.body = String::from_utf8_lossy(&body).into_owned();
        if !seen.is_whole {
            assert_eq!(client.rest().await, "", "behind what broke off");
        }
        seen
    }

    /// The connection ended before an answer.
    fn nothing(interims: Vec<String>) -> Seen {
        Seen {
            interims,
            status: 0,
            head: String::new(),
            body: String::new(),
            trailers: String::new(),
            is_whole: false,
        }
    }

    /// Asks, and reads the answer.
    pub(super) async fn over_http2(
        sender: &mut SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> Seen {
        let answer = patiently("an answer", sender.send_request(request)).await;
        let Ok(answer) = answer else {
            return Seen::nothing(Vec::new());
        };
        let (parts, mut incoming) = answer.into_parts();
        let head = lines(&parts.headers);
        is_hygienic(&head, parts.status.as_u16());
        let mut seen = Seen {
            interims: Vec::new(),
            status: parts.status.as_u16(),
            head,
            body: String::new(),
            trailers: String::new(),
            is_whole: true,
        };
        while let Some(frame) = patiently("a body", incoming.frame()).await {
            let Ok(frame) = frame else {
                seen.is_whole = false;
                break;
            };
            match frame.into_data() {
                Ok(data) => seen.body.push_str(&String::from_utf8_lossy(&data)),
                Err(frame) => seen.trailers = lines(&frame.into_trailers().unwrap()),
            }
        }
        seen
    }
}

/// Reads lines up to an empty one, which is left out; empty at the end of the stream.
async fn block(client: &mut Client) -> String {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        let reading = client.stream.read_until(b'\n', &mut head);
        let read = patiently("a head", reading).await.unwrap_or(0);
        if read == 0 || &head[before..] == b"\r\n" {
            head.truncate(before);
            return String::from_utf8_lossy(&head).into_owned();
        }
    }
}

fn lines(fields: &HeaderMap) -> String {
    let lines = fields.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {value}\r\n")
    });
    lines.collect()
}

/// Reads chunks up to the last one; none if they stop before, or are none.
async fn chunks(client: &mut Client, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        let reading = client.stream.read_line(&mut line);
        patiently("a chunk", reading).await.ok()?;
        let size = line.strip_suffix("\r\n")?;
        let size = u64::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return Some(());
        }
        let mut limited = (&mut client.stream).take(size);
        let read = patiently("a chunk", limited.read_to_end(body)).await.ok()?;
        let mut end = [0; 2];
        patiently("the end of a chunk", client.stream.read_exact(&mut end))
            .await
            .ok()?;
        assert_eq!((read as u64, &end), (size, b"\r\n"));
    }
}

/// What no client must be told, whatever the upstream says.
fn is_hygienic(head: &str, status: u16) {
    let all = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let values = lines.filter(|line| line.0.eq_ignore_ascii_case(name));
        values.map(|line| line.1.trim()).collect::<Vec<_>>()
    };
    let lengths = all("content-length");
    let is_length = |length: &&str| {
        !length.is_empty() && length.len() < 20 && length.bytes().all(|byte| byte.is_ascii_digit())
    };
    assert!(
        lengths.len() <= 1 && lengths.iter().all(is_length),
        "one length (RFC 9110 section 8.6): {head}"
    );
    let codings = all("transfer-encoding");
    assert!(
        codings.is_empty() || codings == ["chunked"] && lengths.is_empty(),
        "one framing (RFC 9112 section 6.2): {head}"
    );
    if status == 204 || status < 200 {
        assert!(
            lengths.is_empty() && codings.is_empty(),
            "none for what has no body (RFC 9110 section 8.6): {head}"
        );
    }
    for name in ["keep-alive", "proxy-connection", "te", "x-hop"] {
        assert_eq!(all(name), [""; 0], "hop by hop: {head}");
    }
    if status != 101 {
        assert_eq!(all("upgrade"), [""; 0], "hop by hop: {head}");
    }
    for line in head.lines() {
        assert!(
            !line
                .bytes()
                .any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f),
            "a control: {line:?}"
        );
        if let Some((name, _)) = line.split_once(':') {
            assert!(!name.ends_with(' ') && !name.starts_with(' '), "{line:?}");
        }
    }
}
