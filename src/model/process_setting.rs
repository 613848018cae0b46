//! What was set of the processes of an app.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::InvalidName;

/// Longest time a process may be given to end: a deploy may have to wait for it.
const LONGEST_STOP_SECONDS: u64 = 3600;

/// One setting of `ps:set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessSetting {
    /// How long a process has to end after SIGTERM.
    StopTimeoutSeconds,
    /// What `web` runs in place of what the Procfile or the image says.
    StartCommand,
}

impl ProcessSetting {
    /// All of them, in the order of the help.
    pub const ALL: [Self; 2] = [Self::StopTimeoutSeconds, Self::StartCommand];

    /// Its name, Dokku's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StopTimeoutSeconds => "stop-timeout-seconds",
            Self::StartCommand => "start-cmd",
        }
    }

    /// What it does, one line.
    pub fn help(self) -> &'static str {
        match self {
            Self::StopTimeoutSeconds => {
                "How long a process has to end after SIGTERM, such as 60, before it is killed; else as the server's setting `stop-grace` has it"
            }
            Self::StartCommand => {
                "The command of `web`, in place of that of the Procfile or of the image; in force from the next deploy on"
            }
        }
    }

    /// The value in the form that is stored and shown.
    ///
    /// # Errors
    /// Why it is refused, as a clause.
    pub fn normalized(self, value: &str) -> Result<String, String> {
        match self {
            Self::StopTimeoutSeconds => seconds(value)
                .map(|seconds| seconds.to_string())
                .ok_or_else(|| {
                    format!("it is a number of seconds from 1 to {LONGEST_STOP_SECONDS}")
                }),
            Self::StartCommand if value.contains(char::is_control) => {
                Err("it is one line".to_owned())
            }
            Self::StartCommand => Ok(value.to_owned()),
        }
    }
}

fn seconds(value: &str) -> Option<u64> {
    let value = value.strip_suffix('s').unwrap_or(value);
    let seconds = value.parse().ok()?;
    (1..=LONGEST_STOP_SECONDS)
        .contains(&seconds)
        .then_some(seconds)
}

impl fmt::Display for ProcessSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProcessSetting {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let found = Self::ALL
            .into_iter()
            .find(|setting| setting.as_str() == text);
        found.ok_or(InvalidName {
            what: "setting of processes",
            rule: "The settings are stop-timeout-seconds and start-cmd",
        })
    }
}

/// What was set for one app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessSettings(pub BTreeMap<ProcessSetting, String>);

impl ProcessSettings {
    /// The value of a setting, if it has one.
    pub fn get(&self, setting: ProcessSetting) -> Option<&str> {
        self.0.get(&setting).map(String::as_str)
    }

    /// How long a process has to end, where that was set.
    pub fn stop_grace(&self) -> Option<Duration> {
        seconds(self.get(ProcessSetting::StopTimeoutSeconds)?).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_timeout_is_a_number_of_seconds() {
        let setting = ProcessSetting::StopTimeoutSeconds;
        assert_eq!(setting.normalized("60").as_deref(), Ok("60"));
        assert_eq!(setting.normalized("90s").as_deref(), Ok("90"));
        for wrong in ["0", "-1", "3601", "1m", "", "x"] {
            assert!(setting.normalized(wrong).is_err(), "{wrong}");
        }
        let set = ProcessSettings([(setting, "7".to_owned())].into());
        assert_eq!(set.stop_grace(), Some(Duration::from_secs(7)));
        assert_eq!(ProcessSettings::default().stop_grace(), None);
    }

    #[test]
    fn a_command_is_one_line() {
        let setting = ProcessSetting::StartCommand;
        let line = "node server.js --port $PORT";
        assert_eq!(setting.normalized(line).as_deref(), Ok(line));
        assert!(setting.normalized("a\nb").is_err());
    }
}
