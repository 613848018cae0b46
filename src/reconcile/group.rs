//! What a process of a release is started with. Pure.

use std::time::Duration;

use super::plan::{ProcessKey, Rules};
use crate::engine::GroupSpec;
use crate::model::{
    App, AppId, ConfigKey, ConfigVars, ProcessSettings, ProcessType, Release, ReleaseVersion,
    Secret,
};
use crate::store::Desired;

/// The group of `key`, as the engine starts it. A type a route leads to gets `PORT` as `web` does.
pub(super) fn group_spec(
    app: &App,
    release: &Release,
    key: &ProcessKey,
    takes_requests: bool,
    desired: &Desired,
    rules: &Rules,
) -> GroupSpec {
    let command = release.command(&key.process_type);
    let process = format!("{}.{}", key.process_type, key.index);
    let mut environment = environment(app, release, release.version, &key.process_type, &process);
    if takes_requests {
        set_port(&mut environment, release);
    }
    GroupSpec {
        app: app.name.clone(),
        release: release.version,
        process_type: key.process_type.clone(),
        image: release.image.clone(),
        command,
        environment,
        limits: rules.limits,
        stop_grace: stop_grace(desired, app.id, rules),
        options: desired
            .container_options
            .get(&app.id)
            .cloned()
            .unwrap_or_default(),
        mounts: desired
            .mounts
            .iter()
            .filter(|mounted| mounted.app == app.id)
            .map(|mounted| mounted.mount.clone())
            .collect(),
    }
}

/// How long a process of an app has to end after SIGTERM.
pub(super) fn stop_grace(desired: &Desired, app: AppId, rules: &Rules) -> Duration {
    let set = desired.process_settings.get(&app);
    set.and_then(ProcessSettings::stop_grace)
        .unwrap_or(rules.stop_grace)
}

/// The whole environment of a process: the release's config vars, `PORT` for `web`, and what mini adds: `DYNO` and
/// `GIT_REV` as Dokku names them, `MINI_APP`, `MINI_RELEASE` and `MINI_PROCESS`. A config var of the same name wins,
/// except for `PORT`, which is the release's (a config var `PORT` has decided it already).
pub fn environment(
    app: &App,
    release: &Release,
    version: ReleaseVersion,
    process_type: &ProcessType,
    process: &str,
) -> ConfigVars {
    let mut environment = ConfigVars::new();
    let mut add = |key: &str, value: String| {
        if let Ok(key) = key.parse::<ConfigKey>() {
            environment.insert(key, Secret::new(value));
        }
    };
    add("DYNO", process.to_owned());
    add("MINI_APP", app.name.to_string());
    add("MINI_RELEASE", version.to_string());
    add("MINI_PROCESS", process.to_owned());
    if let Some(commit) = &release.commit {
        add("GIT_REV", commit.to_string());
    }
    environment.extend(release.config.clone());
    if process_type.is_web() {
        set_port(&mut environment, release);
    }
    environment
}

fn set_port(environment: &mut ConfigVars, release: &Release) {
    if let Ok(key) = "PORT".parse::<ConfigKey>() {
        environment.insert(key, Secret::new(release.port.to_string()));
    }
}
