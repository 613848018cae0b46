//! A slow and strict reader of HTTP/1.1 requests, written after RFC 9112 and nothing of the proxy's.

/// Whose bytes are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A client's, as the proxy may read them: of RFC 9112 section 2.2 it takes empty lines before a request, and no line feed
    /// alone for the end of a line.
    OfProxy,
    /// The proxy's, as the strictest upstream would.
    OfUpstream,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub version: Vec<u8>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
}

#[derive(Debug)]
pub enum Parsed {
    /// A whole request, and how many bytes it has.
    Complete(Request, usize),
    /// It may become one.
    Partial,
    Invalid(&'static str),
}

impl Request {
    /// The value of the first field of this name, which is lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        fields
            .find(|field| field.0.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| &*field.1)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.0.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| &*field.1)
    }

    /// Whether this is what a proxy makes of `self`: the method, the body, the target in origin form and perhaps without `/api`.
    pub fn is_forwarded_as(&self, forwarded: &Request) -> bool {
        let target = self
            .target
            .split(|byte| *byte == b'#')
            .next()
            .unwrap_or_default();
        let origin = match target.windows(3).position(|window| window == b"://") {
            Some(at) if !target.starts_with(b"/") => {
                let rest = &target[at + 3..];
                let path = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
                let path = path.map_or(&b""[..], |at| &rest[at..]);
                if path.starts_with(b"/") {
                    path.to_vec()
                } else {
                    [b"/", path].concat()
                }
            }
            _ => target.to_vec(),
        };
        let is_target = forwarded.target == origin || {
            let path = origin
                .split(|byte| *byte == b'?')
                .next()
                .unwrap_or_default();
            let stripped = forwarded
                .target
                .split(|byte| *byte == b'?')
                .next()
                .unwrap_or_default();
            let query = &origin[path.len()..];
            forwarded.header("x-forwarded-prefix") == Some(b"/api")
                && forwarded.target[stripped.len()..] == *query
                && path.ends_with(&stripped[1..])
        };
        self.method == forwarded.method && self.body == forwarded.body && is_target
    }
}

/// All requests up to the first that is incomplete or none.
pub fn all(mut bytes: &[u8], reading: Reading) -> Vec<Request> {
    let mut requests = Vec::new();
    while let Parsed::Complete(request, length) = next(bytes, reading) {
        bytes = &bytes[length..];
        requests.push(request);
    }
    requests
}

/// The request at the beginning of these bytes.
pub fn next(bytes: &[u8], reading: Reading) -> Parsed {
    let mut at = 0;
    if reading == Reading::OfProxy {
        while bytes[at..].starts_with(b"\r\n") {
            at += 2;
        }
    }
    let mut lines = Vec::new();
    loop {
        let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') else {
            return Parsed::Partial;
        };
        let line = &bytes[at..at + length];
        at += length + 1;
        let Some(line) = line.strip_suffix(b"\r") else {
            return Parsed::Invalid("a line feed without carriage return");
        };
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let Some((first, fields)) = lines.split_first() else {
        return Parsed::Invalid("no request line");
    };
    let mut request = match request_line(first) {
        Ok(request) => request,
        Err(why) => return Parsed::Invalid(why),
    };
    for line in fields {
        match field(line, reading) {
            Ok(field) => request.fields.push(field),
            Err(why) => return Parsed::Invalid(why),
        }
    }
    if reading == Reading::OfUpstream {
        if let Err(why) = is_hygienic(&request) {
            return Parsed::Invalid(why);
        }
    }
    match body(&request, &bytes[at..], reading) {
        Ok(Some((body, length))) => {
            request.body = body;
            Parsed::Complete(request, at + length)
        }
        Ok(None) => Parsed::Partial,
        Err(why) => Parsed::Invalid(why),
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn request_line(line: &[u8]) -> Result<Request, &'static str> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("a request line has three words");
    };
    if !is_token(method) {
        return Err("a method is a token");
    }
    if target.is_empty() || target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err("a target has no controls");
    }
    if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
        return Err("the version is not ours");
    }
    Ok(Request {
        method: method.to_vec(),
        target: target.to_vec(),
        version: version.to_vec(),
        fields: Vec::new(),
        body: Vec::new(),
    })
}

/// RFC 9112 section 5, RFC 9110 section 5.5.
fn field(line: &[u8], _reading: Reading) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("a field has a colon")?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return Err("the name of a field is a token");
    }
    if value
        .iter()
        .any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f)
    {
        return Err("the value of a field has no controls");
    }
    Ok((name.to_vec(), value.trim_ascii().to_vec()))
}

/// What a proxy must not send on.
fn is_hygienic(request: &Request) -> Result<(), &'static str> {
    if request.all("host").count() != 1 {
        return Err("one Host (RFC 9112 section 3.2)");
    }
    if request.version != b"HTTP/1.1" {
        return Err("the proxy speaks HTTP/1.1");
    }
    if request.header("content-length").is_some() && request.header("transfer-encoding").is_some() {
        return Err("one framing (RFC 9112 section 6.2)");
    }
    for name in [
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "http2-settings",
        "expect",
    ] {
        if request.header(name).is_some() {
            return Err("a hop-by-hop field (RFC 9110 section 7.6.1)");
        }
    }
    for name in [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-request-id",
        "x-request-start",
    ] {
        if request.all(name).count() != 1 {
            return Err("what the proxy says of a request, once");
        }
    }
    for name in [
        "forwarded",
        "traceparent",
        "x-forwarded-prefix",
        "connection",
        "te",
    ] {
        if request.all(name).count() > 1 {
            return Err("what the proxy may say of a request, at most once");
        }
    }
    if !(request.target.starts_with(b"/")
        || (request.target == b"*" && request.method == b"OPTIONS"))
    {
        return Err("a target in origin form");
    }
    Ok(())
}

/// The body and how many bytes it has in its framing, if all of it is there (RFC 9112 section 6.3).
fn body(
    request: &Request,
    bytes: &[u8],
    reading: Reading,
) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
    let mut encodings = request.all("transfer-encoding");
    if let Some(encoding) = encodings.next() {
        if encodings.next().is_some() || !encoding.eq_ignore_ascii_case(b"chunked") {
            return Err("chunked and nothing else");
        }
        if request.version == b"HTTP/1.0" {
            return Err("HTTP/1.0 has no chunks");
        }
        return chunks(bytes, reading);
    }
    let mut length: Option<usize> = None;
    for value in request.all("content-length") {
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err("a length is digits");
        }
        let text = std::str::from_utf8(value).map_err(|_| "a length is digits")?;
        let value: usize = text.parse().map_err(|_| "a length that can be")?;
        if length.is_some_and(|length| length != value)
            || (length.is_some() && reading == Reading::OfUpstream)
        {
            return Err("one length");
        }
        length = Some(value);
    }
    let length = length.unwrap_or(0);
    Ok(bytes.get(..length).map(|body| (body.to_vec(), length)))
}

/// RFC 9112 section 7.1.
fn chunks(bytes: &[u8], reading: Reading) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
    let mut body = Vec::new();
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
        let extension = match reading {
            // Bad whitespace is the reader's to take or leave.
            Reading::OfProxy => extension.trim_ascii_start(),
            Reading::OfUpstream => extension,
        };
        if !(extension.is_empty() || extension.starts_with(b";")) {
            return Err("a chunk begins with its size");
        }
        let size = std::str::from_utf8(size).map_err(|_| "hexadecimal")?;
        let size = usize::from_str_radix(size, 16).map_err(|_| "a size that can be")?;
        if size == 0 {
            break;
        }
        let Some(data) = bytes.get(at..).and_then(|rest| rest.get(..size)) else {
            return Ok(None);
        };
        body.extend_from_slice(data);
        at += size;
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return Err("a chunk ends where it says"),
            None => return Ok(None),
        }
    }
    loop {
        let Some(line) = line(bytes, at)? else {
            return Ok(None);
        };
        at += line.len() + 2;
        if line.is_empty() {
            return Ok(Some((body, at)));
        }
        if reading == Reading::OfUpstream {
            field(line, reading)?;
        }
    }
}

/// The line at an offset, which has to end as lines of a framing do.
fn line(bytes: &[u8], at: usize) -> Result<Option<&[u8]>, &'static str> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    match rest[..end].strip_suffix(b"\r") {
        Some(line) => Ok(Some(line)),
        None => Err("a line feed without carriage return in a framing"),
    }
}
