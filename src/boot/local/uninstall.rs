//! `mini uninstall`: the opposite of an installation by hand.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;

use crate::boot::say;
use crate::commands::NEXT;
use crate::engine::Stream;
use crate::model::{Kind, Problem};

/// Units that an installation by hand or by Ansible has.
const UNITS: &[&str] = &[
    "mini-ssh.socket",
    "mini-http.socket",
    "mini-https.socket",
    "mini.socket",
    "mini.service",
];
const UNIT_FOLDER: &str = "/etc/systemd/system";
const SETTINGS: &str = "/etc/mini";

/// Take mini and the processes of its apps away from this machine
///
/// Stops the service, removes its units, the containers and networks of its apps, and the program. Data and settings stay, so
/// that an installation later goes on where this one ended; `--purge` removes them as well, with the images of the apps. Docker
/// and all that is not mini's own stay. Where mini came by a package, the package manager removes it: `apt purge mini`.
#[derive(Debug, Args)]
pub(super) struct Uninstall {
    /// Remove data, settings and images too: all apps are lost
    #[arg(long)]
    purge: bool,
    /// Keep the program and units, which a package manager removes
    #[arg(long, hide = true)]
    keep_program: bool,
}

impl Uninstall {
    pub(super) fn run(&self, data_dir: &Path) -> Result<(), Problem> {
        if !rustix::process::geteuid().is_root() {
            return Err(Problem::new(
                Kind::Forbidden,
                "Only root can uninstall mini",
                "units, containers and folders of other users are removed",
                "sudo mini uninstall",
            ));
        }
        let program = std::env::current_exe().map_err(|error| failed("this program", &error))?;
        if !self.keep_program {
            if Path::new("/var/lib/dpkg/info/mini.list").exists() {
                return Err(Problem::new(
                    Kind::Forbidden,
                    "mini was installed as a package",
                    "its package manager would not know that it is gone",
                    "apt remove mini, or apt purge mini for the data too",
                ));
            }
            self.remove_units()?;
        }
        self.remove_objects(data_dir)?;
        if !self.keep_program {
            remove_file(&program)?;
            for ending in [".previous", NEXT] {
                let mut beside = program.clone().into_os_string();
                beside.push(ending);
                remove_file(Path::new(&beside))?;
            }
        }
        if self.purge {
            for folder in [data_dir, Path::new(SETTINGS)] {
                match fs::remove_dir_all(folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed(&folder.display().to_string(), &error));
                    }
                    _ => line(&format!("removed {}", folder.display())),
                }
            }
        } else {
            line(&format!("the data stays: {}", data_dir.display()));
        }
        Ok(())
    }

    fn remove_units(&self) -> Result<(), Problem> {
        for unit in UNITS {
            let path = Path::new(UNIT_FOLDER).join(unit);
            if path.exists() {
                // One that is not loaded cannot be stopped, and need not be.
                let _ = quietly("systemctl", &["disable", "--now", unit]);
                remove_file(&path)?;
                line(&format!("removed {}", path.display()));
            }
        }
        let _ = quietly("systemctl", &["daemon-reload"]);
        Ok(())
    }

    /// Only what carries the label of this installation is looked at.
    fn remove_objects(&self, data_dir: &Path) -> Result<(), Problem> {
        let Ok(instance) = fs::read_to_string(data_dir.join("instance")) else {
            return Ok(());
        };
        if data_dir.join("run/api.sock").exists()
            && std::os::unix::net::UnixStream::connect(data_dir.join("run/api.sock")).is_ok()
        {
            return Err(Problem::new(
                Kind::Busy,
                "The server of this data directory still runs",
                "it would start the processes of its apps again",
                "Stop it first: `systemctl stop mini`",
            ));
        }
        let filter = format!("label=mini.instance={}", instance.trim());
        let kinds: [(&str, &[&str], &[&str]); 3] = [
            (
                "containers",
                &["ps", "--all", "--quiet"],
                &["rm", "--force", "--volumes"],
            ),
            (
                "networks",
                &["network", "ls", "--quiet"],
                &["network", "rm"],
            ),
            (
                "images",
                &["images", "--all", "--quiet"],
                &["rmi", "--force"],
            ),
        ];
        for (kind, list, remove) in kinds {
            if kind == "images" && !self.purge {
                continue;
            }
            let listed = Command::new("docker")
                .args(list)
                .args(["--filter", &filter])
                .stdin(Stdio::null())
                .output();
            let listed = match listed {
                Ok(listed) if listed.status.success() => listed.stdout,
                _ => {
                    line(&format!(
                        "Docker does not answer: {kind} of apps are left as they are"
                    ));
                    continue;
                }
            };
            let listed = String::from_utf8_lossy(&listed);
            let mut ids: Vec<&str> = listed.lines().collect();
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() {
                continue;
            }
            match quietly("docker", &[remove, ids.as_slice()].concat()) {
                true => line(&format!("removed {} {kind} of apps", ids.len())),
                false => line(&format!(
                    "some {kind} of apps could not be removed; `docker` says why"
                )),
            }
        }
        Ok(())
    }
}

fn quietly(program: &str, words: &[&str]) -> bool {
    Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn remove_file(path: &Path) -> Result<(), Problem> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(&path.display().to_string(), &error))
        }
        _ => Ok(()),
    }
}

fn failed(what: &str, error: &io::Error) -> Problem {
    Problem::new(
        Kind::Unavailable,
        format!("{what} could not be removed"),
        error.to_string(),
        "Run `mini uninstall` again once that is mended",
    )
}

fn line(text: &str) {
    say(Stream::Stdout, &format!("{text}\n"));
}
