//! `releases:info`

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::builds::moment;
use crate::commands::problems::not_deployed;
use crate::commands::report::Report;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, report};
use crate::model::{
    AppName, ConfigKey, ConfigVars, Kind, Permission, Problem, ProcessCommand, ProcessType,
    Release, ReleaseStatus, ReleaseVersion, Timestamp,
};

/// Report on one release: what it runs, who made it, and which config vars differ from the release before
///
/// Of config vars only the names are told. The release before is the newest earlier one that served and is still known.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// The app
    pub app: AppName,
    /// The release, such as v3; the one that serves when it is not given
    #[serde(default)]
    pub release: Option<ReleaseVersion>,
}

/// One release and what it changed.
#[derive(Debug, Serialize)]
pub struct Told {
    #[serde(skip)]
    app: AppName,
    version: ReleaseVersion,
    status: ReleaseStatus,
    description: String,
    commit: Option<String>,
    actor: String,
    created_at: Timestamp,
    image: String,
    port: u16,
    processes: BTreeMap<ProcessType, ProcessCommand>,
    release_command: Option<String>,
    /// The release before, if there was one and it is still known.
    compared_with: Option<ReleaseVersion>,
    config: Difference,
}

/// Names of config vars, by what became of them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Difference {
    added: Vec<ConfigKey>,
    changed: Vec<ConfigKey>,
    removed: Vec<ConfigKey>,
}

impl Command for Info {
    type Output = Told;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Told, Problem> {
        let app = authorized.app()?;
        let wanted = match self.release.or(app.current) {
            Some(version) => version,
            None => return Err(not_deployed(&app.name)),
        };
        let mut releases = platform.store.releases(app.id).await?;
        releases.sort_by_key(|release| std::cmp::Reverse(release.version));
        let Some(at) = releases
            .iter()
            .position(|release| release.version == wanted)
        else {
            return Err(Problem::new(
                Kind::NotFound,
                format!("{} has no release {wanted}", app.name),
                "",
                format!("See `releases {}` for those that are kept", app.name),
            ));
        };
        let earlier = releases.split_off(at + 1);
        let release = releases.swap_remove(at);
        Ok(told(&app.name, release, &earlier))
    }
}

/// `earlier` comes newest first.
fn told(app: &AppName, release: Release, earlier: &[Release]) -> Told {
    let before = earlier
        .iter()
        .find(|earlier| earlier.status != ReleaseStatus::Failed);
    let is_first = release.version == ReleaseVersion(1);
    let config = match before {
        Some(before) => difference(&before.config, &release.config),
        None if is_first => difference(&ConfigVars::new(), &release.config),
        None => Difference::default(),
    };
    Told {
        app: app.clone(),
        version: release.version,
        status: release.status,
        description: release.description,
        commit: release.commit.map(String::from),
        actor: release.actor,
        created_at: release.created_at,
        image: release.image.to_string(),
        port: release.port,
        processes: release.processes,
        release_command: release.release_command,
        compared_with: before.map(|before| before.version),
        config,
    }
}

fn difference(before: &ConfigVars, after: &ConfigVars) -> Difference {
    let names = |chosen: &dyn Fn(&ConfigKey) -> bool, of: &ConfigVars| -> Vec<ConfigKey> {
        of.keys().filter(|key| chosen(key)).cloned().collect()
    };
    Difference {
        added: names(&|key| !before.contains_key(key), after),
        changed: names(
            &|key| {
                before
                    .get(key)
                    .is_some_and(|value| Some(value) != after.get(key))
            },
            after,
        ),
        removed: names(&|key| !after.contains_key(key), before),
    }
}

impl Output for Told {
    fn print(&self, page: &mut Page) {
        let joined = |keys: &[ConfigKey]| {
            let keys: Vec<&str> = keys.iter().map(ConfigKey::as_str).collect();
            keys.join(" ")
        };
        let mut report = Report::new(&self.app);
        report.fact("by", &self.actor);
        report.fact("commit", self.commit.as_deref().unwrap_or_default());
        report.fact(
            "compared-with",
            self.compared_with.map_or(String::new(), |v| v.to_string()),
        );
        report.fact("config-added", joined(&self.config.added));
        report.fact("config-changed", joined(&self.config.changed));
        report.fact("config-removed", joined(&self.config.removed));
        report.fact("created-at", moment(self.created_at));
        report.fact("description", &self.description);
        report.fact("image", &self.image);
        report.fact("port", self.port);
        for (process_type, command) in &self.processes {
            let line = command.as_deref().unwrap_or("the command of the image");
            report.titled(
                &format!("process-{process_type}"),
                &format!("Process {process_type}"),
                line,
            );
        }
        if let Some(line) = &self.release_command {
            report.fact("release-command", line);
        }
        report.fact("status", self.status);
        report::print(page, &format!("release {}", self.version), &report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    #[test]
    fn keys_are_told_by_what_became_of_them() {
        let vars = |pairs: &[(&str, &str)]| -> ConfigVars {
            let each = pairs.iter();
            each.map(|(key, value)| (key.parse().unwrap(), Secret::new(*value)))
                .collect()
        };
        let found = difference(
            &vars(&[("SAME", "1"), ("OTHER", "1"), ("GONE", "1")]),
            &vars(&[("SAME", "1"), ("OTHER", "2"), ("NEW", "1")]),
        );
        let keys = |name: &str| vec![name.parse::<ConfigKey>().unwrap()];
        let expected = Difference {
            added: keys("NEW"),
            changed: keys("OTHER"),
            removed: keys("GONE"),
        };
        assert_eq!(found, expected);
    }
}
