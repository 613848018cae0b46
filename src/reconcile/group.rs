//! What a process of a release is started with. Pure.

use super::plan::{ProcessKey, Rules};
use crate::engine::GroupSpec;
use crate::model::{
    App, AppMount, ConfigKey, ConfigVars, ProcessType, Release, ReleaseVersion, Secret,
};

/// The group of `key`, as the engine starts it. A type a route leads to gets `PORT` as `web` does.
pub(super) fn group_spec(
    app: &App,
    release: &Release,
    key: &ProcessKey,
    takes_requests: bool,
    mounts: &[AppMount],
    rules: &Rules,
) -> GroupSpec {
    let command = release.processes.get(&key.process_type).cloned().flatten();
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
        stop_grace: rules.stop_grace,
        mounts: mounts
            .iter()
            .filter(|mounted| mounted.app == app.id)
            .map(|mounted| mounted.mount.clone())
            .collect(),
    }
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
