//! One `mini server` in a folder of its own, and everything a test does with it.

mod takeover;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::docker::Instance;
use crate::http::{self, Answer};
use crate::load::{Kept, Load};
use crate::process::{Ran, Running, run, run_with_input};
use crate::wait::{wait_for, wait_until};

/// The binary under test.
const MINI: &str = env!("CARGO_BIN_EXE_mini");

/// Lines of the server's log that are shown when a test fails.
const LOG_LINES: usize = 60;

/// A server with its data, its log and a client that may log in.
pub(crate) struct Server {
    folder: TempDir,
    client: Client,
    // Repositories borrow the server while tests end it and start it again.
    child: RefCell<Option<Child>>,
    /// Servers that were taken over from.
    leaving: RefCell<Vec<Child>>,
    environment: Vec<(String, String)>,
    is_key_given: bool,
    passed: Option<[TcpListener; 2]>,
    addresses: Cell<Option<Addresses>>,
}

#[derive(Clone, Copy)]
struct Addresses {
    ssh: SocketAddr,
    http: SocketAddr,
    https: SocketAddr,
}

impl Server {
    /// A server that is ready.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server that is ready, with some environment variables.
    #[track_caller]
    pub(crate) fn start_with(environment: &[(&str, &str)]) -> Self {
        let mut server = Self::new();
        server.environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        server.launch();
        server
    }

    /// A server that is ready, and whose sockets for visitors and for ssh stay open while it is away, as systemd can have
    /// it.
    #[track_caller]
    pub(crate) fn start_on_passed_sockets() -> Self {
        let mut server = Self::new();
        let socket = || TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        server.passed = Some([socket(), socket()]);
        server.launch();
        server
    }

    /// A server that was not started yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mini-e2e-")
            .tempdir_in("/tmp")
            .expect("/tmp takes a folder");
        let client = Client::new(folder.path().join("home"));
        Self {
            folder,
            client,
            child: RefCell::new(None),
            leaving: RefCell::default(),
            environment: Vec::new(),
            is_key_given: true,
            passed: None,
            addresses: Cell::new(None),
        }
    }

    /// The same, which is not told of the client's key when it starts.
    pub(crate) fn without_authorized_key(mut self) -> Self {
        self.is_key_given = false;
        self
    }

    /// Gives it these environment variables when it is started again.
    pub(crate) fn set_environment(&mut self, environment: &[(&str, String)]) {
        let pairs = environment.iter();
        self.environment = pairs
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
    }

    /// Takes back the environment variables it was to be started with.
    pub(crate) fn clear_environment(&mut self) {
        self.environment.clear();
    }

    /// Its data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for what a test writes.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The client whose key the server knows.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Where the proxy listens.
    pub(crate) fn http(&self) -> SocketAddr {
        self.addresses.get().expect("the server was started").http
    }

    /// Where the proxy listens for HTTPS.
    pub(crate) fn https(&self) -> SocketAddr {
        self.addresses.get().expect("the server was started").https
    }

    /// Where ssh listens.
    pub(crate) fn ssh_address(&self) -> SocketAddr {
        self.addresses.get().expect("the server was started").ssh
    }

    /// What belongs to it in Docker.
    #[track_caller]
    pub(crate) fn instance(&self) -> Instance {
        Instance::of(&self.data_dir()).expect("the server has written its instance id")
    }

    /// The command line of the server. The first start picks free ports; later ones take the same again, for that is
    /// what an operator's server does.
    pub(crate) fn command(&self) -> Command {
        let at = |address: Option<SocketAddr>| {
            address.map_or("127.0.0.1:0".to_owned(), |address| address.to_string())
        };
        let mut command = Command::new(MINI);
        command
            .arg("server")
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--base-domain", "localhost"])
            .arg("--ssh-listen")
            .arg(at(self.addresses.get().map(|addresses| addresses.ssh)))
            .arg("--http-listen")
            .arg(at(self.addresses.get().map(|addresses| addresses.http)))
            .arg("--https-listen")
            .arg(at(self.addresses.get().map(|addresses| addresses.https)))
            .env("RUST_BACKTRACE", "0")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.is_key_given {
            command
                .arg("--authorized-key")
                .arg(self.client.public_key());
        }
        command
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub(crate) fn launch(&self) {
        let ready = self.data_dir().join("run/server.json");
        // One from a server that was killed says nothing about this one.
        let _ = std::fs::remove_file(&ready);
        let log = self.open_log();
        let mut command = self.command();
        let (stdin, stdout) = match &self.passed {
            None => {
                let log = log.try_clone().expect("a file can be shared");
                (Stdio::null(), Stdio::from(log))
            }
            Some(passed) => {
                command = passing(&command);
                let [http, ssh] = passed.each_ref().map(|socket| {
                    let socket = socket.try_clone().expect("a socket can be shared");
                    Stdio::from(OwnedFd::from(socket))
                });
                (http, ssh)
            }
        };
        let child = command
            .stdin(stdin)
            .stdout(stdout)
            .stderr(log)
            .spawn()
            .expect("the binary can be started");
        self.child.replace(Some(child));
        self.wait_until_ready();
    }

    /// Waits until the process that is to serve is ready, and learns where it listens.
    #[track_caller]
    fn wait_until_ready(&self) {
        let ready = self.data_dir().join("run/server.json");
        let pid = self
            .child
            .borrow()
            .as_ref()
            .map(|child| u64::from(child.id()));
        let facts = wait_for("the server to be ready", || {
            if let Some(child) = self.child.borrow_mut().as_mut()
                && let Ok(Some(status)) = child.try_wait()
            {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            let text = std::fs::read_to_string(&ready).ok()?;
            let facts: Value = serde_json::from_str(&text).ok()?;
            (facts["pid"].as_u64() == pid).then_some(facts)
        });
        let address = |key: &str| {
            let found = facts[key]
                .as_array()
                .and_then(|all| all.first())
                .unwrap_or(&facts[key]);
            let found = found.as_str().and_then(|text| text.parse().ok());
            found.unwrap_or_else(|| panic!("no `{key}` address in {facts}"))
        };
        let addresses = Addresses {
            ssh: address("ssh"),
            http: address("http"),
            https: address("https"),
        };
        self.addresses.set(Some(addresses));
        self.client.point_to(addresses.ssh);
    }

    /// Ends it as systemd does, and waits for its end.
    #[track_caller]
    pub(crate) fn stop(&self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, Signal::TERM);
            wait_until("the server to end after SIGTERM", || {
                child.try_wait().is_ok_and(|status| status.is_some())
            });
        }
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Its log, for a process that is to write there.
    pub(crate) fn open_log(&self) -> File {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file());
        log.expect("the log can be written")
    }

    /// All it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Runs a command over ssh.
    #[track_caller]
    pub(crate) fn ssh(&self, words: &[&str]) -> Ran {
        run(self.client.ssh().arg("mini").args(words))
    }

    /// Runs a command over ssh, with an input.
    #[track_caller]
    pub(crate) fn ssh_with_input(&self, words: &[&str], input: &[u8]) -> Ran {
        run_with_input(self.client.ssh().arg("mini").args(words), input)
    }

    /// Starts a command over ssh.
    #[track_caller]
    pub(crate) fn ssh_begin(&self, words: &[&str]) -> Running {
        Running::start(self.client.ssh().arg("mini").args(words))
    }

    /// The answer of a command as JSON, which must succeed.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let ran = self.ssh(&[words, &["--format", "json"]].concat());
        let text = ran.succeeds();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {ran}"))
    }

    /// Runs a command through the server's own socket.
    #[track_caller]
    pub(crate) fn mini(&self, words: &[&str]) -> Ran {
        run(&mut self.mini_command(words))
    }

    /// Starts a command through the server's own socket.
    #[track_caller]
    pub(crate) fn mini_begin(&self, words: &[&str]) -> Running {
        Running::start(&mut self.mini_command(words))
    }

    /// The same, with an input.
    #[track_caller]
    pub(crate) fn mini_with_input(&self, words: &[&str], input: &[u8]) -> Ran {
        run_with_input(&mut self.mini_command(words), input)
    }

    fn mini_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(MINI);
        // In front, for what follows `run` belongs to the app.
        command.arg("--data-dir").arg(self.data_dir()).args(words);
        command
    }

    /// Asks an app for a path.
    #[track_caller]
    pub(crate) fn get(&self, app: &str, path: &str) -> Answer {
        let answer = http::get(self.http(), &format!("{app}.localhost"), path);
        answer.unwrap_or_else(|error| panic!("GET {path} of {app}: {error}"))
    }

    /// The body of an app's path, which must be answered with 200.
    #[track_caller]
    pub(crate) fn body(&self, app: &str, path: &str) -> String {
        let answer = self.get(app, path);
        assert_eq!(answer.status, 200, "GET {path} of {app}: {answer:?}");
        answer.body
    }

    /// Waits until an app answers with this version of [`crate::repository::Repository::app`].
    #[track_caller]
    pub(crate) fn wait_for_version(&self, app: &str, version: &str) {
        let mut last = String::new();
        let host = format!("{app}.localhost");
        wait_until(&format!("version {version} of {app}"), || {
            let answer = http::get(self.http(), &host, "/");
            let is_there = matches!(&answer, Ok(answer) if answer.status == 200
                && answer.body == format!("version {version}\n"));
            let now = format!("{answer:?}");
            if now != last {
                eprintln!("{app}: {now}");
                last = now;
            }
            is_there
        });
    }

    /// Steady requests to an app.
    pub(crate) fn load(&self, app: &str) -> Load {
        Load::start(self.http(), &format!("{app}.localhost"), Kept::Half)
    }

    /// Steady requests to an app at another address.
    pub(crate) fn load_at(&self, address: SocketAddr, app: &str) -> Load {
        Load::start(address, &format!("{app}.localhost"), Kept::Half)
    }

    /// Steady requests to an app, each on a connection of its own.
    pub(crate) fn load_on_new_connections(&self, app: &str) -> Load {
        Load::start(self.http(), &format!("{app}.localhost"), Kept::None)
    }
}

/// The same command, given its standard input and output as systemd passes sockets: as descriptors 3 and 4, told in the
/// environment (man 3 sd_listen_fds). Its output goes where its errors go.
fn passing(command: &Command) -> Command {
    const PASS: &str = "import os, sys\n\
        os.dup2(0, 3)\n\
        os.dup2(1, 4)\n\
        os.dup2(2, 1)\n\
        os.dup2(os.open('/dev/null', os.O_RDONLY), 0)\n\
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='http:ssh')\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    let mut passing = Command::new("python3");
    passing
        .args(["-c", PASS])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            passing.env(name, value);
        }
    }
    passing
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    // It may have ended by itself.
    let _ = kill_process(pid.expect("a process id is not zero"), signal);
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, Signal::TERM);
            let begun = std::time::Instant::now();
            while child.try_wait().is_ok_and(|status| status.is_none()) {
                if begun.elapsed().as_secs() >= 20 {
                    eprintln!("the server did not end within 20 s of SIGTERM: killed");
                    let _ = child.kill();
                    let _ = child.wait();
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        for mut child in self.leaving.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let has_failed = std::thread::panicking();
        if has_failed {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(LOG_LINES);
            eprintln!(
                "--- the server's log, {} lines\n{}\n---",
                lines.len(),
                lines[from..].join("\n")
            );
        }
        if let Some(instance) = Instance::of(&self.data_dir()) {
            instance.remove();
        }
        // A task that panics is caught and may go unnoticed otherwise.
        let panicked = self
            .log()
            .lines()
            .find(|line| line.contains("panicked at"))
            .map(str::to_owned);
        if let Some(line) = panicked
            && !has_failed
        {
            panic!("the server has panicked: {line}\n{}", self.log());
        }
    }
}
