//! git's pkt-line, as far as a proc-receive hook speaks it (gitprotocol-common(5), githooks(5)).

use std::io::{self, Read, Write};

/// The longest payload of one packet.
const LIMIT_BYTES: usize = 65_516;

/// The next packet; `None` is a flush.
pub(super) fn read(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = std::str::from_utf8(&length)
        .ok()
        .and_then(|text| usize::from_str_radix(text, 16).ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    match length {
        0 => return Ok(None),
        4.. => {}
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }
    let mut payload = vec![0; length.saturating_sub(4)];
    reader.read_exact(&mut payload)?;
    Ok(Some(payload))
}

/// All packets up to the next flush, as text without line ends.
pub(super) fn read_section(reader: &mut impl Read) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    while let Some(payload) = read(reader)? {
        let text = String::from_utf8_lossy(&payload);
        lines.push(text.trim_end_matches('\n').to_owned());
    }
    Ok(lines)
}

pub(super) fn write(writer: &mut impl Write, payload: &str) -> io::Result<()> {
    if payload.len() > LIMIT_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    write!(writer, "{:04x}{payload}", payload.len().saturating_add(4))
}

pub(super) fn flush(writer: &mut impl Write) -> io::Result<()> {
    writer.write_all(b"0000")?;
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_up_to_a_flush() {
        let mut bytes = Vec::new();
        write(&mut bytes, "version=1\0push-options\n").unwrap();
        write(&mut bytes, "x").unwrap();
        flush(&mut bytes).unwrap();
        assert!(bytes.starts_with(b"001b"));
        let mut rest = bytes.as_slice();
        assert_eq!(
            read_section(&mut rest).unwrap(),
            ["version=1\0push-options", "x"]
        );
        assert!(read_section(&mut rest).is_err());
    }

    #[test]
    fn nonsense_is_an_error() {
        for bytes in ["zzzz", "0003", "0001", "00", "0009ab"] {
            assert!(read(&mut bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
