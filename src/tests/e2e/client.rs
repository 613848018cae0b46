//! The developer's side: a key, an ssh configuration and a git that know nothing of the machine they run on.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;

/// A home folder with a key, from which `ssh mini` reaches the server.
pub(crate) struct Client {
    home: PathBuf,
}

impl Client {
    /// Makes a key in a new folder `home`.
    pub(crate) fn new(home: PathBuf) -> Self {
        std::fs::create_dir(&home).expect("a folder can be made in the temporary one");
        let key = home.join("key");
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "the tests"])
            .arg("-f")
            .arg(&key))
        .succeeds();
        Self { home }
    }

    /// Its public key.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.home.join("key.pub")
    }

    /// Where `ssh mini` is to go.
    pub(crate) fn point_to(&self, address: SocketAddr) {
        let home = self.home.display();
        let (ip, port) = (address.ip(), address.port());
        let text = format!(
            "Host mini\n\
             HostName {ip}\n\
             Port {port}\n\
             User git\n\
             IdentityFile {home}/key\n\
             IdentitiesOnly yes\n\
             IdentityAgent none\n\
             UserKnownHostsFile {home}/known_hosts\n\
             StrictHostKeyChecking accept-new\n\
             BatchMode yes\n\
             ConnectTimeout 20\n\
             LogLevel ERROR\n"
        );
        std::fs::write(self.ssh_config(), text).expect("the ssh configuration can be written");
    }

    fn ssh_config(&self) -> PathBuf {
        self.home.join("ssh_config")
    }

    /// `ssh mini` without words yet.
    pub(crate) fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.ssh_config());
        self.in_own_environment(&mut command);
        command
    }

    /// `git` in a folder, without words yet.
    pub(crate) fn git(&self, folder: &Path) -> Command {
        let mut command = Command::new("git");
        command.current_dir(folder);
        self.in_own_environment(&mut command);
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env(
                "GIT_SSH_COMMAND",
                format!("ssh -F '{}'", self.ssh_config().display()),
            )
            .envs([
                ("GIT_AUTHOR_NAME", "A Developer"),
                ("GIT_AUTHOR_EMAIL", "developer@example.com"),
                ("GIT_COMMITTER_NAME", "A Developer"),
                ("GIT_COMMITTER_EMAIL", "developer@example.com"),
            ]);
        command
    }

    fn in_own_environment(&self, command: &mut Command) {
        command
            .env_clear()
            .env("HOME", &self.home)
            .env("LC_ALL", "C.UTF-8");
        let path = std::env::var_os("PATH");
        command.env(
            "PATH",
            path.as_deref().unwrap_or(OsStr::new("/usr/bin:/bin")),
        );
    }
}
