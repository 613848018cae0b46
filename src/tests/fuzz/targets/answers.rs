//! The bytes of an upstream through the whole proxy, and what its clients get of them. The first byte says in how large pieces the
//! upstream says them, whether it closes then, and what it is asked by whom.
//!
//! Never a panic, never a connection that stays. What `answer` reads as an answer by every letter reaches the client as it is; what it
//! cannot read as one by any, no client takes for a whole one. When the upstream has said all, the same client asks for something
//! else: it gets that, over a connection on which nothing was left to be read.
#![no_main]

#[path = "../answer.rs"]
mod answer;
#[expect(dead_code, reason = "what `requests` asks of it as well")]
#[path = "../reference.rs"]
mod reference;

use answer::{Answer, End, Reading, read};
use libfuzzer_sys::fuzz_target;
use mini_proxy::{ProxySettings, RouteTable, Service, Upstream, fuzzing};
use reference::Parsed;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::yield_now;

const SIZES: [usize; 8] = [4096, 1, 2, 3, 5, 7, 13, 64];
const NEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext";
/// An empty piece waits until nothing goes on any more.
const PAUSE: &[u8] = b"";
/// More than these need not be passed on.
const MOST_INTERIMS: usize = 5;
const MOST_FIELDS: usize = 60;

/// Who asks, and for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Client {
    Get,
    Head,
    Post,
    TakingTrailers,
    Old,
    OldAndStaying,
    Http2Get,
    Http2Head,
}

const CLIENTS: [Client; 8] = [
    Client::Get,
    Client::Head,
    Client::Post,
    Client::TakingTrailers,
    Client::Old,
    Client::OldAndStaying,
    Client::Http2Get,
    Client::Http2Head,
];

impl Client {
    fn is_http2(self) -> bool {
        matches!(self, Client::Http2Get | Client::Http2Head)
    }

    fn is_head(self) -> bool {
        matches!(self, Client::Head | Client::Http2Head)
    }

    fn is_old(self) -> bool {
        matches!(self, Client::Old | Client::OldAndStaying)
    }

    fn asks(self) -> Vec<Vec<u8>> {
        let next = "GET /next HTTP/1.1\r\nHost: app\r\n\r\n";
        let text = |text: &str| vec![text.into(), PAUSE.into(), next.into(), PAUSE.into()];
        match self {
            Client::Get => text("GET / HTTP/1.1\r\nHost: app\r\n\r\n"),
            Client::Head => text("HEAD / HTTP/1.1\r\nHost: app\r\n\r\n"),
            Client::Post => text("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello"),
            Client::TakingTrailers => {
                text("GET / HTTP/1.1\r\nHost: app\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
            }
            Client::Old => text("GET / HTTP/1.0\r\nHost: app\r\n\r\n"),
            Client::OldAndStaying => {
                text("GET / HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\n\r\n")
            }
            Client::Http2Get | Client::Http2Head => {
                let method = if self.is_head() { "HEAD" } else { "GET" };
                let mut begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
                begin.extend(headers(1, method, "/"));
                vec![
                    begin,
                    PAUSE.into(),
                    headers(3, "GET", "/next"),
                    PAUSE.into(),
                ]
            }
        }
    }
}

/// A frame with the fields of a request, each in letters (RFC 7541 section 6.2.2), which ends its stream.
fn headers(stream: u8, method: &str, path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", method),
        (":scheme", "http"),
        (":authority", "app"),
        (":path", path),
    ] {
        block.extend([0, name.len() as u8]);
        block.extend(name.bytes());
        block.push(value.len() as u8);
        block.extend(value.bytes());
    }
    let mut frame = vec![0, 0, block.len() as u8, 1, 5, 0, 0, 0, stream];
    frame.extend(block);
    frame
}

/// What became of the upstream's connections.
#[derive(Default)]
struct Seen {
    has_said: bool,
    /// Requests that came over the connection on which it had said what is under trial.
    came_after: usize,
    /// The first request came again, over another connection.
    is_repeated: bool,
}

fuzz_target!(|bytes: &[u8]| {
    let Some((how, said)) = bytes.split_first() else {
        return;
    };
    let size = SIZES[usize::from(how & 7)];
    let closes = how & 8 != 0;
    let client = CLIENTS[usize::from(how >> 4 & 7)];
    let said: Rc<[u8]> = said.into();
    let seen = Rc::new(RefCell::new(Seen::default()));
    let settings = ProxySettings {
        threads: 1,
        ..ProxySettings::default()
    };
    let got = fuzzing::converse(table(), settings, client.asks(), {
        let (said, seen) = (Rc::clone(&said), Rc::clone(&seen));
        move |_, stream| play(stream, Rc::clone(&said), (size, closes), Rc::clone(&seen))
    });
    let seen = seen.take();
    let trial = Trial {
        client,
        must: read(&said, client.is_head(), closes, Reading::Strict),
        may: read(&said, client.is_head(), closes, Reading::Lenient),
        said: &said,
        got: &got,
    };
    if !seen.has_said {
        return trial.fails("the upstream was not asked");
    }
    trial.is_connection_kept_rightly(&seen);
    if seen.is_repeated {
        // RFC 9110 section 9.2.2, and no byte of an answer came.
        if !said.is_empty() || !closes || client == Client::Post {
            trial.fails("a request was repeated");
        }
        return;
    }
    if client.is_http2() {
        trial.over_http2();
    } else {
        trial.over_http1();
    }
});

/// One input, and what came of it.
struct Trial<'a> {
    client: Client,
    must: (Answer, End),
    may: (Answer, End),
    said: &'a [u8],
    got: &'a [u8],
}

impl Trial<'_> {
    fn fails(&self, why: &str) {
        panic!(
            "{why}\nclient: {:?}\nsaid: {}\ngot:  {}\nby every letter: {:?}\nat best: {:?}",
            self.client,
            self.said.escape_ascii(),
            self.got.escape_ascii(),
            self.must,
            self.may
        );
    }

    /// Whether what was said has to be passed on.
    fn has_to_come(&self) -> bool {
        let (answer, end) = &self.must;
        matches!(end, End::Whole(_))
            && answer.interims <= MOST_INTERIMS
            && answer.fields.len() <= MOST_FIELDS
            && answer.trailers.len() <= MOST_FIELDS
    }

    fn is_connection_kept_rightly(&self, seen: &Seen) {
        if seen.came_after == 0 {
            return;
        }
        let (answer, end) = &self.may;
        if *end != End::Whole(self.said.len()) {
            self.fails("a request went over a connection with something left on it");
        }
        if !answer.is_persistent() {
            self.fails("a request went over a connection that was to be closed");
        }
    }

    /// What a client got of the answer: all of it, or a beginning.
    fn came(&self, status: Option<u16>, body: &[u8], is_whole: bool) {
        let (answer, end) = &self.may;
        let is_status = status.is_none_or(|status| status == answer.status);
        if self.has_to_come() && !(is_whole && is_status && body == self.must.0.body) {
            self.fails("an answer did not reach its client");
        }
        match (is_whole, end) {
            (true, End::Whole(_)) if is_status && body == answer.body => {}
            (true, _) => self.fails("a client takes for whole what is not"),
            (false, _) if answer.body.starts_with(body) => {}
            (false, _) => self.fails("a client got what was not said"),
        }
    }

    fn over_http1(&self) {
        // A client of HTTP/1.0 sees the end of an answer without a length in the end of its connection, and not whether it broke off.
        let (first, end) = read(
            self.got,
            self.client.is_head(),
            self.client.is_old(),
            Reading::Strict,
        );
        // RFC 9110 section 15 leaves statuses of no class to whoever reads them.
        if let End::Invalid(why) = end
            && why != answer::NO_CLASS
        {
            self.fails(&format!("a client got what is no answer: {why}"));
        }
        self.is_hygienic(&first);
        let length = match end {
            End::Whole(length) => Some(length),
            _ => None,
        };
        if first.is_own_page() {
            if self.has_to_come() {
                self.fails("an answer was refused");
            }
        } else if first.status >= 200 {
            let is_told = !self.client.is_old() || first.all("content-length").next().is_some();
            let is_whole = length.is_some();
            if is_told || self.has_to_come() {
                self.came(Some(first.status), &first.body, is_whole);
            } else {
                self.came(Some(first.status), &first.body, false);
            }
        } else if self.has_to_come() {
            self.fails("no answer came");
        }
        let Some(length) = length.filter(|_| !self.client.is_old() && first.is_persistent()) else {
            return;
        };
        let rest = &self.got[length..];
        let (next, end) = read(rest, false, false, Reading::Strict);
        if (next.status, &*next.body, end) != (200, b"next", End::Whole(rest.len())) {
            self.fails("what was asked next got another answer");
        }
    }

    fn is_hygienic(&self, answer: &Answer) {
        for name in ["keep-alive", "proxy-connection", "te", "upgrade"] {
            if answer.all(name).next().is_some() {
                self.fails("a hop-by-hop field (RFC 9110 section 7.6.1)");
            }
        }
        for (name, _) in &answer.trailers {
            let name = name.to_ascii_lowercase();
            let is_of_framing: [&[u8]; 7] = [
                b"content-length",
                b"transfer-encoding",
                b"connection",
                b"keep-alive",
                b"upgrade",
                b"trailer",
                b"host",
            ];
            if is_of_framing.contains(&&*name) {
                self.fails("a trailer that frames or routes (RFC 9110 section 6.5.1)");
            }
        }
    }

    fn over_http2(&self) {
        let mut streams = [Stream::default(), Stream::default()];
        let mut rest = self.got;
        while let [high, middle, low, kind, flags, _, _, _, stream, after @ ..] = rest {
            let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
            let Some(payload) = after.get(..length) else {
                break;
            };
            rest = &after[length..];
            let stream = match stream {
                1 => &mut streams[0],
                3 => &mut streams[1],
                _ => continue,
            };
            match kind {
                0 => stream.body.extend_from_slice(payload),
                1 => stream.has_head = true,
                3 => stream.is_reset = true,
                _ => {}
            }
            stream.is_whole |= matches!(kind, 0 | 1) && flags & 1 != 0;
        }
        let [first, next] = streams;
        // Without reading its fields a page is known by its lines only.
        let is_own_page = first.body.starts_with(b"error: ")
            && first.body.windows(8).any(|line| line == b"\nwhy:   ");
        // A page to HEAD cannot be told from an answer without reading its fields.
        if !is_own_page && first.has_head && (!self.client.is_head() || self.has_to_come()) {
            self.came(None, &first.body, first.is_whole && !first.is_reset);
        } else if self.has_to_come() {
            self.fails("no answer came");
        }
        if !next.is_whole || next.body != b"next" {
            self.fails("what was asked next got another answer");
        }
    }
}

#[derive(Default)]
struct Stream {
    body: Vec<u8>,
    has_head: bool,
    is_whole: bool,
    is_reset: bool,
}

fn table() -> RouteTable {
    let upstream = Upstream {
        id: "upstream".into(),
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
    };
    let mut table = RouteTable::default();
    let app = Service::serving("app", [upstream]);
    table.insert("app".parse().expect("a host"), Arc::new(app));
    table
}

/// An upstream that says what is under trial to the first request there is, and is a good one to all others.
async fn play(
    mut stream: DuplexStream,
    said: Rc<[u8]>,
    (size, closes): (usize, bool),
    seen: Rc<RefCell<Seen>>,
) {
    let mut unread = Vec::new();
    let mut is_its = false;
    loop {
        match reference::next(&unread, reference::Reading::OfUpstream) {
            Parsed::Complete(request, length) => {
                unread.drain(..length);
                let is_next = request.target == b"/next";
                let says = !std::mem::replace(&mut seen.borrow_mut().has_said, true);
                if is_its {
                    seen.borrow_mut().came_after += 1;
                } else if !says && !is_next {
                    seen.borrow_mut().is_repeated = true;
                }
                if !says {
                    if stream.write_all(NEXT).await.is_err() {
                        return;
                    }
                    continue;
                }
                is_its = true;
                for piece in said.chunks(size) {
                    if stream.write_all(piece).await.is_err() {
                        return;
                    }
                    yield_now().await;
                }
                if closes {
                    return;
                }
                continue;
            }
            Parsed::Partial => {}
            Parsed::Invalid(why) => panic!(
                "an upstream got what is no HTTP ({why}): {}",
                unread.escape_ascii()
            ),
        }
        match stream.read_buf(&mut unread).await {
            Ok(1..) => {}
            _ => return,
        }
    }
}
