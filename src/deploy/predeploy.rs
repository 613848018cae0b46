//! `scripts.dokku.predeploy` of app.json: a command whose changes are part of the image. It is one more step on top of the image
//! that was built, so it is there again whenever the image is: after a rollback, and where a lost image is built anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;

use super::mask::Mask;
use super::run::Run;
use super::{Deployer, problem};
use crate::engine::{BuildEvent, BuildSpec, EngineError, MemoryContext};
use crate::model::{AppName, CommitId, ConfigVars, ImageId, Kind, Problem, ReleaseVersion, Secret};

/// The file with the environment, in no layer of the image.
pub(super) const ENVIRONMENT: &str = "mini-environment";

/// Runs `line` in the image that `built` was the build of, as its user and with the config vars of the app, and gives the
/// image with what it has changed. Never taken from the cache: it may depend on more than the files.
///
/// # Errors
/// It ends with another status than 0.
pub(super) async fn run(
    deployer: &Deployer,
    run: &Run,
    built: &BuildSpec,
    line: &str,
    commit: &CommitId,
) -> Result<ImageId, Problem> {
    let app = &run.app.name;
    let failed = || format!("{app} was not deployed: its predeploy command failed");
    let config = config(deployer, run, built.release).await?;
    let environment = environment(&config, app, commit);
    let mask = Mask::of(&config);
    let spec = BuildSpec {
        dockerfile: dockerfile(&built.tag, line),
        arguments: BTreeMap::new(),
        secrets: BTreeMap::from([(ENVIRONMENT.to_owned(), environment)]),
        target: None,
        is_without_cache: true,
        ..built.clone()
    };
    run.header(format!("Running the predeploy command: {line}"))
        .await;
    run.section(format!("Start of {app} predeploy task output"))
        .await;
    let image = follow(deployer, run, &spec, &mask).await;
    run.section(format!("End of {app} predeploy task output"))
        .await;
    image.map_err(|error| match error {
        EngineError::BuildFailed { said, .. } => Problem::new(
            Kind::AppFailed,
            failed(),
            mask.masked(said),
            "the lines above say more; correct it, commit, and push again",
        ),
        error => problem::engine(failed(), &error),
    })
}

/// The config vars that the processes will have: those of today, or, for an image that is made anew, those of its release.
pub(super) async fn config(
    deployer: &Deployer,
    run: &Run,
    version: ReleaseVersion,
) -> Result<ConfigVars, Problem> {
    if !run.takes_config()
        && let Some(release) = deployer.store.release(run.app.id, version).await?
    {
        return Ok(release.config);
    }
    Ok(deployer.store.merged_config(run.app.id).await?)
}

async fn follow(
    deployer: &Deployer,
    run: &Run,
    spec: &BuildSpec,
    mask: &Mask,
) -> Result<ImageId, EngineError> {
    // It needs no file but those of the image.
    let mut events = deployer
        .engine
        .build(spec, Arc::new(MemoryContext::default()))
        .await?;
    while let Some(event) = events.next().await {
        match event? {
            BuildEvent::Line(text) => run.line(mask.masked(text)).await,
            // There is the one step, which was named.
            BuildEvent::Step { .. } | BuildEvent::Unwatched { .. } => {}
            BuildEvent::Done(image) => return Ok(image),
        }
    }
    Err(EngineError::Refused {
        said: "the build ended without an image".to_owned(),
    })
}

fn dockerfile(image: &str, line: &str) -> String {
    format!(
        "FROM {image}\nRUN --mount=type=secret,id={ENVIRONMENT},mode=0444 . /run/secrets/{ENVIRONMENT}; {line}\n"
    )
}

/// What a shell reads to have the environment that the processes will have.
fn environment(config: &ConfigVars, app: &AppName, commit: &CommitId) -> Secret {
    let own = [("MINI_APP", app.as_str()), ("GIT_REV", commit.as_str())];
    let mut text = String::new();
    let mut add = |key: &str, value: &str| {
        let value = value.replace('\'', r"'\''");
        text.push_str(&format!("export {key}='{value}'\n"));
    };
    for (key, value) in own {
        add(key, value);
    }
    for (key, value) in config {
        add(key.as_str(), value.reveal());
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_value_as_it_is() {
        let values = [
            ("QUOTED", "it's '' 'all' '"),
            ("LINES", "one\ntwo\n\nfour\n"),
            ("SHELL_WORDS", "$HOME `id` $(id) \\ \" ! * ; #"),
            ("LETTERS", "gr\u{fc}n \u{1f980} \u{2028}"),
            ("EMPTY", ""),
        ];
        let pairs = values.map(|(key, value)| (key.parse().unwrap(), Secret::new(value)));
        let config: ConfigVars = pairs.into_iter().collect();
        let app: AppName = "shop".parse().unwrap();
        let commit: CommitId = "3f2c91a0000000000000000000000000000000aa".parse().unwrap();
        let text = environment(&config, &app, &commit);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("environment");
        std::fs::write(&file, text.reveal()).unwrap();
        let read = |key: &str| {
            let line = format!(". {}; printenv {key}; exit 7", file.display());
            let mut shell = std::process::Command::new("/bin/sh");
            let said = shell.args(["-euc", &line]).env_clear().output().unwrap();
            assert_eq!(said.status.code(), Some(7), "{key}: {said:?}");
            String::from_utf8(said.stdout).unwrap()
        };
        for (key, value) in values {
            assert_eq!(read(key), format!("{value}\n"));
        }
        assert_eq!(read("MINI_APP"), "shop\n");
        assert_eq!(read("GIT_REV"), format!("{commit}\n"));
    }

    #[test]
    fn the_step_is_one_line_and_has_no_value_in_it() {
        let text = dockerfile("mini/shop:1", "make assets && touch 'a b'");
        assert_eq!(
            text,
            "FROM mini/shop:1\nRUN --mount=type=secret,id=mini-environment,mode=0444 . /run/secrets/mini-environment; make assets && touch 'a b'\n"
        );
    }
}
