//! The log of a process, put together from what Docker kept of it.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{InspectContainerOptions, LogsOptions, LogsOptionsBuilder};
use futures_util::StreamExt;
use jiff::SignedDuration;
use tokio::sync::mpsc;

use super::Inner;
use super::errors::About;
use super::observed::moment;
use super::task_stream::TaskStream;
use crate::engine::lines::LONGEST_BYTES;
use crate::engine::{EngineError, LogLine, LogQuery, LogStream, ProcessId, Stream};
use crate::model::Timestamp;

/// How many lines wait for a slow reader.
const LINES_WAITING: usize = 256;

/// How far before the last entry that came one may lie that did not.
const LATE_ENTRIES: SignedDuration = SignedDuration::from_secs(10);

type Lines = mpsc::Sender<Result<LogLine, EngineError>>;

impl Inner {
    pub(super) async fn logs(
        self: std::sync::Arc<Self>,
        id: &ProcessId,
        query: LogQuery,
    ) -> Result<LogStream, EngineError> {
        let docker = self.connection.client().await?;
        // The log request answers only with its first line, so a container that is gone is found out here.
        docker
            .inspect_container(&id.0, None::<InspectContainerOptions>)
            .await
            .map_err(|error| self.connection.error(error, About::Container(&id.0)))?;
        let id = id.clone();
        let feed = move |lines: Lines| async move {
            let mut joiner = Joiner::new(query.since);
            let mut outcome = self.pass_on(&docker, &id, query, &mut joiner, &lines).await;
            if outcome.is_ok() && query.follow {
                // Docker 20.10 ends a log it follows at times before it has sent the last entries of a process that has
                // ended (seen with a last line that has no line feed). By now all of them are in the file.
                let rest = LogQuery {
                    tail: query.tail.filter(|_| joiner.is_untouched()),
                    follow: false,
                    since: joiner.resume().or(query.since),
                };
                outcome = self.pass_on(&docker, &id, rest, &mut joiner, &lines).await;
            }
            for line in joiner.finish() {
                let _ = lines.send(Ok(line)).await;
            }
            if let Err(error) = outcome {
                let error = self.connection.error(error, About::Container(&id.0));
                let _ = lines.send(Err(error)).await;
            }
        };
        Ok(TaskStream::spawn(LINES_WAITING, feed).boxed())
    }

    /// Sends on the lines of one request; stops when nobody wants them any more.
    async fn pass_on(
        &self,
        docker: &Docker,
        id: &ProcessId,
        query: LogQuery,
        joiner: &mut Joiner,
        lines: &Lines,
    ) -> Result<(), Error> {
        let mut entries = docker.logs(&id.0, Some(options(query)));
        while let Some(entry) = entries.next().await {
            if let Some(line) = joiner.push(entry?)
                && lines.send(Ok(line)).await.is_err()
            {
                break;
            }
        }
        Ok(())
    }
}

fn options(query: LogQuery) -> LogsOptions {
    let since = query.since.map_or(0, |at| at.as_second());
    let tail = query
        .tail
        .map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .follow(query.follow)
        .timestamps(true)
        // Whole seconds only; what is too early is dropped by the joiner.
        .since(i32::try_from(since).unwrap_or(0))
        .tail(&tail)
        .build()
}

/// Makes lines of Docker's entries. An entry is a line or a part of 16 KiB of one, in front of which stands its time; the
/// last part of a line ends with a line feed.
struct Joiner {
    since: Option<Timestamp>,
    first: Option<Timestamp>,
    stdout: Side,
    stderr: Side,
}

/// One of the two streams. Entries of one stream are in order of time; those of both together need not be.
#[derive(Default)]
struct Side {
    open: Option<LogLine>,
    last: Option<Timestamp>,
    /// Entries up to this moment were taken in already.
    until: Option<Timestamp>,
}

impl Joiner {
    fn new(since: Option<Timestamp>) -> Self {
        Self {
            since,
            first: None,
            stdout: Side::default(),
            stderr: Side::default(),
        }
    }

    /// Whether no entry came yet.
    fn is_untouched(&self) -> bool {
        self.stdout.last.is_none() && self.stderr.last.is_none()
    }

    /// Gets ready for entries of which some came before; gives the moment from which they have to be asked for. What is
    /// missing was written at the very end, so neither what lies well before the last entry that came nor what lies
    /// before the first (the lines a `tail` left out) is told again.
    fn resume(&mut self) -> Option<Timestamp> {
        let last = self.stdout.last.max(self.stderr.last)?;
        let recent = last.checked_sub(LATE_ENTRIES).unwrap_or(last);
        for side in [&mut self.stdout, &mut self.stderr] {
            side.until = side.last.or(self.first).map(|at| at.max(recent));
        }
        self.stdout.until.min(self.stderr.until)
    }

    fn push(&mut self, entry: LogOutput) -> Option<LogLine> {
        let (stream, side) = match entry {
            LogOutput::StdErr { .. } => (Stream::Stderr, &mut self.stderr),
            LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
                (Stream::Stdout, &mut self.stdout)
            }
        };
        let entry = entry.into_bytes();
        let text = String::from_utf8_lossy(&entry);
        let (at, text) = text.split_once(' ')?;
        let at = moment(at)?;
        if side.until.is_some_and(|until| at <= until) {
            return None;
        }
        side.last = Some(at);
        self.first.get_or_insert(at);
        let is_whole = text.ends_with('\n');
        let text = text.strip_suffix('\n').unwrap_or(text);
        let mut line = match side.open.take() {
            Some(mut line) => {
                line.text.push_str(text);
                line
            }
            None => LogLine {
                at,
                stream,
                text: text.to_owned(),
            },
        };
        if !is_whole && line.text.len() < LONGEST_BYTES {
            side.open = Some(line);
            return None;
        }
        if line.text.ends_with('\r') {
            line.text.pop();
        }
        self.wanted(line)
    }

    /// Lines that had no end yet.
    fn finish(&mut self) -> Vec<LogLine> {
        let open = [self.stdout.open.take(), self.stderr.open.take()];
        open.into_iter()
            .flatten()
            .filter_map(|line| self.wanted(line))
            .collect()
    }

    fn wanted(&self, line: LogLine) -> Option<LogLine> {
        self.since
            .is_none_or(|since| line.at > since)
            .then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> LogOutput {
        LogOutput::StdOut {
            message: text.to_owned().into(),
        }
    }

    #[test]
    fn entries_become_lines_with_their_time() {
        let mut joiner = Joiner::new(None);
        assert_eq!(joiner.push(entry("2026-11-20T12:00:00.5Z par")), None);
        let line = joiner.push(entry("2026-11-20T12:00:01Z t of one\r\n"));
        let line = line.unwrap();
        assert_eq!(line.text, "part of one");
        assert_eq!(line.at.to_string(), "2026-11-20T12:00:00.5Z");
        assert_eq!(joiner.push(entry("2026-11-20T12:00:02Z end")), None);
        assert_eq!(joiner.finish().len(), 1);
        assert_eq!(joiner.push(entry("nonsense")), None);
    }

    #[test]
    fn entries_told_again_are_taken_once() {
        let mut joiner = Joiner::new(None);
        assert!(joiner.push(entry("2026-11-20T12:00:01Z a\n")).is_some());
        assert_eq!(joiner.push(entry("2026-11-20T12:00:02Z b")), None);
        joiner.resume();
        assert_eq!(joiner.push(entry("2026-11-20T12:00:01Z a\n")), None);
        assert_eq!(joiner.push(entry("2026-11-20T12:00:02Z b")), None);
        let line = joiner.push(entry("2026-11-20T12:00:03Z c\n")).unwrap();
        assert_eq!(line.text, "bc");
    }

    #[test]
    fn what_a_tail_left_out_does_not_come_at_the_end() {
        let mut joiner = Joiner::new(None);
        assert!(joiner.push(entry("2026-11-20T12:00:05Z last\n")).is_some());
        let from = joiner.resume().unwrap();
        assert_eq!(from.to_string(), "2026-11-20T12:00:05Z");
        let left_out = LogOutput::StdErr {
            message: "2026-11-20T12:00:04Z left out\n".into(),
        };
        assert_eq!(joiner.push(left_out), None);
    }

    #[test]
    fn what_is_not_newer_is_dropped() {
        let mut joiner = Joiner::new(Some("2026-11-20T12:00:00.5Z".parse().unwrap()));
        assert_eq!(joiner.push(entry("2026-11-20T12:00:00.5Z old\n")), None);
        assert!(
            joiner
                .push(entry("2026-11-20T12:00:00.500000001Z new\n"))
                .is_some()
        );
    }
}
