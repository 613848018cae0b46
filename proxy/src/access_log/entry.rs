//! The account of one request, from its head to the end of its answer: for the figures of its service always, for
//! the access log if anyone reads it.

use super::batch::{Cut, FIELDS, Facts, Field, Span};
use super::buffer::LogBuffer;
use crate::body::Progress;
use crate::client::{Client, Visitor};
use crate::counters::Tally;
use crate::fault::Fault;
use http::header::{HOST, REFERER, USER_AGENT};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, Version};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Longest text that is kept of a path.
const PATH_BYTES: usize = 2048;
/// Longest text that is kept of anything else that clients write.
const TEXT_BYTES: usize = 256;

/// The account of one request. Closed by [`Entry::finish`], by [`Entry::cut`], or when dropped: the client is gone
/// then.
///
/// It lies in the future of every request, so it is one pointer.
#[derive(Debug)]
pub(crate) struct Entry(Option<Box<Draft>>);

/// What is known of a request so far. Kept for the next one, with the memory of its texts.
#[derive(Debug)]
pub(crate) struct Draft {
    log: Option<Rc<LogBuffer>>,
    tally: Option<Arc<Tally>>,
    upload: Option<Rc<Progress>>,
    started: Instant,
    facts: Facts,
    /// Whether anyone reads the log.
    is_read: bool,
    /// Whether it will be in the log, too.
    is_logged: bool,
    is_head: bool,
    is_upgraded: bool,
    spans: [Span; FIELDS],
    texts: Vec<u8>,
}

impl Default for Draft {
    fn default() -> Draft {
        Draft {
            log: None,
            tally: None,
            upload: None,
            started: Instant::now(),
            facts: Facts::new(SystemTime::UNIX_EPOCH, Version::HTTP_11),
            is_read: false,
            is_logged: false,
            is_head: false,
            is_upgraded: false,
            spans: Default::default(),
            texts: Vec::new(),
        }
    }
}

impl Facts {
    fn new(at: SystemTime, version: Version) -> Facts {
        Facts {
            at,
            duration: Duration::ZERO,
            first_byte: None,
            request_bytes: 0,
            response_bytes: 0,
            retries: 0,
            status: 0,
            version,
            is_https: false,
            own_port: None,
            fault: None,
            cut: None,
        }
    }
}

impl Draft {
    fn write(&mut self, field: Field, text: &[u8], most: usize) {
        let text = text.get(..most).unwrap_or(text);
        let (Ok(at), Ok(length)) = (self.texts.len().try_into(), text.len().try_into()) else {
            return;
        };
        if let Some(span) = self.spans.get_mut(field as usize) {
            *span = Span { at, length };
            self.texts.extend_from_slice(text);
        }
    }
}

impl Entry {
    /// Begins with a request whose head has just been read.
    pub(crate) fn open<B>(client: &Client, visitor: &Visitor, request: &Request<B>) -> Entry {
        let log = &client.worker.log;
        let options = log.options();
        let mut draft = log.take_draft();
        draft.started = Instant::now();
        draft.is_head = request.method() == Method::HEAD;
        draft.is_upgraded = false;
        draft.is_read = options.is_some();
        draft.is_logged = draft.is_read;
        draft.texts.clear();
        draft.log = Some(Rc::clone(log));
        let Some(options) = options else {
            draft.facts = Facts::new(SystemTime::UNIX_EPOCH, request.version());
            return Entry(Some(draft));
        };
        draft.facts = Facts::new(SystemTime::now(), request.version());
        draft.facts.is_https = visitor.is_https;
        draft.facts.own_port = client.own_port;
        draft.spans = Default::default();
        let target = request.uri();
        let path = match target.path_and_query() {
            Some(whole) if options.with_queries => whole.as_str(),
            Some(_) | None => target.path(),
        };
        draft.write(Field::Path, path.as_bytes(), PATH_BYTES);
        draft.write(Field::Method, request.method().as_str().as_bytes(), 32);
        draft.write(Field::Client, visitor.address.as_bytes(), TEXT_BYTES);
        let headers = request.headers();
        if let Some(agent) = headers.get(USER_AGENT) {
            draft.write(Field::UserAgent, agent.as_bytes(), TEXT_BYTES);
        }
        if let Some(referer) = headers.get(REFERER) {
            let referer = referer.as_bytes();
            let referer = match referer.iter().position(|byte| *byte == b'?') {
                Some(query) if !options.with_queries => referer.get(..query).unwrap_or_default(),
                Some(_) | None => referer,
            };
            draft.write(Field::Referer, referer, TEXT_BYTES);
        }
        Entry(Some(draft))
    }

    /// The host it names, and the service that is to answer, and whether the log is to know; said again, it counts for the
    /// last one.
    pub(crate) fn routed(
        &mut self,
        host: &HeaderValue,
        service: &str,
        is_unlogged: bool,
        tally: &Arc<Tally>,
    ) {
        if let Some(draft) = &mut self.0 {
            tally.begun();
            if let Some(before) = draft.tally.replace(Arc::clone(tally)) {
                before.ended();
            }
            draft.is_logged = draft.is_read && !is_unlogged;
            if draft.is_logged {
                draft.write(Field::Host, host.as_bytes(), TEXT_BYTES);
                draft.write(Field::Service, service.as_bytes(), TEXT_BYTES);
            }
        }
    }

    /// It is for no service; what it says of its host is kept as it is.
    pub(crate) fn unrouted<B>(&mut self, request: &Request<B>) {
        if let Some(draft) = self.0.as_mut().filter(|draft| draft.is_logged) {
            let authority = request.uri().authority().map(Authority::as_str);
            let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
            let host = authority.map(str::as_bytes).or(host);
            draft.write(Field::Host, host.unwrap_or_default(), TEXT_BYTES);
        }
    }

    /// The id it was given, and how its body fares, if it has one.
    pub(crate) fn forwarded(&mut self, request_id: &HeaderValue, upload: Option<Rc<Progress>>) {
        if let Some(draft) = &mut self.0 {
            draft.upload = upload;
            if draft.is_logged {
                draft.write(Field::RequestId, request_id.as_bytes(), TEXT_BYTES);
            }
        }
    }

    /// The upstream that was asked last, and how often another attempt was needed.
    pub(crate) fn asked(&mut self, upstream_id: Option<&str>, retries: u32) {
        if let Some(draft) = self.0.as_mut().filter(|draft| draft.is_logged) {
            draft.facts.retries = retries;
            if let Some(id) = upstream_id {
                draft.write(Field::Upstream, id.as_bytes(), TEXT_BYTES);
            }
        }
    }

    /// The head of an upstream's answer has just come.
    pub(crate) fn first_byte(&mut self) {
        if let Some(draft) = &mut self.0 {
            let after = draft.started.elapsed();
            draft.facts.first_byte = Some(after);
            if let Some(tally) = &draft.tally {
                tally.first_byte_after(after);
            }
        }
    }

    /// There is no answer to pass on, for this reason.
    pub(crate) fn failed(&mut self, fault: Fault) {
        if let Some(draft) = &mut self.0 {
            draft.facts.fault = Some(fault);
        }
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        if let Some(draft) = &mut self.0 {
            draft.facts.status = status.as_u16();
        }
    }

    /// Its connection changes its protocol: the account goes on with whoever gets it from this.
    pub(crate) fn upgraded(&mut self, protocol: Option<&HeaderValue>) -> Entry {
        if let Some(draft) = &mut self.0 {
            draft.is_upgraded = true;
            if let Some(protocol) = protocol.filter(|_| draft.is_logged) {
                draft.write(Field::Upgrade, protocol.as_bytes(), TEXT_BYTES);
            }
        }
        Entry(self.0.take())
    }

    /// What an upgraded connection carried from the client and to it.
    pub(crate) fn carried(&mut self, request_bytes: u64, response_bytes: u64) {
        if let Some(draft) = &mut self.0 {
            draft.facts.request_bytes = request_bytes;
            draft.facts.response_bytes = response_bytes;
        }
    }

    /// So many bytes of the answer's body passed.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(draft) = &mut self.0 {
            draft.facts.response_bytes += bytes as u64;
        }
    }

    /// Whether the answer is one to HEAD, which is its head alone.
    pub(crate) fn has_no_answer_body(&self) -> bool {
        self.0.as_ref().is_some_and(|draft| draft.is_head)
    }

    /// The answer has ended as it should.
    pub(crate) fn finish(&mut self) {
        if let Some(draft) = self.0.take() {
            close(draft);
        }
    }

    /// The answer has ended before its end.
    pub(crate) fn cut(&mut self, by: Cut) {
        if let Some(mut draft) = self.0.take() {
            draft.facts.cut = Some(by);
            close(draft);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.cut(Cut::Client);
    }
}

fn close(mut draft: Box<Draft>) {
    let Some(log) = draft.log.take() else { return };
    draft.facts.duration = draft.started.elapsed();
    if let Some(tally) = draft.tally.take() {
        tally.ended();
        if !draft.is_upgraded {
            tally.took(draft.facts.duration);
        }
    }
    if let Some(upload) = draft.upload.take() {
        draft.facts.request_bytes = upload.bytes.get();
    }
    if draft.is_logged {
        log.push(draft.facts, draft.spans, &draft.texts);
    }
    log.give_back(draft);
}
