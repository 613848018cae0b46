//! The log of a process, put together from what Docker kept of it.

use bollard::container::LogOutput;
use bollard::query_parameters::{InspectContainerOptions, LogsOptionsBuilder};
use futures_util::StreamExt;
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
        let since = query.since.map_or(0, |at| at.as_second());
        let tail = query
            .tail
            .map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .follow(query.follow)
            .timestamps(true)
            // Whole seconds only; what is too early is dropped below.
            .since(i32::try_from(since).unwrap_or(0))
            .tail(&tail)
            .build();
        let id = id.clone();
        let feed = move |lines: mpsc::Sender<Result<LogLine, EngineError>>| async move {
            let mut output = docker.logs(&id.0, Some(options));
            let mut joiner = Joiner::new(query.since);
            while let Some(piece) = output.next().await {
                let line = match piece {
                    Ok(piece) => joiner.push(piece).map(Ok),
                    Err(error) => {
                        let error = self.connection.error(error, About::Container(&id.0));
                        let _ = lines.send(Err(error)).await;
                        return;
                    }
                };
                if let Some(line) = line
                    && lines.send(line).await.is_err()
                {
                    return;
                }
            }
            for line in joiner.finish() {
                let _ = lines.send(Ok(line)).await;
            }
        };
        Ok(TaskStream::spawn(LINES_WAITING, feed).boxed())
    }
}

/// Makes lines of Docker's entries. An entry is a line or a part of 16 KiB of one, in front of which stands its time; the
/// last part of a line ends with a line feed.
struct Joiner {
    since: Option<Timestamp>,
    stdout: Option<LogLine>,
    stderr: Option<LogLine>,
}

impl Joiner {
    fn new(since: Option<Timestamp>) -> Self {
        Self {
            since,
            stdout: None,
            stderr: None,
        }
    }

    fn push(&mut self, entry: LogOutput) -> Option<LogLine> {
        let (stream, open) = match entry {
            LogOutput::StdErr { .. } => (Stream::Stderr, &mut self.stderr),
            LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
                (Stream::Stdout, &mut self.stdout)
            }
        };
        let entry = entry.into_bytes();
        let text = String::from_utf8_lossy(&entry);
        let (at, text) = text.split_once(' ')?;
        let at = moment(at)?;
        let is_whole = text.ends_with('\n');
        let text = text.strip_suffix('\n').unwrap_or(text);
        let mut line = match open.take() {
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
            *open = Some(line);
            return None;
        }
        if line.text.ends_with('\r') {
            line.text.pop();
        }
        self.wanted(line)
    }

    /// Lines that had no end yet.
    fn finish(&mut self) -> Vec<LogLine> {
        let open = [self.stdout.take(), self.stderr.take()];
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
