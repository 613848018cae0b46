//! What is known when it is decided what to do: names wanted, certificates held, tries so far.

use super::name::CertName;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

/// All that [`plan`](super::plan) looks at.
#[derive(Clone, Default, Debug)]
pub struct World {
    /// The names that are to have a certificate, each once.
    pub wanted: Vec<CertName>,
    /// Names that no wildcard carries nor covers, because it belongs to somebody else.
    pub alone: HashSet<CertName>,
    /// Wildcards that many share: orders for the names below them begin only when theirs have failed several times, for
    /// one for each could use up what an authority issues for a domain.
    pub shared: HashSet<CertName>,
    /// The certificates there are, ours and others.
    pub held: Vec<Held>,
    /// How earlier tries went, for names whose last try failed.
    pub tries: HashMap<CertName, Tries>,
    /// Names that some engine works on, with the time their claim ends at the latest.
    pub claims: HashMap<CertName, SystemTime>,
    /// When orders were placed, at least for [`Limits::order_window`](super::Limits).
    pub orders: Vec<SystemTime>,
}

/// A certificate that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The names it is for.
    pub names: Vec<CertName>,
    /// From when it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a certificate came from, and so who renews it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Someone gave it: it counts while it is valid, and is theirs to renew.
    Given,
    /// The authority issued it to us.
    Ordered {
        /// Names it towards the authority: key identifier and serial number (RFC 9773 section 4.1).
        /// `None` if it has no authority key identifier; then the authority is not asked about it.
        id: Option<String>,
        /// What the authority said last about its renewal; `None` if it has not been asked.
        advice: Option<Advice>,
    },
}

/// What the authority said about when to renew a certificate (RFC 9773).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advice {
    /// The window it suggests; `None` from an authority that suggests none.
    pub window: Option<Window>,
    /// When to ask again.
    pub ask_again: SystemTime,
}

/// A span of time in which a certificate is to be renewed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Its begin.
    pub start: SystemTime,
    /// Its end, after the begin.
    pub end: SystemTime,
}

/// How the tries since the last success went, of which there was at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tries {
    /// Failures one after the other.
    pub failures: u32,
    /// When the next try is due.
    pub next_try: SystemTime,
}

/// A number drawn evenly from 0 up to but not including 1.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct Draw(f64);

impl Draw {
    /// From 64 random bits.
    pub fn from_bits(bits: u64) -> Draw {
        // 53 bits are what a double holds exactly.
        Draw((bits >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// One that belongs to a certificate: the same each time it is asked for, and evenly spread over
    /// certificates. So a renewal's moment is drawn once without being written down.
    pub(crate) fn of(held: &Held) -> Draw {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        };
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for name in &held.names {
            digest.update(name.as_str().as_bytes());
            digest.update(b"\n");
        }
        digest.update(&seconds(held.not_before).to_be_bytes());
        if let Origin::Ordered { id: Some(id), .. } = &held.origin {
            digest.update(id.as_bytes());
        }
        let digest = digest.finish();
        let bits = digest.as_ref().iter().take(8);
        Draw::from_bits(bits.fold(0, |bits, byte| (bits << 8) | u64::from(*byte)))
    }

    /// This share of a span.
    pub(crate) fn share(self, span: Duration) -> Duration {
        span.mul_f64(self.0)
    }
}

impl Held {
    /// How long it is valid, from begin to end.
    pub(crate) fn life(&self) -> Duration {
        self.not_after
            .duration_since(self.not_before)
            .unwrap_or_default()
    }
}
