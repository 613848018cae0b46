//! Bytes that arrive in pieces, made into lines.

/// The longest line passed on; a longer one is cut into several.
pub(super) const LONGEST_BYTES: usize = 16 * 1024;

/// Gathers one stream's bytes into lines. Bytes that are not UTF-8 are replaced. A carriage return begins the line again,
/// as on a terminal, so that of a progress bar only the last state is left.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    /// A carriage return was the last byte: it begins the line again unless a line feed follows.
    is_returned: bool,
}

impl Lines {
    /// Takes in a piece and gives the lines it completes.
    pub fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in piece.iter().copied() {
            match byte {
                b'\n' => lines.push(self.take()),
                b'\r' => self.is_returned = true,
                byte => {
                    if std::mem::take(&mut self.is_returned) {
                        self.line.clear();
                    }
                    if self.line.len() >= LONGEST_BYTES {
                        lines.push(self.cut());
                    }
                    self.line.push(byte);
                }
            }
        }
        lines
    }

    /// What is left after the last line feed, if anything.
    pub fn finish(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        self.is_returned = false;
        text(std::mem::take(&mut self.line))
    }

    /// Takes the line off at the last place that does not split a character.
    fn cut(&mut self) -> String {
        let whole = match std::str::from_utf8(&self.line) {
            // Only an unfinished character at the very end moves the place; broken bytes elsewhere are replaced anyway.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.line.len(),
        };
        let rest = self.line.split_off(whole);
        text(std::mem::replace(&mut self.line, rest))
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(lines.push(piece));
        }
        all.extend(lines.finish());
        assert_eq!(all, expected);
    }

    #[test]
    fn pieces_become_lines() {
        check(&[b"a", b"b\nc", b"\n", b"d"], &["ab", "c", "d"]);
        check(&[b"\n\n"], &["", ""]);
        check(&[], &[]);
    }

    #[test]
    fn a_carriage_return_begins_the_line_again() {
        check(&[b"a\r\nb\r", b"\nc"], &["a", "b", "c"]);
        check(&[b"10%\r50%", b"\r100%\n"], &["100%"]);
        check(&[b"done\r"], &["done"]);
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        check(&[b"a\xffb\n"], &["a\u{fffd}b"]);
        check(&["ä".as_bytes().split_at(1).0, b"\xa4\n"], &["ä"]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let long = "ä".repeat(LONGEST_BYTES / 2 - 1) + "aäb\n";
        let mut lines = Lines::default();
        let cut = lines.push(long.as_bytes());
        assert_eq!(cut.len(), 2);
        assert_eq!(cut.concat(), long.trim_end());
        assert_eq!(cut[1], "äb");
    }
}
