//! Failures of the parts below as a person reads them.

use std::time::Duration;

use super::predeploy;
use crate::engine::EngineError;
use crate::git::GitError;
use crate::model::{AppLock, AppName, Kind, Problem};

/// A limit as it is read: `15 min`, and `90 s` where it is no whole number of minutes.
pub(super) fn in_words(limit: Duration) -> String {
    let seconds = limit.as_secs();
    if seconds >= 60 && seconds.is_multiple_of(60) {
        format!("{} min", seconds / 60)
    } else {
        format!("{} s", limit.as_secs_f32())
    }
}

/// An app that somebody has locked takes no new source.
pub(super) fn locked(app: &AppName, lock: &AppLock) -> Problem {
    Problem::new(
        Kind::Busy,
        format!("{app} currently has a deploy lock in place"),
        format!(
            "{} locked it at {:.0}, so that nothing new is deployed",
            lock.actor, lock.locked_at
        ),
        format!("when that is over, run `apps:unlock {app}`, and try again"),
    )
}

/// A failure of git or of the tree that was pushed.
pub(super) fn git(app: &AppName, error: &GitError) -> Problem {
    let what = format!("{app} was not deployed");
    match error {
        GitError::Unusable { what: why, next } => {
            Problem::new(Kind::AppFailed, what, why.clone(), next.clone())
        }
        GitError::Moved => Problem::new(
            Kind::Busy,
            what,
            "the branch has moved since this push began",
            "fetch, merge or rebase, and push again",
        ),
        GitError::Missing(why) => Problem::new(
            Kind::Unavailable,
            what,
            why.clone(),
            "install git 2.29 or newer on the server",
        ),
        GitError::NotFound(missing) => Problem::new(
            Kind::NotFound,
            what,
            format!("{missing} does not exist in the repository on the server"),
            "push the branch again",
        ),
        GitError::Io(_) | GitError::Failed(_) => {
            tracing::error!(%app, ?error, "git failed");
            Problem::new(
                Kind::Internal,
                what,
                "the repository on the server could not be read or written",
                "try again; if it stays, the log of the server says more (`mini doctor` checks disk and git)",
            )
        }
    }
}

/// What helps after a build that failed. Docker before 23 (Debian 12 has 20.10) reads the lines of a here-document as instructions,
/// unless the Dockerfile asks for a newer grammar by itself.
fn after_build(said: &str) -> &'static str {
    if said.contains("unknown instruction") {
        "correct it; or, if that line is in a here-document (`<<EOF`), which this Docker is too old for, begin the Dockerfile with `# syntax=docker/dockerfile:1`; then commit, and push again"
    } else {
        "the lines above say more; correct it, commit, and push again"
    }
}

/// A failure of the engine, with the sentence that says what did not happen.
pub(super) fn engine(what: String, error: &EngineError) -> Problem {
    match error {
        EngineError::Unavailable { .. } => Problem::new(
            Kind::Unavailable,
            what,
            error.to_string(),
            "start Docker on the server (`systemctl start docker`), then try again; `doctor` says more",
        ),
        EngineError::ImageMissing { image, said } => Problem::new(
            Kind::AppFailed,
            what,
            format!("the image {image} is not on the server and could not be pulled: {said}"),
            "check its name and tag in the FROM line, or that the server reaches the registry",
        ),
        EngineError::DiskFull { .. } => Problem::new(
            Kind::Unavailable,
            what,
            "the disk of the server is full",
            "free some space (`builds:prune` removes what mini no longer needs, `docker system df` shows what is used), then push again",
        ),
        EngineError::BuildFailed { step, said } => Problem::new(
            Kind::AppFailed,
            what,
            match step {
                Some(step) => format!("the step `{step}` failed: {said}"),
                None => said.clone(),
            },
            after_build(said),
        ),
        EngineError::CacheLost { said } => Problem::new(
            Kind::Unavailable,
            what,
            format!("the build cache of Docker is damaged: {said}"),
            "push again; if it stays, empty the cache with `docker builder prune --all` on the server",
        ),
        EngineError::BuildOutOfMemory { step, .. } => Problem::new(
            Kind::AppFailed,
            what,
            format!("{error} in the step `{step}`"),
            "have it need less, or raise the limit with `builder:set APP build-memory-limit SIZE`, and push again",
        ),
        EngineError::NoSecrets { ids } if ids.iter().any(|id| id == predeploy::ENVIRONMENT) => {
            Problem::new(
                Kind::AppFailed,
                what,
                "its predeploy command (`scripts.dokku.predeploy` of app.json) needs BuildKit, and this server's engine has none (Podman builds with Buildah)",
                "write it as a `release:` line of the Procfile where it changes no file of the image, else as a RUN line of the Dockerfile, or have mini use Docker; then push again",
            )
        }
        EngineError::NoSecrets { .. } => Problem::new(
            Kind::AppFailed,
            what,
            format!("{error}, and this server's engine has none (Podman builds with Buildah)"),
            "take them out with `docker-options:remove APP build \"--secret id=ID\"`, or have mini use Docker, and push again",
        ),
        EngineError::CannotStart { said } => Problem::new(
            Kind::AppFailed,
            what,
            format!("the container could not be started: {said}"),
            "check the command in the Procfile or Dockerfile and that the image contains it",
        ),
        EngineError::Gone { .. } => Problem::new(
            Kind::Busy,
            what,
            format!("{error}: something removed it meanwhile"),
            "try again",
        ),
        EngineError::Archive { why } => Problem::new(
            Kind::Invalid,
            what,
            why.clone(),
            "send what `docker save IMAGE` writes: `docker save IMAGE | ssh mini git:load-image APP IMAGE`",
        ),
        EngineError::Refused { said } => Problem::new(
            Kind::Internal,
            what,
            format!("Docker refused: {said}"),
            "try again",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_predeploy_command_without_buildkit_is_no_matter_of_build_secrets() {
        let told = |ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            engine("not".to_owned(), &EngineError::NoSecrets { ids })
        };
        let predeploy = told(&["TOKEN", "mini-environment"]);
        assert!(predeploy.why.contains("predeploy"), "{predeploy}");
        assert!(predeploy.next.contains("release:"), "{predeploy}");
        assert!(told(&["TOKEN"]).next.contains("docker-options:remove"));
    }
}
