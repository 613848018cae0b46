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
/// What Ansible has laid beside: programs on their way, and the login on the machine's own SSH port.
const BESIDE: &str = "/usr/local/lib/mini";
const LOGIN: &str = "/etc/ssh/sshd_config.d/mini.conf";
/// Where the kernel lists what is mounted (proc_pid_mountinfo(5)).
const MOUNTS: &str = "/proc/self/mountinfo";

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
        if !self.keep_program && Path::new("/var/lib/dpkg/info/mini.list").exists() {
            return Err(Problem::new(
                Kind::Forbidden,
                "mini was installed as a package",
                "its package manager would not know that it is gone",
                "apt remove mini, or apt purge mini for the data too",
            ));
        }
        if self.purge {
            refuse_mounts(data_dir)?;
        }
        if !self.keep_program {
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
            remove_folder(Path::new(BESIDE))?;
            if Path::new(LOGIN).exists() {
                remove_file(Path::new(LOGIN))?;
                let _ = quietly("systemctl", &["reload", "ssh"]);
                line(&format!("removed {LOGIN}"));
            }
        }
        if self.purge {
            for folder in [data_dir, Path::new(SETTINGS)] {
                remove_folder(folder)?;
            }
            line(
                "the user that it ran as stays, for files elsewhere may be its own; `userdel mini` removes it",
            );
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
            // What `systemctl edit` has made.
            remove_folder(&Path::new(UNIT_FOLDER).join(format!("{unit}.d")))?;
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
                true => line(&format!("removed {kind} of apps: {}", ids.len())),
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

fn remove_folder(path: &Path) -> Result<(), Problem> {
    match fs::remove_dir_all(path) {
        Ok(()) => line(&format!("removed {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&path.display().to_string(), &error)),
    }
    Ok(())
}

/// Disks that somebody has mounted in the data directory are not emptied with it.
fn refuse_mounts(data_dir: &Path) -> Result<(), Problem> {
    let mounts = fs::read_to_string(MOUNTS).map_err(|error| failed(MOUNTS, &error))?;
    // Mounts are listed by their real names.
    let folder = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let below = mounted_below(&mounts, &folder);
    if below.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Busy,
        format!("Something is mounted in {}", data_dir.display()),
        format!("what is on it would be lost: {}", below.join(", ")),
        "Unmount it, then run this again; nothing was removed",
    ))
}

/// The mount points below a folder. In `mountinfo` blanks and backslashes are written as `\\040` and the like (proc(5)).
fn mounted_below(mounts: &str, folder: &Path) -> Vec<String> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .map(|point| {
            let blanks = point.replace("\\040", " ").replace("\\011", "\t");
            blanks.replace("\\012", "\n").replace("\\134", "\\")
        })
        .filter(|point| Path::new(point).starts_with(folder) && Path::new(point) != folder)
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_in_the_data_directory_is_seen() {
        let mounts = "\
            22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            40 22 8:17 / /var/lib/mini rw - ext4 /dev/sdb1 rw\n\
            41 40 8:33 / /var/lib/mini/storage/photos rw - ext4 /dev/sdc1 rw\n\
            42 22 8:49 / /var/lib/minimal rw - ext4 /dev/sdd1 rw\n";
        let below = |folder: &str| mounted_below(mounts, Path::new(folder));
        assert_eq!(below("/var/lib/mini"), ["/var/lib/mini/storage/photos"]);
        assert_eq!(below("/var/lib/min"), Vec::<&str>::new());
        let blank = "43 22 8:65 / /srv/my\\040data/storage rw - ext4 /dev/sde1 rw\n";
        let below = mounted_below(blank, Path::new("/srv/my data"));
        assert_eq!(below, ["/srv/my data/storage"]);
    }
}
