//! A slow reader of HTTP/1.1 answers, written after RFC 9112 and RFC 9110 and nothing of the proxy's.

/// How much is taken for an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// What is one by every letter: it must be passed on, and nothing else may reach a client.
    Strict,
    /// What the RFCs leave to a reader as well. What is none by this must not be passed on as if it were whole.
    Lenient,
}

/// Why a status is none by every letter, and may be one.
pub const NO_CLASS: &str = "a status of a class";

/// What can be read of an answer.
#[derive(Clone, Default, Debug)]
pub struct Answer {
    pub interims: usize,
    pub version: Vec<u8>,
    pub status: u16,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Where it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// After so many bytes.
    Whole(usize),
    /// Not yet, or within it.
    Partial,
    /// It is none.
    Invalid(&'static str),
}

type Field = (Vec<u8>, Vec<u8>);

impl Answer {
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |field: &&Field| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(named).map(|field| &*field.1)
    }

    /// Whether one of the words that a list names is this one.
    pub fn has_word(&self, name: &str, word: &str) -> bool {
        let words = self
            .all(name)
            .flat_map(|value| value.split(|byte| *byte == b','));
        words
            .into_iter()
            .any(|value| value.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Whether another request may follow on its connection (RFC 9112 section 9.3).
    pub fn is_persistent(&self) -> bool {
        !self.has_word("connection", "close")
            && (self.version == b"HTTP/1.1" || self.has_word("connection", "keep-alive"))
    }

    /// Whether the proxy says that it has none of the upstream's.
    pub fn is_own_page(&self) -> bool {
        self.all("proxy-status")
            .any(|status| status.starts_with(b"mini; error="))
    }
}

/// Reads the answer to one request at the beginning of these bytes, after which the connection has ended or not.
pub fn read(bytes: &[u8], is_head: bool, has_ended: bool, reading: Reading) -> (Answer, End) {
    let mut answer = Answer::default();
    let end = match reader(bytes, is_head, has_ended, reading, &mut answer) {
        Ok(Some(length)) => End::Whole(length),
        Ok(None) => End::Partial,
        Err(why) => End::Invalid(why),
    };
    (answer, end)
}

type Parsed<T> = Result<Option<T>, &'static str>;

fn reader(
    bytes: &[u8],
    is_head: bool,
    has_ended: bool,
    reading: Reading,
    answer: &mut Answer,
) -> Parsed<usize> {
    let mut at = 0;
    loop {
        let Some(length) = head(&bytes[at..], reading, answer)? else {
            return Ok(None);
        };
        at += length;
        match answer.status {
            101 => return Err("a change of protocol that nobody asked for"),
            100..=199 => answer.interims += 1,
            _ => break,
        }
    }
    let rest = &bytes[at..];
    let framing = framing(answer, is_head, reading)?;
    let length = match framing {
        Framing::Nothing => Some(0),
        Framing::Chunks => chunks(rest, reading, answer)?,
        Framing::Length(length) => {
            let there = rest
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            answer.body = rest[..there].to_vec();
            (there as u64 == length).then_some(there)
        }
        Framing::UntilTheEnd => {
            answer.body = rest.to_vec();
            has_ended.then_some(rest.len())
        }
    };
    Ok(length.map(|length| at + length))
}

/// The first line and the fields; how many bytes they have.
fn head(bytes: &[u8], reading: Reading, answer: &mut Answer) -> Parsed<usize> {
    let mut at = 0;
    let mut first = None;
    loop {
        let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line = &bytes[at..at + length];
        at += length + 1;
        let line = match (line.strip_suffix(b"\r"), reading) {
            (Some(line), _) => line,
            // RFC 9112 section 2.2.
            (None, Reading::Lenient) => line,
            (None, Reading::Strict) => return Err("a line feed without carriage return"),
        };
        match (&first, line.is_empty()) {
            (None, true) if reading == Reading::Lenient => {}
            (None, true) => return Err("an empty line before an answer"),
            (None, false) => {
                first = Some(());
                answer.fields.clear();
                (answer.version, answer.status) = status_line(line, reading)?;
            }
            (Some(()), true) => return Ok(Some(at)),
            (Some(()), false) => answer.fields.push(field(line)?),
        }
    }
}

fn status_line(line: &[u8], reading: Reading) -> Result<(Vec<u8>, u16), &'static str> {
    let version = line.get(..8).ok_or("a version")?;
    if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
        return Err("a version that is ours");
    }
    let rest = line
        .get(8..)
        .and_then(|rest| rest.strip_prefix(b" "))
        .ok_or("a space behind the version")?;
    let digits = rest
        .get(..3)
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .ok_or("three digits")?;
    let status = digits
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    match &rest[3..] {
        [] if reading == Reading::Lenient => {}
        [b' ', reason @ ..] if is_text(reason) => {}
        _ => return Err("a reason"),
    }
    match (status, reading) {
        (100..=599, _) | (600..=999, Reading::Lenient) => Ok((version.to_vec(), status)),
        _ => Err(NO_CLASS),
    }
}

/// RFC 9110 section 5.5, obs-text included.
fn is_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| (*byte >= b' ' || *byte == b'\t') && *byte != 0x7f)
}

/// RFC 9110 section 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let is_mark = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_mark)
}

fn field(line: &[u8]) -> Result<Field, &'static str> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("a field has a colon")?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return Err("the name of a field is a token");
    }
    if !is_text(value) {
        return Err("the value of a field has no controls");
    }
    Ok((name.to_vec(), value.trim_ascii().to_vec()))
}

enum Framing {
    Nothing,
    Chunks,
    Length(u64),
    UntilTheEnd,
}

/// RFC 9112 section 6.3.
fn framing(answer: &Answer, is_head: bool, reading: Reading) -> Result<Framing, &'static str> {
    let is_strict = reading == Reading::Strict;
    let codings: Vec<_> = answer.all("transfer-encoding").collect();
    let mut length: Option<u64> = None;
    let mut count = 0;
    let mut unreadable = Ok(());
    for word in answer
        .all("content-length")
        .flat_map(|value| value.split(|byte| *byte == b','))
    {
        count += 1;
        let word = word.trim_ascii();
        let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(word)
            .ok()
            .filter(|_| is_number)
            .and_then(|word| word.parse().ok());
        match number {
            Some(number) if length.is_none_or(|length| length == number) => length = Some(number),
            _ => unreadable = Err("one length in digits"),
        }
    }
    if is_strict {
        unreadable?;
        if count > 1 || (count > 0 && !codings.is_empty()) {
            return Err("one framing, once");
        }
        if (answer.status == 204) && (count > 0 || !codings.is_empty()) {
            return Err("a framing of what has no body");
        }
        if length.is_some_and(|length| length > i64::MAX as u64) {
            return Err("a length that can be");
        }
    }
    let is_chunked = match codings.as_slice() {
        [] => false,
        [coding] if coding.eq_ignore_ascii_case(b"chunked") => {
            if answer.version == b"HTTP/1.0" {
                return Err("HTTP/1.0 has no chunks");
            }
            true
        }
        _ if is_head || matches!(answer.status, 204 | 304) => false,
        _ => return Err("chunked and nothing else"),
    };
    if is_head || matches!(answer.status, 204 | 304) {
        return Ok(Framing::Nothing);
    }
    if is_chunked {
        return Ok(Framing::Chunks);
    }
    unreadable?;
    Ok(length.map_or(Framing::UntilTheEnd, Framing::Length))
}

/// RFC 9112 section 7.1: how many bytes they have; their contents go to the body.
fn chunks(bytes: &[u8], reading: Reading, answer: &mut Answer) -> Parsed<usize> {
    let mut at = 0;
    loop {
        let Some(line) = line(bytes, at)? else {
            return Ok(None);
        };
        at += line.len() + 2;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let (size, extension) = line.split_at(digits);
        let is_extension = match reading {
            Reading::Strict => extension.is_empty() || is_extension(extension),
            Reading::Lenient => {
                matches!(extension.trim_ascii_start(), [] | [b';', ..])
                    && !extension.contains(&b'\r')
            }
        };
        if !is_extension {
            return Err("a chunk begins with its size");
        }
        let size = std::str::from_utf8(size).map_err(|_| "hexadecimal")?;
        if reading == Reading::Strict && size.len() > 15 {
            return Err("a size that can be");
        }
        let size = u64::from_str_radix(size, 16).map_err(|_| "a size that can be")?;
        if size == 0 {
            break;
        }
        let there =
            &bytes[at..][..(bytes.len() - at).min(usize::try_from(size).unwrap_or(usize::MAX))];
        answer.body.extend_from_slice(there);
        if (there.len() as u64) < size {
            return Ok(None);
        }
        at += there.len();
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            None if bytes.get(at).is_none_or(|byte| *byte == b'\r') => return Ok(None),
            _ => return Err("a chunk ends where it says"),
        }
    }
    loop {
        let Some(line) = line(bytes, at)? else {
            return Ok(None);
        };
        at += line.len() + 2;
        if line.is_empty() {
            return Ok(Some(at));
        }
        answer.trailers.push(field(line)?);
    }
}

/// Names with or without values, as they are most often.
fn is_extension(bytes: &[u8]) -> bool {
    let mut parts = bytes.split(|byte| *byte == b';');
    let is_part = |part: &[u8]| {
        let mut sides = part.splitn(2, |byte| *byte == b'=');
        sides.next().is_some_and(is_token) && sides.next().is_none_or(is_token)
    };
    parts.next() == Some(b"") && parts.all(is_part)
}

/// The line at an offset, which has to end as lines of a framing do.
fn line(bytes: &[u8], at: usize) -> Parsed<&[u8]> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let line = rest[..end].strip_suffix(b"\r");
    line.map(Some)
        .ok_or("a line feed without carriage return in a framing")
}
