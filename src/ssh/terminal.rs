//! The simple line terminal of a command that was given a PTY but has no terminal of its own behind it.
//!
//! With a PTY the client's own terminal is raw: it echoes nothing and sends Ctrl-C as a byte. Where a container's terminal
//! is at the other end, bytes pass untouched; everywhere else the little that is needed happens here.

use bytes::{Bytes, BytesMut};

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// Output for a raw terminal: a line feed that has no carriage return before it gets one.
#[derive(Debug, Default)]
pub(super) struct Display {
    ended_in_return: bool,
}

impl Display {
    pub(super) fn show(&mut self, bytes: &Bytes) -> Bytes {
        if !bytes.contains(&b'\n') {
            if let Some(last) = bytes.last() {
                self.ended_in_return = *last == b'\r';
            }
            return bytes.clone();
        }
        let mut shown = BytesMut::with_capacity(bytes.len().saturating_add(16));
        for byte in bytes {
            if *byte == b'\n' && !self.ended_in_return {
                shown.extend_from_slice(b"\r");
            }
            shown.extend_from_slice(&[*byte]);
            self.ended_in_return = *byte == b'\r';
        }
        shown.freeze()
    }
}

/// What was typed at a raw terminal, for a command that reads lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// For the command: Enter as a line feed.
    pub(super) input: Bytes,
    /// For the terminal.
    pub(super) echo: Bytes,
    /// What came after it, if anything ends here.
    pub(super) end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Ctrl-D: no more input.
    Input,
    /// Ctrl-C: the command is to stop.
    Command,
}

/// What `bytes` are for the command and for the terminal, which shows no more than line breaks of what is hidden.
pub(super) fn typed(bytes: &[u8], is_hidden: bool) -> Typed {
    let mut input = BytesMut::with_capacity(bytes.len());
    let mut echo = BytesMut::with_capacity(bytes.len());
    let mut end = None;
    for byte in bytes {
        match *byte {
            CTRL_C => {
                echo.extend_from_slice(b"^C\r\n");
                end = Some(End::Command);
                break;
            }
            CTRL_D => {
                end = Some(End::Input);
                break;
            }
            b'\r' | b'\n' => {
                input.extend_from_slice(b"\n");
                echo.extend_from_slice(b"\r\n");
            }
            byte => {
                input.extend_from_slice(&[byte]);
                if byte >= b' ' && byte != 0x7f && !is_hidden {
                    echo.extend_from_slice(&[byte]);
                }
            }
        }
    }
    Typed {
        input: input.freeze(),
        echo: echo.freeze(),
        end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_display(pieces: &[&str], shown: &str) {
        let mut display = Display::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(&display.show(&Bytes::copy_from_slice(piece.as_bytes())));
        }
        assert_eq!(String::from_utf8(all).unwrap(), shown);
    }

    #[test]
    fn line_feeds_get_the_return_they_lack() {
        check_display(&["a\nb\n"], "a\r\nb\r\n");
        check_display(&["a\r\nb"], "a\r\nb");
        check_display(&["a\r", "\nb", "\n"], "a\r\nb\r\n");
        check_display(&["a\r", "b", "\n"], "a\rb\r\n");
    }

    fn check_typed(bytes: &str, input: &str, echo: &str, end: Option<End>) {
        let found = typed(bytes.as_bytes(), false);
        assert_eq!(found.input, input.as_bytes());
        assert_eq!(found.echo, echo.as_bytes());
        assert_eq!(found.end, end);
        let breaks = echo.replace(|shown| !"\r\n^C".contains(shown), "");
        let hidden = typed(bytes.as_bytes(), true);
        assert_eq!((hidden.input, hidden.end), (found.input, found.end));
        assert_eq!(hidden.echo, breaks.as_bytes());
    }

    #[test]
    fn enter_is_a_line_and_control_keys_end() {
        check_typed("yes\r", "yes\n", "yes\r\n", None);
        check_typed("a\u{3}b", "a", "a^C\r\n", Some(End::Command));
        check_typed("a\r\u{4}", "a\n", "a\r\n", Some(End::Input));
        check_typed("\u{1b}[A", "\u{1b}[A", "[A", None);
    }
}
