//! What every engine must do, as tests that run on any of them. Not part of mini's interface: the unit tests run it on
//! the in-memory engine, `src/tests/docker_engine.rs` on Docker.

mod images;
mod processes;
mod sources;

pub use images::{
    build_failure_is_told, build_makes_an_image, missing_image_is_said, removal_is_whole,
};
pub use processes::{
    changes_are_told, exit_is_seen, image_command_is_run, log_is_kept, one_off_runs,
    process_lives_and_goes,
};

pub use sources::{archive_is_loaded, other_archives_are_refused, saved};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};

use super::{
    BuildContext, BuildEvent, BuildSpec, ContainerEngine, EngineError, GroupSpec, Limits,
    MemoryContext, OneOffIo, OneOffSpec, Process, ProcessId, Stream,
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
    /// What to build, under a tag that ends in `deploy`, by a Dockerfile of these lines after `FROM`.
    pub fn build_spec(&self, deploy: &str, lines: &str) -> Result<BuildSpec> {
        let deploy: DeployId = deploy.parse()?;
        Ok(BuildSpec {
            app: self.app.clone(),
            tag: format!("mini/{}:{deploy}", self.app),
            deploy,
            release: ReleaseVersion(1),
            dockerfile: format!("FROM {}\n{lines}\n", self.base),
            arguments: BTreeMap::new(),
            secrets: BTreeMap::new(),
            memory_limit_bytes: None,
            target: None,
            is_without_cache: false,
            source: None,
        })
    }

    /// Builds to the end and gives what was said.
    pub async fn build(
        &self,
        deploy: &str,
        lines: &str,
    ) -> Result<(Vec<BuildEvent>, Result<ImageId, EngineError>)> {
        let spec = self.build_spec(deploy, lines)?;
        self.build_of(&spec, MemoryContext::default()).await
    }

    /// The same of these files, as `spec` says.
    pub async fn build_of(
        &self,
        spec: &BuildSpec,
        context: impl BuildContext,
    ) -> Result<(Vec<BuildEvent>, Result<ImageId, EngineError>)> {
        let mut events = self.engine.build(spec, Arc::new(context)).await?;
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
            mounts: Vec::new(),
            options: Vec::new(),
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
            mounts: Vec::new(),
            options: Vec::new(),
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
