//! `logs`

mod follow;
mod line;
mod selector;

use clap::Args;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use self::line::{Entry, Style, merged};
use self::selector::Selector;
use super::problems::not_deployed;
use super::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::engine::{EngineError, LogQuery, Process};
use crate::model::{App, AppName, Kind, Permission, Problem};

/// Print the last lines that the processes of an app wrote
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// The app
    pub app: AppName,
    /// How many lines
    #[arg(short = 'n', long, default_value_t = default_num())]
    #[serde(default = "default_num")]
    pub num: usize,
    /// Go on with new lines, also across deploys, until you leave
    #[arg(short = 't', long)]
    #[serde(default)]
    pub tail: bool,
    /// Only one process type, such as web, or one process, such as web.1
    #[arg(short = 'p', long, value_name = "PROCESS")]
    #[serde(default)]
    pub ps: Option<Selector>,
    /// Only the lines, without time and process
    #[arg(short = 'q', long)]
    #[serde(default)]
    pub quiet: bool,
}

fn default_num() -> usize {
    100
}

/// Lines of a log, oldest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Lines {
    entries: Vec<Entry>,
    #[serde(skip)]
    style: Style,
}

impl Command for Logs {
    type Output = Lines;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    fn needs_stream(&self) -> Option<&'static str> {
        self.tail
            .then_some("with `tail` it goes on until its reader leaves")
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Lines, Problem> {
        let app = authorized.app()?;
        let style = Style::new(self.quiet || dialog.options().quiet, dialog.has_colour());
        // Asked before the first look, so that no process comes up unseen in between.
        let changes = platform.engine.changes();
        let processes = wanted(platform, app, self.ps.as_ref()).await?;
        if app.current.is_none() && processes.is_empty() && !self.tail {
            return Err(not_deployed(&app.name));
        }
        if let Some(selector) = &self.ps
            && processes.is_empty()
            && !self.tail
        {
            return Err(no_process(app, selector));
        }
        let entries = last_lines(platform, &processes, self.num).await?;
        if self.tail {
            let watch = follow::Watch {
                platform,
                app,
                selector: self.ps.as_ref(),
                style,
            };
            watch.run(dialog, changes, entries).await?;
            return Ok(Lines {
                entries: Vec::new(),
                style: Style::default(),
            });
        }
        Ok(Lines { entries, style })
    }
}

/// A log that nobody writes is not an empty one.
fn no_process(app: &App, selector: &Selector) -> Problem {
    let process = String::from(selector.clone());
    Problem::new(
        Kind::NotFound,
        format!("{} has no process `{process}`", app.name),
        "",
        format!(
            "`ps:report {}` shows those there are, `ps:scale {}` starts more",
            app.name, app.name
        ),
    )
}

/// The processes whose lines are wanted: those of the current release, or all there are while there is none.
async fn wanted(
    platform: &Platform,
    app: &App,
    selector: Option<&Selector>,
) -> Result<Vec<Process>, Problem> {
    let mut processes = selected(platform, &app.name, selector).await?;
    if app.current.is_some() {
        processes.retain(|process| Some(process.release) == app.current);
    }
    Ok(processes)
}

async fn selected(
    platform: &Platform,
    app: &AppName,
    selector: Option<&Selector>,
) -> Result<Vec<Process>, EngineError> {
    let mut processes = platform.engine.observe().await?;
    processes.retain(|process| {
        process.app == *app
            && selector.is_none_or(|s| s.matches(&process.process_type, process.index))
    });
    processes.sort_by(|a, b| {
        (&a.process_type, a.index, a.release).cmp(&(&b.process_type, b.index, b.release))
    });
    Ok(processes)
}

/// The last `num` lines of all processes together, oldest first. A process that goes while it is read has no lines.
async fn last_lines(
    platform: &Platform,
    processes: &[Process],
    num: usize,
) -> Result<Vec<Entry>, Problem> {
    let query = LogQuery {
        tail: Some(num),
        ..LogQuery::default()
    };
    let mut logs = Vec::new();
    for process in processes {
        let mut lines = match platform.engine.logs(&process.id, query).await {
            Ok(lines) => lines,
            Err(EngineError::Gone { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut entries = Vec::new();
        while let Some(line) = lines.next().await {
            match line {
                Ok(line) => entries.push(Entry::new(process, line)),
                Err(EngineError::Gone { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        logs.push(entries);
    }
    Ok(merged(logs, num))
}

impl Output for Lines {
    fn print(&self, page: &mut Page) {
        let mut style = self.style.clone();
        for entry in &self.entries {
            page.line(style.line(entry));
        }
    }
}
