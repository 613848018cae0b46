//! Lines of a log: their order, and how they look.

use serde::Serialize;

use crate::commands::page::paint;
use crate::engine::{LogLine, Process, Stream};
use crate::model::{ReleaseVersion, Timestamp};

/// Colours of the processes, in turn (Dokku's).
const COLOURS: [u8; 5] = [36, 33, 32, 35, 31];

/// A line of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Entry {
    /// When it was written.
    pub at: Timestamp,
    /// By whom: `web.1`.
    pub process: String,
    /// Of which release.
    pub release: ReleaseVersion,
    /// Where.
    pub stream: Stream,
    /// The line.
    pub text: String,
}

impl Entry {
    pub(super) fn new(process: &Process, line: LogLine) -> Self {
        Self {
            at: line.at,
            process: format!("{}.{}", process.process_type, process.index),
            release: process.release,
            stream: line.stream,
            text: line.text,
        }
    }
}

/// The last `num` lines of several logs as one, by time. Lines of one log keep their order, whatever their times say.
pub(super) fn merged(logs: Vec<Vec<Entry>>, num: usize) -> Vec<Entry> {
    let mut keyed: Vec<(Timestamp, usize, Entry)> = Vec::new();
    for (log, entries) in logs.into_iter().enumerate() {
        // A clock that was set back must not tear a log apart.
        let mut latest = Timestamp::MIN;
        for entry in entries {
            latest = latest.max(entry.at);
            keyed.push((latest, log, entry));
        }
    }
    keyed.sort_by_key(|(at, log, _)| (*at, *log));
    let surplus = keyed.len().saturating_sub(num);
    keyed
        .into_iter()
        .skip(surplus)
        .map(|(_, _, entry)| entry)
        .collect()
}

/// How lines look, and which process has which colour so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    is_raw: bool,
    has_colour: bool,
    seen: Vec<String>,
}

impl Style {
    /// Raw lines are only their text.
    pub(super) fn new(is_raw: bool, has_colour: bool) -> Self {
        Self {
            is_raw,
            has_colour,
            seen: Vec::new(),
        }
    }

    /// `2026-08-21T10:00:00.123456789Z app[web.1]: text`, without a line feed.
    pub(super) fn line(&mut self, entry: &Entry) -> String {
        if self.is_raw {
            return entry.text.clone();
        }
        let position = self.seen.iter().position(|name| *name == entry.process);
        let position = position.unwrap_or_else(|| {
            self.seen.push(entry.process.clone());
            self.seen.len() - 1
        });
        let colour = COLOURS.get(position % COLOURS.len()).copied().unwrap_or(0);
        let at = entry.at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ");
        let prefix = format!("{at} app[{}]:", entry.process);
        format!("{} {}", paint(self.has_colour, colour, &prefix), entry.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, process: &str, text: &str) -> Entry {
        Entry {
            at: Timestamp::new(1_787_306_400 + second, 123_456_789).unwrap(),
            process: process.to_owned(),
            release: ReleaseVersion(1),
            stream: Stream::Stdout,
            text: text.to_owned(),
        }
    }

    #[test]
    fn logs_are_merged_by_time_and_cut_at_the_front() {
        let web = vec![entry(1, "web.1", "a"), entry(3, "web.1", "c")];
        let worker = vec![entry(2, "worker.1", "b"), entry(3, "worker.1", "d")];
        let texts: Vec<String> = merged(vec![web, worker], 3)
            .into_iter()
            .map(|entry| entry.text)
            .collect();
        assert_eq!(texts, ["b", "c", "d"]);
    }

    #[test]
    fn a_log_keeps_its_order_when_the_clock_was_set_back() {
        let web = vec![entry(5, "web.1", "a"), entry(1, "web.1", "b")];
        let worker = vec![entry(3, "worker.1", "x")];
        let texts: Vec<String> = merged(vec![web, worker], 9)
            .into_iter()
            .map(|entry| entry.text)
            .collect();
        assert_eq!(texts, ["x", "a", "b"]);
    }

    #[test]
    fn a_line_has_dokkus_shape_and_its_process_a_colour() {
        let mut plain = Style::new(false, false);
        assert_eq!(
            plain.line(&entry(0, "web.1", "hello")),
            "2026-08-21T10:00:00.123456789Z app[web.1]: hello"
        );
        let mut colourful = Style::new(false, true);
        assert!(
            colourful
                .line(&entry(0, "web.1", "x"))
                .starts_with("\u{1b}[36m")
        );
        assert!(
            colourful
                .line(&entry(0, "web.2", "x"))
                .starts_with("\u{1b}[33m")
        );
        assert!(
            colourful
                .line(&entry(0, "web.1", "x"))
                .starts_with("\u{1b}[36m")
        );
        let mut raw = Style::new(true, true);
        assert_eq!(raw.line(&entry(0, "web.1", "hello")), "hello");
    }
}
