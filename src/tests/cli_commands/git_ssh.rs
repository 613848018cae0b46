//! `git:sync` over ssh, against a real sshd.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use super::git::{house_with, said, versions};
use super::git_sync::{files, git, has};

/// Serves a repository by an sshd for each connection, as inetd does.
struct Host {
    port: u16,
    folder: tempfile::TempDir,
}

impl Host {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Self {
            port: serve(folder.path()),
            folder,
        };
        let words = ["init", "--quiet", "--bare", "--initial-branch=main"];
        git(host.path(), &[&words[..], &["shop.git"]].concat());
        let words = ["init", "--quiet", "--initial-branch=main", "work"];
        git(host.path(), &words);
        host.change_key();
        host.trust("");
        host
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self) -> String {
        let user = output(Command::new("id").arg("-un"));
        let path = self.path().display();
        format!("ssh://{}@{}{path}/shop.git", user.trim(), self.name())
    }

    /// The host has another key from now on.
    fn change_key(&self) {
        let key = self.path().join("host_key");
        let _ = fs::remove_file(&key);
        let mut keygen = Command::new("ssh-keygen");
        output(
            keygen
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(&key),
        );
    }

    fn fingerprint(&self) -> String {
        let mut keygen = Command::new("ssh-keygen");
        let said = output(keygen.arg("-lf").arg(self.path().join("host_key.pub")));
        said.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// Whoever has this key may log in, and nobody else.
    fn trust(&self, public_key: &str) {
        fs::write(self.path().join("authorized_keys"), public_key).unwrap();
    }

    fn commit(&self, line: &str, port: u16) {
        let work = self.path().join("work");
        let text = format!("FROM base\nEXPOSE {port}\nCMD sleep\n# {line}\n");
        fs::write(work.join("Dockerfile"), text).unwrap();
        git(&work, &["add", "."]);
        git(&work, &["commit", "--quiet", "-m", line]);
        git(&work, &["push", "--quiet", "../shop.git", "main"]);
    }
}

/// Listens for whoever wants to talk to an sshd with the keys of this folder. Ends with the test.
fn serve(folder: &Path) -> u16 {
    // Where sshd is root it wants this one, which its package makes at each boot.
    let _ = fs::create_dir_all("/run/sshd");
    let config = format!(
        "HostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized_keys\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PidFile none\nLogLevel ERROR\n",
        folder.display()
    );
    let path = folder.join("sshd_config");
    fs::write(&path, config).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = OwnedFd::from(stream.unwrap());
            let mut sshd = Command::new("/usr/sbin/sshd");
            sshd.arg("-i").arg("-f").arg(&path);
            sshd.stdin(stream.try_clone().unwrap()).stdout(stream);
            let mut child = sshd
                .stderr(Stdio::null())
                .spawn()
                .expect("these tests need /usr/sbin/sshd, of openssh-server");
            std::thread::spawn(move || child.wait());
        }
    });
    port
}

fn output(command: &mut Command) -> String {
    let ran = command.stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "{command:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_fetched_over_ssh_from_a_host_that_is_known_with_a_key_that_is_in_no_file()
{
    let mut house = house_with("shop").await;
    let host = Host::start();
    host.commit("one", house.port);
    let sync = format!("git:sync --build-if-changes shop {}", host.url());
    let allow = format!("git:allow-host {}", host.name());
    let text = said(&mut house, &sync, b"", 1).await;
    assert!(text.contains(&format!("`{allow}`")), "{text}");
    let status = format!("git:auth-status {}", host.name());
    said(&mut house, &status, b"", 1).await;
    let text = said(&mut house, &allow, b"", 0).await;
    assert!(text.contains(&host.fingerprint()), "{text}");
    let text = said(&mut house, &status, b"", 0).await;
    assert!(text.contains(&host.fingerprint()), "{text}");

    let text = said(&mut house, &sync, b"", 1).await;
    assert!(text.contains("`git:generate-deploy-key`"), "{text}");
    let text = said(&mut house, "git:public-key", b"", 1).await;
    assert!(text.contains("`git:generate-deploy-key`"), "{text}");
    let text = said(&mut house, "git:generate-deploy-key", b"", 0).await;
    let line = |text: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with("ssh-ed25519 "));
        lines.next().unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let public_key = line(&text);
    let text = said(&mut house, "git:generate-deploy-key", b"", 1).await;
    assert!(text.contains("There is a deploy key already"), "{text}");
    let text = said(&mut house, "git:public-key", b"", 0).await;
    assert_eq!(line(&text), public_key);

    let text = said(&mut house, &sync, b"", 1).await;
    for part in ["Permission denied", "`git:public-key`"] {
        assert!(text.contains(part), "{text}");
    }
    host.trust(&public_key);
    let data = house.platform.facts.data_dir.clone();
    let text = said(&mut house, &sync, b"", 0).await;
    for part in ["-----> Fetching ssh://", "Application deployed"] {
        assert!(text.contains(part), "{text}");
    }
    let text = said(&mut house, "git:report shop --git-sha", b"", 0).await;
    let mut head = Command::new("git");
    head.arg("-C").arg(host.path().join("work"));
    let head = output(head.args(["rev-parse", "HEAD"]));
    assert!(text.contains(head.trim()), "{text}");
    let text = said(&mut house, &sync, b"", 0).await;
    assert!(text.contains("No changes detected"), "{text}");
    // What ssh was given for the time of the fetch is removed behind the answer.
    while fs::read_dir(data.join("repos")).unwrap().count() > 1 {
        tokio::task::yield_now().await;
    }
    let names = |name: &str| {
        files(&data)
            .into_iter()
            .filter(|path| path.ends_with(name))
            .count()
    };
    assert_eq!((names("agent"), names("known_hosts")), (0, 0));
    let secret = house.platform.store.deploy_key().await.unwrap().unwrap();
    assert!(!has(&data, secret.reveal().as_bytes()));

    host.change_key();
    let text = said(&mut house, &sync, b"", 1).await;
    for part in ["another key than it is known by", &*allow] {
        assert!(text.contains(part), "{text}");
    }
    said(&mut house, &allow, b"", 0).await;
    said(&mut house, &sync, b"", 0).await;
    let text = said(&mut house, "git:generate-deploy-key --replace", b"", 0).await;
    assert_ne!(line(&text), public_key);
    let text = said(&mut house, &sync, b"", 1).await;
    assert!(text.contains("Permission denied"), "{text}");
    let text = said(&mut house, &format!("{allow} --remove"), b"", 0).await;
    assert!(text.contains("Forgot the keys"), "{text}");
    let text = said(&mut house, &sync, b"", 1).await;
    assert!(text.contains(&format!("`{allow}`")), "{text}");
    assert_eq!(versions(&house, "shop").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_at_which_nobody_answers_is_not_allowed() {
    let mut house = house_with("shop").await;
    // A port that was just free.
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let name = format!("127.0.0.1:{}", closed.local_addr().unwrap().port());
    drop(closed);
    let text = said(&mut house, &format!("git:allow-host {name}"), b"", 1).await;
    assert!(text.contains("has shown a key"), "{text}");
    let text = said(&mut house, "git:allow-host -oProxyCommand=id", b"", 2).await;
    assert!(!text.contains("SHA256"), "{text}");
}
