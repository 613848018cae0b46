//! The addresses of a name: as the system finds them, or asked of one DNS server (RFC 1035).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// How long one answer is waited for, and how often it is asked for.
const PATIENCE: Duration = Duration::from_secs(2);
const TIMES: usize = 3;
/// The kinds of record asked for (RFC 1035 section 3.2.2, RFC 3596 section 2.1).
const A: u16 = 1;
const AAAA: u16 = 28;
/// The largest answer over UDP without extensions (RFC 1035 section 2.3.4).
const MAX_BYTES: usize = 512;

/// Why a name's addresses are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("it has no address in DNS")]
    NoAddress,
    #[error("its address cannot be looked up ({0})")]
    Lookup(#[source] io::Error),
    #[error("the DNS server {server} did not answer")]
    Silent { server: SocketAddr },
    #[error("the DNS server {server} answered with error {code}")]
    Refused { server: SocketAddr, code: u8 },
}

/// The addresses of a name, IPv6 first, as authorities prefer it.
pub(crate) async fn addresses(
    name: &str,
    server: Option<SocketAddr>,
) -> Result<Vec<IpAddr>, ResolveError> {
    let mut found = match server {
        None => of_the_system(name).await?,
        Some(server) => {
            let mut found = ask(server, name, AAAA).await?;
            found.extend(ask(server, name, A).await?);
            found
        }
    };
    found.sort_by_key(|address| (address.is_ipv4(), *address));
    found.dedup();
    match found.is_empty() {
        true => Err(ResolveError::NoAddress),
        false => Ok(found),
    }
}

async fn of_the_system(name: &str) -> Result<Vec<IpAddr>, ResolveError> {
    // The dot keeps search domains out of it.
    match tokio::net::lookup_host((format!("{name}."), 0)).await {
        Ok(found) => Ok(found.map(|address| address.ip()).collect()),
        // The C library's code is not passed on, only its words: those of glibc and of musl for a name without address.
        Err(error) if is_no_address(&error.to_string()) => Err(ResolveError::NoAddress),
        Err(error) => Err(ResolveError::Lookup(error)),
    }
}

fn is_no_address(words: &str) -> bool {
    let known = [
        "not known",
        "No address associated",
        "does not resolve",
        "has no usable address",
    ];
    known.iter().any(|known| words.contains(known))
}

async fn ask(server: SocketAddr, name: &str, kind: u16) -> Result<Vec<IpAddr>, ResolveError> {
    let mut id = [0; 2];
    let _ = aws_lc_rs::rand::fill(&mut id);
    let question = question(id, name, kind);
    let own: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).await.map_err(ResolveError::Lookup)?;
    socket.connect(server).await.map_err(ResolveError::Lookup)?;
    for _ in 0..TIMES {
        // A port that nobody listens on is reported at the next call.
        if socket.send(&question).await.is_err() {
            continue;
        }
        let answer = tokio::time::timeout(PATIENCE, answer(&socket, id, kind)).await;
        match answer {
            Ok(Ok(Ok(found))) => return Ok(found),
            Ok(Ok(Err(code))) => return Err(ResolveError::Refused { server, code }),
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Err(ResolveError::Silent { server })
}

/// Waits for the answer to the question with this id.
async fn answer(socket: &UdpSocket, id: [u8; 2], kind: u16) -> io::Result<Result<Vec<IpAddr>, u8>> {
    let mut buffer = [0; MAX_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let message = buffer.get(..length).unwrap_or_default();
        if message.starts_with(&id)
            && let Some(answer) = read(message, kind)
        {
            return Ok(answer);
        }
    }
}

fn question(id: [u8; 2], name: &str, kind: u16) -> Vec<u8> {
    let mut message = Vec::with_capacity(name.len() + 18);
    message.extend(id);
    // Recursion desired, one question (RFC 1035 section 4.1.1).
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        // A label of a name that was parsed has at most 63 bytes.
        message.push(label.len().min(63) as u8);
        message.extend(label.bytes().take(63));
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message
}

/// The addresses in an answer, or its error code; `None` if it is no answer.
fn read(message: &[u8], kind: u16) -> Option<Result<Vec<IpAddr>, u8>> {
    let mut reader = Reader { message, at: 2 };
    let flags = reader.number()?;
    if flags & 0x8000 == 0 {
        return None;
    }
    let (questions, answers) = (reader.number()?, reader.number()?);
    match (flags & 0xf) as u8 {
        0 => {}
        // No such name: as good as one without addresses.
        3 => return Some(Ok(Vec::new())),
        code => return Some(Err(code)),
    }
    reader.skip(4)?;
    for _ in 0..questions {
        reader.skip_name()?;
        reader.skip(4)?;
    }
    let mut found = Vec::new();
    for _ in 0..answers {
        reader.skip_name()?;
        let of = reader.number()?;
        reader.skip(6)?;
        let length = reader.number()?;
        let value = reader.take(usize::from(length))?;
        if of != kind {
            continue;
        }
        if let Ok(bytes) = <[u8; 4]>::try_from(value) {
            found.push(IpAddr::from(bytes));
        } else if let Ok(bytes) = <[u8; 16]>::try_from(value) {
            found.push(IpAddr::from(bytes));
        }
    }
    Some(Ok(found))
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.take(length).map(|_| ())
    }

    fn number(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    }

    /// A name ends with an empty label or with a pointer to an earlier one (RFC 1035 section 4.1.4).
    fn skip_name(&mut self) -> Option<()> {
        loop {
            match *self.take(1)?.first()? {
                0 => return Some(()),
                length if length >= 0xc0 => return self.skip(1),
                length => self.skip(usize::from(length))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{A, AAAA, question, read};
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};
    use std::net::IpAddr;

    #[test]
    fn a_question_and_its_answer_read_as_in_the_rfc() {
        let asked = question([7, 9], "a.test", A);
        let expected = b"\x07\x09\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
        assert_eq!(asked, expected);
        let mut answer = asked.clone();
        answer[2] = 0x81;
        answer[7] = 2;
        // An alias first, then the address, both named by a pointer to the question.
        answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01b\xc0\x0e");
        answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\0\x71\x09");
        let address: IpAddr = "203.0.113.9".parse().unwrap();
        assert_eq!(read(&answer, A), Some(Ok(vec![address])));
        assert_eq!(read(&answer, AAAA), Some(Ok(Vec::new())));
        assert_eq!(read(&asked, A), None);
        answer[3] = 3;
        assert_eq!(read(&answer, A), Some(Ok(Vec::new())));
        answer[3] = 2;
        assert_eq!(read(&answer, A), Some(Err(2)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, A);
        }
    }
}
