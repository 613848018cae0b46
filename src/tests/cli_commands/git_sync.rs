//! `git:sync` and `git:auth`, against a real `git http-backend`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::git::{house_with, said, versions};

const TOKEN: &str = "token-of-ann-5ca1ab1e";

/// Serves the repositories of a folder; those in `private` to who knows the token.
struct Host {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Host {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["public/shop.git", "private/shop.git"] {
            git(
                folder.path(),
                &["init", "--quiet", "--bare", "--initial-branch=main", name],
            );
        }
        git(
            folder.path(),
            &["init", "--quiet", "--initial-branch=main", "work"],
        );
        let mut child = Command::new("python3")
            .args(["-c", include_str!("git_host.py")])
            .env("ROOT", folder.path())
            .env("TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        Self {
            child,
            port: line.trim().parse().unwrap(),
            folder,
        }
    }

    fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}/shop.git", self.name())
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Commits a Dockerfile with this line in it, and puts it there.
    fn commit(&self, line: &str, port: u16) {
        let text = format!("FROM base\nEXPOSE {port}\nCMD sleep\n# {line}\n");
        std::fs::write(self.work().join("Dockerfile"), text).unwrap();
        git(&self.work(), &["add", "."]);
        git(&self.work(), &["commit", "--quiet", "-m", line]);
        for path in ["public", "private"] {
            let to = format!("../{path}/shop.git");
            git(&self.work(), &["push", "--quiet", "--tags", &to, "main"]);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn git(folder: &Path, words: &[&str]) {
    let mut command = Command::new("git");
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    let ran = command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .current_dir(folder)
        .args(identity)
        .args(words)
        .status();
    assert!(ran.unwrap().success(), "{words:?}");
}

/// Whether any file below has these bytes.
pub(crate) fn has(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return has(&path, bytes);
        }
        // A socket has no content.
        let content = std::fs::read(&path).unwrap_or_default();
        content.windows(bytes.len()).any(|part| part == bytes)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_elsewhere_is_deployed_and_only_when_it_has_changed() {
    let mut house = house_with("shop").await;
    let host = Host::start();
    host.commit("one", house.port);
    git(&host.work(), &["tag", "v1"]);
    let url = host.url("public");
    let text = said(&mut house, &format!("git:sync shop {url}"), b"", 0).await;
    assert!(
        text.contains("Nothing is deployed without --build"),
        "{text}"
    );
    assert_eq!(versions(&house, "shop").await, 0);

    let changed = format!("git:sync --build-if-changes shop {url} main");
    let text = said(&mut house, &changed, b"", 0).await;
    for part in ["-----> Fetching http://127.0.0.1:", "Application deployed"] {
        assert!(text.contains(part), "{text}");
    }
    let text = said(&mut house, &changed, b"", 0).await;
    assert!(text.contains("No changes detected"), "{text}");
    assert_eq!(versions(&house, "shop").await, 1);
    host.commit("two", house.port);
    said(&mut house, &changed, b"", 0).await;
    let text = said(&mut house, "releases shop", b"", 0).await;
    assert!(text.contains(": two"), "{text}");
    said(&mut house, &format!("git:sync --build shop {url}"), b"", 0).await;
    assert_eq!(versions(&house, "shop").await, 3);
    // A tag that is older than what runs: the branch goes back there.
    said(
        &mut house,
        &format!("git:sync --build shop {url} v1"),
        b"",
        0,
    )
    .await;
    let text = said(&mut house, "releases shop", b"", 0).await;
    assert!(text.matches(": one").count() == 2, "{text}");

    let text = said(
        &mut house,
        &format!("git:sync --build shop {url} nope"),
        b"",
        1,
    )
    .await;
    for part in [
        "could not be fetched",
        "nope",
        "check the address and the branch",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let missing = host.url("missing");
    let text = said(
        &mut house,
        &format!("git:sync --build shop {missing}"),
        b"",
        1,
    )
    .await;
    assert!(text.contains("could not be fetched"), "{text}");
    assert_eq!(versions(&house, "shop").await, 4);
    for (url, why) in [
        ("ext::id", "fetched by https"),
        ("file:///etc", "fetched by https"),
        ("/etc", "fetched by https"),
        ("https://ann:secret@example.com/a", "no place in an address"),
    ] {
        let text = said(&mut house, &format!("git:sync --build shop {url}"), b"", 2).await;
        assert!(text.contains(why), "{text}");
    }
    let text = said(
        &mut house,
        &format!("git:sync --build shop {url} -- --upload-pack=id"),
        b"",
        2,
    )
    .await;
    assert!(text.contains("A branch is a name git accepts"), "{text}");
    said(&mut house, &format!("git:sync --build nope {url}"), b"", 20).await;
}

/// The files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.flat_map(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path),
            false => vec![path],
        }
    });
    files.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_repository_that_breaks_off_nothing_stays_on_the_disk() {
    let mut house = house_with("shop").await;
    let host = Host::start();
    // Enough for git to keep them as a pack (fetch.unpackLimit).
    for number in 0..120 {
        std::fs::write(host.work().join(number.to_string()), number.to_string()).unwrap();
    }
    host.commit("one", house.port);
    let repos = house.platform.facts.data_dir.join("repos");
    let before = files(&repos);
    let broken = host.url("broken");
    let text = said(&mut house, &format!("git:sync shop {broken}"), b"", 1).await;
    assert!(text.contains("could not be fetched"), "{text}");
    // It is removed behind the answer.
    while std::fs::read_dir(&repos).unwrap().count() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(files(&repos), before);

    let public = host.url("public");
    said(&mut house, &format!("git:sync shop {public}"), b"", 0).await;
    let pack = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "pack")
    };
    assert_eq!(files(&repos).iter().filter(|path| pack(path)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_repository_is_fetched_with_a_token_that_is_seen_nowhere() {
    let mut house = house_with("shop").await;
    let host = Host::start();
    host.commit("one", house.port);
    let sync = format!("git:sync --build shop {}", host.url("private"));
    let text = said(&mut house, &sync, b"", 1).await;
    let next = format!("git:auth {} USER TOKEN", host.name());
    assert!(text.contains(&next), "{text}");

    let auth = format!("git:auth {}", host.name());
    let text = said(&mut house, &format!("{auth} ann"), b"wrong\n", 0).await;
    assert!(
        text.contains("is told the token of ann when it asks"),
        "{text}"
    );
    let text = said(&mut house, &sync, b"", 1).await;
    assert!(text.contains("Authentication failed"), "{text}");
    said(&mut house, &format!("{auth} ann"), b"", 1).await;
    let token = format!("{TOKEN}\n");
    let mut all = said(&mut house, &format!("{auth} ann"), token.as_bytes(), 0).await;
    // A redirect to another host: it is not told.
    let away = format!("git:sync --build shop {}", host.url("away"));
    let text = said(&mut house, &away, b"", 1).await;
    assert!(
        text.contains("could not read Username for 'http://localhost:"),
        "{text}"
    );
    // The host looks for it in all lines of commands there are when it is asked.
    all += &said(&mut house, &sync, b"", 0).await;
    all += &said(&mut house, "builds:output shop", b"", 0).await;
    assert!(!all.contains(TOKEN), "{all}");
    assert!(!has(&house.platform.facts.data_dir, TOKEN.as_bytes()));
    assert_eq!(versions(&house, "shop").await, 1);

    let text = said(&mut house, &auth, b"", 0).await;
    assert!(text.contains("Forgot the token"), "{text}");
    let text = said(&mut house, &auth, b"", 0).await;
    assert!(text.contains("There was no token"), "{text}");
    said(&mut house, &sync, b"", 1).await;
    let text = said(
        &mut house,
        &format!("{auth} ann {TOKEN} --format json"),
        b"",
        0,
    )
    .await;
    assert!(text.contains(r#""user":"ann""#), "{text}");
    assert!(!text.contains(r#":"token-of"#), "{text}");
    said(&mut house, &sync, b"", 0).await;
}
