//! A Docker of a test's own, where it does what others would mind.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::process::{Ran, run};
use crate::wait::wait_until;

/// Its networks: of no use to anybody else, for two bridges with one range would take each other's packets.
const NETWORKS: &str = "10.231.0.0/20";

/// A Docker with a data directory of its own. It ends with the test, and all that it had with it.
pub(crate) struct OwnDocker {
    child: Child,
    folder: tempfile::TempDir,
}

impl OwnDocker {
    /// Starts one; `None` where we are not root, which it needs.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("mini-docker-")
            .tempdir_in("/tmp")
            .expect("/tmp takes a folder");
        let at = |name: &str| folder.path().join(name);
        let log = std::fs::File::create(at("log")).expect("a log can be made");
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("dockerd")
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .arg("--data-root")
            .arg(at("root"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--host")
            .arg(format!("unix://{}", at("socket").display()))
            // Nothing of the host's network is changed: its apps are called from the host only.
            .args([
                "--bridge=none",
                "--iptables=false",
                "--ip-forward=false",
                "--ip-masq=false",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dockerd can be started");
        let own = Self { child, folder };
        wait_until("a Docker of the test's own", || {
            own.docker(&["info"]).code == 0
        });
        Some(own)
    }

    /// What tells a server to use it.
    pub(crate) fn environment(&self) -> [(String, String); 2] {
        [
            ("DOCKER_HOST".to_owned(), self.host()),
            ("MINI_NETWORK_POOL".to_owned(), NETWORKS.to_owned()),
        ]
    }

    /// Runs `docker` with these words on it.
    #[track_caller]
    pub(crate) fn docker(&self, words: &[&str]) -> Ran {
        let mut command = Command::new("docker");
        run(command
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_BUILDKIT", "0")
            .args(words))
    }

    /// Gives it an image that the machine's Docker has.
    #[track_caller]
    pub(crate) fn lend(&self, image: &str) {
        let archive = self.folder().join("image.tar");
        let archive = archive.display().to_string();
        run(Command::new("docker").args(["save", "--output", &archive, image])).succeeds();
        self.docker(&["load", "--input", &archive]).succeeds();
        std::fs::remove_file(archive).expect("the archive is ours");
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder().join("socket").display())
    }

    fn folder(&self) -> PathBuf {
        Path::to_owned(self.folder.path())
    }
}

impl Drop for OwnDocker {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It stops its containers and takes its mounts away; killed, it would leave both.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
