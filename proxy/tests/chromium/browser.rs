//! Headless Chromium with an empty profile, which ends with its test.

use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The file it writes what happens in its network to.
const EVENTS: &str = "events.json";

pub(crate) struct Browser {
    child: Child,
    profile: TempDir,
}

impl Browser {
    /// Loads the page at `https://HOST/` of this server, whose certificate need not be trusted.
    pub(crate) fn open(host: &str, server: SocketAddr) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(profile.path().join("log")).unwrap();
        let child = Command::new("chromium")
            .args(["--headless=new", "--disable-gpu", "--no-first-run"])
            // It loads nothing but a page of ours, and as root or in a container its sandbox does not start.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            .args(["--no-proxy-server", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-extensions"])
            .args(["--password-store=basic", "--enable-logging=stderr"])
            .arg("--ignore-certificate-errors")
            .arg(format!("--host-resolver-rules=MAP {host} 127.0.0.1"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!(
                "--log-net-log={}",
                profile.path().join(EVENTS).display()
            ))
            .arg(format!("https://{host}:{}/", server.port()))
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // It is many processes.
            .process_group(0)
            .spawn();
        match child {
            Ok(child) => Browser { child, profile },
            Err(error) => {
                panic!("chromium does not start ({error}): `.ci/machine tests` installs it")
            }
        }
    }

    /// Which errors its connections and requests ended with, by Chromium's numbers (net/base/net_error_list.h): -21 is
    /// `ERR_NETWORK_CHANGED`, -337 `ERR_HTTP2_PROTOCOL_ERROR`.
    pub(crate) fn network_errors(&self) -> BTreeMap<String, usize> {
        let events = std::fs::read_to_string(self.profile.path().join(EVENTS)).unwrap_or_default();
        let mut errors = BTreeMap::new();
        for event in events.split("\"net_error\":").skip(1) {
            let is_of_number = |sign: &char| *sign == '-' || sign.is_ascii_digit();
            let number = event.chars().take_while(is_of_number).collect();
            *errors.entry(number).or_default() += 1;
        }
        errors
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.profile.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}
