//! As much of an HTTP/1.1 client as the tests need, on plain TCP, so that nothing hides what the proxy does.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By lower-case name; the last of several of one name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// One connection, kept alive.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks for a path with some more header lines (each ended by CR LF).
    pub(crate) fn get(&mut self, host: &str, path: &str, more: &str) -> io::Result<Answer> {
        self.send(
            &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{more}\r\n"),
            &[],
        )
    }

    /// Sends a request as it is, and reads the answer.
    pub(crate) fn send(&mut self, head: &str, body: &[u8]) -> io::Result<Answer> {
        let mut request = head.as_bytes().to_vec();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        self.read_answer()
    }

    /// Sends bytes as they are, after an upgrade.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads as many bytes as asked for, after an upgrade.
    pub(crate) fn read(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed",
            ));
        }
        Ok(line.trim_end().to_owned())
    }

    fn read_answer(&mut self) -> io::Result<Answer> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let first = self.line()?;
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| invalid(format!("not a status line: {first:?}")))?;
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| invalid(format!("not a header: {line:?}")))?;
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = Vec::new();
        if status == 101 || status == 204 || status == 304 {
            // No body.
        } else if let Some(length) = headers.get("content-length") {
            let length = length
                .parse()
                .map_err(|_| invalid(format!("length {length:?}")))?;
            body = self.read(length)?;
        } else if headers
            .get("transfer-encoding")
            .is_some_and(|value| value == "chunked")
        {
            loop {
                let size = self.line()?;
                let size = usize::from_str_radix(&size, 16)
                    .map_err(|_| invalid(format!("chunk size {size:?}")))?;
                body.extend(self.read(size)?);
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.stream.read_to_end(&mut body)?;
        }
        Ok(Answer {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

/// One request on a connection of its own.
pub(crate) fn get(address: SocketAddr, host: &str, path: &str) -> io::Result<Answer> {
    Connection::open(address)?.get(host, path, "connection: close\r\n")
}
