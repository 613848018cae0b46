//! `mini server --takeover` in the place of the server of a test.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Server, signal};
use crate::wait::wait_until;

/// A server that is about to take over. One that never does is killed with the test.
pub(crate) struct Successor(Option<Child>);

impl Server {
    /// Starts a server that is to take over, and does not wait for it.
    #[track_caller]
    pub(crate) fn begin_takeover(&self) -> Successor {
        self.begin_takeover_as(self.command())
    }

    /// The same, with `words` in front of the command line.
    #[track_caller]
    pub(crate) fn begin_takeover_under(&self, words: &[&str]) -> Successor {
        let command = self.command();
        let mut under = Command::new(words[0]);
        under
            .args(&words[1..])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            under.env(name, value.expect("no variable is taken away"));
        }
        self.begin_takeover_as(under)
    }

    /// The same, of any command.
    #[track_caller]
    pub(crate) fn begin_takeover_as(&self, mut command: Command) -> Successor {
        let log = self.open_log();
        let child = command
            .arg("--takeover")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn();
        Successor(Some(child.expect("the binary can be started")))
    }

    /// Waits until the successor serves. It is the server from then on; the one before is still there, until
    /// [`Server::wait_for_leavers`].
    #[track_caller]
    pub(crate) fn succeed(&self, mut successor: Successor) {
        let child = successor.0.take().expect("it was not killed");
        let before = self.child.replace(Some(child));
        self.leaving.borrow_mut().extend(before);
        self.wait_until_ready();
    }

    /// Asks the server to start one in its own place.
    /// The process that serves.
    pub(crate) fn pid(&self) -> u32 {
        let child = self.child.borrow();
        child.as_ref().expect("the server runs").id()
    }

    pub(crate) fn ask_for_successor(&self) {
        let child = self.child.borrow();
        signal(child.as_ref().expect("the server runs"), Signal::USR2);
    }

    /// The same, and waits until that one serves. It is nobody's child here: it ends
    /// with what is returned.
    #[track_caller]
    pub(crate) fn replace_itself(&self) -> Heir {
        self.replaced_by(|| self.ask_for_successor())
    }

    /// The same where `ask` has it done.
    #[track_caller]
    pub(crate) fn replaced_by(&self, ask: impl FnOnce()) -> Heir {
        ask();
        let before = self.child.take().expect("the server runs");
        let old = u64::from(before.id());
        self.leaving.borrow_mut().push(before);
        let ready = self.data_dir().join("run/server.json");
        let mut pid = 0;
        wait_until("the server's own successor to be ready", || {
            let text = std::fs::read_to_string(&ready).unwrap_or_default();
            let facts: Value = serde_json::from_str(&text).unwrap_or_default();
            pid = facts["pid"].as_u64().unwrap_or(old);
            pid != old
        });
        Heir(pid)
    }

    /// Waits until all servers that were taken over from have ended, in order.
    #[track_caller]
    pub(crate) fn wait_for_leavers(&self) {
        for mut child in self.leaving.take() {
            let mut ended = None;
            wait_until("a server that was taken over from to end", || {
                ended = child.try_wait().expect("a child can be waited for");
                ended.is_some()
            });
            let status = ended.expect("it was waited for");
            assert!(status.success(), "{status}\n{}", self.log());
        }
    }

    /// How many servers that were taken over from are still there.
    pub(crate) fn leavers(&self) -> usize {
        let mut leaving = self.leaving.borrow_mut();
        let running = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_none());
        leaving
            .iter_mut()
            .map(|child| usize::from(running(child)))
            .sum()
    }
}

/// A server that was started by the one before it.
pub(crate) struct Heir(u64);

impl Heir {
    pub(crate) fn pid(&self) -> u64 {
        self.0
    }

    /// The process it is a child of (proc_pid_stat(5)).
    #[track_caller]
    pub(crate) fn parent(&self) -> u32 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).expect("it runs");
        let (_, rest) = stat.rsplit_once(") ").expect("a name in brackets");
        let parent = rest.split(' ').nth(1).expect("a parent");
        parent.parse().expect("a number")
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        let raw = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        let _ = kill_process(raw.expect("a process id"), Signal::TERM);
        let process = format!("/proc/{}/stat", self.0);
        // Where nobody waits for orphans, one that has ended stays in the list as a zombie.
        wait_until("the successor to end after SIGTERM", || {
            let stat = std::fs::read_to_string(&process);
            stat.map_or(true, |stat| stat.contains(") Z "))
        });
    }
}

impl Successor {
    /// Ends it as a power cut does.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.as_ref().expect("it was not killed").id()
    }

    fn end(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        self.end();
    }
}
