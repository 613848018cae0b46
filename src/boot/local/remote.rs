//! Any command on a server elsewhere: `mini --host HOST apps:list` is `ssh HOST apps:list`.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::host::{Host, no_ssh, of_remote};
use crate::boot::client;
use crate::commands::AnyCommand;
use crate::model::{Kind, Problem};

/// The variable that names the server.
const VARIABLE: &str = "MINI_HOST";
/// The remote of a work tree that does, where no server is on this machine.
const REMOTE: &str = "mini";

/// A server that commands go to over ssh, with one's own key, as Dokku's client does it.
#[derive(Debug)]
pub(in crate::boot) struct Remote(Host);

impl Remote {
    /// The server that a command is for, if that is not this machine's: the one that was named, that of MINI_HOST, or,
    /// where there is none on this machine and no data directory was named, that of the remote `mini` of this work tree.
    ///
    /// # Errors
    /// What names it is no host.
    pub(in crate::boot) fn of(
        named: Option<&str>,
        data_dir: Option<&Path>,
        command: &AnyCommand,
    ) -> Result<Option<Remote>, Problem> {
        let variable = std::env::var(VARIABLE).ok();
        let variable = variable.filter(|host| !host.is_empty() && data_dir.is_none());
        if let Some(host) = named.map(str::to_owned).or(variable) {
            return host.parse().map(|host| Some(Remote(host)));
        }
        let is_here = data_dir.is_some()
            || std::env::var_os("MINI_DATA_DIR").is_some()
            || client::works_alone(command)
            || client::chosen(None).join("run/api.sock").exists();
        match is_here {
            true => Ok(None),
            false => Ok(of_work_tree().map(Remote)),
        }
    }

    /// Becomes ssh, which runs the command that `words` spell there. Returns only where that cannot be.
    pub(in crate::boot) fn run(&self, words: &[String], command: &AnyCommand) -> Problem {
        let line = match shlex::try_join(words.iter().map(String::as_str)) {
            Ok(line) => line,
            Err(_) => {
                return Problem::new(Kind::Usage, "A word cannot hold a zero byte", "", "");
            }
        };
        let is_typed = io::stdin().is_terminal() && io::stdout().is_terminal();
        // What asks for a secret hides it there; what gives its terminal to a container needs one.
        let terminal = match is_typed && (command.takes_terminal() || command.reads_input()) {
            true => "-t",
            false => "-T",
        };
        let mut ssh = self.0.ssh(terminal);
        if !command.reads_input() {
            ssh.stdin(Stdio::null());
        }
        // In one word: the server splits it as it was joined.
        no_ssh(&ssh.arg(line).exec())
    }
}

fn of_work_tree() -> Option<Host> {
    let ran = Command::new("git")
        .args(["remote", "get-url", "--push", REMOTE])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if !ran.status.success() {
        return None;
    }
    let (host, _) = of_remote(String::from_utf8_lossy(&ran.stdout).trim())?;
    Some(host)
}
