//! `logs -t`: lines as they come, from every process of the app, whichever release it belongs to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::line::{Entry, Style};
use super::selected;
use super::selector::Selector;
use crate::commands::{Dialog, Platform, interrupted};
use crate::engine::{Change, ContainerEngine, LogQuery, Process, ProcessId, ProcessState, Stream};
use crate::model::{App, Problem, Timestamp};

/// Lines that may wait for a slow reader; its processes are not slowed, for Docker keeps their logs.
const WAITING_LINES: usize = 256;

/// What is watched and how it is shown.
pub(super) struct Watch<'a> {
    pub platform: &'a Platform,
    pub app: &'a App,
    pub selector: Option<&'a Selector>,
    pub style: Style,
}

/// What a reader of one log reports.
enum News {
    Line(ProcessId, Entry),
    /// The log has ended, or its connection.
    Ended(ProcessId),
}

/// The readers at work and how far each process has been read.
struct Readers {
    engine: Arc<dyn ContainerEngine>,
    news: mpsc::Sender<News>,
    tasks: JoinSet<()>,
    attached: HashSet<ProcessId>,
    last: HashMap<ProcessId, Timestamp>,
}

impl Watch<'_> {
    /// Prints `begin`, then new lines until the caller leaves.
    pub(super) async fn run(
        mut self,
        dialog: &mut Dialog,
        mut changes: BoxStream<'static, Change>,
        begin: Vec<Entry>,
    ) -> Result<(), Problem> {
        let (news, mut incoming) = mpsc::channel(WAITING_LINES);
        let mut readers = Readers {
            engine: Arc::clone(&self.platform.engine),
            news,
            tasks: JoinSet::new(),
            attached: HashSet::new(),
            last: HashMap::new(),
        };
        // What is there is read on from the last line shown of any process; what comes later, from its first line.
        let shown_until = begin.iter().map(|entry| entry.at).max();
        for entry in &begin {
            self.show(dialog, entry).await?;
        }
        for process in self.processes().await? {
            if let Some(at) = shown_until {
                readers.last.insert(process.id.clone(), at);
            } else if let Some(at) = process
                .started_at
                .filter(|_| self.app.current != Some(process.release))
            {
                readers.last.insert(process.id.clone(), at);
            }
            readers.attach(process);
        }
        loop {
            tokio::select! {
                () = dialog.gone() => return Ok(()),
                () = self.platform.leaves() => return Err(interrupted()),
                Some(change) = changes.next() => {
                    let Change = change;
                    // While the engine does not answer there is nothing to attach to; its return is a change again.
                    for process in self.processes().await.unwrap_or_default() {
                        readers.attach(process);
                    }
                }
                Some(said) = incoming.recv() => match said {
                    News::Line(id, entry) => {
                        let is_new = readers.last.get(&id).is_none_or(|last| entry.at > *last);
                        if is_new {
                            readers.last.insert(id, entry.at);
                            self.show(dialog, &entry).await?;
                        }
                    }
                    News::Ended(id) => {
                        readers.attached.remove(&id);
                    }
                },
            }
        }
    }

    async fn processes(&self) -> Result<Vec<Process>, Problem> {
        Ok(selected(self.platform, &self.app.name, self.selector).await?)
    }

    /// Waits for a slow reader, but not when the server is about to end.
    async fn show(&mut self, dialog: &Dialog, entry: &Entry) -> Result<(), Problem> {
        let text = if dialog.is_text() {
            self.style.line(entry)
        } else {
            serde_json::to_string(entry).unwrap_or_default()
        };
        tokio::select! {
            biased;
            () = dialog.write(Stream::Stdout, format!("{text}\n")) => Ok(()),
            () = self.platform.leaves() => Err(interrupted()),
        }
    }
}

impl Readers {
    /// Reads a process's log on from where it was left, unless it is being read, or has ended and was read to its end.
    fn attach(&mut self, process: Process) {
        let has_ended = !matches!(process.state, ProcessState::Running);
        if self.attached.contains(&process.id)
            || (has_ended && self.last.contains_key(&process.id))
            || process.state == ProcessState::Created
        {
            return;
        }
        self.attached.insert(process.id.clone());
        let query = LogQuery {
            tail: None,
            follow: true,
            since: self.last.get(&process.id).copied(),
        };
        let engine = Arc::clone(&self.engine);
        let news = self.news.clone();
        self.tasks.spawn(async move {
            if let Ok(mut lines) = engine.logs(&process.id, query).await {
                while let Some(Ok(line)) = lines.next().await {
                    let entry = Entry::new(&process, line);
                    if news
                        .send(News::Line(process.id.clone(), entry))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
            let _ = news.send(News::Ended(process.id)).await;
        });
    }
}
