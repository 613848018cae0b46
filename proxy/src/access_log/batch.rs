//! Records packed together: numbers beside each other, all texts in one buffer.

use crate::fault::Fault;
use http::Version;
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// The texts of a record, in the order of their places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Field {
    Service,
    RequestId,
    Client,
    Method,
    Host,
    Path,
    Upstream,
    Upgrade,
    UserAgent,
    Referer,
}

pub(crate) const FIELDS: usize = 10;

/// Where a text is, from the beginning of its record's texts. Never longer than the caps of
/// [`super::entry`] allow, which together are far below 64 KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) at: u16,
    pub(crate) length: u16,
}

/// Why the end of an answer did not reach the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The client left before it had the whole answer, or before there was one; or the proxy stopped, and its
    /// drain time was over.
    Client,
    /// The upstream broke off within its answer.
    Upstream,
}

/// What a record holds besides its texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) at: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) retries: u32,
    /// 0 until there is an answer.
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) is_https: bool,
    pub(crate) own_port: Option<u16>,
    pub(crate) fault: Option<Fault>,
    pub(crate) cut: Option<Cut>,
}

#[derive(Debug)]
struct Packed {
    facts: Facts,
    texts_at: usize,
    spans: [Span; FIELDS],
}

/// Records of one data thread, in the order in which their answers ended.
#[derive(Debug, Default)]
pub struct AccessBatch {
    records: Vec<Packed>,
    texts: Vec<u8>,
    pub(crate) dropped: u64,
}

impl AccessBatch {
    pub(crate) fn with_room(records: usize, text_bytes: usize) -> AccessBatch {
        AccessBatch {
            records: Vec::with_capacity(records),
            texts: Vec::with_capacity(text_bytes),
            dropped: 0,
        }
    }

    pub(crate) fn push(&mut self, facts: Facts, spans: [Span; FIELDS], texts: &[u8]) {
        let texts_at = self.texts.len();
        self.texts.extend_from_slice(texts);
        self.records.push(Packed {
            facts,
            texts_at,
            spans,
        });
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.texts.clear();
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Records of the same thread that were dropped since its last batch, because the reader was behind.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The records.
    pub fn iter(&self) -> impl Iterator<Item = AccessRecord<'_>> {
        self.records.iter().map(|packed| self.record(packed))
    }

    fn record(&self, packed: &Packed) -> AccessRecord<'_> {
        let facts = &packed.facts;
        let text = |field: Field| {
            let span = packed
                .spans
                .get(field as usize)
                .copied()
                .unwrap_or_default();
            let from = packed.texts_at + usize::from(span.at);
            let text = self.texts.get(from..from + usize::from(span.length));
            String::from_utf8_lossy(text.unwrap_or_default())
        };
        let given = |field| Some(text(field)).filter(|text| !text.is_empty());
        AccessRecord {
            at: facts.at,
            service: given(Field::Service),
            request_id: given(Field::RequestId),
            client: text(Field::Client),
            is_https: facts.is_https,
            own_port: facts.own_port,
            version: facts.version,
            upgrade: given(Field::Upgrade),
            method: text(Field::Method),
            host: text(Field::Host),
            path: text(Field::Path),
            status: (facts.status != 0).then_some(facts.status),
            request_bytes: facts.request_bytes,
            response_bytes: facts.response_bytes,
            duration: facts.duration,
            first_byte: facts.first_byte,
            upstream: given(Field::Upstream),
            retries: facts.retries,
            fault: facts.fault.map(Fault::code),
            cut: facts.cut,
            user_agent: given(Field::UserAgent),
            referer: given(Field::Referer),
        }
    }
}

/// One request and how it was answered. Texts from outside are cut at some length; what is not UTF-8 in them is
/// replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessRecord<'a> {
    /// When its head had been read.
    pub at: SystemTime,
    /// The name of the service it was for; `None` if there was none for its host.
    pub service: Option<Cow<'a, str>>,
    /// Its `X-Request-Id`, if it got as far as having one.
    pub request_id: Option<Cow<'a, str>>,
    /// The client's address.
    pub client: Cow<'a, str>,
    /// Whether it came over TLS.
    pub is_https: bool,
    /// The port it came in by, if that was opened beside the listeners; see
    /// [`ProxyHandle::open_port`](crate::ProxyHandle::open_port).
    pub own_port: Option<u16>,
    /// Its version of HTTP.
    pub version: Version,
    /// What its connection was upgraded to, such as `websocket`. The record then is about all of that time.
    pub upgrade: Option<Cow<'a, str>>,
    /// Its method.
    pub method: Cow<'a, str>,
    /// The host it named; may be anything, also nothing.
    pub host: Cow<'a, str>,
    /// The path of its target, with the query only by [`AccessLogOptions`](crate::AccessLogOptions).
    pub path: Cow<'a, str>,
    /// The status of the answer; `None` if the client left before there was one.
    pub status: Option<u16>,
    /// Bytes of its body that were forwarded, or of an upgraded connection in this direction.
    pub request_bytes: u64,
    /// Bytes of the answer's body, or of an upgraded connection in this direction.
    pub response_bytes: u64,
    /// From `at` until the answer had been handed to the client's connection whole, or was cut.
    pub duration: Duration,
    /// From `at` until the head of the upstream's answer; `None` if no upstream answered.
    pub first_byte: Option<Duration>,
    /// The id of the upstream that was asked last.
    pub upstream: Option<Cow<'a, str>>,
    /// Attempts repeated: see [`ServiceCounts::retries`](crate::ServiceCounts::retries).
    pub retries: u32,
    /// What went wrong, if the answer is a page of ours: an error type of RFC 9209 section 2.3.
    pub fault: Option<&'static str>,
    /// Why the answer is not whole, if it is not.
    pub cut: Option<Cut>,
    /// Its `User-Agent`.
    pub user_agent: Option<Cow<'a, str>>,
    /// Its `Referer`, without the query unless by [`AccessLogOptions`](crate::AccessLogOptions).
    pub referer: Option<Cow<'a, str>>,
}
