//! The text form of an answer, in Dokku's shapes (DOKKU.md, 4.2).

use crate::engine::Stream;

/// `-----> text`
pub(super) fn header(text: &str) -> String {
    format!("-----> {text}\n")
}

/// `=====> text`
pub(super) fn section(text: &str) -> String {
    format!("=====> {text}\n")
}

/// Seven spaces, then the text.
pub(super) fn detail(text: &str) -> String {
    format!("       {text}\n")
}

/// ` !     text`
pub(super) fn warning(text: &str) -> String {
    text.lines()
        .map(|line| format!(" !     {line}\n"))
        .collect()
}

/// Lines of an answer, for standard output and standard error.
#[derive(Debug, Default)]
pub struct Page {
    parts: Vec<(Stream, String)>,
    is_quiet: bool,
    has_colour: bool,
}

impl Page {
    /// An empty page; a quiet one drops headings, one without colour drops colours.
    pub fn new(is_quiet: bool, has_colour: bool) -> Self {
        Self {
            parts: Vec::new(),
            is_quiet,
            has_colour,
        }
    }

    fn push(&mut self, stream: Stream, text: String) {
        match self.parts.last_mut() {
            Some((last, written)) if *last == stream => written.push_str(&text),
            _ => self.parts.push((stream, text)),
        }
    }

    /// A step, `-----> text`; left out when quiet.
    pub fn header(&mut self, text: impl AsRef<str>) {
        if !self.is_quiet {
            self.push(Stream::Stdout, header(text.as_ref()));
        }
    }

    /// A title, `=====> text`; left out when quiet.
    pub fn section(&mut self, text: impl AsRef<str>) {
        if !self.is_quiet {
            self.push(Stream::Stdout, section(text.as_ref()));
        }
    }

    /// A line under a heading, seven spaces in.
    pub fn detail(&mut self, text: impl AsRef<str>) {
        self.push(Stream::Stdout, detail(text.as_ref()));
    }

    /// A line as it is.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.push(Stream::Stdout, format!("{}\n", text.as_ref()));
    }

    /// A warning on standard error, ` !     text`.
    pub fn warning(&mut self, text: impl AsRef<str>) {
        self.push(Stream::Stderr, warning(text.as_ref()));
    }

    /// `text` in an ANSI colour (`31` is red) where the reader shows colours.
    pub fn paint(&self, colour: u8, text: &str) -> String {
        paint(self.has_colour, colour, text)
    }

    /// What was written, in order.
    pub fn parts(self) -> Vec<(Stream, String)> {
        self.parts
    }

    /// All of it as one text, for tests and for documentation.
    pub fn to_text(&self) -> String {
        self.parts.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// `text` in an ANSI colour, or as it is.
pub(super) fn paint(has_colour: bool, colour: u8, text: &str) -> String {
    if has_colour {
        format!("\u{1b}[{colour}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}
