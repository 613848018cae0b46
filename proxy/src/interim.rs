//! Interim answers: what an upstream says before its answer (1xx, RFC 9110 section 15.2), such as 103 Early Hints
//! (RFC 8297), on the way to the client.
//!
//! A proxy must pass them on, but a client is free to ignore them: what comes too late to go before the answer, or is more
//! than anybody needs, is left out.

use crate::headers;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode, Version};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Interim answers passed on for one request, and the bytes of their fields, together. Go's client gives up after five
/// (`max1xxResponses`, net/http/transport.go) or, newer, by their bytes; nginx takes heads of 4 or 8 KiB
/// (`proxy_buffer_size`).
const MOST: usize = 16;
const MOST_BYTES: usize = 16 * 1024;

/// The interim answers to one request after another, of which one at a time is waited for: pushed by whoever reads from the
/// upstream, taken by whoever writes to the client. Both are of one thread, but hyper's server, by which `line` is tried, does not know that.
#[derive(Clone, Debug)]
pub(crate) struct Interims {
    shared: Arc<Shared>,
    /// The client understands them.
    is_heard: bool,
}

#[derive(Debug, Default)]
struct Shared {
    is_awaited: AtomicBool,
    /// Whether `told` has any, to be asked without its lock.
    has_any: AtomicBool,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    waiting: VecDeque<Response<()>>,
    count: usize,
    bytes: usize,
}

/// As long as it lives, an answer is waited for.
#[derive(Debug)]
pub(crate) struct Awaited<'a>(&'a Interims);

impl Interims {
    pub(crate) fn new() -> Interims {
        Interims {
            shared: Arc::default(),
            is_heard: true,
        }
    }

    /// The same for a request of this version: HTTP/1.0 knows none (RFC 9110 section 15.2).
    pub(crate) fn of(&self, version: Version) -> Interims {
        Interims {
            shared: Arc::clone(&self.shared),
            is_heard: self.is_heard && version >= Version::HTTP_11,
        }
    }

    /// Begins to wait for an answer.
    pub(crate) fn wait(&self) -> Awaited<'_> {
        self.clear();
        self.shared.is_awaited.store(true, Ordering::Relaxed);
        if self.is_heard {
            let mut told = self.shared.lock();
            (told.count, told.bytes) = (0, 0);
        }
        Awaited(self)
    }

    /// Whether a request is waiting for its answer. What was said before it came can still be taken afterwards.
    pub(crate) fn is_awaited(&self) -> bool {
        self.shared.is_awaited.load(Ordering::Relaxed)
    }

    /// An upstream says this before its answer to the request that is waiting.
    pub(crate) fn push(&self, status: StatusCode, fields: &HeaderMap) {
        if self.is_heard {
            self.shared.push(status, fields);
        }
    }

    /// Tells the client that the body which it holds back is wanted (RFC 9110 section 10.1.1).
    pub(crate) fn go_on(&self) {
        let mut go_on = Response::new(());
        *go_on.status_mut() = StatusCode::CONTINUE;
        self.shared.tell(&mut self.shared.lock(), go_on);
    }

    pub(crate) fn has_any(&self) -> bool {
        self.shared.has_any.load(Ordering::Relaxed)
    }

    /// The next one; without a body, and without fields that concern only the upstream's connection.
    pub(crate) fn take(&self) -> Option<Response<()>> {
        if !self.has_any() {
            return None;
        }
        let mut told = self.shared.lock();
        let next = told.waiting.pop_front();
        let has_any = !told.waiting.is_empty();
        self.shared.has_any.store(has_any, Ordering::Relaxed);
        next
    }

    /// Lets go of those that nobody took.
    pub(crate) fn clear(&self) {
        while self.take().is_some() {}
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.shared.is_awaited.store(false, Ordering::Relaxed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, status: StatusCode, fields: &HeaderMap) {
        // We ask no upstream for it: our client gets its 100 when the upstream takes the body.
        if status == StatusCode::CONTINUE {
            return;
        }
        let bytes = fields
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum::<usize>();
        let mut told = self.lock();
        if told.count >= MOST || told.bytes + bytes > MOST_BYTES {
            return;
        }
        told.count += 1;
        told.bytes += bytes;
        let mut interim = Response::new(());
        *interim.status_mut() = status;
        *interim.headers_mut() = fields.clone();
        headers::clean_response(interim.headers_mut());
        // There is no body (RFC 9110 section 8.6).
        interim.headers_mut().remove(CONTENT_LENGTH);
        self.tell(&mut told, interim);
    }

    fn tell(&self, told: &mut Told, interim: Response<()>) {
        told.waiting.push_back(interim);
        self.has_any.store(true, Ordering::Relaxed);
    }
}

/// An interim answer as HTTP/1.1 has it on the wire.
pub(crate) fn head(interim: &Response<()>) -> Bytes {
    let status = interim.status();
    let mut head = format!(
        "HTTP/1.1 {} {}\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    )
    .into_bytes();
    for (name, value) in interim.headers() {
        head.extend_from_slice(name.as_ref());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Interims, MOST, MOST_BYTES, head};
    use http::header::{CONNECTION, CONTENT_LENGTH, LINK};
    use http::{HeaderMap, HeaderValue, StatusCode};

    /// Has an upstream say something before it answers.
    pub(crate) fn say(interims: &Interims, status: StatusCode) {
        interims.shared.push(status, &HeaderMap::new());
    }

    fn fields(link_bytes: usize) -> HeaderMap {
        let link = "x".repeat(link_bytes).try_into().unwrap();
        HeaderMap::from_iter([(LINK, link)])
    }

    #[test]
    fn they_come_in_order_and_as_a_proxy_may_pass_them_on() {
        let interims = Interims::new();
        let _awaited = interims.wait();
        assert!(!interims.has_any() && interims.take().is_none());
        let mut first = fields(3);
        first.insert(CONNECTION, HeaderValue::from_static("x-hop"));
        first.insert("x-hop", HeaderValue::from_static("1"));
        first.insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
        interims.shared.push(StatusCode::CONTINUE, &first);
        interims.shared.push(StatusCode::EARLY_HINTS, &first);
        let unnamed = StatusCode::from_u16(199).unwrap();
        interims.shared.push(unnamed, &HeaderMap::new());
        let next = || interims.take().map(|interim| head(&interim));
        assert_eq!(
            next().unwrap(),
            "HTTP/1.1 103 Early Hints\r\nlink: xxx\r\n\r\n"
        );
        assert_eq!(next().unwrap(), "HTTP/1.1 199 \r\n\r\n");
        assert_eq!(next(), None);
    }

    #[test]
    fn of_one_request_there_are_no_more_than_anybody_needs() {
        let interims = Interims::new();
        let taken = || std::iter::from_fn(|| interims.take()).count();
        for _ in 0..2 {
            let _awaited = interims.wait();
            for _ in 0..MOST + 4 {
                interims.shared.push(StatusCode::PROCESSING, &fields(1));
            }
            assert_eq!(taken(), MOST);
        }
        let _awaited = interims.wait();
        for link_bytes in [MOST_BYTES, MOST_BYTES / 2, MOST_BYTES / 2, 5] {
            let early = &fields(link_bytes);
            interims.shared.push(StatusCode::EARLY_HINTS, early);
        }
        assert_eq!(taken(), 2);
    }
}
