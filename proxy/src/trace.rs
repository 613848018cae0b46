//! `traceparent` and `tracestate`: which trace a request belongs to (<https://www.w3.org/TR/trace-context/>).

use crate::stamps::Random;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Lets a request go on in the trace it says it belongs to, if it may say so and does so properly, else begins a new one.
/// What others have noted of a trace (`tracestate`) passes only with it (section 3.3 of the specification).
///
/// A new trace is marked as sampled: upstreams that record whatever they begin themselves would otherwise record nothing.
pub(crate) fn carry_on(headers: &mut HeaderMap, may_continue: bool, random: &Random) {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let is_well = given.next().is_some_and(is_traceparent) && given.next().is_none();
    if may_continue && is_well {
        return;
    }
    headers.remove(TRACESTATE);
    headers.insert(TRACEPARENT, begin(random));
}

fn begin(random: &Random) -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    // No id may be all zeros.
    let ids = [random.next(), random.next() | 1, random.next() | 1];
    for (at, id) in [3, 19, 36].into_iter().zip(ids) {
        if let Some(digits) = text.get_mut(at..at + 16) {
            digits.copy_from_slice(&crate::stamps::digits(id));
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Section 3.2 of the specification: version, trace, parent and flags, in lower case. Later versions may have more.
fn is_traceparent(value: &HeaderValue) -> bool {
    let Some((known, more)) = value.as_bytes().split_at_checked(55) else {
        return false;
    };
    let mut fields = known.split(|byte| *byte == b'-');
    let mut field = |length: usize| {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let field = fields.next().unwrap_or_default();
        (field.len() == length && field.iter().all(is_digit)).then_some(field)
    };
    let (Some(version), Some(trace), Some(parent), Some(_flags)) =
        (field(2), field(32), field(16), field(2))
    else {
        return false;
    };
    let is_set = |id: &[u8]| id.iter().any(|digit| *digit != b'0');
    let is_more = more.starts_with(b"-") && more.iter().all(u8::is_ascii_graphic);
    let may_have_more = more.is_empty() || (version != b"00" && is_more);
    version != b"ff" && is_set(trace) && is_set(parent) && may_have_more
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn check(parents: &[&str], may_continue: bool, continues: bool) {
        let mut headers = HeaderMap::new();
        for parent in parents {
            let parent = HeaderValue::from_bytes(parent.as_bytes());
            headers.append(TRACEPARENT, parent.unwrap());
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        carry_on(&mut headers, may_continue, &Random::new());
        let all: Vec<&HeaderValue> = headers.get_all(TRACEPARENT).iter().collect();
        assert_eq!(all.len(), 1, "{parents:?}");
        assert!(is_traceparent(all[0]), "{all:?}");
        assert_eq!(
            parents.first().is_some_and(|first| all[0] == first),
            continues,
            "{parents:?}"
        );
        assert_eq!(headers.contains_key(TRACESTATE), continues, "{parents:?}");
    }

    #[test]
    fn a_trace_goes_on_where_it_is_told_by_who_may_and_properly() {
        check(&[GIVEN], true, true);
        check(&[GIVEN], false, false);
        check(&[], true, false);
        check(&[GIVEN, GIVEN], true, false);
        let later = GIVEN.replacen("00", "cc", 1);
        check(&[&later], true, true);
        check(&[&format!("{later}-more")], true, true);
        for broken in [
            "",
            "00",
            &GIVEN.to_uppercase(),
            &GIVEN.replacen("00", "ff", 1),
            &GIVEN.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GIVEN.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GIVEN.replace('-', "_"),
            &format!("{GIVEN}-more"),
            &format!("{later}more"),
            &format!("{later}-\u{e4}"),
            &GIVEN[..54],
        ] {
            check(&[broken], true, false);
        }
    }

    #[test]
    fn new_traces_differ() {
        let random = Random::new();
        assert_ne!(begin(&random), begin(&random));
    }
}
