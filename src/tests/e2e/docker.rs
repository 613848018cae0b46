//! What a test asks of Docker beside mini's back, through Docker's own client.

use std::path::Path;
use std::process::Command;

use crate::process::{Ran, run};
use crate::wait::wait_until;

/// Runs `docker` with these words.
#[track_caller]
pub(crate) fn docker(words: &[&str]) -> Ran {
    run(Command::new("docker").args(words))
}

/// How a container of an image ends when it is stopped once its log says that it is `ready`: 137 where it had to be killed.
#[track_caller]
pub(crate) fn code_of_a_stop(image: &str, ready: &str) -> String {
    let started = docker(&["run", "--detach", "--init", image]);
    let container = started.succeeds().trim();
    wait_until(&format!("`{ready}` in the log of {image}"), || {
        let log = docker(&["logs", container]);
        log.stdout.contains(ready) || log.stderr.contains(ready)
    });
    let stopped = docker(&["stop", "--time", "60", container]);
    let ended = docker(&["inspect", "--format", "{{.State.ExitCode}}", container]);
    docker(&["rm", "--force", container]).succeeds();
    stopped.succeeds();
    ended.succeeds().trim().to_owned()
}

/// What belongs to one server.
pub(crate) struct Instance(String);

impl Instance {
    /// The instance that has its data there, once its server has run.
    pub(crate) fn of(data_dir: &Path) -> Option<Self> {
        let id = std::fs::read_to_string(data_dir.join("instance")).ok()?;
        let id = id.trim();
        (!id.is_empty()).then(|| Self(id.to_owned()))
    }

    fn filter(&self) -> String {
        format!("label=mini.instance={}", self.0)
    }

    /// Ids of the containers that run for `app`.
    #[track_caller]
    pub(crate) fn running(&self, app: &str) -> Vec<String> {
        let of_app = format!("label=mini.app={app}");
        let kind = "label=mini.kind=process";
        lines(&docker(&[
            "ps",
            "-q",
            "--no-trunc",
            "--filter",
            &self.filter(),
            "--filter",
            &of_app,
            "--filter",
            kind,
        ]))
    }

    /// Ids of all its containers, whether they run or not.
    #[track_caller]
    pub(crate) fn containers(&self) -> Vec<String> {
        lines(&docker(&["ps", "-aq", "--filter", &self.filter()]))
    }

    /// Ids of its networks.
    #[track_caller]
    pub(crate) fn networks(&self) -> Vec<String> {
        lines(&docker(&[
            "network",
            "ls",
            "-q",
            "--filter",
            &self.filter(),
        ]))
    }

    /// Ids of its images.
    #[track_caller]
    pub(crate) fn images(&self) -> Vec<String> {
        let mut images = lines(&docker(&["images", "-q", "--filter", &self.filter()]));
        images.sort();
        images.dedup();
        images
    }

    /// Names of images that were given to its apps and are kept for them.
    #[track_caller]
    pub(crate) fn kept(&self) -> Vec<String> {
        let repository = format!("mini-source/{}", self.0);
        lines(&docker(&[
            "images",
            "--format",
            "{{.Repository}}:{{.Tag}}",
            &repository,
        ]))
    }

    /// Removes all of it. Something may be going by itself meanwhile, so what fails is left to the next word.
    pub(crate) fn remove(&self) {
        for (words, things) in [
            (["rm", "-f", "-v"].as_slice(), self.containers()),
            (["network", "rm"].as_slice(), self.networks()),
            (["rmi", "-f"].as_slice(), self.images()),
            (["rmi", "-f"].as_slice(), self.kept()),
        ] {
            if things.is_empty() {
                continue;
            }
            let things: Vec<&str> = things.iter().map(String::as_str).collect();
            let _ = docker(&[words, &things].concat());
        }
    }
}

fn lines(ran: &Ran) -> Vec<String> {
    ran.succeeds().lines().map(str::to_owned).collect()
}
