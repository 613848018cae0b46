//! What each request is stamped with: an id and the time of its arrival; the date of answers; and the thread's random numbers.

use http::HeaderValue;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

/// Random numbers of one thread, for choosing and for ids; not for secrets.
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new() -> Random {
        // The keys of a hash map are the randomness the standard library has.
        Random(Cell::new(RandomState::new().hash_one(0u8)))
    }

    /// The next 64 bits: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub(crate) fn below(&self, bound: usize) -> usize {
        // The high half of a 32 by 32 bit product is spread evenly enough for choosing an upstream.
        let wide = (self.next() >> 32) * bound as u64;
        usize::try_from(wide >> 32).unwrap_or(0)
    }
}

/// Makes the values of `X-Request-Id`, `X-Request-Start` and `Date`.
#[derive(Debug)]
pub(crate) struct Stamps {
    pub(crate) random: Random,
    start_ms: Cell<u128>,
    start: RefCell<HeaderValue>,
    date_seconds: Cell<u64>,
    date: RefCell<HeaderValue>,
}

impl Stamps {
    pub(crate) fn new() -> Stamps {
        Stamps {
            random: Random::new(),
            start_ms: Cell::new(0),
            start: RefCell::new(HeaderValue::from_static("t=0")),
            date_seconds: Cell::new(0),
            date: RefCell::new(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT")),
        }
    }

    /// A new request id: 128 random bits as 32 hexadecimal digits.
    pub(crate) fn request_id(&self) -> HeaderValue {
        let halves = [digits(self.random.next()), digits(self.random.next())];
        HeaderValue::from_bytes(halves.as_flattened()).unwrap_or(HeaderValue::from_static("0"))
    }

    /// The present time as `t=` and milliseconds since 1970, the form Heroku's routers and New Relic use.
    pub(crate) fn request_start(&self) -> HeaderValue {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let ms = since.map_or(0, |since| since.as_millis());
        // Formatted once a millisecond at most.
        if ms != self.start_ms.get()
            && let Ok(value) = HeaderValue::try_from(format!("t={ms}"))
        {
            self.start_ms.set(ms);
            self.start.replace(value);
        }
        self.start.borrow().clone()
    }

    /// The present time as the field `Date` has it (RFC 9110 section 6.6.1).
    pub(crate) fn date(&self) -> HeaderValue {
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs());
        // Formatted once a second at most.
        if seconds != self.date_seconds.get()
            && let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(now))
        {
            self.date_seconds.set(seconds);
            self.date.replace(value);
        }
        self.date.borrow().clone()
    }
}

/// A number as 16 hexadecimal digits.
pub(crate) fn digits(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; 16];
    for (position, digit) in text.iter_mut().enumerate() {
        let nibble = usize::from((number >> (position * 4)) as u8 & 0xf);
        *digit = DIGITS.get(nibble).copied().unwrap_or(b'0');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Random, Stamps};
    use std::time::{Duration, SystemTime};

    #[test]
    fn request_ids_are_32_hexadecimal_digits_and_differ() {
        let stamps = Stamps::new();
        let (first, second) = (stamps.request_id(), stamps.request_id());
        assert_ne!(first, second);
        let text = first.to_str().unwrap();
        assert_eq!(text.len(), 32);
        assert!(text.bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
    }

    #[test]
    fn the_date_is_that_of_now() {
        let stamps = Stamps::new();
        for _ in 0..2 {
            let date = stamps.date();
            let date = httpdate::parse_http_date(date.to_str().unwrap()).unwrap();
            let age = SystemTime::now().duration_since(date).unwrap();
            assert!(age < Duration::from_secs(60), "{age:?}");
        }
    }

    #[test]
    fn every_number_below_the_bound_is_drawn() {
        let random = Random::new();
        let mut drawn = [0; 3];
        for _ in 0..1000 {
            drawn[random.below(3)] += 1;
        }
        assert!(drawn.iter().all(|times| *times > 100), "{drawn:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }
}
