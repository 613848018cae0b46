//! A server on port 0 with keys and a pipeline of our own behind it, and real `ssh` and `git` before it.

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use mini::commands::Session;
use mini::deploy::{Attached, Push, RefUpdate};
use mini::engine::Stream;
use mini::events::{Event, EventBody, Subject};
use mini::git::{Repositories, TreeLimits};
use mini::model::{AppName, BranchName, CommitId, DeployId, Kind, Problem, SshKey, Timestamp};
use mini::ssh::{PushDoor, Registry, SshDoors, SshServer, SshSettings};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Ends a test that hangs; nothing is expected to take a certain time.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// Keys and apps in memory.
#[derive(Default)]
pub(crate) struct MemoryRegistry {
    keys: Mutex<HashMap<String, SshKey>>,
    apps: Mutex<HashSet<AppName>>,
    removals: watch::Sender<u64>,
    /// So often the keys cannot be asked for.
    failures: AtomicU32,
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn key(&self, fingerprint: &str) -> Result<Option<SshKey>, Problem> {
        let fewer = |failures: u32| failures.checked_sub(1);
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        if self.failures.fetch_update(set, get, fewer).is_ok() {
            return Err(Problem::new(Kind::Internal, "no keys", "the disk", ""));
        }
        Ok(self.keys.lock().unwrap().get(fingerprint).cloned())
    }

    fn key_removals(&self) -> watch::Receiver<u64> {
        self.removals.subscribe()
    }

    async fn has_app(&self, name: &AppName) -> Result<bool, Problem> {
        Ok(self.apps.lock().unwrap().contains(name))
    }

    async fn create_app(&self, name: &AppName) -> Result<(), Problem> {
        self.apps.lock().unwrap().insert(name.clone());
        Ok(())
    }
}

/// A pipeline that does what the push option says: `fail`, `wait`, `fail-commit`, or nothing special.
pub(crate) struct ScriptedPushes {
    calls: watch::Sender<Vec<String>>,
    released: watch::Sender<bool>,
}

impl ScriptedPushes {
    fn record(&self, call: String) {
        self.calls.send_modify(|calls| calls.push(call));
    }
}

#[async_trait]
impl PushDoor for ScriptedPushes {
    async fn admit(&self, push: &Push, updates: &[RefUpdate]) -> Result<(), Problem> {
        self.record(format!("admit {} {}", push.app, updates.len()));
        if push.options.iter().any(|option| option == "not-admitted") {
            return Err(Problem::new(
                Kind::Forbidden,
                "shop is locked",
                "someone locked it",
                "unlock it",
            ));
        }
        Ok(())
    }

    async fn prepare(&self, push: &Push, update: &RefUpdate) -> Result<Attached, Problem> {
        self.record(format!("prepare {}", update.reference));
        let has = |name: &str| push.options.iter().any(|option| option == name);
        let first = event(
            1,
            EventBody::Header {
                text: format!("Building {}", push.app),
            },
        );
        let problem = Problem::new(
            Kind::AppFailed,
            "the build failed",
            "exit status 9",
            "fix it",
        );
        let (last, outcome) = if has("fail") {
            (
                EventBody::Failed {
                    problem: problem.clone(),
                },
                Err(problem),
            )
        } else {
            (
                EventBody::Line {
                    text: "Ready".to_owned(),
                },
                Ok(()),
            )
        };
        let mut released = self.released.subscribe();
        let waits = has("wait");
        // More than all buffers on the way hold.
        let number = if has("chatty") { 20_000 } else { 0 };
        let lines = stream::iter(0..number).map(|_| {
            let text = "x".repeat(1000);
            event(2, EventBody::Line { text })
        });
        let second = async move {
            if waits {
                released.wait_for(|is_released| *is_released).await.unwrap();
            }
            event(2, last)
        };
        Ok(Attached {
            deploy: DeployId::new(Timestamp::UNIX_EPOCH, 0),
            events: stream::iter([first])
                .chain(second.into_stream())
                .chain(lines)
                .boxed(),
            outcome: async move { outcome }.boxed(),
            is_moved: Arc::default(),
        })
    }

    async fn commit(
        &self,
        push: &Push,
        updates: &[RefUpdate],
    ) -> Result<Option<Attached>, Problem> {
        self.record(format!("commit {}", updates.len()));
        if push.options.iter().any(|option| option == "fail-commit") {
            return Err(Problem::new(Kind::Internal, "the routes stayed", "", ""));
        }
        Ok(None)
    }

    async fn settle(&self, push: &Push) {
        self.record(format!("settle {}", push.app));
    }
}

fn event(seq: u64, body: EventBody) -> Event {
    Event {
        subject: Subject::Deploy(DeployId::new(Timestamp::UNIX_EPOCH, 0)),
        seq,
        at: Timestamp::UNIX_EPOCH,
        body,
    }
}

/// A running server and a folder for clients.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) repositories: Repositories,
    pub(crate) server: SshServer,
    registry: Arc<MemoryRegistry>,
    calls: watch::Receiver<Vec<String>>,
    pub(crate) released: watch::Sender<bool>,
}

impl World {
    /// A server whose key `ed25519` is known to it.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut SshSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Deeper than a Unix socket's path may be.
        let data_dir = data_dir(folder.path());
        std::fs::create_dir_all(&data_dir).unwrap();
        let repositories = Repositories::open(&data_dir, TreeLimits::default()).unwrap();
        let registry = Arc::new(MemoryRegistry::default());
        let (calls, calls_receiver) = watch::channel(Vec::new());
        let (released, _) = watch::channel(false);
        let pushes = Arc::new(ScriptedPushes {
            calls,
            released: released.clone(),
        });
        let released_by_command = released.clone();
        let doors = SshDoors {
            registry: registry.clone(),
            repositories: repositories.clone(),
            pushes,
            run: Arc::new(move |line, session| {
                command(line, session, released_by_command.clone()).boxed()
            }),
            takes_terminal: Arc::new(|line| line.starts_with("raw")),
        };
        let mut settings = SshSettings::new(&data_dir);
        settings.program = Some(env!("CARGO_BIN_EXE_mini").into());
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = SshServer::start(vec![listener], settings, doors).unwrap();
        let world = Self {
            folder,
            repositories,
            server,
            registry,
            calls: calls_receiver,
            released,
        };
        world.make_key("ed25519", &["-t", "ed25519"], true).await;
        world
    }

    /// Makes a key pair; one that is known may log in.
    pub(crate) async fn make_key(&self, name: &str, words: &[&str], is_known: bool) {
        let path = self.path(name);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(words).args(["-q", "-N", "", "-f"]).arg(&path);
        assert!(finish(&mut keygen).await.status.success());
        let mut show = Command::new("ssh-keygen");
        show.args(["-l", "-f"]).arg(&path);
        let shown = text(&finish(&mut show).await.stdout);
        let fingerprint = shown.split(' ').nth(1).unwrap().to_owned();
        if is_known {
            let key = SshKey {
                name: name.parse().unwrap(),
                fingerprint: fingerprint.clone(),
                public_key: std::fs::read_to_string(path.with_extension("pub")).unwrap(),
                created_at: Timestamp::UNIX_EPOCH,
            };
            self.registry.keys.lock().unwrap().insert(fingerprint, key);
        }
    }

    /// Has the next questions for a key fail.
    pub(crate) fn fail_lookups(&self, times: u32) {
        self.registry.failures.store(times, Ordering::SeqCst);
    }

    /// Lets a key no longer log in.
    pub(crate) fn remove_key(&self, name: &str) {
        let mut keys = self.registry.keys.lock().unwrap();
        keys.retain(|_, key| key.name.as_str() != name);
        drop(keys);
        self.registry.removals.send_modify(|times| *times += 1);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The words of an `ssh` that trusts this server, with the given key.
    pub(crate) fn ssh_words(&self, key: &str) -> Vec<String> {
        let port = self.server.addresses().first().unwrap().port();
        let mut words: Vec<String> = ["ssh", "-F", "/dev/null", "-p", &port.to_string()]
            .map(str::to_owned)
            .to_vec();
        let known_hosts = format!("UserKnownHostsFile={}", self.path("known_hosts").display());
        for option in [
            "StrictHostKeyChecking=accept-new",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "BatchMode=yes",
            "LogLevel=ERROR",
            &known_hosts,
        ] {
            words.extend(["-o".to_owned(), option.to_owned()]);
        }
        words.extend(["-i".to_owned(), self.path(key).display().to_string()]);
        words
    }

    /// `ssh OPTIONS anyone@127.0.0.1 COMMAND`.
    pub(crate) fn ssh(&self, key: &str, options: &[&str], line: &str) -> Command {
        let words = self.ssh_words(key);
        let mut ssh = Command::new(&words[0]);
        ssh.args(&words[1..])
            .args(options)
            .args(["anyone@127.0.0.1", line]);
        ssh
    }

    /// `git` in a folder of the client, with our `ssh` and none of the machine's settings.
    pub(crate) fn git(&self, folder: &Path, words: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.args(words)
            .current_dir(folder)
            .env("GIT_SSH_COMMAND", self.ssh_words("ed25519").join(" "))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "a");
            git.env(format!("GIT_{role}_EMAIL"), "a@b.test");
        }
        git
    }

    pub(crate) fn hook_socket(&self) -> PathBuf {
        data_dir(self.folder.path()).join("run/hook.sock")
    }

    pub(crate) fn url(&self, app: &str) -> String {
        format!("anyone@127.0.0.1:{app}")
    }

    /// A client repository with so many commits on `main` and a remote `mini`.
    pub(crate) async fn client(&self, name: &str, commits: usize) -> PathBuf {
        let folder = self.path(name);
        std::fs::create_dir(&folder).unwrap();
        let url = self.url("shop");
        succeed(self.git(&folder, &["init", "-q", "-b", "main"])).await;
        succeed(self.git(&folder, &["remote", "add", "mini", &url])).await;
        for number in 0..commits {
            self.commit(&folder, &number.to_string()).await;
        }
        folder
    }

    /// One more commit, with this content.
    pub(crate) async fn commit(&self, folder: &Path, content: &str) {
        std::fs::write(folder.join("index.html"), content).unwrap();
        succeed(self.git(folder, &["add", "."])).await;
        succeed(self.git(folder, &["commit", "-q", "-m", "change"])).await;
    }

    /// Where `main` of `shop` is on the server.
    pub(crate) async fn tip(&self) -> Option<CommitId> {
        let branch: BranchName = "main".parse().unwrap();
        let app: AppName = "shop".parse().unwrap();
        self.repositories.tip(&app, &branch).await.unwrap()
    }

    pub(crate) async fn head(&self, folder: &Path) -> CommitId {
        let head = succeed(self.git(folder, &["rev-parse", "HEAD"])).await;
        text(&head.stdout).trim().parse().unwrap()
    }

    pub(crate) fn release(&self) {
        self.released.send_replace(true);
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    /// Waits until the pipeline was called so.
    pub(crate) async fn called(&self, call: &str) {
        let mut calls = self.calls.clone();
        let wait = calls.wait_for(|calls| calls.iter().any(|made| made == call));
        tokio::time::timeout(HANGS_AFTER, wait)
            .await
            .unwrap()
            .unwrap();
    }
}

fn data_dir(folder: &Path) -> PathBuf {
    folder.join("deep".repeat(30)).join("data")
}

/// The commands of these tests.
async fn command(line: String, mut session: Session, released: watch::Sender<bool>) -> u8 {
    let say = |text: String| {
        let output = session.output.clone();
        async move { output.send((Stream::Stdout, Bytes::from(text))).await }
    };
    match line.as_str() {
        "help" => {
            say("usage\n".to_owned()).await.unwrap();
            0
        }
        "cat" => {
            while let Some(bytes) = session.stdin.recv().await {
                if session.output.send((Stream::Stdout, bytes)).await.is_err() {
                    return 1;
                }
            }
            0
        }
        // Reads nothing until another command lets it end.
        "hold" => {
            say("holding\n".to_owned()).await.unwrap();
            let mut released = released.subscribe();
            released.wait_for(|is_released| *is_released).await.unwrap();
            5
        }
        // Asks for a line that the terminal does not show, and says how long it was.
        "secret" => {
            let hidden = session.hidden.clone().unwrap();
            hidden.send_replace(true);
            say("which? ".to_owned()).await.unwrap();
            let mut line = Vec::new();
            while !line.ends_with(b"\n") {
                line.extend(session.stdin.recv().await.unwrap());
            }
            hidden.send_replace(false);
            say(format!("{} characters\n", line.len() - 1))
                .await
                .unwrap();
            0
        }
        "release" => {
            released.send_replace(true);
            0
        }
        // Reads to the end, and lets another go on if that was none.
        "cut" => {
            say("reading\n".to_owned()).await.unwrap();
            while session.stdin.recv().await.is_some() {}
            released.send_replace(session.cut.is_set());
            0
        }
        "until-left" => {
            // Fails when the client was very quick to leave.
            let _ = say("here\n".to_owned()).await;
            session.output.closed().await;
            released.send_replace(true);
            0
        }
        "panic" => panic!("on purpose"),
        other => {
            let name = session.caller.actor().to_owned();
            say(format!("{name} said {other}\n")).await.unwrap();
            let error = (Stream::Stderr, Bytes::from_static(b"to stderr\n"));
            session.output.send(error).await.unwrap();
            7
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs to the end with no input.
pub(crate) async fn finish(command: &mut Command) -> Output {
    feed(command, Vec::new()).await
}

/// Runs to the end with this input.
pub(crate) async fn feed(command: &mut Command, input: Vec<u8>) -> Output {
    let mut child = spawn(command);
    let mut stdin = child.stdin.take().unwrap();
    let writing = tokio::spawn(async move {
        // A program that does not read its input closes it.
        let _ = stdin.write_all(&input).await;
    });
    let output = wait(child).await;
    writing.abort();
    output
}

pub(crate) fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

pub(crate) async fn wait(child: Child) -> Output {
    tokio::time::timeout(HANGS_AFTER, child.wait_with_output())
        .await
        .expect("it hangs")
        .unwrap()
}

/// Runs to the end, which must be a good one.
pub(crate) async fn succeed(mut command: Command) -> Output {
    let output = finish(&mut command).await;
    assert!(
        output.status.success(),
        "{command:?}: {}",
        text(&output.stderr)
    );
    output
}
