//! `ps:report`

use clap::Args;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::scale::current_release;
use crate::commands::report::{self, Asked, Reports};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::deploy::Restoration;
use crate::engine::{LogQuery, Process, ProcessState};
use crate::model::{App, AppName, Permission, Problem, ProcessSetting, size_in_words};
use crate::reconcile::Trouble;

const TOPIC: &str = "ps";
/// So many lines are read to find the last that says something.
const LAST_LINES: usize = 20;
/// Characters of a line that are shown.
const LINE_LIMIT: usize = 200;

/// Report the processes of an app, or of all apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --running, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl Command for Report {
    type Output = Reports;

    fn permission(&self) -> Permission {
        Permission::to_read(self.app.as_ref())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Reports, Problem> {
        let processes = platform.engine.observe().await?;
        let asked = Asked::by(self.app.as_ref(), platform, authorized, dialog).await?;
        let restorations = platform.deploys.restorations();
        let limit = platform.reconciler.rules().limits.memory_bytes;
        let (processes, restorations) = (&processes, &restorations);
        let of = move |app: App| async move {
            let own: Vec<&Process> = processes.iter().filter(|p| p.app == app.name).collect();
            let troubles = platform.reconciler.troubles(&app.name);
            let release = current_release(platform, &app).await?;
            // With a formation in app.json that has the say.
            let can_scale = release.is_none_or(|release| release.formation.is_none());
            let mut report = of(&app, &own, &troubles, limit, can_scale);
            let settings = platform.store.process_settings(app.id).await?;
            for setting in ProcessSetting::ALL {
                let value = settings.get(setting).unwrap_or_default();
                report.fact(&format!("ps-{setting}"), value);
            }
            for process in own.iter().filter(|process| has_ended(process)) {
                if let Some(line) = last_line(platform, process).await {
                    let name = format!("{}-{}", process.process_type, process.index);
                    report.fact(&format!("last-output-{name}"), line);
                }
            }
            if let Some(restoration) = restorations.get(&app.name) {
                report.fact("restoring", restoring(restoration));
            }
            Ok(report)
        };
        Reports::about(TOPIC, asked, self.flag.as_deref(), of).await
    }
}

fn has_ended(process: &Process) -> bool {
    matches!(
        process.state,
        ProcessState::Exited { .. } | ProcessState::Dead
    )
}

/// What a process wrote last, which is often why it ended. None where nothing can be read.
async fn last_line(platform: &Platform, process: &Process) -> Option<String> {
    let query = LogQuery {
        tail: Some(LAST_LINES),
        ..LogQuery::default()
    };
    let mut lines = platform.engine.logs(&process.id, query).await.ok()?;
    let mut last = None;
    while let Some(Ok(line)) = lines.next().await {
        if !line.text.trim().is_empty() {
            last = Some(line.text);
        }
    }
    let shown = last?.replace(char::is_control, " ");
    Some(shown.chars().take(LINE_LIMIT).collect())
}

/// `memory_limit` is that of each process, bytes.
fn of(
    app: &App,
    processes: &[&Process],
    troubles: &[Trouble],
    memory_limit: Option<u64>,
    can_scale: bool,
) -> report::Report {
    let mut report = report::Report::new(&app.name);
    report.fact("deployed", app.current.is_some());
    report.fact("ps-can-scale", can_scale);
    report.fact(
        "release",
        app.current.map(|v| v.to_string()).unwrap_or_default(),
    );
    report.fact("restore", !app.is_stopped);
    let current: Vec<&&Process> = processes
        .iter()
        .filter(|process| Some(process.release) == app.current)
        .collect();
    report.fact("processes", current.len());
    let running = current
        .iter()
        .filter(|process| process.state == ProcessState::Running)
        .count();
    report.fact(
        "running",
        match running {
            0 => "false",
            _ if running == current.len() => "true",
            _ => "mixed",
        },
    );
    for process in processes {
        let trouble = troubles.iter().find(|trouble| trouble.id == process.id);
        let name = format!("{}-{}", process.process_type, process.index);
        // Beside the current release there may be one that comes and one that goes.
        let key = if Some(process.release) == app.current {
            format!("status-{name}")
        } else {
            format!("status-{}-{name}", process.release)
        };
        report.fact(&key, status(process, trouble, memory_limit));
    }
    report
}

/// What is done about an image that is gone.
pub(in crate::commands) fn restoring(restoration: &Restoration) -> String {
    match restoration {
        Restoration::Waiting { release } => {
            format!("the image of {release} is gone, and is built again soon")
        }
        Restoration::Building { release, build } => {
            format!("the image of {release} is gone, and build {build} makes it again")
        }
        Restoration::Failed {
            release,
            why,
            retry_at,
        } => format!(
            "the image of {release} is gone, and could not be built again: {why}; next try {retry_at:.0}"
        ),
        Restoration::Impossible { release } => format!(
            "the image of {release} is gone, and cannot be built again: the release was not made from a commit"
        ),
    }
}

/// `running (CID: 0123456789ab)`, with what the operator should know behind it.
fn status(process: &Process, trouble: Option<&Trouble>, memory_limit: Option<u64>) -> String {
    let word = match &process.state {
        ProcessState::Created => "created",
        ProcessState::Running => "running",
        ProcessState::Exited { .. } => "exited",
        ProcessState::Dead => "dead",
    };
    let mut text = format!("{word} (CID: {})", process.id.short());
    if let ProcessState::Exited {
        code,
        is_out_of_memory,
        ..
    } = &process.state
    {
        text.push_str(&format!(", exit status {code}"));
        if *is_out_of_memory {
            text.push_str(", out of memory");
            if let Some(limit) = memory_limit {
                text.push_str(&format!(" (limit {})", size_in_words(limit)));
            }
        }
    }
    match trouble {
        Some(trouble) if trouble.is_given_up => {
            text.push_str(&format!(", given up after {} restarts", trouble.restarts));
        }
        Some(trouble) if trouble.restarts == 1 => text.push_str(", restarted once"),
        Some(trouble) if trouble.restarts > 1 => {
            text.push_str(&format!(", restarted {} times", trouble.restarts));
        }
        Some(_) | None => {}
    }
    if let Some(stuck) = trouble.and_then(|trouble| trouble.stuck.as_ref()) {
        text.push_str(&format!(", could not be {}: {}", stuck.change, stuck.why));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Options, Output, Page};
    use crate::engine::ProcessId;
    use crate::model::{AppId, ReleaseVersion, Timestamp};

    fn process(release: u32, kind: &str, index: u16, state: ProcessState) -> Process {
        Process {
            id: ProcessId(format!("{kind}{index}{release}abcdefghijklmn")),
            app: "blog".parse().unwrap(),
            release: ReleaseVersion(release),
            process_type: kind.parse().unwrap(),
            index,
            state,
            address: None,
            started_at: None,
        }
    }

    #[test]
    fn a_report_tells_releases_and_troubles_apart() {
        let app = App {
            id: AppId(1),
            name: "blog".parse().unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            deploy_branch: None,
            is_stopped: false,
            current: Some(ReleaseVersion(2)),
        };
        let exited = ProcessState::Exited {
            code: 137,
            is_out_of_memory: true,
            at: None,
        };
        let processes = [
            process(2, "web", 1, ProcessState::Running),
            process(2, "worker", 1, exited),
            process(1, "web", 1, ProcessState::Running),
        ];
        let troubles = [Trouble {
            id: processes[1].id.clone(),
            restarts: 4,
            is_given_up: true,
            stuck: None,
        }];
        let own: Vec<&Process> = processes.iter().collect();
        let report = of(&app, &own, &troubles, Some(64 << 20), true);
        let mut page = Page::default();
        Reports::one(TOPIC, report, None, Options::default())
            .unwrap()
            .print(&mut page);
        insta::assert_snapshot!(page.to_text(), @r"
        =====> blog ps information
               Deployed:                      true
               Processes:                     2
               Ps can scale:                  true
               Release:                       v2
               Restore:                       true
               Running:                       mixed
               Status v1 web 1:               running (CID: web11abcdefg)
               Status web 1:                  running (CID: web12abcdefg)
               Status worker 1:               exited (CID: worker12abcd), exit status 137, out of memory (limit 64 MiB), given up after 4 restarts
        ");
    }
}
