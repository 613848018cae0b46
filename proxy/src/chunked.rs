//! A body in chunks (RFC 9112 section 7.1), read strictly: what another reader could take for something else is an error.

use crate::headers;
use crate::upstream::Malformed;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Status;

/// Longest line that says the size of a chunk, and what all of them may say beside sizes. Nobody reads those extensions, and Go's
/// readers could be flooded by them (CVE-2023-39326).
const MAX_LINE_BYTES: usize = 4 * 1024;
const MAX_EXTENSION_BYTES: usize = 16 * 1024;
/// Trailers, as many bytes and fields.
const MAX_TRAILER_BYTES: usize = 16 * 1024;
const MAX_TRAILERS: usize = 100;
/// Chunks below this size are put together: passing one on costs more than copying it.
const SMALL_BYTES: usize = 4 * 1024;
/// What follows the data of the last chunk, nearly always.
const USUAL_END: &[u8] = b"\r\n0\r\n\r\n";

/// Whether a line feed stands there without its carriage return. RFC 9112 section 2.2 lets a reader take it for the end of a line,
/// and httparse does; where one before us does not, that is how requests are smuggled.
pub(crate) fn has_bare_line_feed(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        before != Some(&b'\r')
    })
}

/// How far a body has been read.
#[derive(Debug)]
pub(crate) struct Chunked {
    at: At,
    /// Bytes of extensions there have been.
    extension_bytes: usize,
    trailers: Option<HeaderMap>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// Before the line that says a chunk's size.
    Size,
    /// So much of its data is still to come.
    Data(u64),
    /// Before the end of its data's line.
    DataEnd,
    Trailers,
    End,
}

impl Chunked {
    pub(crate) fn new() -> Chunked {
        Chunked {
            at: At::Size,
            extension_bytes: 0,
            trailers: None,
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == At::End
    }

    pub(crate) fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// What came behind the last chunk.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Takes what can be read from what has come. Answers its data, or as much of it as lies together; nothing, when more has to
    /// come or the end is reached.
    pub(crate) fn read(&mut self, come: &mut Bytes) -> Result<Bytes, Malformed> {
        let mut small: Option<Together> = None;
        loop {
            match self.at {
                At::Data(left) => {
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(come.len());
                    let is_small = length < SMALL_BYTES;
                    // What is together already goes first.
                    if length == 0 || (!is_small && small.is_some()) {
                        break;
                    }
                    let data = come.split_to(length);
                    let left = left.saturating_sub(length as u64);
                    self.at = if left == 0 {
                        At::DataEnd
                    } else {
                        At::Data(left)
                    };
                    if **come == *USUAL_END && left == 0 {
                        come.clear();
                        self.at = At::End;
                    }
                    if !is_small {
                        return Ok(data);
                    }
                    match &mut small {
                        Some(together) => together.add(&data, come.len()),
                        None => small = Some(Together::One(data)),
                    }
                }
                At::DataEnd => match &**come {
                    [b'\r', b'\n', ..] => {
                        come.advance(2);
                        self.at = At::Size;
                    }
                    [] | [b'\r'] => break,
                    _ => return Err(Malformed),
                },
                At::Size => {
                    let Some(size) = self.read_size(come)? else {
                        break;
                    };
                    self.at = match size {
                        0 => At::Trailers,
                        size => At::Data(size),
                    };
                }
                At::Trailers => {
                    if !self.read_trailers(come)? {
                        break;
                    }
                    self.at = At::End;
                }
                At::End => break,
            }
        }
        Ok(small.map(Together::bytes).unwrap_or_default())
    }

    /// The size a line says; none if the line is not whole.
    fn read_size(&mut self, come: &mut Bytes) -> Result<Option<u64>, Malformed> {
        let Some(end) = come.iter().position(|byte| *byte == b'\n') else {
            return if come.len() < MAX_LINE_BYTES {
                Ok(None)
            } else {
                Err(Malformed)
            };
        };
        if end >= MAX_LINE_BYTES {
            return Err(Malformed);
        }
        let line = come.split_to(end + 1);
        let line = line.strip_suffix(b"\r\n").ok_or(Malformed)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let (size, extension) = line.split_at_checked(digits.count()).ok_or(Malformed)?;
        if !extension.is_empty() {
            let is_one = extension.trim_ascii_start().first() == Some(&b';');
            let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
            self.extension_bytes += extension.len();
            if !is_one
                || !extension.iter().all(is_text)
                || self.extension_bytes > MAX_EXTENSION_BYTES
            {
                return Err(Malformed);
            }
        }
        hexadecimal(size).ok_or(Malformed).map(Some)
    }

    /// Reads all that is behind the last chunk; false if it is not whole.
    fn read_trailers(&mut self, come: &mut Bytes) -> Result<bool, Malformed> {
        if come.starts_with(b"\r\n") {
            come.advance(2);
            return Ok(true);
        }
        let end = come.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        // What is behind them is another message.
        let trailers = match end {
            Some(end) => come.get(..end + 4).unwrap_or(come),
            None => come,
        };
        if has_bare_line_feed(trailers) {
            return Err(Malformed);
        }
        let Some(end) = end else {
            return if come.len() < MAX_TRAILER_BYTES {
                Ok(false)
            } else {
                Err(Malformed)
            };
        };
        let block = come.split_to(end + 4);
        if block.len() > MAX_TRAILER_BYTES {
            return Err(Malformed);
        }
        let mut room = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        let Ok(Status::Complete((length, fields))) = httparse::parse_headers(&block, &mut room)
        else {
            return Err(Malformed);
        };
        if length != block.len() {
            return Err(Malformed);
        }
        let mut trailers = HeaderMap::with_capacity(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed)?;
            let value = HeaderValue::from_bytes(field.value).map_err(|_| Malformed)?;
            trailers.append(name, value);
        }
        headers::clean_trailers(&mut trailers);
        if !trailers.is_empty() {
            self.trailers = Some(trailers);
        }
        Ok(true)
    }
}

/// Data of small chunks: of one as it lies, of several in a place of its own.
enum Together {
    One(Bytes),
    Several(BytesMut),
}

impl Together {
    /// `most` is how much can still follow.
    fn add(&mut self, data: &[u8], most: usize) {
        match self {
            Together::One(first) => {
                let mut several = BytesMut::with_capacity(first.len() + data.len() + most);
                several.extend_from_slice(first);
                several.extend_from_slice(data);
                *self = Together::Several(several);
            }
            Together::Several(several) => several.extend_from_slice(data),
        }
    }

    fn bytes(self) -> Bytes {
        match self {
            Together::One(data) => data,
            Together::Several(several) => several.freeze(),
        }
    }
}

/// At least one digit, and no more than fit.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        number.checked_mul(16)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::{Chunked, MAX_EXTENSION_BYTES, MAX_LINE_BYTES, MAX_TRAILER_BYTES, SMALL_BYTES};
    use crate::upstream::Malformed;
    use bytes::Bytes;
    use http::HeaderMap;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[derive(PartialEq, Eq, Debug)]
    struct Read {
        data: Vec<u8>,
        trailers: Option<HeaderMap>,
        /// Behind the end; none if that was not reached.
        behind: Option<Vec<u8>>,
    }

    /// What is read of these bytes when they come in these pieces.
    fn read(pieces: &[&[u8]]) -> Result<Read, Malformed> {
        let mut chunked = Chunked::new();
        let mut data = Vec::new();
        let mut come = Bytes::new();
        for piece in pieces {
            come = [&*come, piece].concat().into();
            loop {
                let more = chunked.read(&mut come)?;
                if more.is_empty() {
                    break;
                }
                data.extend_from_slice(&more);
            }
        }
        Ok(Read {
            data,
            trailers: chunked.take_trailers(),
            behind: chunked.is_at_end().then(|| come.to_vec()),
        })
    }

    fn check(bytes: &str, data: &str, behind: Option<&str>) {
        let read = read(&[bytes.as_bytes()]).unwrap();
        assert_eq!(read.data, data.as_bytes(), "{bytes:?}");
        let behind = behind.map(|behind| behind.as_bytes().to_vec());
        assert_eq!(read.behind, behind, "{bytes:?}");
    }

    #[test]
    fn chunks_are_read_to_their_end_and_not_further() {
        check("0\r\n\r\n", "", Some(""));
        check("2\r\nab\r\n0\r\n\r\n", "ab", Some(""));
        check("2\r\nab\r\n0\r\n\r\nHTTP", "ab", Some("HTTP"));
        check("00002\r\nab\r\n000\r\n\r\n", "ab", Some(""));
        check(
            "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
            "01234567890123456789",
            Some(""),
        );
        check("2;a=\"b\" ; c\r\nab\r\n0 ;x\r\n\r\n", "ab", Some(""));
        check("2\r\nab\r\n0\r\nX: y\r\n\r\n", "ab", Some(""));
        check("2\r\nab\r\n", "ab", None);
        check("2\r\na", "a", None);
    }

    #[test]
    fn trailers_are_told() {
        let read = read(&[b"1\r\na\r\n0\r\nX: y\r\nX: z\r\n\r\n"]).unwrap();
        let trailers = read.trailers.unwrap();
        let all: Vec<_> = trailers.get_all("x").iter().collect();
        assert_eq!(all, ["y", "z"]);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let extension = format!("1;{}\r\na\r\n", "x".repeat(1000));
        let extensions = extension.repeat(MAX_EXTENSION_BYTES / 1000 + 1);
        let line = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(MAX_LINE_BYTES));
        let endless = "0".repeat(MAX_LINE_BYTES);
        let trailer = format!("0\r\nX: {}", "x".repeat(MAX_TRAILER_BYTES));
        for bytes in [
            "\r\n",
            "x\r\n",
            "-1\r\na\r\n0\r\n\r\n",
            "+1\r\na\r\n0\r\n\r\n",
            "0x1\r\na\r\n0\r\n\r\n",
            " 1\r\na\r\n0\r\n\r\n",
            "1 2\r\na\r\n0\r\n\r\n",
            "1\na\r\n0\r\n\r\n",
            "1\r\na\n0\r\n\r\n",
            "1\r\nab\r\n0\r\n\r\n",
            "1\r\na\r\r\n0\r\n\r\n",
            "1;a\rb\r\na\r\n0\r\n\r\n",
            "10000000000000000\r\na",
            "0\r\nno colon\r\n\r\n",
            "0\r\n\n",
            "0\r\nX: y\n",
            "0\r\nX: y\nZ: w\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            &extensions,
            &line,
            &endless,
            &trailer,
        ] {
            assert_eq!(read(&[bytes.as_bytes()]), Err(Malformed), "{bytes:.60?}");
        }
    }

    #[test]
    fn large_chunks_are_passed_on_as_they_lie() {
        let large = "x".repeat(SMALL_BYTES);
        let bytes = format!("1\r\na\r\n2\r\nbc\r\n{SMALL_BYTES:x}\r\n{large}\r\n0\r\n\r\n");
        let mut come = Bytes::from(bytes);
        let mut chunked = Chunked::new();
        assert_eq!(chunked.read(&mut come).unwrap(), "abc");
        let lies = come.as_ptr() as usize;
        let data = chunked.read(&mut come).unwrap();
        assert_eq!(data, large);
        assert_eq!(data.as_ptr() as usize, lies);
        assert!(chunked.is_at_end());
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_is_read(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..2 * SMALL_BYTES), 0..5),
            cuts in proptest::collection::vec(any::<u16>(), 0..12),
            trailer in any::<bool>(),
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n");
            if trailer {
                bytes.extend(b"X: y\r\n");
            }
            bytes.extend(b"\r\nbehind");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| usize::from(cut) % bytes.len()).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let read = read(&pieces).unwrap();
            prop_assert_eq!(read.data, chunks.concat());
            prop_assert_eq!(read.trailers.is_some(), trailer);
            prop_assert_eq!(read.behind.unwrap(), b"behind");
        }

        #[test]
        fn no_bytes_panic_and_odd_ones_are_judged_alike_however_they_come(
            bytes in proptest::collection::vec(proptest::sample::select(&b"01a\r\n;x: "[..]), 0..40),
            cut in any::<usize>(),
        ) {
            let (first, second) = bytes.split_at(cut % (bytes.len() + 1));
            let (whole, parts) = (read(&[&bytes]), read(&[first, second]));
            prop_assert!(whole == parts, "{:?} {:?}", whole, parts);
        }
    }
}
