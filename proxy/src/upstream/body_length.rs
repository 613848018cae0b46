//! Where the body of an answer ends: RFC 9112 section 6.3, and stricter where two readers could differ.

use super::Malformed;
use http::StatusCode;

/// How the end of a body is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BodyLength {
    Exactly(u64),
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// What the fields of an answer say of its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Said {
    length: Option<u64>,
    /// The length is said again, in one field or several.
    is_repeated: bool,
    is_chunked: bool,
    /// By something else than chunks, or by more.
    is_coded_oddly: bool,
}

impl Said {
    /// Another `Content-Length`. All must say the same; some servers repeat it.
    pub(super) fn length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for value in value.split(|byte| *byte == b',') {
            let length = number(value.trim_ascii()).ok_or(Malformed)?;
            if let Some(before) = self.length.replace(length) {
                self.is_repeated = true;
                if before != length {
                    return Err(Malformed);
                }
            }
        }
        Ok(())
    }

    /// Another `Transfer-Encoding`. We have asked for none (RFC 9110 section 10.1.4), so that `chunked` alone can be meant;
    /// nginx takes no other either.
    pub(super) fn coding(&mut self, value: &[u8]) {
        self.is_coded_oddly |= self.is_chunked || !value.eq_ignore_ascii_case(b"chunked");
        self.is_chunked = true;
    }

    /// The length, if it is said more than once.
    pub(super) fn repeated(self) -> Option<u64> {
        self.length.filter(|_| self.is_repeated)
    }

    /// Where the body ends, and whether that is said in one way only: after an answer that says it in two, the connection is
    /// not to be used again.
    pub(super) fn end(
        self,
        status: StatusCode,
        answers_head: bool,
    ) -> Result<(BodyLength, bool), Malformed> {
        let is_clear = !(self.is_chunked && self.length.is_some());
        let has_none =
            answers_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        // How a body that does not come would be coded is of no concern.
        if self.is_coded_oddly && !has_none {
            return Err(Malformed);
        }
        let end = match self {
            _ if has_none => BodyLength::Exactly(0),
            Said {
                is_chunked: true, ..
            } => BodyLength::Chunked,
            Said {
                length: Some(length),
                ..
            } => BodyLength::Exactly(length),
            _ => BodyLength::UntilClose,
        };
        Ok((end, is_clear))
    }

    pub(super) fn is_chunked(self) -> bool {
        self.is_chunked && !self.is_coded_oddly
    }
}

/// The largest length that is believed: what a file can have.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// Digits and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        let number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        (number <= MAX_LENGTH).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::{BodyLength, MAX_LENGTH, Malformed, Said, number};
    use http::StatusCode;

    fn said(lengths: &[&'static str], codings: &[&'static str]) -> Result<Said, Malformed> {
        let mut said = Said::default();
        for length in lengths {
            said.length(length.as_bytes())?;
        }
        for coding in codings {
            said.coding(coding.as_bytes());
        }
        Ok(said)
    }

    #[test]
    fn where_a_body_ends() {
        use BodyLength::{Chunked, Exactly, UntilClose};
        for (lengths, codings, status, answers_head, expected) in [
            (&["5"][..], &[][..], 200, false, (Exactly(5), true)),
            (&["5", "5"], &[], 200, false, (Exactly(5), true)),
            (&["5, 5"], &[], 200, false, (Exactly(5), true)),
            (&[], &["chunked"], 200, false, (Chunked, true)),
            (&[], &["CHUNKED"], 200, false, (Chunked, true)),
            (&["5"], &["chunked"], 200, false, (Chunked, false)),
            (&[], &[], 200, false, (UntilClose, true)),
            (&["5"], &[], 200, true, (Exactly(0), true)),
            (&[], &["chunked"], 200, true, (Exactly(0), true)),
            (&["5"], &["chunked"], 200, true, (Exactly(0), false)),
            (&["5"], &[], 204, false, (Exactly(0), true)),
            (&["5"], &[], 304, false, (Exactly(0), true)),
            (&[], &[], 304, false, (Exactly(0), true)),
            (&[], &["gzip"], 200, true, (Exactly(0), true)),
            (&[], &["chunked", "gzip"], 304, false, (Exactly(0), true)),
            (&["5"], &[], 205, false, (Exactly(5), true)),
        ] {
            let said = said(lengths, codings).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                said.end(status, answers_head),
                Ok(expected),
                "{lengths:?} {codings:?} {status}"
            );
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for lengths in [
            &["5", "6"][..],
            &["5, 6"],
            &["5,"],
            &[""],
            &["+5"],
            &["-5"],
            &["0x5"],
            &["5 5"],
            &["9223372036854775808"],
        ] {
            assert_eq!(said(lengths, &[]), Err(Malformed), "{lengths:?}");
        }
        for codings in [
            &["gzip, chunked"][..],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["chunked", "identity"],
            &["identity"],
            &["xchunked"],
            &[""],
        ] {
            let end = said(&[], codings).unwrap().end(StatusCode::OK, false);
            assert_eq!(end, Err(Malformed), "{codings:?}");
        }
        assert_eq!(number(b"9223372036854775807"), Some(MAX_LENGTH));
    }
}
