//! A Docker of a test's own, for what would reach into the cache of everybody who uses the machine's.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::{Ran, run};
use crate::wait::wait_until;

/// A dockerd with its data in a folder. It has no network of its own, so nothing is run while it builds.
pub(crate) struct OwnDocker {
    folder: TempDir,
    child: Child,
}

impl OwnDocker {
    /// None, which it says, where the test is not root: nobody else may start one.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: a dockerd of its own can be started by root alone");
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("mini-docker-")
            .tempdir_in("/tmp")
            .expect("/tmp takes a folder");
        let log = File::create(folder.path().join("log")).expect("a file can be made");
        let path = |name: &str| folder.path().join(name);
        let namespace = format!("mini-test-{}", std::process::id());
        let child = Command::new("dockerd")
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .args(["--host", &format!("unix://{}", path("sock").display())])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .args(["--containerd-namespace", &namespace])
            .args(["--containerd-plugins-namespace", &format!("{namespace}-p")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("these tests need dockerd");
        let docker = Self { folder, child };
        wait_until("a Docker of the test's own", || {
            docker.docker(&["version"]).code == 0
        });
        Some(docker)
    }

    /// Its address, as `DOCKER_HOST` has it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("sock").display())
    }

    /// Runs `docker` with these words.
    #[track_caller]
    pub(crate) fn docker(&self, words: &[&str]) -> Ran {
        run(Command::new("docker")
            .args(["--host", &self.host()])
            .args(words))
    }

    /// Gives it an image that the machine's has.
    #[track_caller]
    pub(crate) fn lend(&self, image: &str) {
        let script = r#"docker save "$1" | docker --host "$2" load"#;
        run(Command::new("sh").args(["-c", script, "sh", image, &self.host()])).succeeds();
    }

    /// Ids of the images with this label.
    #[track_caller]
    pub(crate) fn images(&self, label: &str) -> Vec<String> {
        let filter = format!("label={label}");
        let listed = self.docker(&["images", "--quiet", "--no-trunc", "--filter", &filter]);
        let mut ids: Vec<String> = listed.succeeds().lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

impl Drop for OwnDocker {
    fn drop(&mut self) {
        let script = r#"docker --host "$1" ps --all --quiet | xargs --no-run-if-empty docker --host "$1" rm --force --volumes"#;
        let _ = run(Command::new("sh").args(["-c", script, "sh", &self.host()]));
        let networks = r#"docker --host "$1" network ls --quiet --filter label=mini.instance | xargs --no-run-if-empty docker --host "$1" network rm"#;
        let _ = run(Command::new("sh").args(["-c", networks, "sh", &self.host()]));
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
