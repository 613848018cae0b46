//! The server that runs on a data directory, seen from another process of the same machine.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::Deserialize;

use crate::commands::program_of;
use crate::model::{Kind, Problem};

/// How long the proxy may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long the control plane may take.
const LIST_WITHIN: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct Running {
    pid: Pid,
    version: String,
    program: PathBuf,
    http: Option<SocketAddr>,
    unit: Option<String>,
}

/// What `run/server.json` says of it.
#[derive(Deserialize)]
struct Facts {
    pid: i32,
    version: String,
    http: Vec<SocketAddr>,
}

/// Keeps a second upgrade out as long as it is held.
pub(super) fn lock(data_dir: &Path) -> Result<File, Problem> {
    let path = data_dir.join("run").join("upgrade.lock");
    let file = File::create(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => not_running(data_dir),
        _ => Problem::new(
            Kind::Forbidden,
            "The server of this data directory cannot be upgraded by you",
            format!("{}: {error}", path.display()),
            "Run this as root: `sudo mini upgrade`",
        ),
    })?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Problem::new(
            Kind::Busy,
            "Another upgrade goes on",
            "",
            "Wait until it is over",
        )
    })?;
    Ok(file)
}

fn not_running(data_dir: &Path) -> Problem {
    let dir = data_dir.display();
    Problem::new(
        Kind::Unavailable,
        "mini is not running on this data directory",
        format!("{dir}/run/server.json names no process that runs"),
        format!(
            "Put the new program in place and start it: `systemctl start mini` or `mini server --data-dir {dir}`"
        ),
    )
}

impl Running {
    /// The server of a data directory.
    pub(super) fn find(data_dir: &Path) -> Result<Running, Problem> {
        let facts = fs::read(data_dir.join("run").join("server.json")).ok();
        let facts: Facts = facts
            .and_then(|text| serde_json::from_slice(&text).ok())
            .ok_or_else(|| not_running(data_dir))?;
        let pid = Pid::from_raw(facts.pid).filter(|pid| is_alive(*pid));
        let pid = pid.ok_or_else(|| not_running(data_dir))?;
        let program = program_of(&facts.pid.to_string()).map_err(|error| {
            Problem::new(
                Kind::Forbidden,
                "The server's program cannot be found",
                error.to_string(),
                "Run this as root: `sudo mini upgrade`",
            )
        })?;
        Ok(Running {
            pid,
            version: facts.version,
            program,
            http: facts.http.first().copied(),
            unit: fs::read_to_string(format!("/proc/{}/cgroup", facts.pid))
                .ok()
                .and_then(|groups| unit(&groups)),
        })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The file its program is started from.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Whether it is the program in this file.
    pub(super) fn is(&self, file: &Path) -> bool {
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
        let own = identity(Path::new(&format!("/proc/{}/exe", self.pid())));
        matches!((own, identity(file)), (Ok(own), Ok(file)) if own == file)
    }

    pub(super) fn is_alive(&self) -> bool {
        is_alive(self.pid)
    }

    /// Has it start its successor.
    pub(super) fn ask_for_successor(&self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::USR2)?)
    }

    /// Has another program read the settings this server was started with.
    pub(super) fn check_settings(&self, program: &Path) -> Result<(), Problem> {
        let refused = |why: String| {
            Problem::new(
                Kind::Invalid,
                "The new program does not take the settings of the server",
                why,
                "Change the settings, or take another program; nothing was changed",
            )
        };
        let own = |file: &str| {
            let read = fs::read(format!("/proc/{}/{file}", self.pid()));
            read.map(|text| {
                let words = text
                    .split(|byte| *byte == 0)
                    .filter(|word| !word.is_empty());
                let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
                words.collect::<Vec<String>>()
            })
            .map_err(|error| refused(error.to_string()))
        };
        let variables = own("environ")?;
        let variables = variables
            .iter()
            .filter_map(|variable| variable.split_once('='))
            .filter(|(name, _)| name.starts_with("MINI_") || *name == "CREDENTIALS_DIRECTORY");
        let program = fs::canonicalize(program).map_err(|error| refused(error.to_string()))?;
        let said = Command::new(program)
            .args(own("cmdline")?.iter().skip(1))
            .arg("--check-config")
            .envs(variables)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| refused(error.to_string()))?;
        match said.status.success() {
            true => Ok(()),
            false => Err(refused(in_one_line(&String::from_utf8_lossy(&said.stderr)))),
        }
    }

    /// Asks it something that it can only answer if control plane and database are well.
    ///
    /// # Errors
    /// Says why not.
    pub(super) fn answers(&self, data_dir: &Path) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        let mut child = Command::new(&self.program)
            .args(["apps:list", "--quiet", "--data-dir"])
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let end = Instant::now() + LIST_WITHIN;
        let status = loop {
            match child.try_wait().map_err(failed)? {
                Some(status) => break status,
                None if Instant::now() > end => {
                    // It is given up either way.
                    let _ = child.kill().and_then(|()| child.wait());
                    return Err(format!("`apps:list` has no answer after {LIST_WITHIN:?}"));
                }
                None => sleep(LOOK),
            }
        };
        let mut text = String::new();
        if let Some(mut said) = child.stderr.take() {
            // Without it there is the status.
            let _ = said.read_to_string(&mut text);
        }
        match (status.success(), text.trim_end()) {
            (true, _) => Ok(()),
            (false, "") => Err(format!("`apps:list` ended with {status}")),
            (false, text) => Err(in_one_line(text)),
        }
    }

    /// Whether its proxy answers a request; which app it is for does not matter.
    pub(super) fn answers_visitors(&self) -> bool {
        self.http.is_some_and(answers_http)
    }

    /// The unit of systemd it is the process of.
    pub(super) fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }
}

/// Whether HTTP is spoken where a server listens.
fn answers_http(listens: SocketAddr) -> bool {
    let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
    let nearest = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
        // It takes IPv4 as well, which is all there is where IPv6 is turned off.
        IpAddr::V6(ip) if ip.is_unspecified() => vec![Ipv6Addr::LOCALHOST.into(), v4],
        named => vec![named],
    };
    let asked = |ip: IpAddr| -> io::Result<[u8; 5]> {
        let address = SocketAddr::new(ip, listens.port());
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: upgrade.invalid\r\nConnection: close\r\n\r\n")?;
        let mut begin = [0; 5];
        stream.read_exact(&mut begin)?;
        Ok(begin)
    };
    nearest
        .into_iter()
        .any(|ip| asked(ip).is_ok_and(|begin| begin == *b"HTTP/"))
}

/// Whether a process runs. One that has ended and that nobody has waited for has a number still (proc_pid_stat(5)).
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok() && !stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// What another mini said of a failure, without its marks, and without its advice, which is for whoever typed a command.
fn in_one_line(said: &str) -> String {
    let lines = said
        .lines()
        .map(|line| line.trim_start_matches([' ', '!']).trim_end());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("next:"));
    let lines = lines.map(|line| line.strip_prefix("why:").map_or(line, str::trim_start));
    lines.collect::<Vec<_>>().join(": ")
}

/// The service that a process belongs to, from its control groups (cgroups(7)).
fn unit(groups: &str) -> Option<String> {
    groups
        .lines()
        .filter_map(|line| line.rsplit_once('/'))
        .map(|(_, group)| group)
        .find(|group| group.ends_with(".service"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_unit_is_read_off_the_control_group() {
        assert_eq!(
            unit("0::/system.slice/mini.service\n").as_deref(),
            Some("mini.service")
        );
        assert_eq!(unit("0::/user.slice/user-0.slice/session-3.scope\n"), None);
        assert_eq!(unit(""), None);
    }

    #[test]
    fn what_another_mini_said_is_one_line() {
        let said = " !     The settings are wrong\n !     why:  `drain` is no time\n !     next: Correct it\n";
        assert_eq!(
            in_one_line(said),
            "The settings are wrong: `drain` is no time"
        );
        assert_eq!(in_one_line("killed\n"), "killed");
    }

    #[test]
    fn a_proxy_on_all_addresses_is_asked_by_ipv4_where_there_is_no_ipv6() {
        let check = |says: &'static [u8], expected: bool| {
            // As if IPv6 were turned off: nobody listens there.
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(says).unwrap();
            });
            let all = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
            assert_eq!(answers_http(all), expected);
            server.join().unwrap();
        };
        check(b"HTTP/1.1 404 Not Found\r\n\r\n", true);
        check(b"XTTP/1.1 404 Not Found\r\n\r\n", false);
    }
}
