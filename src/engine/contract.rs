//! What every engine must do, as tests that run on any of them. Not part of mini's interface: the unit tests run it on
//! the in-memory engine, `src/tests/docker_engine.rs` on Docker.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::{mpsc, watch};

use super::{
    BuildEvent, BuildSpec, ContainerEngine, ContextStream, EngineError, GroupSpec, Limits,
    LogQuery, OneOffIo, OneOffSpec, Process, ProcessId, ProcessState, Stream,
};
use crate::model::{AppName, ConfigVars, DeployId, ImageId, ReleaseVersion};

/// How long a test waits for something that should come at once, before it says what did not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine under test, with an app of the test's own.
pub struct Bench<'a> {
    /// The engine.
    pub engine: &'a dyn ContainerEngine,
    /// The app; removed with all it has at the end by whoever made the bench.
    pub app: AppName,
    /// An image with a shell in it, for `FROM`.
    pub base: &'a str,
}

impl Bench<'_> {
    /// A tar archive with a Dockerfile of these lines after `FROM`.
    pub fn context(&self, lines: &str) -> Result<ContextStream> {
        archive(&format!("FROM {}\n{lines}\n", self.base))
    }

    /// What to build, under a tag that ends in `deploy`.
    pub fn build_spec(&self, deploy: &str) -> Result<BuildSpec> {
        let deploy: DeployId = deploy.parse()?;
        Ok(BuildSpec {
            app: self.app.clone(),
            tag: format!("mini/{}:{deploy}", self.app),
            deploy,
            dockerfile: "Dockerfile".to_owned(),
            arguments: BTreeMap::new(),
        })
    }

    /// Builds to the end and gives what was said.
    pub async fn build(
        &self,
        deploy: &str,
        lines: &str,
    ) -> Result<(Vec<BuildEvent>, Result<ImageId, EngineError>)> {
        let spec = self.build_spec(deploy)?;
        let mut events = self.engine.build(&spec, self.context(lines)?).await?;
        let mut said = Vec::new();
        while let Some(event) = within("a build event", events.next()).await? {
            match event {
                Ok(BuildEvent::Done(image)) => return Ok((said, Ok(image))),
                Ok(event) => said.push(event),
                Err(error) => return Ok((said, Err(error))),
            }
        }
        bail!("the build ended without an end; it said {said:?}")
    }

    /// An image of the app.
    pub async fn image(&self) -> Result<ImageId> {
        Ok(self.build("base", "CMD [\"sleep\", \"1000\"]").await?.1?)
    }

    /// A group that runs `command`.
    pub fn group(&self, image: &ImageId, command: Option<&str>) -> Result<GroupSpec> {
        Ok(GroupSpec {
            app: self.app.clone(),
            release: ReleaseVersion(1),
            process_type: "web".parse()?,
            image: image.clone(),
            command: command.map(str::to_owned),
            environment: ConfigVars::new(),
            limits: LIMITS,
            stop_grace: Duration::from_secs(5),
        })
    }

    /// Runs a one-off process to its end, gives it `typed`, and returns what it said and its exit status.
    pub async fn run(&self, spec: &OneOffSpec, typed: &[&str]) -> Result<(Said, u8)> {
        let (stdin, stdin_end) = mpsc::channel(16);
        for piece in typed {
            stdin.send(Bytes::from((*piece).to_owned())).await?;
        }
        drop(stdin);
        let (output_end, mut output) = mpsc::channel(16);
        let (_sizes, resize) = watch::channel(None);
        let io = OneOffIo {
            stdin: stdin_end,
            output: output_end,
            resize,
        };
        let listen = async {
            let mut said = Said::default();
            while let Some((stream, bytes)) = output.recv().await {
                let text = String::from_utf8_lossy(&bytes);
                match stream {
                    Stream::Stdout => said.stdout.push_str(&text),
                    Stream::Stderr => said.stderr.push_str(&text),
                }
            }
            said
        };
        let both = async { tokio::join!(listen, self.engine.run(spec, io)) };
        let (said, code) = within("the end of a one-off process", both).await?;
        Ok((said, code?))
    }

    /// A one-off process that runs a shell line.
    pub fn one_off(&self, image: &ImageId, line: &str) -> OneOffSpec {
        OneOffSpec {
            app: self.app.clone(),
            release: ReleaseVersion(1),
            purpose: "run",
            image: image.clone(),
            command: ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
            environment: ConfigVars::new(),
            limits: LIMITS,
            terminal: None,
            has_stdin: false,
        }
    }

    /// Looks after every change until a process of the app is as wanted.
    pub async fn until(
        &self,
        what: &str,
        mut is_wanted: impl FnMut(&Process) -> bool,
    ) -> Result<Process> {
        let mut changes = self.engine.changes();
        let search = async {
            while changes.next().await.is_some() {
                let processes = self.engine.observe().await?;
                let mut ours = processes.into_iter().filter(|p| p.app == self.app);
                if let Some(process) = ours.find(&mut is_wanted) {
                    return Ok(process);
                }
            }
            bail!("the changes ended")
        };
        within(what, search).await?
    }

    async fn find(&self, id: &ProcessId) -> Result<Option<Process>> {
        let processes = self.engine.observe().await?;
        Ok(processes.into_iter().find(|process| process.id == *id))
    }
}

/// What a one-off process said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// On standard output.
    pub stdout: String,
    /// On standard error.
    pub stderr: String,
}

/// The limits of all processes here.
pub const LIMITS: Limits = Limits {
    memory_bytes: Some(64 * 1024 * 1024),
    pids: 64,
};

/// Waits for something with patience.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .with_context(|| format!("waited in vain for {what}"))
}

/// A tar archive with one Dockerfile.
pub fn archive(dockerfile: &str) -> Result<ContextStream> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "Dockerfile", dockerfile.as_bytes())?;
    let bytes = Bytes::from(builder.into_inner()?);
    Ok(stream::once(async { Ok(bytes) }).boxed())
}

/// A process is started, seen, stopped, started again and removed; asking twice is fine.
pub async fn process_lives_and_goes(bench: &Bench<'_>) -> Result<()> {
    let engine = bench.engine;
    let group = bench.group(&bench.image().await?, Some("sleep 1000"))?;
    let first = engine.start(&group, 1).await?;
    let second = engine.start(&group, 2).await?;
    ensure!(first.id != second.id, "two processes, one id");
    ensure!(
        first.address != second.address,
        "two processes, one address"
    );
    ensure!(first.address.is_some() && first.started_at.is_some());
    ensure!(engine.start(&group, 1).await? == first, "started twice");
    for started in [&first, &second] {
        let seen = bench.find(&started.id).await?;
        ensure!(
            seen.as_ref() == Some(started),
            "{seen:?} is not {started:?}"
        );
    }

    engine.stop(&first.id, Duration::from_secs(5)).await?;
    let stopped = bench.find(&first.id).await?.context("stopped and gone")?;
    ensure!(
        matches!(
            stopped.state,
            ProcessState::Exited {
                code: 143,
                is_out_of_memory: false,
                at: Some(_)
            }
        ),
        "{stopped:?}"
    );
    ensure!(stopped.address.is_none(), "an ended process has an address");
    engine.restart(&first.id).await?;
    let again = bench.find(&first.id).await?.context("restarted and gone")?;
    ensure!(again.state == ProcessState::Running, "{again:?}");
    ensure!(again.address.is_some() && again.started_at > first.started_at);
    engine.restart(&first.id).await?;

    for id in [&first.id, &second.id] {
        engine.remove(id).await?;
        engine.remove(id).await?;
        ensure!(bench.find(id).await?.is_none(), "removed and still seen");
        engine.stop(id, Duration::ZERO).await?;
    }
    let restarted = engine.restart(&first.id).await;
    ensure!(
        matches!(restarted, Err(EngineError::Gone { .. })),
        "{restarted:?}"
    );
    Ok(())
}

/// The end of a process is told and seen, and a start replaces what has ended.
pub async fn exit_is_seen(bench: &Bench<'_>) -> Result<()> {
    let group = bench.group(&bench.image().await?, Some("exit 3"))?;
    let started = bench.engine.start(&group, 1).await?;
    let ended = bench
        .until("an exit with status 3", |process| {
            matches!(
                process.state,
                ProcessState::Exited {
                    code: 3,
                    is_out_of_memory: false,
                    ..
                }
            )
        })
        .await?;
    ensure!(ended.id == started.id);
    let stays = bench.group(&group.image, Some("sleep 1000"))?;
    let replaced = bench.engine.start(&stays, 1).await?;
    ensure!(replaced.id != ended.id && replaced.state == ProcessState::Running);
    ensure!(bench.find(&ended.id).await?.is_none(), "not replaced");
    Ok(())
}

/// The image's own command is run where none is given.
pub async fn image_command_is_run(bench: &Bench<'_>) -> Result<()> {
    let group = bench.group(&bench.image().await?, None)?;
    let process = bench.engine.start(&group, 1).await?;
    ensure!(process.state == ProcessState::Running, "{process:?}");
    Ok(())
}

/// Changes come for a start and for an end, to every listener.
pub async fn changes_are_told(bench: &Bench<'_>) -> Result<()> {
    let group = bench.group(&bench.image().await?, Some("sleep 1000"))?;
    let mut listeners = [bench.engine.changes(), bench.engine.changes()];
    for changes in &mut listeners {
        within("the first change", changes.next()).await?;
    }
    let process = bench.engine.start(&group, 1).await?;
    for changes in &mut listeners {
        within("the change of a start", changes.next()).await?;
    }
    bench.engine.remove(&process.id).await?;
    for changes in &mut listeners {
        within("the change of a removal", changes.next()).await?;
    }
    Ok(())
}

/// The log gives lines with stream and time; the end of it, what is newer, and what follows.
pub async fn log_is_kept(bench: &Bench<'_>) -> Result<()> {
    let line = "echo one; echo two >&2; echo three";
    let group = bench.group(&bench.image().await?, Some(line))?;
    let process = bench.engine.start(&group, 1).await?;
    let followed = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    let all = read_log(bench, &process.id, followed).await?;
    // Two streams of one process arrive on two pipes: their order among each other is not fixed.
    let mut texts: Vec<_> = all.iter().map(|l| (l.stream, l.text.as_str())).collect();
    texts.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
    ensure!(
        texts
            == [
                (Stream::Stdout, "one"),
                (Stream::Stdout, "three"),
                (Stream::Stderr, "two")
            ],
        "{all:?}"
    );
    let last = LogQuery {
        tail: Some(1),
        ..LogQuery::default()
    };
    ensure!(read_log(bench, &process.id, last).await? == all.get(2..).unwrap_or_default());
    let newer = LogQuery {
        since: all.first().map(|line| line.at),
        ..LogQuery::default()
    };
    ensure!(read_log(bench, &process.id, newer).await? == all.get(1..).unwrap_or_default());
    let nobody = ProcessId("0".repeat(64));
    let log = bench.engine.logs(&nobody, LogQuery::default()).await;
    ensure!(
        matches!(log, Err(EngineError::Gone { .. })),
        "a log of nobody"
    );
    Ok(())
}

async fn read_log(
    bench: &Bench<'_>,
    id: &ProcessId,
    query: LogQuery,
) -> Result<Vec<super::LogLine>> {
    let log = bench.engine.logs(id, query).await?;
    Ok(within("the end of the log", log.try_collect()).await??)
}

/// An image that is not here is named as the reason.
pub async fn missing_image_is_said(bench: &Bench<'_>) -> Result<()> {
    let missing: ImageId = format!("sha256:{}", "0".repeat(64)).parse()?;
    let group = bench.group(&missing, Some("true"))?;
    let start = bench.engine.start(&group, 1).await;
    let error = start.err().context("started from nothing")?;
    ensure!(
        matches!(&error, EngineError::ImageMissing { image, .. } if image == missing.as_str()),
        "{error:?}"
    );
    let run = bench.run(&bench.one_off(&missing, "true"), &[]).await;
    ensure!(run.is_err(), "ran from nothing");
    ensure!(bench.engine.image(missing.as_str()).await?.is_none());

    let nowhere = "127.0.0.1:1/none:1";
    let lines: Result<Vec<_>, _> = bench.engine.pull(nowhere).await?.try_collect().await;
    ensure!(
        matches!(&lines, Err(EngineError::ImageMissing { image, said }) if image == nowhere && !said.is_empty()),
        "{lines:?}"
    );
    let lines: Vec<_> = bench.engine.pull(bench.base).await?.try_collect().await?;
    let again: Vec<_> = bench.engine.pull(bench.base).await?.try_collect().await?;
    ensure!(again.is_empty(), "pulled twice: {lines:?} {again:?}");
    Ok(())
}

/// A build tells its steps and lines and leaves an image that can be asked about.
pub async fn build_makes_an_image(bench: &Bench<'_>) -> Result<()> {
    let lines = "RUN echo built\nEXPOSE 8080\nCMD [\"sleep\", \"1000\"]";
    let (said, image) = bench.build("one", lines).await?;
    let image = image?;
    let is_step = |event: &BuildEvent| matches!(event, BuildEvent::Step { name, .. } if name.ends_with("RUN echo built"));
    let steps = said.iter().filter(|event| is_step(event)).count();
    ensure!(steps == 1, "{said:?}");
    let spec = bench.build_spec("one")?;
    let facts = bench.engine.image(&spec.tag).await?.context("no image")?;
    ensure!(
        facts.id == image && facts.exposed_ports == [8080] && facts.has_command,
        "{facts:?}"
    );
    Ok(())
}

/// A failed build names its step and what was wrong.
pub async fn build_failure_is_told(bench: &Bench<'_>) -> Result<()> {
    let (said, end) = bench.build("bad", "RUN echo before; exit 9").await?;
    ensure!(
        said.contains(&BuildEvent::Line("before".into())),
        "{said:?}"
    );
    let error = end.err().context("built all the same")?;
    ensure!(
        matches!(&error, EngineError::BuildFailed { step: Some(step), said }
            if step.contains("RUN echo before; exit 9") && said.contains("exit code: 9")),
        "{error:?}"
    );
    let (_, end) = bench.build("worse", "CPOY a b").await?;
    let error = end.err().context("built all the same")?;
    ensure!(
        matches!(&error, EngineError::BuildFailed { step: None, said }
            if said.contains("line 2") && said.contains("CPOY")),
        "{error:?}"
    );
    let spec = bench.build_spec("none")?;
    let events = bench
        .engine
        .build(&spec, archive("FROM 127.0.0.1:1/none:1\n")?);
    let events: Result<Vec<_>, _> = within("a build", events.await?.try_collect()).await?;
    ensure!(
        matches!(&events, Err(EngineError::ImageMissing { image, .. }) if image.contains("none:1")),
        "{events:?}"
    );
    ensure!(bench.engine.image(&spec.tag).await?.is_none());
    Ok(())
}

/// A one-off process has its streams apart, is given its input, and passes on its exit status.
pub async fn one_off_runs(bench: &Bench<'_>) -> Result<()> {
    let image = bench.image().await?;
    let (said, code) = bench
        .run(
            &bench.one_off(&image, "echo out; echo err >&2; exit 7"),
            &[],
        )
        .await?;
    ensure!(
        code == 7 && said.stdout == "out\n" && said.stderr == "err\n",
        "{code} {said:?}"
    );
    let spec = OneOffSpec {
        has_stdin: true,
        ..bench.one_off(&image, "cat")
    };
    let (said, code) = bench.run(&spec, &["first\n", "second"]).await?;
    ensure!(
        code == 0 && said.stdout == "first\nsecond",
        "{code} {said:?}"
    );
    let (said, code) = bench
        .run(&bench.one_off(&image, "cat; echo end"), &[])
        .await?;
    ensure!(
        code == 0 && said.stdout == "end\n",
        "input that is not given: {said:?}"
    );
    let is_seen = |p: &Process| p.app == bench.app;
    ensure!(
        !bench.engine.observe().await?.iter().any(is_seen),
        "a one-off is no process"
    );
    Ok(())
}

/// Old images go, those kept or in use stay, and an app is removed whole.
pub async fn removal_is_whole(bench: &Bench<'_>) -> Result<()> {
    let engine = bench.engine;
    let build = async |deploy: &str| -> Result<ImageId> {
        Ok(bench
            .build(deploy, &format!("RUN echo {deploy}\nENV A={deploy}"))
            .await?
            .1?)
    };
    let (kept, used, old) = (
        build("kept").await?,
        build("used").await?,
        build("old").await?,
    );
    engine
        .start(&bench.group(&used, Some("sleep 1000"))?, 1)
        .await?;
    ensure!(engine.prune_images(&bench.app, &[kept.clone()]).await? == 1);
    for (image, is_here) in [(&kept, true), (&used, true), (&old, false)] {
        ensure!(
            engine.image(image.as_str()).await?.is_some() == is_here,
            "{image}"
        );
    }
    ensure!(
        engine.image(bench.base).await?.is_some(),
        "the base image is not ours"
    );

    engine.remove_leftovers().await?;
    let is_ours = |process: &Process| process.app == bench.app;
    ensure!(
        engine.observe().await?.iter().any(is_ours),
        "a process is no leftover"
    );
    engine.remove_app(&bench.app).await?;
    engine.remove_app(&bench.app).await?;
    ensure!(
        !engine.observe().await?.iter().any(is_ours),
        "a process is left"
    );
    for image in [&kept, &used] {
        ensure!(
            engine.image(image.as_str()).await?.is_none(),
            "{image} is left"
        );
    }
    Ok(())
}
