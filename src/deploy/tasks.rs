//! Commands that are run once in a deploy, each in a container of its own: the release command of the Procfile, and those that
//! `scripts` of app.json has.
//!
//! The order is Dokku's: predeploy in the image, the release command, at the first deploy of the app `scripts.postdeploy`, the
//! processes with their checks, the switch, `scripts.dokku.postdeploy`.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::mask::Mask;
use super::run::Run;
use super::{Deployer, problem};
use crate::engine::{EngineError, Lines, OneOffIo, OneOffSpec, Stream};
use crate::model::{ContainerPhase, Kind, Problem, ProcessType, Release};
use crate::reconcile::environment;

/// A command that is run once in a deploy, in a container of its own with the environment of the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// The Procfile's `release`.
    Release,
    /// `scripts.postdeploy` of app.json, at the first deploy only.
    SetUp,
    /// `scripts.dokku.postdeploy` of app.json.
    Postdeploy,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Task::Release => "release",
            Task::SetUp | Task::Postdeploy => "postdeploy",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Task::Release => "release command",
            Task::SetUp => "postdeploy command of the first deploy",
            Task::Postdeploy => "postdeploy command",
        }
    }
}

/// Why a command did not do what it is for.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of it was done.
    NotBegun(Problem),
    /// It may have done some of it.
    Failed(Problem),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotBegun(problem) | Failure::Failed(problem) => problem,
        }
    }
}

/// Whether the engine could not start it. An engine that cannot be reached says nothing of that: it may have gone in the middle.
fn is_not_begun(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::CannotStart { .. } | EngineError::ImageMissing { .. }
    )
}

/// Runs a command to its end. What it says is heard between two lines of its own, without the values of config vars.
///
/// # Errors
/// It ends with another status than 0, does not end in time, or cannot be started.
pub(super) async fn run(
    deployer: &Deployer,
    run: &Run,
    release: &Release,
    task: Task,
    line: &str,
) -> Result<(), Failure> {
    let spec = spec(deployer, run, release, task.name(), line);
    let spec = spec.await.map_err(Failure::NotBegun)?;
    let app = &run.app.name;
    let (name, title) = (task.name(), task.title());
    run.header(format!("Running the {title}: {line}")).await;
    let (_stdin, stdin) = mpsc::channel(1);
    let (output, lines) = mpsc::channel(64);
    let (_size, resize) = watch::channel(None);
    let io = OneOffIo {
        stdin,
        output,
        resize,
    };
    let limit = deployer.settings.build_limits.timeout;
    run.section(format!("Start of {app} {name} task output"))
        .await;
    let mask = Mask::of(&release.config);
    let ran = tokio::time::timeout(limit, async {
        tokio::join!(deployer.engine.run(&spec, io), relay(run, lines, &mask)).0
    })
    .await;
    run.section(format!("End of {app} {name} task output"))
        .await;
    let failed = match task {
        Task::Release | Task::SetUp => format!("{app} was not deployed: its {title} failed"),
        Task::Postdeploy => format!("The {title} of {app} failed"),
    };
    let next = match task {
        Task::Release => "the lines above say more; correct it, commit, and push again",
        Task::SetUp => {
            "the lines above say more; it is not run again by itself: once the app is deployed, `run` does what is missing"
        }
        Task::Postdeploy => "the lines above say more; the new release serves all the same",
    };
    match ran {
        Ok(Ok(0)) => Ok(()),
        Ok(Ok(code)) => Err(Failure::Failed(Problem::new(
            Kind::AppFailed,
            failed,
            format!("`{line}` ended with status {code}"),
            next,
        ))),
        Ok(Err(error)) => {
            let problem = problem::engine(failed, &error);
            Err(if is_not_begun(&error) {
                Failure::NotBegun(problem)
            } else {
                Failure::Failed(problem)
            })
        }
        Err(_) => Err(Failure::Failed(Problem::new(
            Kind::TimedOut,
            failed,
            format!("`{line}` did not end within {}", problem::in_words(limit)),
            "see what it waits for, correct it, and push again",
        ))),
    }
}

async fn spec(
    deployer: &Deployer,
    run: &Run,
    release: &Release,
    name: &'static str,
    line: &str,
) -> Result<OneOffSpec, Problem> {
    let process_type: ProcessType = name.parse()?;
    Ok(OneOffSpec {
        app: run.app.name.clone(),
        release: release.version,
        purpose: name,
        image: release.image.clone(),
        command: vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()],
        environment: environment(
            &run.app,
            release,
            release.version,
            &process_type,
            &format!("{name}.1"),
        ),
        limits: deployer.settings.limits,
        terminal: None,
        has_stdin: false,
        mounts: deployer.store.storage_mounts(run.app.id).await?,
        options: deployer
            .store
            .container_options_of(run.app.id, ContainerPhase::Deploy)
            .await?,
    })
}

/// Turns chunks of output into lines of the journal.
async fn relay(run: &Run, mut chunks: mpsc::Receiver<(Stream, Bytes)>, mask: &Mask) {
    let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
    while let Some((stream, chunk)) = chunks.recv().await {
        let lines = match stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        for line in lines.push(&chunk) {
            run.line(mask.masked(line.trim_end().to_owned())).await;
        }
    }
    for line in [stdout.finish(), stderr.finish()].into_iter().flatten() {
        run.line(mask.masked(line.trim_end().to_owned())).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::events::{EventBody, Journal};
    use crate::model::{App, AppId, DeployId, Timestamp, Trigger};

    #[test]
    fn only_what_never_ran_counts_as_not_begun() {
        let said = || "no such file".to_owned();
        assert!(is_not_begun(&EngineError::CannotStart { said: said() }));
        assert!(!is_not_begun(&EngineError::Gone { what: said() }));
        let lost = EngineError::Unavailable {
            socket: "docker.sock".to_owned(),
            source: said().into(),
        };
        assert!(!is_not_begun(&lost));
    }

    /// A progress bar without line feeds was gathered in memory, and all of it searched for one at each piece.
    #[tokio::test]
    async fn what_a_release_command_says_without_line_feeds_is_not_held_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let app = App {
            id: AppId(1),
            name: "shop".parse().unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            deploy_branch: None,
            is_stopped: false,
            current: None,
        };
        let id = DeployId::new(Timestamp::UNIX_EPOCH, 1);
        let actor = "me".to_owned();
        let run = Run::new(id, app, Trigger::Push, actor, None, journal.clone());
        let (output, lines) = mpsc::channel(8);
        for (stream, piece) in [
            (Stream::Stdout, "10 %\r".repeat(10_000)),
            (Stream::Stderr, "x".repeat(100_000)),
            (Stream::Stdout, "100 %\nmigrated".to_owned()),
        ] {
            output.send((stream, Bytes::from(piece))).await.unwrap();
        }
        drop(output);
        relay(&run, lines, &Mask::default()).await;
        run.set_ended(Ok(())).await;
        let events: Vec<_> = journal.follow(&run.subject(), 1).collect().await;
        let said: Vec<String> = events
            .into_iter()
            .filter_map(|event| match event.body {
                EventBody::Line { text } => Some(text),
                _ => None,
            })
            .collect();
        let lengths: Vec<usize> = said.iter().map(String::len).collect();
        let cut = 16 * 1024;
        let rest = 100_000 - 6 * cut;
        assert_eq!(lengths, [cut, cut, cut, cut, cut, cut, 5, 8, rest]);
    }
}
