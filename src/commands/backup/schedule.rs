//! `backup:schedule`, `backup:unschedule`

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::create::require_apps;
use super::passphrase;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{
    AppName, BackupPlace, BackupSchedule, Kind, Permission, Problem, Secret, Timestamp,
};

/// The shortest round, seconds: each backup is read again, which takes as long as making it.
const SHORTEST: u32 = 60;
/// The longest: a year.
const LONGEST: u32 = 366 * 24 * 60 * 60;

/// Have the server back itself up
///
/// Into a folder of the server's machine, which had better be another disk or a mounted one of another machine, or into a
/// bucket of an S3-compatible store, which the settings backup-s3-* lead to. Each backup is read whole again after it was
/// made; the newest good ones are kept. The passphrase is asked for, or is the first line of
/// standard input; the server keeps it encrypted. Keep it elsewhere too: without it no backup opens. A new schedule takes the
/// place of the one before.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The folder, from the root, or the bucket
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX")]
    pub to: BackupPlace,
    /// From one to the next, such as 24h, 7d or 30m
    #[arg(long, value_name = "TIME", default_value = "24h")]
    #[serde(default = "daily")]
    pub every: String,
    /// When one of them is made (UTC)
    #[arg(long, value_name = "HH:MM")]
    #[serde(default)]
    pub at: Option<String>,
    /// How many good ones are kept
    #[arg(long, value_name = "NUMBER", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[serde(default = "week")]
    pub keep: u32,
    /// With what apps keep in the storage: of these apps, or of all
    #[arg(long, value_name = "APP,...", num_args = 0.., require_equals = true, value_delimiter = ',')]
    #[serde(default)]
    pub with_storage: Option<Vec<AppName>>,
    /// The file that has the passphrase in its first line, where `mini` is typed
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub passphrase_file: Option<PathBuf>,
    /// The passphrase, from that file
    #[arg(skip)]
    #[serde(default)]
    pub passphrase: Option<Secret>,
}

fn daily() -> String {
    "24h".to_owned()
}

fn week() -> u32 {
    7
}

impl Schedule {
    /// Takes the passphrase from the file that is named, so that it travels with the command.
    pub fn with_files(mut self) -> Result<Self, Problem> {
        if let Some(path) = self.passphrase_file.take() {
            let read = passphrase::read_file(&path)?;
            self.passphrase = Some(passphrase::checked(Some(read))?);
        }
        Ok(self)
    }
}

/// A schedule in words.
#[derive(Debug, Serialize)]
pub(super) struct Scheduled {
    pub(super) place: BackupPlace,
    pub(super) every_seconds: u32,
    pub(super) at: Option<String>,
    pub(super) keep: u32,
    /// Whose storage is with it; of all apps where none is named.
    pub(super) storage: Option<Vec<AppName>>,
    /// When the next one is due.
    pub(super) next_at: Timestamp,
}

impl Scheduled {
    pub(super) fn of(schedule: &BackupSchedule, next_at: Timestamp) -> Scheduled {
        Scheduled {
            place: schedule.place.clone(),
            every_seconds: schedule.every_seconds,
            at: schedule
                .at_minute
                .map(|minute| format!("{:02}:{:02}", minute / 60, minute % 60)),
            keep: schedule.keep,
            storage: schedule.storage.clone(),
            next_at,
        }
    }

    /// Whose storage is with it, in words.
    pub(super) fn with_storage(&self) -> String {
        let names = |apps: &[AppName]| {
            let names: Vec<String> = apps.iter().map(AppName::to_string).collect();
            names.join(", ")
        };
        match self.storage.as_deref() {
            None => "not with it; see --with-storage".to_owned(),
            Some([]) => "of all apps".to_owned(),
            Some(apps) => format!("of {}", names(apps)),
        }
    }

    pub(super) fn rounds(&self) -> String {
        let at = self
            .at
            .as_ref()
            .map(|at| format!(" at {at} UTC"))
            .unwrap_or_default();
        format!("every {}{at}", span(self.every_seconds))
    }
}

/// A length of time in the form in which it is given.
fn span(seconds: u32) -> String {
    match seconds {
        s if s.is_multiple_of(86400) && s != 86400 => format!("{}d", s / 86400),
        s if s.is_multiple_of(3600) => format!("{}h", s / 3600),
        s if s.is_multiple_of(60) => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A schedule that was set.
#[derive(Debug, Serialize)]
pub struct ScheduleSet {
    #[serde(flatten)]
    scheduled: Scheduled,
    /// Whether there was another one before, or none.
    is_changed: bool,
}

impl Command for Schedule {
    type Output = ScheduleSet;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<ScheduleSet, Problem> {
        if self.passphrase_file.is_some() {
            return Err(Problem::new(
                Kind::Invalid,
                "The server does not read files by name",
                "the file is on your machine",
                "Give the passphrase on standard input: `ssh mini backup:schedule ... < FILE`",
            ));
        }
        let every_seconds = seconds(&self.every)?;
        require_apps(platform, self.with_storage.as_deref()).await?;
        let at_minute = self.at.as_deref().map(minute).transpose()?;
        let given = match self.passphrase {
            Some(passphrase) => Some(passphrase),
            None => dialog.ask_secret("Passphrase of the backups").await?,
        };
        let passphrase = passphrase::checked(given)?;
        let archives = platform.backups.archives(&self.to)?;
        if let Err(error) = archives.prepare().await {
            let problem = Problem::from(error);
            return Err(match &self.to {
                BackupPlace::Bucket(_) => problem,
                BackupPlace::Folder(folder) => Problem {
                    what: format!("Nothing can be written to {}", folder.display()),
                    next: format!(
                        "Let the user of the server write there (`chown mini: {}`); under systemd the unit has to allow it too: ReadWritePaths=",
                        folder.display()
                    ),
                    ..problem
                },
            });
        }
        let schedule = BackupSchedule {
            place: self.to,
            every_seconds,
            at_minute,
            keep: self.keep,
            storage: self.with_storage,
            passphrase,
            since: Timestamp::now(),
        };
        // The same again is no new beginning: the next one stays due when it was.
        if let Some(before) = platform.store.backup_schedule().await?
            && before.is_same_as(&schedule)
        {
            let next_at = before.due(&platform.store.backups().await?, Timestamp::now());
            return Ok(ScheduleSet {
                scheduled: Scheduled::of(&before, next_at),
                is_changed: false,
            });
        }
        let scheduled = Scheduled::of(&schedule, schedule.due(&[], Timestamp::now()));
        platform.backups.set_schedule(Some(schedule)).await?;
        Ok(ScheduleSet {
            scheduled,
            is_changed: true,
        })
    }
}

impl Output for ScheduleSet {
    fn print(&self, page: &mut Page) {
        let scheduled = &self.scheduled;
        page.header(format!(
            "Backups go to {}, {}{}",
            scheduled.place,
            scheduled.rounds(),
            if self.is_changed { "" } else { ", as before" }
        ));
        page.detail(format!("the {} newest good ones are kept", scheduled.keep));
        page.detail(format!("storage: {}", scheduled.with_storage()));
        page.detail(format!(
            "the next one is due {:.0}; `backup:report` says how it went",
            scheduled.next_at
        ));
    }
}

fn seconds(text: &str) -> Result<u32, Problem> {
    let unit = |suffix: char| match suffix {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86400),
        _ => None,
    };
    let parsed = text.chars().last().and_then(unit).and_then(|unit| {
        let number = text.get(..text.len() - 1)?;
        number.parse::<u32>().ok()?.checked_mul(unit)
    });
    parsed
        .filter(|seconds| (SHORTEST..=LONGEST).contains(seconds))
        .ok_or_else(|| {
            Problem::new(
                Kind::Invalid,
                format!("`{}` is no time between two backups", text.escape_debug()),
                "it is a number with m, h or d behind it, from 1m to 366d",
                "Try --every 24h",
            )
        })
}

fn minute(text: &str) -> Result<u16, Problem> {
    let parsed = text.split_once(':').and_then(|(hours, minutes)| {
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    });
    parsed.ok_or_else(|| {
        Problem::new(
            Kind::Invalid,
            format!("`{}` is no time of day", text.escape_debug()),
            "it is hours and minutes in UTC",
            "Try --at 03:00",
        )
    })
}

/// Have the server make no more backups by itself
///
/// Those that were made stay where they are.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unschedule {}

/// Whether there was a schedule.
#[derive(Debug, Serialize)]
pub struct Unscheduled {
    was_scheduled: bool,
}

impl Command for Unschedule {
    type Output = Unscheduled;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Unscheduled, Problem> {
        let was_scheduled = platform.store.backup_schedule().await?.is_some();
        platform.backups.set_schedule(None).await?;
        Ok(Unscheduled { was_scheduled })
    }
}

impl Output for Unscheduled {
    fn print(&self, page: &mut Page) {
        page.header(if self.was_scheduled {
            "No more backups are made; those there are stay where they are"
        } else {
            "No backups were scheduled"
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_times_of_day_are_read_or_refused() {
        for (text, expected) in [("24h", 86400), ("7d", 604_800), ("1m", 60), ("90s", 90)] {
            assert_eq!(seconds(text).unwrap(), expected, "{text}");
        }
        for text in ["", "h", "24", "10s", "-1h", "9999d", "1w", "ü"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(minute("03:05").unwrap(), 185);
        for text in ["", "3", "24:00", "12:60", "a:b"] {
            assert!(minute(text).is_err(), "{text}");
        }
        assert_eq!(
            (span(86400), span(604_800), span(90)),
            ("24h".into(), "7d".into(), "90s".into())
        );
    }
}
