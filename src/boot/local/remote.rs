//! Any command on a server elsewhere: `mini --host HOST apps:list` is `ssh HOST apps:list`.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::signal::unix::{SignalKind, signal};

use super::host::{Host, no_ssh, of_remote};
use crate::boot::{client, terminal};
use crate::commands::AnyCommand;
use crate::model::{Kind, Problem};

/// The variable that names the server.
const VARIABLE: &str = "MINI_HOST";
/// The remote of a work tree that does, where no server is on this machine.
const REMOTE: &str = "mini";
/// As a shell says that SIGTERM has ended something.
const TERMINATED: u8 = 143;
/// As ssh says that it failed, for one that a signal has ended.
const CUT_SHORT: u8 = 255;

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

    /// Becomes ssh, which runs the command that `words` spell there; or waits for it, where something is to be hidden meanwhile.
    ///
    /// # Errors
    /// Where ssh cannot be run.
    pub(in crate::boot) fn run(
        &self,
        words: &[String],
        command: &AnyCommand,
    ) -> Result<u8, Problem> {
        let line = match shlex::try_join(words.iter().map(String::as_str)) {
            Ok(line) => line,
            Err(_) => {
                let what = "A word cannot hold a zero byte";
                return Err(Problem::new(Kind::Usage, what, "", ""));
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
        ssh.arg(line);
        // A backup goes to a file, so that there is no terminal over there that would hide the passphrase.
        if !is_typed && io::stdin().is_terminal() && command.asks_secret() {
            return client::block_on(unseen(ssh));
        }
        Err(no_ssh(&ssh.exec()))
    }
}

/// Runs ssh, while the terminal shows nothing of what is typed. It shows again whatever ends ssh or us.
async fn unseen(ssh: Command) -> Result<u8, Problem> {
    // Ctrl-C reaches ssh as well, which ends by it.
    let _interrupt = signal(SignalKind::interrupt()).ok();
    let mut terminate = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(terminate) => terminate.recv().await,
            None => std::future::pending().await,
        }
    };
    let hidden = terminal::Hidden::enter();
    let mut ssh = tokio::process::Command::from(ssh);
    let ended = tokio::select! {
        ended = ssh.kill_on_drop(true).status() => ended,
        _ = terminated => return Ok(TERMINATED),
    };
    drop(hidden);
    let status = ended.map_err(|error| no_ssh(&error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(CUT_SHORT))
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
