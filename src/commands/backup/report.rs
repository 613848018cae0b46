//! `backup:report`, `backup:list`, `backup:run`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::inside::length;
use super::schedule::Scheduled;
use crate::backup::Kept;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{
    BackupPlace, BackupRecord, BackupStanding, BackupStatus, Kind, Permission, Problem, Timestamp,
};

/// Report the schedule of backups and how the last went; exit with 1 where there is no good one in time
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {}

/// How it stands.
#[derive(Debug, Serialize)]
pub struct Reported {
    schedule: Option<Scheduled>,
    #[serde(flatten)]
    standing: BackupStanding,
}

/// How it stands with the backups of this server.
pub(in crate::commands) async fn standing(platform: &Platform) -> Result<BackupStanding, Problem> {
    let schedule = platform.store.backup_schedule().await?;
    let records = platform.store.backups().await?;
    Ok(match schedule {
        Some(schedule) => schedule.standing(&records, Timestamp::now()),
        None => BackupStanding::Unscheduled,
    })
}

/// In words, for reports.
pub(in crate::commands) fn words(standing: &BackupStanding) -> String {
    let last = |at: &Option<Timestamp>| match at {
        Some(at) => format!("the last good one is of {at:.0}"),
        None => "there is no good one".to_owned(),
    };
    match standing {
        BackupStanding::Unscheduled => "none are scheduled".to_owned(),
        BackupStanding::First => "the first one is not made yet".to_owned(),
        BackupStanding::Good { at } => format!("the last one, of {at:.0}, is good"),
        BackupStanding::Failed { why, last_good } => {
            format!("the last one failed: {why}; {}", last(last_good))
        }
        BackupStanding::Overdue { last_good } => {
            format!(
                "none was made for more than two rounds; {}",
                last(last_good)
            )
        }
    }
}

fn is_bad(standing: &BackupStanding) -> bool {
    match standing {
        BackupStanding::Unscheduled | BackupStanding::First | BackupStanding::Good { .. } => false,
        BackupStanding::Failed { .. } | BackupStanding::Overdue { .. } => true,
    }
}

impl Command for Report {
    type Output = Reported;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Reported, Problem> {
        let records = platform.store.backups().await?;
        let schedule = platform.store.backup_schedule().await?;
        Ok(Reported {
            schedule: schedule
                .map(|schedule| Scheduled::of(&schedule, schedule.due(&records, Timestamp::now()))),
            standing: standing(platform).await?,
        })
    }
}

impl Output for Reported {
    fn print(&self, page: &mut Page) {
        page.section("backup information");
        if let Some(schedule) = &self.schedule {
            page.detail(format!("Place:    {}", schedule.place));
            page.detail(format!("Rounds:   {}", schedule.rounds()));
            page.detail(format!("Keeps:    {}", schedule.keep));
            page.detail(format!("Storage:  {}", schedule.with_storage()));
            page.detail(format!("Next due: {:.0}", schedule.next_at));
        }
        page.detail(format!("Standing: {}", words(&self.standing)));
    }

    fn exit_code(&self) -> u8 {
        u8::from(is_bad(&self.standing))
    }
}

/// List the backups the server has made by itself, newest first; or those that are in some place
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// List the files with backups in a folder of the server or in a bucket, whoever made them
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX")]
    #[serde(default)]
    pub from: Option<BackupPlace>,
}

/// The backups.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Listed {
    /// Those on record.
    Made(Vec<BackupRecord>),
    /// Those in some place, by name.
    Kept(KeptAt),
}

/// The archives in some place.
#[derive(Debug, Serialize)]
pub struct KeptAt {
    /// The place.
    pub place: BackupPlace,
    /// What is there, by name.
    pub archives: Vec<Kept>,
}

impl Command for List {
    type Output = Listed;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Listed, Problem> {
        Ok(match self.from {
            None => Listed::Made(platform.store.backups().await?),
            Some(place) => {
                let archives = platform.backups.archives(&place)?.list("").await?;
                Listed::Kept(KeptAt { place, archives })
            }
        })
    }
}

impl Output for Listed {
    fn print(&self, page: &mut Page) {
        match self {
            Listed::Made(records) => print_records(records, page),
            Listed::Kept(kept) => kept.print(page),
        }
    }
}

impl Output for KeptAt {
    fn print(&self, page: &mut Page) {
        if self.archives.is_empty() {
            page.warning("No backups are there");
        }
        for kept in &self.archives {
            let at = kept.changed_at.map(|at| format!("{at:.0}"));
            page.line(format!(
                "{:20}  {:>9}  {}",
                at.unwrap_or_default(),
                length(kept.bytes),
                self.place.with_name(&kept.name)
            ));
        }
    }
}

fn print_records(records: &[BackupRecord], page: &mut Page) {
    if records.is_empty() {
        page.warning("No backups have been made by a schedule");
    }
    for record in records {
        let found = match (record.status, &record.failure) {
            (BackupStatus::Failed, Some(why)) => format!("failed: {why}"),
            (status, _) => status.to_string(),
        };
        let bytes = record.bytes.map(length).unwrap_or_default();
        page.line(format!(
            "{:.0}  {bytes:>9}  {}  {found}",
            record.started_at,
            record.place.with_name(&record.name)
        ));
    }
}

/// Make a backup of the schedule now, and wait until it was read again
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {}

/// What was made.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Ran(BackupRecord);

impl Command for Run {
    type Output = Ran;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Ran, Problem> {
        let schedule = platform.store.backup_schedule().await?.ok_or_else(|| {
            Problem::new(
                Kind::NotFound,
                "No backups are scheduled",
                "this makes one of them at once, and there is no place and no passphrase",
                "Schedule them (`backup:schedule --to DIR`), or make one by `backup:create`",
            )
        })?;
        // It goes on when the caller leaves, like those that nobody asked for.
        let backups = platform.backups.clone();
        let made = tokio::spawn(async move { backups.make(&schedule).await }).await;
        let made = made.unwrap_or(Err(crate::backup::BackupError::Canceled));
        Ok(Ran(made?))
    }
}

impl Output for Ran {
    fn print(&self, page: &mut Page) {
        let record = &self.0;
        page.header(format!(
            "Backed up and verified: {} ({})",
            record.place.with_name(&record.name),
            record.bytes.map(length).unwrap_or_default()
        ));
    }
}
