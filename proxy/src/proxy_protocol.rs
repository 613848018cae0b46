//! The header of the PROXY protocol, by which a proxy in front says whose connection it hands on: versions 1 and 2, as
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt> has them. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header that is read. The addresses take 52 bytes at most; the rest is for what senders add: a certificate's
/// subject, a server name, an id (haproxy reads 16 KiB at most, AWS adds some dozen bytes).
pub(crate) const MAX_BYTES: usize = 4096;

/// Longest line of version 1, with its end (section 2.1).
const MAX_LINE_BYTES: usize = 107;
const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of version 2: signature, version and command, family, length (section 2.2).
const FIXED_BYTES: usize = 16;
/// Additions that are looked at (section 2.2.1).
const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;
/// The bit of the SSL addition that says that the client came over TLS (section 2.2.5).
const CLIENT_SSL: u8 = 0x01;

/// What the beginning of a connection says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parsed {
    /// A whole header, and how many bytes it has.
    Header(Header, usize),
    /// The beginning of a header.
    Incomplete,
}

/// What a header says of the connection that is handed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Header {
    /// Both ends of it. None where the sender speaks for itself, as in checks, or knows no addresses.
    pub(crate) ends: Option<Relayed>,
    /// The client spoke TLS with the sender.
    pub(crate) is_tls: bool,
}

/// The ends of the connection that is handed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Relayed {
    pub(crate) client: SocketAddr,
    /// What the client had connected to.
    pub(crate) server: SocketAddr,
}

/// Why a connection does not begin with a header that can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no header of the PROXY protocol")]
    Missing,
    #[error(
        "the header is longer than {MAX_BYTES} bytes, or its line longer than {MAX_LINE_BYTES}"
    )]
    TooLong,
    #[error("the line of the header is malformed")]
    Line,
    #[error("the header has a version other than 1 and 2")]
    Version,
    #[error("the header has an unknown command")]
    Command,
    #[error("the header hands on something other than a stream")]
    Transport,
    #[error("the header is too short for what it says it has")]
    CutShort,
    #[error("the checksum of the header is wrong")]
    Checksum,
}

/// Reads the header at the beginning of what a connection has brought so far. Says nothing of what follows it.
///
/// # Errors
/// What is there is no header, nor the beginning of one, or it is broken: the connection is to be closed, for what
/// follows would be taken for another client's (section 2).
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    if begins(bytes, SIGNATURE) {
        parse_binary(bytes)
    } else if begins(bytes, LINE_START) {
        parse_line(bytes)
    } else {
        Err(Error::Missing)
    }
}

/// Whether the bytes begin as the other ones do, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted)
}

/// Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`, or `PROXY UNKNOWN` and anything.
fn parse_line(bytes: &[u8]) -> Result<Parsed, Error> {
    let most = bytes.get(..MAX_LINE_BYTES).unwrap_or(bytes);
    let Some(end) = most.windows(2).position(|pair| pair == b"\r\n") else {
        return match most.len() < MAX_LINE_BYTES {
            true => Ok(Parsed::Incomplete),
            false => Err(Error::TooLong),
        };
    };
    let line = bytes.get(LINE_START.len()..end).ok_or(Error::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| Error::Line)?;
    let mut words = line.split(' ');
    let ends = match words.next() {
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(relayed::<Ipv4Addr>(words)?),
        Some("TCP6") => Some(relayed::<Ipv6Addr>(words)?),
        _ => return Err(Error::Line),
    };
    let is_tls = false;
    Ok(Parsed::Header(Header { ends, is_tls }, end + 2))
}

fn relayed<'a, A>(mut words: impl Iterator<Item = &'a str>) -> Result<Relayed, Error>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let mut address = || -> Option<IpAddr> { Some(words.next()?.parse::<A>().ok()?.into()) };
    let addresses = address().zip(address());
    let ports = port(words.next()).zip(port(words.next()));
    match (addresses, ports, words.next()) {
        (Some((client, server)), Some((client_port, server_port)), None) => Ok(Relayed {
            client: SocketAddr::new(client, client_port),
            server: SocketAddr::new(server, server_port),
        }),
        _ => Err(Error::Line),
    }
}

/// A number without sign or zeros before it.
fn port(word: Option<&str>) -> Option<u16> {
    let word = word?;
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = word.len() > 1 && word.starts_with('0');
    word.parse().ok().filter(|_| is_plain && !has_zeros)
}

fn parse_binary(bytes: &[u8]) -> Result<Parsed, Error> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(Parsed::Incomplete);
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = FIXED_BYTES + length;
    if command >> 4 != 2 {
        return Err(Error::Version);
    }
    if whole > MAX_BYTES {
        return Err(Error::TooLong);
    }
    let is_local = match command & 0xf {
        0 => true,
        1 => false,
        _ => return Err(Error::Command),
    };
    let (Some(body), Some(header)) = (rest.get(..length), bytes.get(..whole)) else {
        return Ok(Parsed::Incomplete);
    };
    if is_local || family == 0 {
        // Whatever else it has is to be skipped.
        return Ok(Parsed::Header(Header::default(), whole));
    }
    let (ends, additions) = match family {
        0x11 => ends::<4>(body)?,
        0x21 => ends::<16>(body)?,
        // A client on a Unix socket: two paths of 108 bytes.
        0x31 => (None, body.get(216..).ok_or(Error::CutShort)?),
        _ => return Err(Error::Transport),
    };
    let is_tls = read_additions(additions, header)?;
    Ok(Parsed::Header(Header { ends, is_tls }, whole))
}

/// Two addresses of so many bytes and two ports, and what is behind them.
fn ends<const BYTES: usize>(body: &[u8]) -> Result<(Option<Relayed>, &[u8]), Error>
where
    [u8; BYTES]: Into<IpAddr>,
{
    let (client, rest) = body.split_first_chunk::<BYTES>().ok_or(Error::CutShort)?;
    let (server, rest) = rest.split_first_chunk::<BYTES>().ok_or(Error::CutShort)?;
    let (ports, rest) = rest.split_first_chunk::<4>().ok_or(Error::CutShort)?;
    let [a, b, c, d] = *ports;
    let relayed = Relayed {
        client: SocketAddr::new((*client).into(), u16::from_be_bytes([a, b])),
        server: SocketAddr::new((*server).into(), u16::from_be_bytes([c, d])),
    };
    Ok((Some(relayed), rest))
}

/// Checks the checksum if there is one; answers whether the client came over TLS. All else is skipped.
fn read_additions(mut additions: &[u8], header: &[u8]) -> Result<bool, Error> {
    let mut is_tls = false;
    while let Some((kind, rest)) = additions.split_first() {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(Error::CutShort)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let value = rest.get(..length).ok_or(Error::CutShort)?;
        let behind = rest.get(length..).unwrap_or_default();
        match *kind {
            SSL => is_tls = value.first().is_some_and(|bits| bits & CLIENT_SSL != 0),
            CRC32C => {
                let said = value.try_into().map_err(|_| Error::Checksum)?;
                let before = header.len().saturating_sub(behind.len() + length);
                let parts = [header.get(..before).unwrap_or_default(), &[0; 4], behind];
                if crc32c(parts.into_iter().flatten()) != u32::from_be_bytes(said) {
                    return Err(Error::Checksum);
                }
            }
            _ => {}
        }
        additions = behind;
    }
    Ok(is_tls)
}

/// RFC 9260 appendix A. A bit at a time: headers are short, and few have it.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let sum = bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg())
        })
    });
    !sum
}

#[cfg(test)]
mod tests;
