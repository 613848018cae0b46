//! A whole platform on the in-memory engine.

#[path = "house/steadied.rs"]
mod steadied;
#[path = "house/typing.rs"]
mod typing;

pub(crate) use typing::next_said;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mini::access_log::AccessLogs;
use mini::backup::{Backups, S3Access, Source};
use mini::commands::{Platform, ServerFacts};
use mini::deploy::{DeployParts, DeploySettings, Deploys, DiskFloor};
use mini::engine::{ContainerEngine, Limits, MemoryEngine, Process};
use mini::events::Journal;
use mini::git::{Repositories, TreeLimits};
use mini::model::{
    AppName, Caller, CheckPolicy, Release, ReleaseStatus, ReleaseVersion, StandardPorts, Timestamp,
    Trigger,
};
use mini::reconcile::{Parts, ReconcileTask, Reconciler, Rules};
use mini::store::Store;
use mini_proxy::{AccessLogOptions, Listeners, Network, Proxy, ProxySettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Ends a test that hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// A platform with nothing in it.
pub(crate) struct House {
    pub(crate) platform: Platform,
    pub(crate) engine: MemoryEngine,
    /// Who types.
    pub(crate) caller: Caller,
    /// What was typed and what came back.
    transcript: String,
    /// Where visitors connect.
    http: SocketAddr,
    /// Where the web processes of the apps "listen".
    pub(crate) port: u16,
    _listener: TcpListener,
    _proxy: Proxy,
    _reconcile: ReconcileTask,
    folder: tempfile::TempDir,
}

impl House {
    pub(crate) fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let store = Store::open(folder.path()).unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let limits = TreeLimits {
            total_bytes: 1 << 20,
            entries: 100,
        };
        let repositories = Repositories::open(folder.path(), limits).unwrap();
        let memory = MemoryEngine::new();
        let engine: Arc<dyn ContainerEngine> = Arc::new(memory.clone());
        let settings = ProxySettings {
            threads: 1,
            // Whoever visits names its requests.
            trusted_proxies: vec![Network {
                address: [127, 0, 0, 1].into(),
                prefix: 32,
            }],
            ..ProxySettings::default()
        };
        let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 1).unwrap();
        let http = listeners.local_address();
        let proxy = Proxy::start(vec![listeners], settings).unwrap();
        let limits = Limits {
            memory_bytes: None,
            pids: 64,
        };
        let base_domains = vec!["localhost".parse().unwrap()];
        let access_logs = AccessLogs::open(folder.path(), 1 << 20).unwrap();
        let records = proxy.handle().access_log(AccessLogOptions::default());
        access_logs.write(records).unwrap();
        let (reconciler, reconcile) = Reconciler::start(Parts {
            store: store.clone(),
            engine: Arc::clone(&engine),
            proxy: proxy.handle(),
            rules: Rules {
                stop_grace: Duration::from_secs(1),
                drain: Duration::from_secs(1),
                limits,
                restart_limit: 3,
                base_domains: base_domains.clone(),
                https_port: Some(8443),
                has_wildcards: false,
                standard: StandardPorts {
                    http: vec!["127.0.0.1:8080".parse().unwrap()],
                    https: vec!["127.0.0.1:8443".parse().unwrap()],
                },
            },
            passed_ports: Vec::new(),
            http_port: Some(8080),
            used_before: tokio::sync::watch::channel(Default::default()).1,
        });
        let deploys = Deploys::new(DeployParts {
            store: store.clone(),
            journal: journal.clone(),
            engine: Arc::clone(&engine),
            repositories: repositories.clone(),
            reconciler: reconciler.clone(),
            settings: DeploySettings {
                data_dir: folder.path().to_owned(),
                build_limits: mini::deploy::BuildLimits {
                    timeout: Duration::from_secs(10),
                    memory_bytes: None,
                },
                build_cache_budget_bytes: None,
                builds_at_once: 1,
                keep_releases: 5,
                disk_floor: DiskFloor {
                    bytes: 0,
                    percent: 0,
                },
                checks: CheckPolicy {
                    listen_within: Duration::from_secs(5),
                    uptime: Duration::from_millis(10),
                },
                limits,
                image_mirrors: BTreeMap::new(),
                versions: None,
            },
        });
        let source = Source {
            data_dir: folder.path().to_owned(),
            store: store.clone(),
            repositories: repositories.clone(),
            settings_file: None,
            engine: Arc::clone(&engine),
        };
        let backups = Backups::new(source, S3Access::default());
        let facts = ServerFacts {
            data_dir: folder.path().to_owned(),
            settings_file: None,
            ssh: vec!["127.0.0.1:2222".parse().unwrap()],
            http: vec!["127.0.0.1:8080".parse().unwrap()],
            metrics: Vec::new(),
            https: vec!["127.0.0.1:8443".parse().unwrap()],
            base_domains,
            certificate_authority: None,
            creates_apps: true,
            started_at: Timestamp::now(),
        };
        House {
            platform: Platform {
                store,
                journal,
                engine,
                repositories,
                deploys,
                reconciler,
                proxy: proxy.handle(),
                backups,
                access_logs,
                facts: Arc::new(facts),
                leaving: tokio::sync::watch::channel(false).1,
            },
            engine: memory,
            caller: Caller::Console,
            transcript: String::new(),
            http,
            port,
            _listener: listener,
            _proxy: proxy,
            _reconcile: reconcile,
            folder,
        }
    }

    /// Puts a running release into the store, as a push would.
    pub(crate) async fn deploy(&self, name: &str, processes: &[(&str, &str)]) {
        self.platform
            .repositories
            .create(&name.parse().unwrap())
            .await
            .unwrap();
        let commit = "3f2c91a0000000000000000000000000000000aa";
        self.deploy_commit(name, processes, commit).await;
    }

    /// The same with files in its repository.
    pub(crate) async fn deploy_source(&self, name: &str, files: &[(&str, &str)]) {
        let app: AppName = name.parse().unwrap();
        self.platform.repositories.create(&app).await.unwrap();
        let repository = self.platform.repositories.path(&app);
        let mut index = String::new();
        for (path, content) in files {
            let id = git(&repository, &["hash-object", "-w", "--stdin"], content);
            index.push_str(&format!("100644 {id}\t{path}\n"));
        }
        git(
            &repository,
            &["update-index", "--add", "--index-info"],
            &index,
        );
        let tree = git(&repository, &["write-tree"], "");
        let commit = git(&repository, &["commit-tree", &tree, "-m", "All of it"], "");
        self.deploy_commit(name, &[("web", "sleep")], &commit).await;
    }

    async fn deploy_commit(&self, name: &str, processes: &[(&str, &str)], commit: &str) {
        let name: AppName = name.parse().unwrap();
        let store = &self.platform.store;
        let app = store.create_app(&name, Timestamp::now()).await.unwrap();
        self.engine.set_address(&name, [127, 0, 0, 1].into());
        let image = self
            .engine
            .add_image(&format!("mini/{name}:1"), &[self.port]);
        let release = Release {
            app: app.id,
            version: ReleaseVersion(0),
            status: ReleaseStatus::Candidate,
            image,
            commit: Some(commit.parse().unwrap()),
            processes: processes
                .iter()
                .map(|(kind, line)| (kind.parse().unwrap(), Some((*line).to_owned())))
                .collect(),
            release_command: None,
            postdeploy_command: None,
            formation: None,
            start_command: None,
            port: self.port,
            checks: BTreeMap::new(),
            config: store.config(app.id).await.unwrap(),
            trigger: Trigger::Push,
            description: "Deploy 3f2c91a".to_owned(),
            actor: "me".to_owned(),
            created_at: Timestamp::now(),
            drain_until: None,
        };
        let release = store.add_release(release).await.unwrap();
        store
            .promote(app.id, release.version, Timestamp::now(), true)
            .await
            .unwrap();
        self.platform.reconciler.settled(&name).await.unwrap();
    }

    /// Visits a path of a host, under a request id, and hangs up after the answer.
    pub(crate) async fn visit(&self, host: &str, path: &str, id: &str) -> String {
        self.visit_at(self.http.port(), host, path, id).await
    }

    /// The same at another port.
    pub(crate) async fn visit_at(&self, port: u16, host: &str, path: &str, id: &str) -> String {
        let visit = async {
            let address = SocketAddr::new(self.http.ip(), port);
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: {host}\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        tokio::time::timeout(HANGS_AFTER, visit)
            .await
            .expect("there was no answer")
    }

    /// Waits until no release of an app is draining any more.
    pub(crate) async fn retires(&self, name: &str) {
        let name: AppName = name.parse().unwrap();
        let app = self.platform.store.app(&name).await.unwrap().unwrap();
        let mut view = self.platform.reconciler.view();
        loop {
            let releases = self.platform.store.releases(app.id).await.unwrap();
            if releases
                .iter()
                .all(|release| release.status != ReleaseStatus::Draining)
            {
                return;
            }
            self.platform.reconciler.wake();
            view.changed().await.unwrap();
        }
    }

    /// The process of an app with this type and number.
    pub(crate) async fn process(&self, app: &str, kind: &str, index: u16) -> Process {
        let processes = self.engine.observe().await.unwrap();
        let found = processes.into_iter().find(|process| {
            process.app.as_str() == app
                && process.process_type.as_str() == kind
                && process.index == index
        });
        found.unwrap()
    }
}

/// Runs git on a bare repository and returns its output.
pub(crate) fn git(repository: &Path, words: &[&str], input: &str) -> String {
    let mut child = Command::new("git")
        .arg("--git-dir")
        .arg(repository)
        .args(words)
        .envs([
            ("GIT_AUTHOR_NAME", "me"),
            ("GIT_AUTHOR_EMAIL", "me@example.com"),
            ("GIT_COMMITTER_NAME", "me"),
            ("GIT_COMMITTER_EMAIL", "me@example.com"),
            ("GIT_AUTHOR_DATE", "1700000000 +0000"),
            ("GIT_COMMITTER_DATE", "1700000000 +0000"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {words:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
