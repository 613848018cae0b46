//! Bytes of a file as text, in the encodings editors and shells write.

use crate::error::DetectError;

/// UTF-8 with or without a byte order mark; UTF-16 with one, which is what PowerShell's `>` writes.
pub(crate) fn decode(path: &str, bytes: &[u8]) -> Result<String, DetectError> {
    let not_text = |line| DetectError::InvalidManifest {
        file: path.to_owned(),
        line: Some(line),
        problem: "not UTF-8 text; save it with the encoding UTF-8".to_owned(),
    };
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = rest.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map_err(|_| not_text(1))
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => decode(path, rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(not_text(
                bytes
                    .iter()
                    .take(error.valid_up_to())
                    .filter(|byte| **byte == b'\n')
                    .count()
                    + 1,
            )),
        },
    }
}
